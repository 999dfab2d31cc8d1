"""What one server answered to a call of gRPC; see compare.py."""

from typing import Any, Final

import grpc
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from contract.triton_schema import message_to_json, schema
from server.protocol import oip_pb2 as oip
from tests.triton.compare import Answer
from tests.triton.grpc_case import SERVICE, RpcCase

_OK: Final = 0


def call(channel: grpc.Channel, case: RpcCase) -> Answer:
    """Make the call; the status is gRPC's number."""
    response = getattr(oip, f"{case.method}Response")
    make = channel.stream_stream if case.method == "ModelStreamInfer" else channel.unary_unary
    method: Any = make(
        f"/{SERVICE}/{case.method}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=response.FromString,
    )
    try:
        if case.method == "ModelStreamInfer":
            answers = method(iter(case.requests), timeout=30)
            return Answer(_OK, {}, [_plain(answer) for answer in answers])
        return Answer(_OK, {}, _plain(method(case.requests[0], timeout=30)))
    except grpc.RpcError as err:
        return Answer(err.code().value[0], {}, {"error": err.details()})


def _plain(message: Message) -> Any:
    """The message as JSON has it, the outputs of an inference by name."""
    plain = MessageToDict(message, preserving_proto_field_name=True)
    if "config" in plain:  # a message of Triton's schema, which is bytes to ours
        return message_to_json(schema().ModelConfig.FromString(message.config))  # type: ignore[attr-defined]
    _name_outputs(plain.get("infer_response", plain))
    return plain


def _name_outputs(plain: dict[str, Any]) -> None:
    if "model_name" in plain and "outputs" in plain:
        raw = plain.pop("raw_output_contents", [None] * len(plain["outputs"]))
        rows = zip(plain["outputs"], raw, strict=True)
        plain["outputs"] = {entry["name"]: {**entry, "raw": data} for entry, data in rows}
