"""schemathesis on a server's OpenAPI document, in a process of its own.

    python -m tests.clients.schemathesis_calls URL EXAMPLES

Sends each operation valid and invalid requests, half of them about models that are there: `colour`,
and `spare` for loading and unloading. Prints, as JSON, how often each status was answered by each
operation; ends with an error at the first answer that the document does not allow.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.picture_files import as_text, noise_png

CHECKS: list[Any] = [
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
]
UNSUPPORTED = ("/v2/cudasharedmemory", "/v2/repository/{repository}/models")
Counts = dict[str, Counter[int]]


def main() -> None:
    url, examples = sys.argv[1], int(sys.argv[2])
    load_all_checks()
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    counts: Counts = {}
    for result in schema.get_all_operations():
        operation: Any = result.ok()  # type: ignore[union-attr]  # an Err raises
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            known = {"name": "spare" if "/repository" in operation.path else "colour"}
            known["endpoint"] = "colour"
            named = {key: value for key, value in known.items() if f"{{{key}}}" in operation.path}
            for path_parameters in [{}, named] if named else [{}]:
                ask(operation, mode, path_parameters, examples, counts)
    for operation, path_parameters, query, body in good_requests(schema):
        case = operation.Case(
            path_parameters=path_parameters,
            query=query,
            **({} if body is None else {"body": body, "media_type": "application/json"}),
        )
        check(case, case.call(), counts)
    print(json.dumps({name: dict(counter) for name, counter in counts.items()}))


def good_requests(schema: Any) -> Iterator[tuple[Any, dict[str, str], dict[str, str], Any]]:
    """Requests that are answered: the operation, path parameters, query and body of each."""
    picture = as_text(noise_png(0))
    predict = {"instances": [{"data": picture}]}
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [picture]}
    model, version = {"name": "colour"}, {"name": "colour", "version": "1"}
    for path in ("/v1/models/{name}:predict", "/v1/models/{name}/predict"):
        yield schema[path]["POST"], model, {}, predict
    for path in ("/inference", "/invocations"):
        yield schema[path]["POST"], {}, {"model": "colour"}, predict
    endpoint = {"endpoint": "colour"}
    yield schema["/endpoints/{endpoint}/invocations"]["POST"], endpoint, {}, predict
    for middle, parameters in (("", model), ("/versions/{version}", version)):
        path = f"/v2/models/{{name}}{middle}"
        yield schema[f"{path}/infer"]["POST"], parameters, {}, {"inputs": [tensor]}
        for suffix in ("", "/ready", "/config", "/stats"):
            yield schema[path + suffix]["GET"], parameters, {}, None


def check(case: Any, response: Any, counts: Counts) -> None:
    """Refuse an answer that the document does not allow; count the others."""
    operation = case.operation
    label = f"{operation.method.upper()} {operation.path}"
    counts.setdefault(label, Counter())[response.status_code] += 1
    unsupported = response.status_code == 501 and operation.path.startswith(UNSUPPORTED)
    assert response.status_code < 500 or unsupported, f"{label}: {response.text}"
    case.validate_response(response, checks=CHECKS)


def ask(
    operation: Any, mode: GenerationMode, known: dict[str, str], examples: int, counts: Counts
) -> None:
    @seed(0)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: Any) -> None:
        case.path_parameters = {**(case.path_parameters or {}), **known}
        check(case, case.call(), counts)

    try:
        run()
    except Unsatisfiable:  # nothing of the request can be wrong
        assert mode is GenerationMode.NEGATIVE


if __name__ == "__main__":
    main()
