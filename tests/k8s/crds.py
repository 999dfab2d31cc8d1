"""A CustomResourceDefinition's openAPIV3Schema as a JSON schema that refuses unknown fields.

Source: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
"""

from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema
import yaml

CRDS: Final = Path(__file__).parents[3] / "shared" / "crds"


@cache
def validators() -> dict[tuple[str, str], jsonschema.Draft202012Validator]:
    """The validator of each custom kind, by apiVersion and kind."""
    found = {}
    for path in sorted(CRDS.glob("*.yaml")):
        crd = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)["spec"]
        for version in crd["versions"]:
            schema = closed(version["schema"]["openAPIV3Schema"])
            schema["properties"]["metadata"] = {"type": "object"}  # the API server's own
            key = (f"{crd['group']}/{version['name']}", crd["names"]["kind"])
            found[key] = jsonschema.Draft202012Validator(schema)
    return found


def closed(schema: Any) -> Any:
    """The schema in JSON schema's words; what it does not name is an error, not dropped."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: closed(value) for key, value in schema.items() if not key.startswith("x-")}
    result.pop("format", None)
    if schema.get("x-kubernetes-int-or-string"):
        result.pop("anyOf", None)
        result["type"] = ["integer", "string"]
    elif schema.get("nullable") and isinstance(schema.get("type"), str):
        result["type"] = [schema["type"], "null"]
    if schema.get("type") == "object" and not schema.get("x-kubernetes-preserve-unknown-fields"):
        result.setdefault("additionalProperties", False)
    return result
