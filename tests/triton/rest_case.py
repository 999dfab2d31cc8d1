"""A request over REST that is sent to both servers, and how its body is made."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

HEADER_LENGTH: Final = "Inference-Header-Content-Length"
SIMPLE: Final = "/v2/models/simple/infer"


@dataclass(frozen=True, slots=True)
class Case:
    """One request.

    Attributes:
        name: What it asks; the key of a list of differences.
        path: Path of the URL.
        body: Body of a POST; None is a GET.
        headers: Headers of the request.
    """

    name: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def verb(self) -> str:
        return "GET" if self.body is None else "POST"


def tensor(name: str, datatype: str, shape: list[int], data: Any = None, **more: Any) -> Any:
    """An input of a JSON request."""
    entry = {"name": name, "datatype": datatype, "shape": shape, **more}
    return entry if data is None else {**entry, "data": data}


def request(*inputs: Any, **more: Any) -> bytes:
    """The body of an infer request."""
    return json.dumps({"inputs": inputs, **more}).encode()


def simple(**more: Any) -> bytes:
    """A request that the model `simple` answers."""
    return request(*simple_inputs(), **more)


def with_binary(head: bytes, *arrays: np.ndarray[Any, Any] | bytes) -> tuple[bytes, dict[str, str]]:
    """A body with binary data, and its header."""
    chunks = [part if isinstance(part, bytes) else part.tobytes() for part in arrays]
    return b"".join([head, *chunks]), {HEADER_LENGTH: str(len(head))}


def simple_inputs() -> list[Any]:
    """The inputs of that request."""
    return [
        tensor("INPUT0", "INT32", [1, 16], list(range(16))),
        tensor("INPUT1", "INT32", [1, 16], [[1] * 16]),
    ]
