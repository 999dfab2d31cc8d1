"""`aperture-serve serve`: how SageMaker starts a container, as options of ours.

SageMaker runs the image with the argument `serve`, the unpacked model.tar.gz at /opt/ml/model, and
what else there is to say in variables: of the platform, of batch transform, and of its toolkits.
Our own flags and variables win over them.

Sources: SageMaker's developer guide, "Custom inference code"; sagemaker-inference-toolkit.
"""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Final

from contract.errors import OptionsError

COMMAND: Final = "serve"

_PREFIX: Final = "SAGEMAKER_"
_BASE_DIR: Final = "/opt/ml"
_TRUE: Final = ("true", "1", "yes")
_PORTS: Final = re.compile(r"(\d{1,5})-(\d{1,5})")
_REST, _GRPC = 8080, 8081
_MB: Final = 2**20
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


def given_by_sagemaker(environ: Mapping[str, str], largest_body: int) -> dict[str, str]:
    """The options that SageMaker's variables and folders give.

    Args:
        environ: The variables.
        largest_body: The default limit of a body, which larger records of batch transform raise.

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
    given["grpc_port"] = str(_grpc_port(said.get("SAFE_PORT_RANGE"), given.get("http_port")))
    payload = said.get("MAX_PAYLOAD_IN_MB", "")
    if payload.isdecimal() and int(payload) * _MB > largest_body:
        given["http_max_input_size"] = str(int(payload) * _MB)
    return given


def _grpc_port(safe_range: str | None, rest: str | None) -> int:
    """The first port that is not REST's: of the range that the container may take, or of ours."""
    first, last = _GRPC, _GRPC + 1
    if safe_range is not None:
        match = _PORTS.fullmatch(safe_range.strip())
        if match is None:
            raise OptionsError(
                [f"SAGEMAKER_SAFE_PORT_RANGE: got {safe_range!r}, expected FIRST-LAST"]
            )
        first, last = int(match[1]), int(match[2])
    taken = rest or str(_REST)
    free = [port for port in range(first, min(last, first + 1) + 1) if str(port) != taken]
    if not free:
        raise OptionsError(
            [
                f"SAGEMAKER_SAFE_PORT_RANGE: got {safe_range!r}, which leaves gRPC no port beside {taken}"
            ]
        )
    return free[0]
