"""Manifests as JSON on stdin -> KServe's model classes -> manifests as JSON on stdout."""

import json
import re
import sys
from typing import Any

sys.argv[1:] = ["--configure_logging", "false"]  # KServe parses argv when it is imported

import kserve.models  # noqa: E402
import kubernetes.client.models  # noqa: E402

_LIST = re.compile(r"list\[(.*)\]")
_MAP = re.compile(r"dict\((\w+), (.*)\)")


def built(value: Any, type_name: str) -> Any:
    """A value as the class that the SDKs name, its fields too."""
    if value is None:
        return None
    if (match := _LIST.fullmatch(type_name)) is not None:
        return [built(item, match[1]) for item in value]
    if (match := _MAP.fullmatch(type_name)) is not None:
        return {key: built(item, match[2]) for key, item in value.items()}
    owner = next(
        (sdk for sdk in (kserve.models, kubernetes.client.models) if hasattr(sdk, type_name)), None
    )
    model = getattr(owner, type_name, None)
    if model is None or not hasattr(model, "openapi_types"):
        return value
    return model(
        **{
            field: built(value[key], model.openapi_types[field])
            for field, key in model.attribute_map.items()
            if key in value
        }
    )


def plain(model: Any) -> Any:
    """The manifest of a model, without the fields that it does not have, or has empty as in Go."""
    if isinstance(model, list):
        return [plain(item) for item in model]
    if isinstance(model, dict):
        return {key: plain(item) for key, item in model.items()}
    if not hasattr(model, "openapi_types"):
        return model
    fields = {key: getattr(model, field) for field, key in model.attribute_map.items()}
    return {key: plain(value) for key, value in fields.items() if value not in (None, "")}


def class_of(manifest: dict[str, Any]) -> str:
    """The name of the SDK's class for a manifest."""
    version = manifest["apiVersion"].rpartition("/")[2]
    return f"{version[0].upper()}{version[1:]}{manifest['kind']}"


models = [built(manifest, class_of(manifest)) for manifest in json.load(sys.stdin)]
json.dump(plain(models), sys.stdout)
