"""A gRPC client that knows nothing but reflection, as grpcurl does.

    python -m tests.clients.grpc_reflected v1|v1alpha ADDRESS MODEL

Builds every message from what the server reflects, asks with them, and prints as JSON: the services,
how the reflected messages differ from Triton's, and some answers.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, json_format, message_factory
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha import reflection_pb2
from tritonclient.grpc import service_pb2

SERVICE = "inference.GRPCInferenceService"

protocol, address, model = sys.argv[1:]
channel = grpc.insecure_channel(address)


def reflect(**request: str) -> Any:
    call = channel.stream_stream(
        f"/grpc.reflection.{protocol}.ServerReflection/ServerReflectionInfo",
        reflection_pb2.ServerReflectionRequest.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )
    (answer,) = call(iter([reflection_pb2.ServerReflectionRequest(**request)]))
    return answer


def reflected_pool() -> DescriptorPool:
    pool = DescriptorPool()
    files = reflect(file_containing_symbol=SERVICE).file_descriptor_response
    protos = [
        descriptor_pb2.FileDescriptorProto.FromString(file) for file in files.file_descriptor_proto
    ]
    for proto in sorted(protos, key=lambda proto: len(proto.dependency)):
        pool.Add(proto)
    return pool


def fields(message: Descriptor) -> Iterator[str]:
    for field in message.fields:
        kind = field.message_type.full_name if field.message_type else field.type
        yield f"{message.full_name}.{field.name} {field.number} {kind} {field.is_repeated}"
    for nested in message.nested_types:
        yield from fields(nested)


def symbols(pool: DescriptorPool) -> Iterator[str]:
    """The full names of all that the services' file declares, by which grpcurl describes it."""
    file = pool.FindFileContainingSymbol(SERVICE)
    for service in file.services_by_name.values():
        yield service.full_name
        yield from (method.full_name for method in service.methods)
    pending = list(file.message_types_by_name.values())
    while pending:
        message = pending.pop()
        pending.extend(message.nested_types)
        yield from (message.full_name, *(field.full_name for field in message.fields))
        yield from (one.full_name for one in message.oneofs)
    yield from ("inference.DataType", "inference.TYPE_FP32", "grpc.health.v1.Health.Check")
    yield "grpc.health.v1.HealthCheckResponse.SERVING"


def holds(symbol: str) -> bool:
    """Whether the server sends the file of a symbol."""
    files = reflect(file_containing_symbol=symbol).file_descriptor_response.file_descriptor_proto
    name = symbol.rpartition(".")[2].encode()
    return any(name in file for file in files)


def ask(pool: DescriptorPool, method: str, **request: str) -> Any:
    described = pool.FindServiceByName(SERVICE).methods_by_name[method]
    asked = message_factory.GetMessageClass(described.input_type)(**request)
    answer_type = message_factory.GetMessageClass(described.output_type)
    call = channel.unary_unary(
        f"/{SERVICE}/{method}", type(asked).SerializeToString, answer_type.FromString
    )
    return json_format.MessageToDict(call(asked), preserving_proto_field_name=True)


def main() -> None:
    pool = reflected_pool()
    tritons = {
        field
        for message in service_pb2.DESCRIPTOR.message_types_by_name.values()
        for field in fields(message)
    }
    ours = {
        field
        for message in pool.FindFileContainingSymbol(SERVICE).message_types_by_name.values()
        for field in fields(message)
    }
    methods = {method.name for method in pool.FindServiceByName(SERVICE).methods}
    tritons_methods = set(
        service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name
    )
    services = reflect(list_services="").list_services_response.service
    print(
        json.dumps(
            {
                "services": [service.name for service in services],
                "differences": sorted((tritons ^ ours) | (methods ^ tritons_methods)),
                "unfound": [symbol for symbol in symbols(pool) if not holds(symbol)],
                "unknown": reflect(file_containing_symbol="a.B").error_response.error_code,
                "unknown method": reflect(
                    file_containing_symbol=f"{SERVICE}.Nothing"
                ).error_response.error_code,
                "live": ask(pool, "ServerLive"),
                "config": ask(pool, "ModelConfig", name=model)["config"]["input"][0]["name"],
                "metadata": ask(pool, "ModelMetadata", name=model)["platform"],
            }
        )
    )


if __name__ == "__main__":
    main()
