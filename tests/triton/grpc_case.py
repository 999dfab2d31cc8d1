"""A call over gRPC that is made to both servers."""

from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.message import Message

from server.protocol import oip_pb2 as oip

SERVICE: Final = "inference.GRPCInferenceService"


@dataclass(frozen=True, slots=True)
class RpcCase:
    """One call.

    Attributes:
        name: What it asks; the key of a list of differences.
        method: The RPC.
        requests: The message, or the messages of a stream.
    """

    name: str
    method: str
    requests: tuple[Message, ...]


def rpc(name: str, method: str, /, **fields: Any) -> RpcCase:
    """A call of one message of these fields."""
    kind = getattr(oip, f"{method}Request")
    return RpcCase(name, method, (kind(**fields),))
