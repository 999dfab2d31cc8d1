"""What SageMaker asks of a container that serves: /ping, /invocations, /execution-parameters.

Sources: SageMaker's developer guide, "Custom inference code with hosting services" and "with batch
transform"; for the bodies, the pages of its built-in vision algorithms.
"""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from contract.errors import OptionsError
from contract.options import Options, build
from server.errors import RequestError
from server.instances import PredictRequest
from server.model import ServedModel
from server.protocol.accept import ACCEPT, Form, choose_form, takes_anything
from server.protocol.answers import check_count, joined
from server.protocol.body import Bodies
from server.protocol.choice import choose_model, named_model
from server.protocol.error_answers import name_request
from server.protocol.http import json_response, response_of
from server.protocol.http_errors import TimeOver
from server.protocol.inference_route import InferenceRoute
from server.protocol.invocation_body import read_pictures
from server.protocol.invoke_parameters import read_parameters
from server.rendering import Dialect
from server.repository import Repository
from server.settings import ServerOptions
from server.version import Version

_MOST_MB: Final = 100
"""What SageMaker lets all transforms under way send together."""
_OPTION: Final = "this server's --invocations_accept"


class Invocations:
    """The routes of a container over a repository.

    Args:
        repository: The models.
        bodies: Reads the bodies of requests.
        options: What the user asked for.
    """

    def __init__(self, repository: Repository, bodies: Bodies, options: ServerOptions) -> None:
        self._repository = repository
        self._bodies = bodies
        self._accept = options.invocations_accept
        self._timeout_s = options.invocations_timeout
        self._dialect = Dialect(options.batch_transform, options.box_order)
        self._execution = execution_parameters(options)

    def routes(self) -> Sequence[Route]:
        """The routes, most used first."""
        return [
            InferenceRoute("/invocations", self.invocations, methods=["POST"]),
            Route("/ping", self.ping, methods=["GET"]),
            Route("/execution-parameters", self.execution_parameters, methods=["GET"]),
        ]

    async def invocations(self, request: Request) -> Response:
        """Answer a picture in the form that Accept names."""
        parameters = read_parameters(request.headers)
        name_request(request, parameters.inference_id)
        model = choose_model(self._repository, named_model(request))
        response, _ = await self.answer(request, model)
        response.headers.update(parameters.echoed())  # AWS leaves that to its containers
        return response

    async def ping(self, _request: Request) -> Response:
        """200 and nothing if every model answers and there is one; else 503 and the reason."""
        if self._repository.ready and self._repository.served():
            return Response()
        broken = [f"model '{model.name}': {model.reason}" for model in self._repository.broken()]
        reason = "; ".join(broken) or "no model is loaded, or the server is stopping"
        return json_response({"error": reason}, HTTPStatus.SERVICE_UNAVAILABLE)

    async def execution_parameters(self, _request: Request) -> Response:
        """How batch transform is to send its records."""
        return json_response(self._execution)

    def refusal(self) -> str:
        """A line where --invocations_accept names no form of any served task's, else nothing."""
        if self._accept is None:
            return ""
        served = [one for model in self._repository.served() for one in model.versions.values()]
        refused = ""
        for task in (version.task for version in served if version.task is not None):
            offered = tuple(task.indexed(self._dialect))
            try:
                choose_form(self._accept, offered, described(task.indexed_options), _OPTION)
            except RequestError as err:
                refused = f"{err}; every request that leaves Accept open is refused"
            else:
                return ""
        return refused

    async def answer(
        self, request: Request, model: ServedModel, number: str = ""
    ) -> tuple[Response, int]:
        """The answer of a model, and the number of the version that gave it.

        Args:
            request: Body, Content-Type and Accept.
            model: Who answers.
            number: The version; the newest if empty.

        Raises:
            ServerError: Whatever is wrong.
        """
        async with self._bodies.received(request) as body:
            with model.use(number) as version:
                response = await self._answer(request, body, version)
        return response, version.number

    async def _answer(self, request: Request, body: bytes, version: Version) -> Response:
        task = version.vision_task
        forms = task.indexed(self._dialect)
        accept, said_by = self._wanted(request)
        form = choose_form(accept, tuple(forms), described(task.indexed_options), said_by)
        content_type = request.headers.get("content-type")
        options = options_of(form, task.indexed_options)
        try:
            async with asyncio.timeout(self._timeout_s):
                files = await read_pictures(self._bodies, content_type, body)
                check_count(form.media_type, len(files))
                asked = PredictRequest(files, options)
                made = await version.make(asked, forms[form.media_type])
        except TimeoutError as err:
            raise TimeOver(self._timeout_s or 0) from err
        pieces = joined(form.media_type, made)
        return response_of(pieces, HTTPStatus.OK, {"content-type": form.media_type})

    def _wanted(self, request: Request) -> tuple[str, str]:
        """What the answer is to be, and who says so: the client, or for it this server."""
        accept = request.headers.get("accept", "")
        if self._accept is not None and takes_anything(accept):
            return self._accept, _OPTION
        return accept, ACCEPT


def described(options: type[Options]) -> dict[str, str]:
    """The parameters that a form may have, and how each is written."""
    return {
        name: name if field.annotation is bool else f"{name}=N"
        for name, field in options.model_fields.items()
    }


def options_of(form: Form, options: type[Options]) -> Options:
    """The parameters of a form, checked.

    Raises:
        RequestError: A value is out of its range.
    """
    try:
        return build(options, form.parameters)
    except OptionsError as err:
        raise RequestError(f"Accept: {'; '.join(err.problems)}"[:500]) from err


def execution_parameters(options: ServerOptions) -> dict[str, int | str]:
    """What batch transform is told; as many at once as may be, so that they share batches."""
    largest_mb = options.max_payload_in_mb
    at_once = max(1, min(options.max_instances, _MOST_MB // max(1, largest_mb)))
    return {
        "MaxConcurrentTransforms": options.max_concurrent_transforms or at_once,
        "BatchStrategy": options.batch_strategy,
        "MaxPayloadInMB": largest_mb,
    }
