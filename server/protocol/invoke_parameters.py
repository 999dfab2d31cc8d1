"""The parameters of InvokeEndpoint, which are headers, within the limits that AWS sets.

Source: botocore's model of sagemaker-runtime, 2017-05-13.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from server.protocol.http_errors import BadParameter

CUSTOM_ATTRIBUTES: Final = "X-Amzn-SageMaker-Custom-Attributes"
INFERENCE_ID: Final = "X-Amzn-SageMaker-Inference-Id"

_PRINTABLE: Final = re.compile(r"[\t -~]*")  # ASCII that a header may have
_NEW_SESSION: Final = "NEW_SESSION"
_NO_EXPLANATIONS: Final = ("", "`false`")  # of JMESPath

_LIMITS: Final[Mapping[str, tuple[str, int]]] = {
    "CustomAttributes": (CUSTOM_ATTRIBUTES, 1024),
    "TargetModel": ("X-Amzn-SageMaker-Target-Model", 1024),
    "TargetVariant": ("X-Amzn-SageMaker-Target-Variant", 63),
    "TargetContainerHostname": ("X-Amzn-SageMaker-Target-Container-Hostname", 63),
    "InferenceId": (INFERENCE_ID, 64),
    "EnableExplanations": ("X-Amzn-SageMaker-Enable-Explanations", 64),
    "InferenceComponentName": ("X-Amzn-SageMaker-Inference-Component", 63),
    "SessionId": ("X-Amzn-SageMaker-Session-Id", 256),
}
"""The header of each parameter, and the most characters that it may have."""


@dataclass(frozen=True, slots=True)
class InvokeParameters:
    """What a request says beside its body; what it does not say is empty."""

    given: Mapping[str, str]

    @property
    def variant(self) -> str:
        """What TargetVariant names."""
        return self.given.get("TargetVariant", "")

    @property
    def inference_id(self) -> str:
        """The client's name for the request."""
        return self.given.get("InferenceId", "")

    @property
    def begins_session(self) -> bool:
        """Whether a session is to be begun."""
        return self.given.get("SessionId") == _NEW_SESSION

    def models(self) -> dict[str, str]:
        """What names a model: on AWS one of several, a part of an endpoint, or a container."""
        names = ("TargetModel", "InferenceComponentName", "TargetContainerHostname")
        return {name: self.given[name] for name in names if name in self.given}

    def echoed(self) -> dict[str, str]:
        """The headers that an answer has of its request."""
        return {
            _LIMITS[name][0]: self.given[name]
            for name in ("CustomAttributes", "InferenceId")
            if name in self.given
        }


def read_parameters(headers: Mapping[str, str]) -> InvokeParameters:
    """The parameters of a request, as they are; a container checks none of them."""
    return InvokeParameters(
        {name: headers[header] for name, (header, _) in _LIMITS.items() if header in headers}
    )


def check_parameters(parameters: InvokeParameters) -> None:
    """Refuse what AWS' front door does, and what this server cannot do.

    Raises:
        BadParameter: One is too long, or not of printable ASCII, or wants explanations.
    """
    given = parameters.given
    for name, value in given.items():
        limit = _LIMITS[name][1]
        if len(value) > limit:
            raise BadParameter(
                name, f"Member must have length less than or equal to {limit}, got {len(value)}"
            )
        if not _PRINTABLE.fullmatch(value):
            raise BadParameter(name, f"got {value!r}, expected printable ASCII")
    if given.get("EnableExplanations", "").strip() not in _NO_EXPLANATIONS:
        raise BadParameter("EnableExplanations", "this server explains no prediction; leave it out")
