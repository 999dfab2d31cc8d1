"""KServe V1 and EasyMaker's `/inference`: base64 pictures in JSON.

Sources: https://kserve.github.io/website/docs/concepts/architecture/data-plane/v1-protocol and
NHN Cloud's AI EasyMaker algorithm guide, "Create Endpoint and Request Inference".
"""

from collections.abc import Sequence
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from server.errors import NotReady
from server.instances import parse_predict_request
from server.media_types import JSON
from server.protocol.accept import choose_media_type
from server.protocol.answers import check_count, joined, listed
from server.protocol.body import Bodies
from server.protocol.choice import choose_model, named_model
from server.protocol.http import json_response, response_of
from server.protocol.inference_route import InferenceRoute
from server.rendering import Body
from server.repository import Repository
from server.version import Version


class V1:
    """The V1 routes over a repository.

    Args:
        repository: The models.
        bodies: Reads the bodies of requests.
    """

    def __init__(self, repository: Repository, bodies: Bodies) -> None:
        self._repository = repository
        self._bodies = bodies

    def routes(self) -> Sequence[Route]:
        """The routes, most used first."""
        return [
            InferenceRoute("/v1/models/{name}:predict", self.predict, methods=["POST"]),
            InferenceRoute("/v1/models/{name}/predict", self.predict, methods=["POST"]),
            InferenceRoute("/inference", self.inference, methods=["POST"]),
            Route("/v1/models", self.models, methods=["GET"]),
            Route("/v1/models/{name}", self.model, methods=["GET"]),
        ]

    async def predict(self, request: Request) -> Response:
        """Answer {"instances": [{"data": base64}]} with {"predictions": [...]}."""
        model = self._repository.find(request.path_params["name"])
        async with self._bodies.received(request) as body:
            payload = await self._bodies.json(body)
            with model.use() as version:
                forms = version.vision_task.labelled()
                media_type = choose_media_type(request.headers.get("accept"), tuple(forms))
                answers = await _answers(version, payload, media_type)
        if media_type == JSON:
            return _written(_predictions(answers))
        return _written(answers, media_type)

    async def inference(self, request: Request) -> Response:
        """Answer EasyMaker's request with the body of its guide."""
        model = choose_model(self._repository, named_model(request))
        async with self._bodies.received(request) as body:
            payload = await self._bodies.json(body)
            with model.use() as version:
                answers = await _answers(version, payload, JSON)
        if version.vision_task.bare_answer:
            return _written(joined(JSON, answers))
        return _written(_predictions(answers))

    async def models(self, _request: Request) -> Response:
        """The names of the models."""
        return json_response({"models": [model.name for model in self._repository.served()]})

    async def model(self, request: Request) -> Response:
        """Whether a model is ready; 503 with the reason if it is not."""
        if request.path_params["name"].endswith(":predict"):  # this route's pattern takes it too
            raise HTTPException(405, headers={"Allow": "POST"})
        model = self._repository.find(request.path_params["name"])
        if not model.serving:
            raise NotReady(model.name, model.reason)
        return json_response({"name": model.name, "ready": True})


async def _answers(version: Version, payload: object, media_type: str) -> Sequence[Body]:
    """The answers to the pictures of a body."""
    task = version.vision_task
    asked = parse_predict_request(payload, task.options)
    check_count(media_type, len(asked.files))
    return await version.make(asked, task.labelled()[media_type])


def _predictions(answers: Sequence[Body]) -> Sequence[Body]:
    return [b'{"predictions":', *listed(answers), b"}"]


def _written(pieces: Sequence[Body], media_type: str = JSON) -> Response:
    return response_of(pieces, HTTPStatus.OK, {"content-type": media_type})
