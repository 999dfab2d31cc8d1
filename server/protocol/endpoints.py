"""AWS' API of SageMaker's runtime, as far as boto3's client `sagemaker-runtime` calls it.

A client that is given `endpoint_url` asks here as it asks AWS. Signatures are not checked: who may
reach the server is the network's business, as for every other route.

    TargetModel, InferenceComponentName, TargetContainerHostname    a model's name
    EndpointName                                                    that, too, if a model has it
    TargetVariant                                                   a version's number

Source: botocore's model of sagemaker-runtime, 2017-05-13.
"""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from contract.repository import version_number
from server.errors import ServerError
from server.model import ServedModel
from server.protocol.aws_errors import aws_error
from server.protocol.choice import choose_model, named_model
from server.protocol.error_answers import LastAnswers, name_request, note_refusal
from server.protocol.http_errors import BadParameter
from server.protocol.inference_route import InferenceRoute
from server.protocol.invocations import Invocations
from server.protocol.invoke_parameters import InvokeParameters, check_parameters, read_parameters
from server.repository import Repository

NEWEST: Final = "AllTraffic"
"""The name that SageMaker's SDK gives to the only variant of an endpoint."""

UNKNOWN: Final = "/endpoints/{rest:path}"
"""Any other path, which is refused in AWS' form, because its clients read no other."""

_SESSION: Final = timedelta(minutes=20)
_ARCHIVE: Final = ".tar.gz"
_SHOWN: Final = 100  # characters of what a client named, in an error


class Endpoints:
    """The routes of AWS' API over a repository.

    Args:
        repository: The models.
        invocations: Answers a request, once its model is known.
    """

    def __init__(self, repository: Repository, invocations: Invocations) -> None:
        self._repository = repository
        self._invocations = invocations

    def routes(self) -> Sequence[Route]:
        """The routes, most used first."""
        own_errors = [Middleware(LastAnswers, answer=aws_error)]
        return [
            kind(path, answer, methods=["POST"], middleware=own_errors)
            for kind, path, answer in (
                (InferenceRoute, "/endpoints/{endpoint}/invocations", self.invoke),
                (Route, "/endpoints/{endpoint}/invocations-response-stream", self.refuse),
                (Route, "/endpoints/{endpoint}/async-invocations", self.refuse),
                (Route, UNKNOWN, self.unknown),
            )
        ]

    async def invoke(self, request: Request) -> Response:
        """InvokeEndpoint."""
        try:
            parameters = read_parameters(request.headers)
            name_request(request, parameters.inference_id)
            check_parameters(parameters)
            model = self._choose(request, parameters)
            number = _version_number(parameters.variant, model)
            response, answered = await self._invocations.answer(request, model, number)
        except ServerError as err:
            note_refusal(request, err)
            response = aws_error(err)
        else:
            response.headers["x-Amzn-Invoked-Production-Variant"] = str(answered)
            response.headers.update(parameters.echoed())
            if parameters.begins_session:
                response.headers["X-Amzn-SageMaker-New-Session-Id"] = _new_session()
        response.headers["x-amzn-RequestId"] = str(uuid.uuid4())
        return response

    async def refuse(self, request: Request) -> Response:
        """InvokeEndpointAsync and InvokeEndpointWithResponseStream, which nothing here needs."""
        operation = request.url.path.rpartition("/")[2]
        err = BadParameter(
            operation,
            "this server answers at once and whole; expected InvokeEndpoint (invocations)",
        )
        note_refusal(request, err)
        return aws_error(err)

    async def unknown(self, request: Request) -> Response:
        """A path of no operation, as that of an EndpointName with a slash, which arrives decoded."""
        path = request.path_params["rest"][:_SHOWN]
        err = BadParameter(
            "EndpointName",
            f"got the path {path!r}; expected NAME/invocations, NAME without a slash",
        )
        note_refusal(request, err)
        return aws_error(err)

    def _choose(self, request: Request, parameters: InvokeParameters) -> ServedModel:
        """The model that the parameters name, which must agree."""
        named = {self._known(*named) for named in parameters.models().items()}
        if len(named) > 1:
            names = ", ".join(sorted(named))
            raise BadParameter("TargetModel", f"got several models, {names}; expected one")
        endpoint = request.path_params["endpoint"]
        name = next(iter(named), named_model(request))
        if name is None and endpoint in self._repository.models:
            name = endpoint
        return choose_model(self._repository, name, "TargetModel, or by EndpointName")

    def _known(self, parameter: str, name: str) -> str:
        """The name of a model that is named as it is, or as its archive is in a bucket.

        Raises:
            BadParameter: There is none of that name.
        """
        models = self._repository.models
        for known in (name, name.removeprefix("/").removesuffix(_ARCHIVE)):
            if known in models:
                return known
        there = ", ".join(sorted(models)) or "none"
        raise BadParameter(
            parameter,
            f"got {name[:_SHOWN]!r}, expected NAME or NAME{_ARCHIVE} of a model: {there}",
        )


def _version_number(variant: str, model: ServedModel) -> str:
    if variant in ("", NEWEST):
        return ""
    if version_number(variant) is None:
        versions = ", ".join(map(str, sorted(model.versions)))
        raise BadParameter(
            "TargetVariant",
            f"got {variant!r}, expected {NEWEST} or a version of model '{model.name}': {versions}",
        )
    return variant


def _new_session() -> str:
    """An id for a client that wants one; nothing is kept under it."""
    expires = datetime.now(UTC) + _SESSION
    return f"{uuid.uuid4()}; Expires={expires:%Y-%m-%dT%H:%M:%SZ}"
