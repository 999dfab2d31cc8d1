"""The V1 request body, shared by KServe's V1 and EasyMaker's `/inference`."""

from server.decoder import Base64Text, Source
from server.errors import BadPicture, RequestError


def parse_instances(payload: object) -> list[Source]:
    """Take the pictures out of {"instances": [{"data": "<base64>"}, ...]}.

    Raises:
        RequestError: The body, or one instance, which is named by its index, is of another form.
    """
    if not isinstance(payload, dict):
        raise RequestError(f'body is {_kind(payload)}; expected {{"instances": [...]}}')
    if "instances" not in payload:
        raise RequestError(
            'body has no "instances"; expected {"instances": [{"data": "<base64>"}]}'
        )
    instances = payload["instances"]
    if not isinstance(instances, list):
        raise RequestError(f'"instances" is {_kind(instances)}; expected a list')
    if not instances:
        raise RequestError('"instances" is empty; expected one picture or more')
    return [_parse_instance(index, instance) for index, instance in enumerate(instances)]


def _parse_instance(index: int, instance: object) -> Source:
    if not isinstance(instance, dict) or "data" not in instance:
        got = f"keys {sorted(instance)}" if isinstance(instance, dict) else _kind(instance)
        raise BadPicture(index, f'got {got}; expected {{"data": "<base64>"}}')
    data = instance["data"]
    if not isinstance(data, str):
        raise BadPicture(index, f'"data" is {_kind(data)}; expected a base64 string')
    return Base64Text(data)


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean"}
    names |= {int: "a number", float: "a number", type(None): "null"}
    return names.get(type(value), type(value).__name__)
