"""boto3's client of SageMaker's runtime, given another address and no more."""

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import orjson
import pytest
from PIL import Image

from server.protocol.http_errors import INTERNAL_ERROR
from tests.bright_is_slow import publish_slow_model
from tests.live_server import live_server, wait_until
from tests.picture_files import encode, instances, noise_png
from tests.sagemaker.conftest import Served
from tests.sagemaker.runtime import PYTHON, read_record, runtime

PICTURE = noise_png(3)


def v1(served: Served, model: str, version: str = "") -> object:
    with served.server.client() as http:
        answer = http.post(f"/v1/models/{model}:predict", json=instances(PICTURE))
        return answer.json()["predictions"][0]


def scores(served: Served) -> list[float]:
    """What V1 answers, in the order of the labels."""
    found = v1(served, "colour")
    assert isinstance(found, list)
    by_label = {entry["label"]: entry["score"] for entry in found}
    return [by_label[label] for label in ("red", "green", "blue")]


@pytest.mark.parametrize(
    "chosen",
    [
        {"TargetModel": "colour"},
        {"TargetModel": "colour.tar.gz"},
        {"TargetModel": "/colour.tar.gz"},
        {"InferenceComponentName": "colour"},
        {"TargetContainerHostname": "colour"},
        {"TargetModel": "colour", "InferenceComponentName": "colour"},
        {"endpoint": "colour"},
        {"TargetModel": "colour", "endpoint": "boxes"},
    ],
    ids=str,
)
def test_a_model_is_chosen_as_aws_has_it(served: Served, chosen: dict[str, str]) -> None:
    answer = served.client.invoke(PICTURE, ContentType="application/x-image", **chosen)
    assert (answer.raised, answer.answer["ContentType"]) == ("", "application/json")
    np.testing.assert_allclose(orjson.loads(answer.body), scores(served), rtol=1e-6)


@pytest.mark.parametrize(
    ("variant", "answered"), [(None, "2"), ("AllTraffic", "2"), ("1", "1"), ("2", "2")]
)
def test_a_variant_is_a_version(served: Served, variant: str | None, answered: str) -> None:
    chosen = {} if variant is None else {"TargetVariant": variant}
    answer = served.client.invoke(PICTURE, TargetModel="colour", **chosen)
    assert answer.answer["InvokedProductionVariant"] == answered


def test_attributes_and_id_come_back(served: Served) -> None:
    given = {"CustomAttributes": "trace=7; who=me", "InferenceId": "i-1", "PrefixAwareId": "p"}
    answer = served.client.invoke(PICTURE, "colour", **given)
    assert answer.answer["CustomAttributes"] == "trace=7; who=me"
    assert answer.headers["x-amzn-sagemaker-inference-id"] == "i-1"
    assert re.fullmatch(r"[0-9a-f-]{36}", answer.answer["ResponseMetadata"]["RequestId"])


def test_a_session_is_begun_where_one_is_asked_for(served: Served) -> None:
    begun = served.client.invoke(PICTURE, "colour", SessionId="NEW_SESSION").answer["NewSessionId"]
    # The pattern of botocore's model.
    pattern = r"[a-zA-Z0-9](-*[a-zA-Z0-9])*;\sExpires=\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z"
    assert re.fullmatch(pattern, begun)
    later = served.client.invoke(PICTURE, "colour", SessionId=begun.partition(";")[0])
    assert later.raised == ""
    assert "NewSessionId" not in later.answer


def test_what_is_not_wanted_explained_is_answered(served: Served) -> None:
    assert served.client.invoke(PICTURE, "colour", EnableExplanations="`false`").raised == ""


@pytest.mark.parametrize(
    "media_type", ["application/x-recordio-protobuf", "application/x-protobuf"]
)
def test_probabilities_are_read_with_sagemakers_own_record(served: Served, media_type: str) -> None:
    answer = served.client.invoke(PICTURE, "parts", Accept=media_type)
    assert answer.answer["ContentType"] == media_type
    record = read_record(answer.body)
    assert record.shape == (1, 3, 8, 8)
    np.testing.assert_allclose(record.sum(axis=1), 1, atol=1e-5)
    # As SageMaker's notebook takes it apart; the model's size is the picture's.
    mask = np.argmax(np.squeeze(record, axis=0), axis=0)
    assert mask.tolist() == v1(served, "parts")


def test_a_body_of_json_has_several_pictures(served: Served) -> None:
    body = orjson.dumps(instances(PICTURE, noise_png(4)))
    answer = served.client.invoke(body, "colour", ContentType="application/json")
    first, second = orjson.loads(answer.body)
    np.testing.assert_allclose(first, scores(served), rtol=1e-6)
    assert second != first


def test_the_example_prints_the_score_of_each_class(served: Served, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    picture.write_bytes(PICTURE)
    command = [str(PYTHON), "examples/ask_sagemaker.py", served.server.url, "colour", str(picture)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    expected = [f"{score:f}  {index}" for index, score in enumerate(scores(served))]
    assert done.stdout.splitlines() == expected


def test_the_example_without_arguments_says_how_it_is_run() -> None:
    command = [str(PYTHON), "examples/ask_sagemaker.py"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "python examples/ask_sagemaker.py http://localhost:8080 MODEL PICTURE" in done.stderr
    assert "Traceback" not in done.stderr


LONG = "a" * 65


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"TargetModel": "absent"},
            "TargetModel: got 'absent', expected NAME or NAME.tar.gz of a model: boxes, broken, ",
        ),
        ({"TargetModel": "s3/colour.tar.gz"}, "TargetModel: got 's3/colour.tar.gz', expected"),
        ({"InferenceComponentName": "colour.tgz"}, "InferenceComponentName: got 'colour.tgz',"),
        ({}, "this server has 5 models; choose one by TargetModel, or by EndpointName: boxes, "),
        ({"EndpointName": "a/b"}, "EndpointName: got the path 'a/b/invocations'; expected NAME"),
        (
            {"TargetModel": "colour", "InferenceComponentName": "boxes"},
            "several models, boxes, colour",
        ),
        ({"TargetModel": "colour", "TargetVariant": "3"}, "'colour' version 3 is not found"),
        (
            {"TargetModel": "colour", "TargetVariant": "9223372036854775807"},
            "'colour' version 9223372036854775807 is not found",
        ),
        ({"TargetModel": "colour", "TargetVariant": "blue"}, "version of model 'colour': 1, 2"),
        ({"TargetModel": "colour", "InferenceId": LONG}, "less than or equal to 64, got 65"),
        ({"TargetModel": "colour", "EnableExplanations": "`true`"}, "explains no prediction"),
    ],
)
def test_what_the_front_door_refuses_is_a_validation_error(
    served: Served, parameters: dict[str, str], message: str
) -> None:
    given = {"EndpointName": "vision", **parameters}
    answer = served.client.call("invoke_endpoint", Body=PICTURE, **given)
    assert (answer.raised, answer.answer["ResponseMetadata"]["HTTPStatusCode"]) == (
        "ValidationError",
        400,
    )
    assert message in answer.message


def test_too_large_a_body_is_a_validation_error(served: Served) -> None:
    answer = served.client.invoke(b"x" * 100_001, "colour")
    assert answer.raised == "ValidationError"
    assert "request body is over 100000 bytes" in answer.message


@pytest.mark.parametrize(
    ("body", "parameters", "status", "error"),
    [
        (b"no picture", {}, 400, "instance 0: 10 bytes of no known picture format"),
        (PICTURE, {"ContentType": "text/csv"}, 415, "Content-Type is 'text/csv'; expected image/*"),
        (PICTURE, {"Accept": "image/png"}, 406, "application/json or application/jsonlines"),
        (b'{"instances": []}', {}, 400, '"instances" is empty'),
    ],
)
def test_what_the_container_refuses_is_a_model_error(
    served: Served, body: bytes, parameters: dict[str, str], status: int, error: str
) -> None:
    refused = served.client.invoke(body, "colour", **parameters)
    assert refused.raised == "ModelError"
    assert refused.answer["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert refused.answer["OriginalStatusCode"] == status
    assert error in orjson.loads(refused.answer["OriginalMessage"])["error"]
    start = f"Received client error ({status}) from primary with message "
    assert refused.message.startswith(start)


def test_other_operations_are_refused_at_once(served: Served) -> None:
    stream = served.client.call(
        "invoke_endpoint_with_response_stream", EndpointName="colour", Body=PICTURE
    )
    location = "s3://bucket/picture.png"
    later = served.client.call(
        "invoke_endpoint_async", EndpointName="colour", InputLocation=location
    )
    assert stream.answer["Error"]["Code"] == later.answer["Error"]["Code"] == "ValidationError"
    assert "this server answers at once and whole" in stream.message


def test_a_model_that_cannot_answer_now_is_not_ready(served: Served) -> None:
    answer = served.client.invoke(PICTURE, TargetModel="broken")
    assert answer.raised == "ModelNotReadyException"
    assert answer.answer["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert answer.message.startswith("model 'broken' is not ready")


def test_an_error_of_the_program_is_an_internal_failure(served: Served) -> None:
    answer = served.client.invoke(PICTURE, TargetModel="failing")
    assert (answer.raised, answer.message) == ("InternalFailure", INTERNAL_ERROR)
    assert served.client.invoke(PICTURE, TargetModel="colour").raised == ""


def test_a_full_queue_is_service_unavailable(tmp_path: Path) -> None:
    publish_slow_model(tmp_path / "repository", "slow")
    grey = encode(Image.new("RGB", (8, 8), (96, 96, 96)))
    flags = ["--model_repository", str(tmp_path / "repository"), "--max_queue_size=1"]
    with (
        live_server(tmp_path / "log", *flags, "--provider=cpu") as server,
        runtime(server.url) as client,
        server.client() as http,
        ThreadPoolExecutor(8) as pool,
    ):
        assert client.invoke(b"no picture").raised == "ModelError"  # boto3 is imported by now
        busy = [pool.submit(http.post, "/invocations", content=grey) for _ in range(8)]
        wait_until(lambda: any(one.done() for one in busy))
        answer = client.invoke(grey)
        assert {one.result().status_code for one in busy} == {200, 503}
    assert answer.raised == "ServiceUnavailable"
    assert "Exceeds maximum queue size" in answer.message
