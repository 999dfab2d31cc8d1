"""What one server answered, in a form in which equal answers are equal.

Left out is what tells nothing: the order of outputs (a hash map's in Triton, also of those that were
asked for), durations and points in time, and how a float32 is written in decimal.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from tests.triton.rest_case import HEADER_LENGTH, Case

_SHOWN_HEADERS: Final = ("content-type", "content-encoding")
_CLOCKS: Final = frozenset({"ns", "last_inference"})
_FLOAT32: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: its status, the headers that the protocol speaks of, and its body."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def error(self) -> str:
        """The text of an error; empty if it is none."""
        return (
            str(self.body["error"]) if isinstance(self.body, dict) and "error" in self.body else ""
        )


def ask(client: httpx.Client, case: Case) -> Answer:
    """Send the request."""
    headers = {"Accept-Encoding": "identity", "Connection": "close", **case.headers}
    response = client.request(case.verb, case.path, content=case.body, headers=headers)
    shown = {key: response.headers[key] for key in _SHOWN_HEADERS if key in response.headers}
    return Answer(response.status_code, shown, _body(response))


def same(one: Any, other: Any) -> bool:
    """Whether two bodies, or parts of them, say the same."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(
            key in _CLOCKS or same(value, other[key]) for key, value in one.items()
        )
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=_FLOAT32)
    return type(one) is type(other) and bool(one == other)


def _body(response: httpx.Response) -> Any:
    """The JSON, if it is JSON; the outputs of an inference by name, with their binary data."""
    length = int(response.headers.get(HEADER_LENGTH, len(response.content)))
    head, binary = response.content[:length], response.content[length:]
    try:
        body = json.loads(head)
    except ValueError:
        return response.content.decode(errors="replace")
    if isinstance(body, dict) and "outputs" in body and "model_version" in body:
        body["outputs"] = {entry["name"]: entry for entry in _with_binary(body["outputs"], binary)}
    return body


def _with_binary(outputs: list[dict[str, Any]], binary: bytes) -> list[dict[str, Any]]:
    used = 0
    for entry in outputs:
        size = entry.get("parameters", {}).get("binary_data_size")
        if size is not None:
            entry["data"] = binary[used : used + size].hex()
            used += size
    assert used == len(binary), f"{len(binary) - used} bytes behind the outputs' own"
    return outputs
