"""An error of this program: a constant text to the client, its traceback and request to the log."""

import logging

import grpc
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from server.errors import Unloaded
from server.protocol.error_answers import (
    ERROR_HANDLERS,
    LastAnswers,
    name_request,
)
from server.protocol.http_errors import INTERNAL_ERROR
from server.protocol.rpc import describe


async def fail(request: Request) -> Response:
    name_request(request, request.query_params.get("id", ""))
    raise KeyError("a secret")


async def leave(_request: Request) -> Response:
    raise Unloaded


@pytest.fixture
def client() -> TestClient:
    app = Starlette(
        routes=[Route("/fail", fail), Route("/leave", leave)],
        middleware=[Middleware(LastAnswers)],
        exception_handlers=ERROR_HANDLERS,
    )
    return TestClient(app)


@pytest.mark.parametrize(
    ("path", "headers", "named"),
    [
        ("/fail?id=r-1", {}, "r-1"),
        ("/fail?id=r-1", {"triton-request-id": "r-2"}, "r-1"),
        ("/fail", {"triton-request-id": "r-2", "x-request-id": "r-3"}, "r-2"),
        ("/fail", {"x-request-id": "r-3"}, "r-3"),
        ("/fail", {}, "-"),
        ("/fail?id=a%0Ab", {}, r"a\nb"),
    ],
)
def test_an_internal_error_over_rest(
    client: TestClient,
    caplog: pytest.LogCaptureFixture,
    path: str,
    headers: dict[str, str],
    named: str,
) -> None:
    response = client.get(path, headers=headers)
    assert response.status_code == 500
    assert response.json() == {"error": INTERNAL_ERROR}
    (record,) = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert record.getMessage() == f"internal error path=/fail request_id={named}"
    assert record.exc_info is not None
    assert "a secret" in caplog.text


def test_an_internal_error_over_grpc(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(KeyError) as caught:
        dict[str, str]()["a secret"]
    described = describe("ModelInfer", caught.value, "r-1")
    assert described == (grpc.StatusCode.INTERNAL, INTERNAL_ERROR)
    assert "internal error rpc=ModelInfer request_id=r-1" in caplog.text
    assert "Traceback" in caplog.text


def test_a_refusal_for_now_is_a_line_without_a_traceback(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    response = client.get("/leave", headers={"x-request-id": "r-9"})
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "1"
    assert (
        "refused path=/leave request_id=r-9 status=503 error=the model was unloaded" in caplog.text
    )
    assert "Traceback" not in caplog.text
