"""V2's trace and logging extensions, over REST and gRPC."""

from collections.abc import Mapping, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from contract.model_config import Json
from server.errors import RequestError
from server.protocol import oip_pb2 as oip
from server.protocol.http import json_response
from server.protocol.oip_messages import parameters_of
from server.protocol.rpc import unary
from server.protocol.v2 import V2, Handler
from server.trace_settings import Setting


class Settings:
    """The settings of the log and of the traces."""

    def __init__(self, v2: V2) -> None:
        self._v2 = v2

    def routes(self) -> Sequence[Route]:
        """The REST routes."""
        return [
            Route("/v2/logging", self._logging, methods=["GET", "POST"]),
            Route("/v2/trace/setting", self._trace, methods=["GET", "POST"]),
            Route("/v2/models/{name}/trace/setting", self._trace, methods=["GET", "POST"]),
        ]

    def rpcs(self) -> Mapping[str, Handler]:
        """The gRPC methods."""
        return {
            "LogSettings": unary(self.log_settings, oip.LogSettingsRequest.FromString),
            "TraceSetting": unary(self.trace_setting, oip.TraceSettingRequest.FromString),
        }

    async def _logging(self, request: Request) -> Response:
        """The log's settings, changed first by a POST."""
        if request.method == "POST":
            self._v2.logs.update(await self._v2.bodies.json_object(request))
        return json_response(self._v2.logs.to_json())

    async def _trace(self, request: Request) -> Response:
        """The trace settings of a model or of the server, changed first by a POST."""
        name = request.path_params.get("name", "")
        values: dict[str, Sequence[str] | None] = {}
        if request.method == "POST":
            asked = await self._v2.bodies.json_object(request)
            values = {key: _texts(key, value) for key, value in asked.items()}
        return json_response(self._change_traces(name, values).to_json())

    async def log_settings(self, request: oip.LogSettingsRequest) -> oip.LogSettingsResponse:
        """The log's settings, changed first by those that are given."""
        given: Mapping[str, Json] = dict(parameters_of(request.settings))  # type: ignore[arg-type]
        if without := [name for name, setting in given.items() if setting is None]:
            raise RequestError(f"log setting '{without[0][:40]}' has no value")
        self._v2.logs.update(given)
        value = oip.LogSettingsResponse.SettingValue
        settings = {}
        for name, setting in self._v2.logs.to_json().items():
            if isinstance(setting, bool):
                settings[name] = value(bool_param=setting)
            elif isinstance(setting, int):
                settings[name] = value(uint32_param=setting)
            else:
                settings[name] = value(string_param=str(setting))
        return oip.LogSettingsResponse(settings=settings)

    async def trace_setting(self, request: oip.TraceSettingRequest) -> oip.TraceSettingResponse:
        """The trace settings of a model or of the server, changed first by those given."""
        values = {name: list(setting.value) for name, setting in request.settings.items()}
        value = oip.TraceSettingResponse.SettingValue
        shown = self._change_traces(request.model_name, values).to_json()
        return oip.TraceSettingResponse(
            settings={
                name: value(
                    value=[str(one) for one in setting]
                    if isinstance(setting, list)
                    else [str(setting)]
                )
                for name, setting in shown.items()
            }
        )

    def _change_traces(self, name: str, values: Mapping[str, Sequence[str] | None]) -> Setting:
        if name and name not in {model.name for model in self._v2.repository.served()}:
            raise RequestError(f"Request for unknown model : {name}")
        return self._v2.traces.update(values, name)


def _texts(name: str, value: Json) -> Sequence[str] | None:
    """A setting's value in JSON: text, for the level a list of texts, or null."""
    if value is None:
        return None
    texts = value if isinstance(value, list) and name == "trace_level" else [value]
    if not all(isinstance(text, str) for text in texts):
        raise RequestError(f"trace setting '{name[:40]}' is no text; numbers are sent as text, too")
    return [str(text) for text in texts]
