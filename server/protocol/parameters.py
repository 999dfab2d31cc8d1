"""The `parameters` of a V2 request, its inputs and its outputs, as REST and gRPC alike send them.

Texts of errors are Triton's.
Source: Triton's extensions parameters, schedule_policy and classification.
"""

from collections.abc import Mapping
from typing import Final, TypeAlias

from server.errors import RequestError

Parameters: TypeAlias = Mapping[str, object]

_RESERVED: Final = "triton_"
_STREAM_ONLY: Final = "triton_enable_empty_final_response"


def schedule_of(parameters: Parameters) -> tuple[int, int]:
    """The priority and the timeout in microseconds that a request asks for; 0 for neither.

    Raises:
        RequestError: One is no such number, or a parameter is reserved or of a type of its own.
    """
    for name, value in parameters.items():
        if name.startswith(_RESERVED) and name != _STREAM_ONLY:
            raise RequestError(
                "parameter keys starting with 'triton_' are reserved for Triton usage and should "
                "not be specified."
            )
        if not isinstance(value, (bool, int, float, str)):
            raise RequestError(
                f"parameter '{name[:40]}' has invalid type. It should be either 'int', 'bool', "
                "'double' or 'string'."
            )
    _check_sequence(parameters)
    return unsigned(parameters, "priority"), unsigned(parameters, "timeout")


def classes_of(parameters: Parameters) -> int:
    """How many classes an output is to be answered with; 0 for its numbers.

    Raises:
        RequestError: It is no such number, or the output is to lie in shared memory as well.
    """
    if "classification" in parameters and "shared_memory_region" in parameters:
        raise RequestError("Output can't set both 'shared_memory_region' and 'classification'")
    return unsigned(parameters, "classification")


def unsigned(parameters: Parameters, name: str) -> int:
    """A parameter that is a whole number, 0 or more; 0 if it is not there.

    Raises:
        RequestError: It is something else.
    """
    value = parameters.get(name, 0)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise RequestError(
            f"Unable to parse '{name}': got {str(value)[:40]!r}, expected a whole number, 0 or more"
        )
    return value


def _check_sequence(parameters: Parameters) -> None:
    """Sequences mean nothing to the models here, but their parameters must be well formed."""
    if not isinstance(parameters.get("sequence_id"), str):
        unsigned(parameters, "sequence_id")
    for name in ("sequence_start", "sequence_end"):
        flag(parameters, name)


def flag(parameters: Parameters, name: str) -> bool:
    """A parameter that is true or false; false if it is not there.

    Raises:
        RequestError: It is something else.
    """
    value = parameters.get(name, False)
    if not isinstance(value, bool):
        raise RequestError(
            f"Unable to parse '{name}': got {str(value)[:40]!r}, expected true or false"
        )
    return value
