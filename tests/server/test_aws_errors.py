"""Which of our errors become which of AWS'."""

from http import HTTPStatus

import orjson
import pytest

from contract.errors import NotAPicture
from server import errors
from server.errors import ServerError
from server.protocol import http_errors
from server.protocol.aws_errors import ERROR_TYPE, aws_error


def code(err: ServerError) -> str:
    return aws_error(err).headers[ERROR_TYPE]


@pytest.mark.parametrize(
    ("err", "expected"),
    [
        (http_errors.BadParameter("TargetVariant", "no"), "ValidationError"),
        (http_errors.NoModelChosen(["a", "b"], "?model=NAME"), "ValidationError"),
        (errors.ModelNotFound("a", "7"), "ValidationError"),
        (errors.NoVersions("a"), "ValidationError"),
        (http_errors.BodyTooLarge(5), "ValidationError"),
        (errors.NotReady("a", "loading"), "ModelNotReadyException"),
        (errors.VersionNotReady("a", 2), "ModelNotReadyException"),
        (errors.QueueFull("pictures", 4, 1, 4), "ServiceUnavailable"),
        (errors.QueueTimeout(), "ServiceUnavailable"),
        (errors.Unloaded(), "ServiceUnavailable"),
        (http_errors.GivenUp(), "ServiceUnavailable"),
        (http_errors.InternalError(), "InternalFailure"),
        (http_errors.TimeOver(5), "ModelError"),
        (errors.NoVisionTask("a"), "ModelError"),
        (errors.TooManyInstances(9, 8), "ModelError"),
        (errors.AnswerTooLarge(5), "ModelError"),
        (http_errors.NotAcceptable("a/b", ["c/d"]), "ModelError"),
        (http_errors.UnknownMediaType("a/b", ["c/d"]), "ModelError"),
        (errors.BadPicture(0, NotAPicture(3, ["PNG"])), "ModelError"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, ServerError) else value,
)
def test_an_error_is_of_the_class_that_the_table_says(err: ServerError, expected: str) -> None:
    assert code(err) == expected


def test_a_model_error_holds_our_status_and_our_body() -> None:
    body = orjson.loads(bytes(aws_error(http_errors.TimeOver(5)).body))
    assert body["OriginalStatusCode"] == HTTPStatus.SERVICE_UNAVAILABLE
    assert orjson.loads(body["OriginalMessage"]) == {"error": str(http_errors.TimeOver(5))}
    assert body["Message"].startswith("Received server error (503) from primary with message ")
