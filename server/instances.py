"""The V1 request body, shared by KServe's V1 and EasyMaker's `/inference`."""

from dataclasses import dataclass

from contract.errors import OptionsError
from contract.options import Options, build
from server.decoder import Base64Text, PictureFile
from server.errors import BadPicture, RequestError
from server.long_strings import LongString

_MOST_NAMES = 16
_LONGEST_NAME = 64
_LONGEST_MESSAGE = 500  # of what a client sent, in an answer


@dataclass(frozen=True, slots=True)
class PredictRequest:
    """The pictures of a request and what it says of their answers."""

    files: tuple[PictureFile, ...]
    options: Options


def parse_predict_request(payload: object, options: type[Options]) -> PredictRequest:
    """Take apart {"instances": [{"data": "<base64>"}, ...], "parameters": {...}}.

    Args:
        payload: The body.
        options: What the task lets `parameters` say.

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
    files = tuple(_parse_instance(index, instance) for index, instance in enumerate(instances))
    return PredictRequest(files, _parse_parameters(payload.get("parameters"), options))


def _parse_parameters(parameters: object, options: type[Options]) -> Options:
    if parameters is None:
        return options()
    if not isinstance(parameters, dict):
        raise RequestError(f'"parameters" is {_kind(parameters)}; expected an object')
    if len(parameters) > _MOST_NAMES:
        known = ", ".join(options.model_fields) or "none"
        raise RequestError(f'"parameters" has {len(parameters)} names; known are {known}')
    try:
        return build(options, {name[:_LONGEST_NAME]: value for name, value in parameters.items()})
    except OptionsError as err:
        raise RequestError(f"parameters: {'; '.join(err.problems)}"[:_LONGEST_MESSAGE]) from err


def _parse_instance(index: int, instance: object) -> PictureFile:
    if not isinstance(instance, dict) or "data" not in instance:
        got = f"keys {sorted(instance)}" if isinstance(instance, dict) else _kind(instance)
        raise BadPicture(index, f'got {got[:_LONGEST_MESSAGE]}; expected {{"data": "<base64>"}}')
    data = instance["data"]
    if not isinstance(data, str | LongString):
        raise BadPicture(index, f'"data" is {_kind(data)}; expected a base64 string')
    return Base64Text(data)


def _kind(value: object) -> str:
    names = {
        dict: "an object",
        list: "a list",
        str: "a string",
        LongString: "a string",
        bool: "a boolean",
    }
    names |= {int: "a number", float: "a number", type(None): "null"}
    return names.get(type(value), type(value).__name__)
