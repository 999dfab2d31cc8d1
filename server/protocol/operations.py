"""What each REST route does, for the OpenAPI document; written by hand, kept true by tests."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from server.media_types import JSON_LINES, PNG, RECORDS
from server.protocol.openapi_schemas import STRING, Schema, listed, reference

_BINARY: Final = "application/octet-stream"
_TEXT: Final = "text/plain"
MEDIA: Final[Schema] = {"type": "string", "format": "binary"}

_BODY: Final = (400, 413, 501)
"""Statuses of a route that reads a body: malformed, too large, of an unknown Content-Encoding."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What a route does.

    Attributes:
        summary: It in one line.
        answer: Schema of its answer of status 200; None for an empty body.
        takes: Schema of the body it reads; None for a GET.
        refusals: Statuses of its errors.
        more: Other media types of the answer, with their schemas.
        optional: Whether it may be asked with no body.
        files: Other media types of the body, each a picture file.
        error: Schema of its errors.
    """

    summary: str
    answer: Schema | None
    takes: Schema | None = None
    refusals: tuple[int, ...] = ()
    more: Mapping[str, Schema] | None = None
    optional: bool = False
    files: tuple[str, ...] = ()
    error: str = "Error"


_FIND: Final = (400, 404, 503)
_VERSIONS: Final = ("", "/versions/{version}")
_REPOSITORIES: Final = ("", "/{repository}")
_PREDICT: Final = Operation(
    "Answer pictures",
    reference("Predictions"),
    reference("PredictRequest"),
    (*_BODY, 404, 406, 503),
    {PNG: MEDIA},
)
_INFERENCE: Final = Operation(
    "Answer pictures as AI EasyMaker does; with several models, ?model= chooses one",
    {"anyOf": [reference("Predictions"), listed({})]},
    reference("PredictRequest"),
    (*_BODY, 404, 503),
)
_FILES: Final = ("application/x-image", "image/png", "image/jpeg", _BINARY)
_ANSWERS: Final[Mapping[str, Schema]] = {
    JSON_LINES: MEDIA,
    PNG: MEDIA,
    **dict.fromkeys(RECORDS, MEDIA),
}
_INVOKE: Final = Operation(
    "Answer pictures as SageMaker's built-in algorithms do; Accept chooses the form",
    {},
    reference("PredictRequest"),
    (*_BODY, 404, 406, 415, 503),
    _ANSWERS,
    files=_FILES,
)
_NEVER: Final = Operation(
    "Refused: this server answers at once and whole",
    None,
    reference("PredictRequest"),
    (400,),
    files=_FILES,
    error="AwsError",
)
_TRACE: Final = Operation("The settings of traces", reference("TraceSettings"), None, (400,))
_SET_TRACE: Final = Operation(
    "Set them; null goes back to the default",
    reference("TraceSettings"),
    reference("NewTraceSettings"),
    _BODY,
    optional=True,
)
_REGIONS: Final = Operation("Registered regions", reference("Regions"), None, (404,))
_REGISTER: Final = Operation("Register a region", None, reference("Region"), _BODY, optional=True)
_UNREGISTER: Final = Operation("Forget regions; unknown ones too", None, {}, (501,), optional=True)


def _model_operations() -> dict[tuple[str, str], Operation]:
    """The routes of a model, without a version and with one."""
    infer = Operation(
        "Run the model on tensors",
        reference("InferResponse"),
        reference("InferRequest"),
        (*_BODY, 404, 503),
        {_BINARY: MEDIA},
    )
    found: dict[tuple[str, str], Operation] = {}
    for middle in _VERSIONS:
        path = f"/v2/models/{{name}}{middle}"
        found["POST", f"{path}/infer"] = infer
        for suffix, summary, schema in (
            ("", "Inputs, outputs and versions", "ModelMetadata"),
            ("/ready", "Whether the model can answer", "ModelReady"),
            ("/config", "The configuration, and how it is run", "ModelConfig"),
            ("/stats", "Counts and durations", "Statistics"),
        ):
            found["GET", path + suffix] = Operation(summary, reference(schema), None, _FIND)
    return found


def _repository_operations() -> dict[tuple[str, str], Operation]:
    """The routes of the model repository, without and with a repository's name."""
    found: dict[tuple[str, str], Operation] = {}
    for middle in _REPOSITORIES:
        path = f"/v2/repository{middle}"
        for suffix, summary, answer, takes, refusals in (
            ("/index", "Models, versions and their states", "Index", "IndexRequest", ()),
            ("/models/{name}/load", "Load a model", None, "LoadRequest", (404, 503)),
            ("/models/{name}/unload", "Unload a model", None, "UnloadRequest", (503,)),
        ):
            schema = reference(answer) if answer else None
            found["POST", path + suffix] = Operation(
                summary, schema, reference(takes), (*_BODY, *refusals), optional=True
            )
    return found


def _memory_operations() -> dict[tuple[str, str], Operation]:
    """The routes of shared memory, for all regions and for one."""
    found: dict[tuple[str, str], Operation] = {}
    for kind in ("systemsharedmemory", "cudasharedmemory"):
        for region in ("", "/region/{region}"):
            path = f"/v2/{kind}{region}"
            found["GET", f"{path}/status"] = _REGIONS
            found["POST", f"{path}/register"] = _REGISTER
            found["POST", f"{path}/unregister"] = _UNREGISTER
    return found


OPERATIONS: Final[Mapping[tuple[str, str], Operation]] = {
    ("POST", "/v1/models/{name}:predict"): _PREDICT,
    ("POST", "/v1/models/{name}/predict"): _PREDICT,
    ("GET", "/v1/models"): Operation("The names of the models", reference("Models")),
    ("GET", "/v1/models/{name}"): Operation(
        "Whether a model is ready", reference("ModelReady"), None, (404, 503)
    ),
    ("POST", "/inference"): _INFERENCE,
    ("GET", "/ping"): Operation("Whether every model can answer", None, None, (503,)),
    ("POST", "/invocations"): _INVOKE,
    ("GET", "/execution-parameters"): Operation(
        "How SageMaker's batch transform sends records", reference("ExecutionParameters")
    ),
    ("POST", "/endpoints/{endpoint}/invocations"): replace(
        _INVOKE, refusals=(400, 424, 429, 503), error="AwsError"
    ),
    ("POST", "/endpoints/{endpoint}/invocations-response-stream"): _NEVER,
    ("POST", "/endpoints/{endpoint}/async-invocations"): _NEVER,
    ("GET", "/v2/health/live"): Operation("Whether the process answers", reference("Live")),
    ("GET", "/v2/health/ready"): Operation(
        "Whether every model can answer", reference("Ready"), None, (503,)
    ),
    ("GET", "/v2"): Operation("The server's name and extensions", reference("ServerMetadata")),
    ("GET", "/v2/models"): Operation("The names of the models", reference("Models")),
    ("GET", "/v2/models/stats"): Operation("Counts and durations", reference("Statistics")),
    **_model_operations(),
    **_repository_operations(),
    **_memory_operations(),
    ("GET", "/v2/logging"): Operation("The settings of the log", reference("LogSettings")),
    ("POST", "/v2/logging"): Operation(
        "Set them",
        reference("LogSettings"),
        reference("NewLogSettings"),
        _BODY,
        optional=True,
    ),
    ("GET", "/v2/trace/setting"): _TRACE,
    ("POST", "/v2/trace/setting"): _SET_TRACE,
    ("GET", "/v2/models/{name}/trace/setting"): _TRACE,
    ("POST", "/v2/models/{name}/trace/setting"): _SET_TRACE,
    ("GET", "/metrics"): Operation("Prometheus' metrics", None, more={_TEXT: STRING}),
    ("GET", "/openapi.json"): Operation("This document", {"type": "object"}),
}
"""Every REST route but KServe's own `/`."""
