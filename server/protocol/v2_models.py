"""V2: health, metadata, configuration and statistics, over REST and gRPC."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from google.protobuf.json_format import ParseDict
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from contract.model_config import Json
from server.errors import ModelNotFound, NotReady
from server.protocol import oip_pb2 as oip
from server.protocol.http import json_response, model_routes
from server.protocol.rpc import unary
from server.protocol.v2 import V2, Handler, model_metadata, model_statistics, server_metadata


class Models:
    """What the server and its models are, and how they are."""

    def __init__(self, v2: V2) -> None:
        self._v2 = v2
        self._repository = v2.repository

    def routes(self) -> Sequence[Route]:
        """The REST routes; `/v2/models/stats` stands before a model of that name, as in Triton."""
        return [
            Route("/v2/health/live", self._live, methods=["GET"]),
            Route("/v2/health/ready", self._ready, methods=["GET"]),
            *model_routes("/ready", self._model_ready, "GET"),
            Route("/v2/models/stats", self._stats, methods=["GET"]),
            *model_routes("", self._model, "GET"),
            *model_routes("/config", self._config, "GET"),
            *model_routes("/stats", self._stats, "GET"),
            Route("/v2", self._server, methods=["GET"]),
            Route("/v2/models", self._models, methods=["GET"]),
        ]

    def rpcs(self) -> Mapping[str, Handler]:
        """The gRPC methods."""
        return {
            "ServerLive": unary(self.server_live, oip.ServerLiveRequest.FromString),
            "ServerReady": unary(self.server_ready, oip.ServerReadyRequest.FromString),
            "ModelReady": unary(self.model_ready, oip.ModelReadyRequest.FromString),
            "ServerMetadata": unary(self.server_metadata, oip.ServerMetadataRequest.FromString),
            "ModelMetadata": unary(self.model_metadata, oip.ModelMetadataRequest.FromString),
            "ModelConfig": unary(self.model_config, oip.ModelConfigRequest.FromString),
            "ModelStatistics": unary(self.model_statistics, oip.ModelStatisticsRequest.FromString),
        }

    async def _live(self, _request: Request) -> Response:
        """200 while the process answers at all."""
        return json_response({"live": True})

    async def _ready(self, _request: Request) -> Response:
        """200 when every model can answer, else 503."""
        ready = self._repository.ready
        return _readiness({"ready": ready}, ready=ready)

    async def _model_ready(self, request: Request) -> Response:
        """200 when the model, or the version, can answer, else 503."""
        model = self._repository.find(request.path_params["name"])
        version = model.version(request.path_params.get("version", ""))
        return _readiness({"name": model.name, "ready": version.alive}, ready=version.alive)

    async def _server(self, _request: Request) -> Response:
        """The server's metadata."""
        return json_response(server_metadata(self._v2))

    async def _models(self, _request: Request) -> Response:
        """The names of the models."""
        return json_response({"models": [model.name for model in self._repository.served()]})

    async def _model(self, request: Request) -> Response:
        """A model's metadata."""
        model = self._repository.find(request.path_params["name"])
        return json_response(model_metadata(model, request.path_params.get("version", "")))

    async def _config(self, request: Request) -> Response:
        """A model's configuration, with the execution provider that was chosen and why."""
        model = self._repository.find(request.path_params["name"])
        version = model.version(request.path_params.get("version", ""))
        return json_response(version.config.to_json())

    async def _stats(self, request: Request) -> Response:
        """The statistics of all models, of one, or of one version."""
        name, number = (request.path_params.get(key, "") for key in ("name", "version"))
        return json_response({"model_stats": model_statistics(self._v2, name, number)})

    async def server_live(self, _request: oip.ServerLiveRequest) -> oip.ServerLiveResponse:
        """True while the process answers at all."""
        return oip.ServerLiveResponse(live=True)

    async def server_ready(self, _request: oip.ServerReadyRequest) -> oip.ServerReadyResponse:
        """True when every model can answer."""
        return oip.ServerReadyResponse(ready=self._repository.ready)

    async def model_ready(self, request: oip.ModelReadyRequest) -> oip.ModelReadyResponse:
        """True when the model, or the version, can answer; false too for one that is unknown."""
        try:
            version = self._repository.find(request.name).version(request.version)
        except (ModelNotFound, NotReady):
            return oip.ModelReadyResponse(ready=False)
        return oip.ModelReadyResponse(ready=version.alive)

    async def server_metadata(
        self, _request: oip.ServerMetadataRequest
    ) -> oip.ServerMetadataResponse:
        """The server's name, version and extensions."""
        metadata: Any = server_metadata(self._v2)
        return oip.ServerMetadataResponse(**metadata)

    async def model_metadata(self, request: oip.ModelMetadataRequest) -> oip.ModelMetadataResponse:
        """A model's versions, inputs and outputs."""
        metadata: Any = model_metadata(self._repository.find(request.name), request.version)
        return oip.ModelMetadataResponse(**metadata)

    async def model_config(self, request: oip.ModelConfigRequest) -> oip.ModelConfigResponse:
        """A model's configuration in Triton's schema."""
        version = self._repository.find(request.name).version(request.version)
        return oip.ModelConfigResponse(config=version.config.message.SerializeToString())

    async def model_statistics(
        self, request: oip.ModelStatisticsRequest
    ) -> oip.ModelStatisticsResponse:
        """The statistics of all models, of one, or of one version."""
        rows = model_statistics(self._v2, request.name, request.version)
        return ParseDict({"model_stats": rows}, oip.ModelStatisticsResponse())


def _readiness(content: dict[str, Json], *, ready: bool) -> Response:
    return json_response(content, HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE)
