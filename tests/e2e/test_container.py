"""`aperture-serve serve`, as SageMaker starts a container: what it is told, and what it tells."""

from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.bright_is_slow import publish_slow_model
from tests.e2e.containers import PICTURE, container, invoke, success_count
from tests.picture_files import encode, instances

BLACK = encode(Image.new("RGB", (8, 8)))


def test_ping_is_empty_and_tells_nothing(vision: httpx.Client) -> None:
    answer = vision.get("/ping")
    assert (answer.status_code, answer.content) == (200, b"")


def test_batch_transform_is_told_to_fill_what_it_may(vision: httpx.Client) -> None:
    told = {"MaxConcurrentTransforms": 16, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 6}
    assert vision.get("/execution-parameters").json() == told


def test_with_several_models_one_is_to_be_named(vision: httpx.Client) -> None:
    answer = vision.post("/invocations", content=PICTURE)
    assert answer.status_code == 400
    assert answer.json()["error"].endswith("boxes, colour, parts")
    named = vision.post("/invocations", content=PICTURE, headers={"Aperture-Model": "colour"})
    assert named.json() == invoke(vision, "colour").json()


def test_custom_attributes_come_back_as_aws_leaves_to_its_containers(vision: httpx.Client) -> None:
    attributes = {"X-Amzn-SageMaker-Custom-Attributes": "trace=7"}
    answer = vision.post("/invocations?model=colour", content=PICTURE, headers=attributes)
    assert answer.headers["x-amzn-sagemaker-custom-attributes"] == "trace=7"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Custom-Attributes", "caf\xe9"),
        ("Custom-Attributes", "a" * 2000),
        ("Enable-Explanations", "x"),
        ("Target-Model", "s3/other.tar.gz"),
        ("Inference-Id", "i" * 100),
    ],
)
def test_what_is_the_front_doors_business_is_not_refused_by_the_container(
    vision: httpx.Client, name: str, value: str
) -> None:
    headers = {f"X-Amzn-SageMaker-{name}".encode(): value.encode("latin-1")}
    answer = vision.post("/invocations?model=colour", content=PICTURE, headers=headers)
    assert (answer.status_code, answer.json()) == (200, invoke(vision, "colour").json())


def test_requests_of_all_protocols_are_counted_together(vision: httpx.Client) -> None:
    before = success_count(vision, "boxes")
    invoke(vision, "boxes")
    vision.post("/v1/models/boxes:predict", json=instances(PICTURE))
    assert success_count(vision, "boxes") == before + 2


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a container of one bare model that takes as long as its picture is bright."""
    folder = tmp_path_factory.mktemp("batch")
    model_dir = publish_slow_model(folder / "repository", "slow")
    (folder / "ml").mkdir()
    model_dir.rename(folder / "ml" / "model")
    variables = {
        "SAGEMAKER_BATCH": "true",
        "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": "application/jsonlines",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": "100",
        "SAGEMAKER_BATCH_STRATEGY": "MULTI_RECORD",
        "SAGEMAKER_MODEL_SERVER_TIMEOUT": "0.2",
        "SAGEMAKER_MODEL_SERVER_WORKERS": "4",
    }
    with container(folder, **variables) as server, server.client() as client:
        yield client


def test_batch_transform_has_its_scores_named(batch: httpx.Client) -> None:
    answer = batch.post("/invocations", content=BLACK, headers={"Accept": "application/json"})
    assert (list(answer.json()), answer.text[-1]) == (["prediction"], "}")
    np.testing.assert_allclose(answer.json()["prediction"], [1 / 3] * 3, rtol=1e-5)


def test_an_accept_that_leaves_it_open_is_the_containers_own(batch: httpx.Client) -> None:
    answer = batch.post("/invocations", content=BLACK, headers={"Accept": "*/*"})
    assert answer.headers["content-type"] == "application/jsonlines"


def test_batch_transform_hears_its_own_parameters(batch: httpx.Client) -> None:
    told = {"MaxConcurrentTransforms": 1, "BatchStrategy": "MULTI_RECORD", "MaxPayloadInMB": 100}
    assert batch.get("/execution-parameters").json() == told


def test_a_request_that_takes_too_long_is_refused(batch: httpx.Client) -> None:
    white = encode(Image.new("RGB", (8, 8), "white"))
    answer = batch.post("/invocations", content=white)
    assert answer.status_code == 503
    assert "not answered within 0.2 s" in answer.json()["error"]
