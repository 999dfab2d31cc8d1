"""gRPC server reflection, by which grpcurl and the like know the services and their messages.

Our messages have a package of their own in protobuf's default pool (oip.proto says why), so what
clients are shown is made here, in a pool of its own: the same file as package `inference`, with
Triton's model_config.proto in its place.

Source: https://github.com/grpc/grpc/blob/master/doc/server-reflection.md
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import grpc
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha._async import ReflectionServicer

from contract.triton_schema import schema_file
from server.protocol import oip_pb2 as oip
from server.protocol.rpc import read_or_abort, serialize
from server.protocol.stream import until
from server.protocol.v2 import V2, Handler

REFLECTION: Final = (
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
)
"""The two names of one protocol: their messages are the same on the wire."""

_METHOD: Final = "ServerReflectionInfo"
_OURS: Final = ".aperture.oip."
_PUBLIC: Final = ".inference."
_PUBLIC_FILE: Final = "grpc_service.proto"


class Reflection:
    """Shows services and their messages.

    Args:
        v2: When the server ends.
        services: Full names of what is served.
    """

    def __init__(self, v2: V2, services: tuple[str, ...]) -> None:
        self._v2 = v2
        self._servicer = ReflectionServicer(services, _Symbols(public_pool()))

    def rpcs(self) -> dict[str, Handler]:
        """The gRPC methods, the same for both names."""
        return {
            _METHOD: grpc.stream_stream_rpc_method_handler(
                self._info, response_serializer=serialize
            )
        }

    async def _info(self, wires: AsyncIterator[bytes], context: Any) -> AsyncIterator[Any]:
        read = reflection_pb2.ServerReflectionRequest.FromString
        requests = (
            await read_or_abort(_METHOD, read, wire, context)
            async for wire in until(wires, self._v2.stopping)
        )
        async for answer in self._servicer.ServerReflectionInfo(requests, context):
            yield answer


class _Symbols:
    """A pool that finds the file of a method, too, where Python's finds that of any other symbol."""

    def __init__(self, pool: DescriptorPool) -> None:
        self._pool = pool

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:  # noqa: N802  # the pool's name
        """The file of a symbol.

        Raises:
            KeyError: There is none of that name.
        """
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            return self._pool.FindMethodByName(symbol).containing_service.file


def public_pool() -> DescriptorPool:
    """The descriptors of all services as clients know them."""
    pool = DescriptorPool()
    for file in (schema_file(), health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR):
        pool.Add(_copy(file))
    pool.Add(_public_copy(oip.DESCRIPTOR))
    reflection_v1 = _copy(reflection_pb2.DESCRIPTOR)
    _rename(reflection_v1, ".grpc.reflection.v1alpha.", ".grpc.reflection.v1.")
    reflection_v1.name = "grpc/reflection/v1/reflection.proto"
    pool.Add(reflection_v1)
    return pool


def _public_copy(file: FileDescriptor) -> FileDescriptorProto:
    """oip.proto as Triton's grpc_service.proto: its package, its types, its configuration."""
    copy = _copy(file)
    _rename(copy, _OURS, _PUBLIC)
    copy.name = _PUBLIC_FILE
    copy.dependency.append(schema_file().name)
    response = next(one for one in copy.message_type if one.name == "ModelConfigResponse")
    response.field[0].type = FieldDescriptorProto.TYPE_MESSAGE
    response.field[0].type_name = f"{_PUBLIC}ModelConfig"
    return copy


def _copy(file: FileDescriptor) -> FileDescriptorProto:
    """The file as protoc would describe it: Python's has no names of the fields in JSON."""
    copy = FileDescriptorProto()
    file.CopyToProto(copy)
    for message in _messages(copy):
        for field in message.field:
            first, *rest = field.name.split("_")
            field.json_name = first + "".join(word.capitalize() for word in rest)
    return copy


def _messages(file: FileDescriptorProto) -> Iterator[DescriptorProto]:
    """All messages of a file, nested ones too."""
    pending = list(file.message_type)
    while pending:
        message = pending.pop()
        pending.extend(message.nested_type)
        yield message


def _rename(file: FileDescriptorProto, old: str, new: str) -> None:
    """Move a file to another package; both as `.package.`, the beginning of type names."""
    file.package = new.strip(".")
    for message in _messages(file):
        for field in message.field:
            if field.type_name.startswith(old):
                field.type_name = new + field.type_name.removeprefix(old)
    for service in file.service:
        for method in service.method:
            method.input_type = new + method.input_type.removeprefix(old)
            method.output_type = new + method.output_type.removeprefix(old)
