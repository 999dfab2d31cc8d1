"""`aperture-serve serve`: how SageMaker starts a container, as options of ours.

SageMaker runs the image with the argument `serve`, the unpacked model.tar.gz at /opt/ml/model, and
what else there is to say in variables: of the platform, of batch transform, and of its toolkits.
Our own flags and variables win over them.

Sources: SageMaker's developer guide, "Custom inference code"; sagemaker-inference-toolkit.
"""

import re
from collections.abc import Mapping, Sequence, Set
from pathlib import PurePosixPath
from typing import Final

from contract.errors import OptionsError

COMMAND: Final = "serve"

_PREFIX: Final = "SAGEMAKER_"
_BASE_DIR: Final = "/opt/ml"
_TRUE: Final = ("true", "1", "yes")
_PORTS: Final = re.compile(r"(\d{1,5})-(\d{1,5})")
_REST, _GRPC = 8080, 8081
_LAST_PORT: Final = 65535
_MB: Final = 2**20
_DIGITS: Final = 18
_GRACE_S: Final = 25
"""SIGKILL comes 30 s after SIGTERM."""

OPTIONS: Final[Mapping[str, str]] = {
    "BIND_TO_PORT": "http_port",
    "DEFAULT_INVOCATIONS_ACCEPT": "invocations_accept",
    "MODEL_SERVER_TIMEOUT": "invocations_timeout",
    "BATCH": "batch_transform",
    "BATCH_STRATEGY": "batch_strategy",
    "MAX_CONCURRENT_TRANSFORMS": "max_concurrent_transforms",
    "MAX_PAYLOAD_IN_MB": "max_payload_in_mb",
}
"""Variables without their prefix, and the options that they give."""


def given_by_sagemaker(
    environ: Mapping[str, str], largest_body: int, told: Mapping[str, object]
) -> dict[str, str]:
    """The options that SageMaker's variables and folders give.

    Args:
        environ: The variables.
        largest_body: The default limit of a body, which larger records of batch transform raise.
        told: What our own flags and variables give, which win.

    Raises:
        OptionsError: A variable asks for what is not here, or cannot be understood.
    """
    said = {
        name.removeprefix(_PREFIX): value
        for name, value in environ.items()
        if name.startswith(_PREFIX) and value
    }
    if said.get("MULTI_MODEL", "").lower() in _TRUE:
        raise OptionsError(
            [
                "SAGEMAKER_MULTI_MODEL: this server loads no models over /models; put all of them "
                "into one archive, where TargetModel chooses"
            ]
        )
    given = {option: said[name] for name, option in OPTIONS.items() if name in said}
    base = PurePosixPath(said.get("BASE_DIR", _BASE_DIR))
    given |= {"model_dir": str(base / "model"), "grace_period": str(_GRACE_S)}
    if "grpc_port" not in told:
        ports = {"http_port": _REST, **given, **told}
        taken = {str(ports[name]) for name in ("http_port", "metrics_port") if name in ports}
        given["grpc_port"] = str(_grpc_port(said.get("SAFE_PORT_RANGE"), taken))
    payload = str({**given, **told}.get("max_payload_in_mb", ""))
    if payload.isdecimal() and len(payload) <= _DIGITS and int(payload) * _MB > largest_body:
        given["http_max_input_size"] = str(int(payload) * _MB)
    return given


def by_variable(problems: Sequence[str], told: Mapping[str, object]) -> list[str]:
    """Lines about options -> the same, each of a value of SageMaker's with its variable's name.

    Args:
        problems: `option: what is wrong`.
        told: What our own flags and variables give, which win.
    """
    variables = {option: name for name, option in OPTIONS.items() if option not in told}
    named = []
    for problem in problems:
        option, colon, rest = problem.partition(":")
        name = _PREFIX + variables[option] if colon and option in variables else option
        named.append(f"{name}{colon}{rest}")
    return named


def _grpc_port(safe_range: str | None, taken: Set[str]) -> int:
    """The first port that is not taken: of the range that the container may have, or from ours.

    Raises:
        OptionsError: The range is none, or has no such port.
    """
    first, last = _GRPC, _GRPC + len(taken)
    if safe_range is not None:
        first, last = _range(safe_range)
    free = [port for port in range(first, last + 1) if str(port) not in taken]
    if not free:
        beside = " and ".join(sorted(taken))
        problem = f"got {safe_range!r}, which leaves gRPC no port beside {beside}"
        raise OptionsError([f"SAGEMAKER_SAFE_PORT_RANGE: {problem}"])
    return free[0]


def _range(text: str) -> tuple[int, int]:
    match = _PORTS.fullmatch(text.strip())
    first, last = (int(match[1]), int(match[2])) if match is not None else (0, 0)
    if not 1 <= first <= last <= _LAST_PORT:
        expected = f"FIRST-LAST, from 1 to {_LAST_PORT}, FIRST not after LAST"
        raise OptionsError([f"SAGEMAKER_SAFE_PORT_RANGE: got {text[:100]!r}, expected {expected}"])
    return first, last
