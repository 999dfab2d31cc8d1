"""KServe V1 and EasyMaker's `/inference`: base64 pictures in JSON.

Sources: https://kserve.github.io/website/docs/concepts/architecture/data-plane/v1-protocol and
NHN Cloud's AI EasyMaker algorithm guide, "Create Endpoint and Request Inference".
"""

from collections.abc import Sequence

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from server.errors import NotReady, RequestError
from server.instances import parse_predict_request
from server.media_types import JSON
from server.model import ServedModel
from server.protocol.accept import choose_media_type
from server.protocol.body import Bodies
from server.protocol.choice import choose_model, named_model
from server.protocol.http import json_response, list_json
from server.repository import Repository


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
            Route("/v1/models/{name}:predict", self.predict, methods=["POST"]),
            Route("/v1/models/{name}/predict", self.predict, methods=["POST"]),
            Route("/inference", self.inference, methods=["POST"]),
            Route("/v1/models", self.models, methods=["GET"]),
            Route("/v1/models/{name}", self.model, methods=["GET"]),
        ]

    async def predict(self, request: Request) -> Response:
        """Answer {"instances": [{"data": base64}]} with {"predictions": [...]}."""
        model = self._repository.find(request.path_params["name"])
        async with self._bodies.received(request) as body:
            payload = await self._bodies.json(body)
            offered = (JSON, *model.version().vision_task.media_types)
            media_type = choose_media_type(request.headers.get("accept"), offered)
            if media_type == JSON:
                answer = await model.predict(payload)
                predictions = await list_json(answer["predictions"])
                return json_response({"predictions": predictions})
            return Response(await self._render(model, payload, media_type), media_type=media_type)

    async def inference(self, request: Request) -> Response:
        """Answer EasyMaker's request with the body of its guide."""
        model = choose_model(self._repository, named_model(request))
        async with self._bodies.received(request) as body:
            payload = await self._bodies.json(body)
            with model.use() as version:
                asked = parse_predict_request(payload, version.vision_task.options)
                answers = await version.answer(model.decoder, asked)
        written = await list_json(answers)
        if not version.vision_task.bare_answer:
            return json_response({"predictions": written})
        return json_response(answers[0] if len(answers) == 1 else written)

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

    async def _render(self, model: ServedModel, payload: object, media_type: str) -> bytes:
        """The answer to a request of one picture, as a body of that media type."""
        with model.use() as version:
            asked = parse_predict_request(payload, version.vision_task.options)
            if len(asked.sources) != 1:
                raise RequestError(
                    f"{len(asked.sources)} instances; an answer as {media_type} is of one picture"
                )
            return (await version.render(model.decoder, asked, media_type))[0]
