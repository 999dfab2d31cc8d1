"""The OpenAPI document of all REST routes, at /openapi.json, from operations.py.

There is no page that draws it: such pages load scripts from elsewhere, and a server in a cluster
may reach nothing. Any OpenAPI viewer opens the document.
"""

from collections.abc import Sequence
from http import HTTPStatus
from importlib.metadata import version
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from contract.model_config import Json
from server.media_types import JSON
from server.protocol.http import json_response
from server.protocol.openapi_schemas import SCHEMAS, Schema, reference
from server.protocol.operations import MEDIA, OPERATIONS, Operation

_NAME: Final[Schema] = {"type": "string", "pattern": "^[^/:{}]+$"}


def openapi_routes() -> Sequence[Route]:
    """The route of the document."""

    async def answer(_request: Request) -> Response:
        return json_response(document())

    return [Route("/openapi.json", answer, methods=["GET"])]


def document() -> dict[str, Json]:
    """The document of all routes."""
    paths: dict[str, dict[str, Json]] = {}
    for (method, path), operation in OPERATIONS.items():
        paths.setdefault(path, {})[method.lower()] = _describe(path, operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Aperture",
            "version": version("aperture-vision"),
            "description": "KServe V1, the Open Inference Protocol (V2) with Triton's extensions, "
            "AI EasyMaker's /inference, and SageMaker's /invocations.",
        },
        "paths": {path: {**methods} for path, methods in paths.items()},
        "components": {"schemas": {**SCHEMAS}},
    }


def _describe(path: str, operation: Operation) -> dict[str, Json]:
    described: dict[str, Json] = {
        "summary": operation.summary,
        "parameters": [
            {"name": part[1:-1], "in": "path", "required": True, "schema": _NAME}
            for part in path.replace(":", "/").split("/")
            if part.startswith("{")
        ],
        "responses": _responses(operation),
    }
    if operation.takes is not None:
        content: dict[str, Json] = {JSON: {"schema": operation.takes}}
        content |= {kind: {"schema": MEDIA} for kind in operation.files}
        described["requestBody"] = {"required": not operation.optional, "content": content}
    return described


def _responses(operation: Operation) -> dict[str, Json]:
    media: dict[str, Json] = {}
    if operation.answer is not None:
        media[JSON] = {"schema": operation.answer}
    media |= {kind: {"schema": schema} for kind, schema in (operation.more or {}).items()}
    answer: dict[str, Json] = {"description": "OK"}
    if media:
        answer["content"] = media
    error: Json = {JSON: {"schema": reference(operation.error)}}
    return {
        "200": answer,
        **{
            str(status): {"description": HTTPStatus(status).phrase, "content": error}
            for status in operation.refusals
        },
    }
