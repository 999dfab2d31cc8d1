"""V2's model repository extension: index, load and unload, over REST and gRPC.

Source: https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_model_repository.md
"""

import asyncio
import binascii
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from server.decoder import Base64Text
from server.errors import RequestError, Unsupported
from server.long_strings import LongString
from server.protocol import oip_pb2 as oip
from server.protocol.http import json_response
from server.protocol.oip_messages import parameters_of
from server.protocol.parameters import Parameters, flag
from server.protocol.rpc import unary, understood
from server.protocol.v2 import V2, Handler

_FILE: Final = "file:"


class ModelRepository:
    """Which models there are, and which of them are loaded."""

    def __init__(self, v2: V2) -> None:
        self._repository = v2.repository
        self._bodies = v2.bodies

    def routes(self) -> Sequence[Route]:
        """The REST routes, with and without the name of a repository."""
        return [
            Route(f"/v2/repository{middle}/{suffix}", handler, methods=["POST"])
            for middle in ("", "/{repository}")
            for suffix, handler in (
                ("index", self._index),
                ("models/{name}/load", self._load),
                ("models/{name}/unload", self._unload),
            )
        ]

    def rpcs(self) -> Mapping[str, Handler]:
        """The gRPC methods."""
        return {
            "RepositoryIndex": unary(self.repository_index, oip.RepositoryIndexRequest.FromString),
            "RepositoryModelLoad": unary(self.load_model, bytes, longest=None),
            "RepositoryModelUnload": unary(
                self.unload_model, oip.RepositoryModelUnloadRequest.FromString
            ),
        }

    async def _index(self, request: Request) -> Response:
        """Every version of every model with its state, and the reason if it is not served."""
        options = await self._bodies.json_object(request)
        rows = await self._repository.index(only_ready=flag(options, "ready"))
        return json_response(
            [
                {
                    key: value
                    for key in ("name", "version", "state", "reason")
                    if (value := getattr(row, key))
                }
                for row in rows
            ]
        )

    async def _load(self, request: Request) -> Response:
        """Load a model, or load it anew; 200 with no body when it answers."""
        parameters = _parameters(await self._bodies.json_object(request))
        _refuse_repository(request.path_params.get("repository", ""))
        config, files = await asyncio.to_thread(_split, parameters, _decode)
        await self._repository.load(request.path_params["name"], config, files)
        return Response()

    async def _unload(self, request: Request) -> Response:
        """Unload a model; 200 with no body."""
        parameters = _parameters(await self._bodies.json_object(request))
        _refuse_repository(request.path_params.get("repository", ""))
        _check_unload(parameters)
        await self._repository.unload(request.path_params["name"])
        return Response()

    async def repository_index(
        self, request: oip.RepositoryIndexRequest
    ) -> oip.RepositoryIndexResponse:
        """Every version of every model with its state, and the reason if it is not served."""
        _refuse_repository(request.repository_name)
        return oip.RepositoryIndexResponse(
            models=[
                oip.RepositoryIndexResponse.ModelIndex(
                    name=row.name, version=row.version, state=row.state, reason=row.reason
                )
                for row in await self._repository.index(only_ready=request.ready)
            ]
        )

    async def load_model(self, wire: bytes) -> oip.RepositoryModelLoadResponse:
        """Load a model, or load it anew; answers when it answers."""
        name, config, files = await self._bodies.parse(len(wire), partial(_read_load, wire))
        await self._repository.load(name, config, files)
        return oip.RepositoryModelLoadResponse()

    async def unload_model(
        self, request: oip.RepositoryModelUnloadRequest
    ) -> oip.RepositoryModelUnloadResponse:
        """Unload a model."""
        _refuse_repository(request.repository_name)
        _check_unload(parameters_of(request.parameters))
        await self._repository.unload(request.model_name)
        return oip.RepositoryModelUnloadResponse()


def _parameters(payload: Mapping[str, object]) -> Parameters:
    """The `parameters` of a JSON body."""
    parameters = payload.get("parameters", {})
    if not isinstance(parameters, dict):
        raise RequestError('"parameters" must be an object')
    return parameters


def _refuse_repository(name: str) -> None:
    if name:
        raise Unsupported("'repository_name' specification is not supported")


def _check_unload(parameters: Parameters) -> None:
    """Refuse a flag that is none; it changes nothing, as no model here depends on another."""
    flag(parameters, "unload_dependents")


def _read_load(wire: bytes) -> tuple[str, str | None, dict[str, bytes]]:
    """The model of a RepositoryModelLoadRequest, and as `_split` its configuration and files."""
    request = understood(oip.RepositoryModelLoadRequest.FromString, wire, longest=None)
    _refuse_repository(request.repository_name)
    return request.model_name, *_split(parameters_of(request.parameters), _as_bytes)


def _split(
    parameters: Parameters, content: Callable[[str, object], bytes]
) -> tuple[str | None, dict[str, bytes]]:
    """The configuration of a load request, and its files by path.

    Raises:
        RequestError: A parameter is unknown, or of another type.
    """
    config: str | None = None
    files: dict[str, bytes] = {}
    for name, value in parameters.items():
        if name.startswith(_FILE):
            files[name.removeprefix(_FILE)] = content(name, value)
        elif name != "config":
            raise RequestError(
                f"load parameter '{name[:40]}' is unknown; expected config or file:<path>"
            )
        elif not isinstance(value, str):
            raise RequestError(
                "parameter 'config' is no string; expected the configuration as JSON text"
            )
        else:
            config = value
    return config, files


def _decode(name: str, value: object) -> bytes:
    """The content of a file in a JSON body."""
    if not isinstance(value, str | LongString):
        raise RequestError(f"parameter '{name[:80]}' is no string; expected base64 text")
    try:
        return Base64Text(value).decoded()
    except (binascii.Error, ValueError) as err:
        raise RequestError(f"parameter '{name[:80]}' is not base64: {err}") from err


def _as_bytes(name: str, value: object) -> bytes:
    """The content of a file in a gRPC message."""
    if not isinstance(value, bytes):
        raise RequestError(
            f"parameter '{name[:80]}' is no bytes_param; expected the file's content"
        )
    return value
