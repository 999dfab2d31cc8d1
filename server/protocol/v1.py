"""KServe V1 and EasyMaker's `/inference`: base64 pictures in JSON.

Sources: https://kserve.github.io/website/docs/concepts/architecture/data-plane/v1-protocol and
NHN Cloud's AI EasyMaker algorithm guide, "Create Endpoint and Request Inference".
"""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from server.errors import NotReady, RequestError
from server.instances import parse_predict_request
from server.model import ServedModel
from server.protocol.http import json_response, parse_json, read_body
from server.repository import Repository


class V1:
    """The V1 routes over a repository.

    Args:
        repository: The models.
        max_body_bytes: Largest body of a request.
    """

    def __init__(self, repository: Repository, max_body_bytes: int) -> None:
        self._repository = repository
        self._max_body_bytes = max_body_bytes

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
        payload = parse_json(await read_body(request, self._max_body_bytes))
        return json_response(await model.predict(payload))

    async def inference(self, request: Request) -> Response:
        """Answer EasyMaker's request with the body of its guide."""
        model = self._choose(request.query_params.get("model"))
        payload = parse_json(await read_body(request, self._max_body_bytes))
        version = model.version()
        asked = parse_predict_request(payload, version.task.options)
        answers = await version.answer(model.decoder, asked)
        if not version.task.bare_answer:
            return json_response({"predictions": answers})
        return json_response(answers[0] if len(answers) == 1 else answers)

    async def models(self, _request: Request) -> Response:
        """The names of the models."""
        return json_response({"models": [model.name for model in self._repository.served()]})

    async def model(self, request: Request) -> Response:
        """Whether a model is ready; 503 with the reason if it is not."""
        model = self._repository.find(request.path_params["name"])
        if not model.serving:
            raise NotReady(model.name, model.reason)
        return json_response({"name": model.name, "ready": True})

    def _choose(self, name: str | None) -> ServedModel:
        if name is not None:
            return self._repository.find(name)
        models = self._repository.served()
        if len(models) != 1:
            known = ", ".join(model.name for model in models) or "none"
            raise RequestError(
                f"this server has {len(models)} models; choose one by ?model=NAME: {known}"
            )
        return models[0]
