"""Calls of the inference service by its messages alone, without a client library."""

from typing import Any, Final

import grpc
from google.protobuf.message import Message

from server.protocol import oip_pb2 as oip

SERVICE: Final = "inference.GRPCInferenceService"


def call(channel: grpc.Channel, method: str, request: Message, **options: Any) -> Any:
    """The answer to one request of the inference service, such as ModelReady."""
    answer = getattr(oip, f"{method}Response")
    stub = channel.unary_unary(
        f"/{SERVICE}/{method}", type(request).SerializeToString, answer.FromString
    )
    return stub(request, timeout=30, **options)
