"""`aperture-serve serve`, as SageMaker starts a container, and what it answers."""

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from contract.label_maps import resize_label_map
from server.recordio import MAGIC
from tests.live_server import LiveServer, free_port, wait_for
from tests.picture_files import as_text, encode, instances, noise, noise_png
from tests.slow_model import publish_slow_model
from tests.tiny_detector import BOXES, CLASSES, detector_scores, publish_colour_detector
from tests.tiny_models import LABELS, SIZE, colour_scores, publish_colour_model
from tests.tiny_segmenter import publish_colour_segmenter

PICTURE = noise_png(5)
BLACK = encode(Image.new("RGB", (8, 8)))
WIDE = noise_png(6, width=24, height=16)
SEEDS = Path(__file__).parents[3] / "shared" / "seeds"


@contextlib.contextmanager
def container(folder: Path, **variables: str) -> Iterator[LiveServer]:
    """`aperture-serve serve` with folder/ml for /opt/ml; asserts that SIGTERM ends it with 0."""
    http, grpc = free_port(), free_port()
    environ = {**os.environ, "SAGEMAKER_BASE_DIR": str(folder / "ml")}
    environ["SAGEMAKER_BIND_TO_PORT"] = str(http)
    environ["SAGEMAKER_SAFE_PORT_RANGE"] = f"{grpc}-{grpc}"
    command = [sys.executable, "-m", "server.cli", "serve", "--provider=cpu", "--precision=fp32"]
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command, "--shutdown_delay=0"], stdout=out, stderr=out, env={**environ, **variables}
        )
    server = LiveServer(process, http, grpc, log)
    try:
        wait_for(server, "/ping")
        yield server
        assert server.stop() == 0, log.read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a container with a model of each task, and files of the trainer beside them."""
    folder = tmp_path_factory.mktemp("container")
    models = folder / "ml" / "model"
    publish_colour_model(models, "colour")
    publish_colour_segmenter(models, "parts")
    publish_colour_detector(models, "boxes")
    (models / "labels_info.json").write_text('{"labels": ["red", "green", "blue"]}')
    with container(folder) as server, server.client() as client:
        yield client


def invoke(
    http: httpx.Client,
    model: str,
    body: bytes = PICTURE,
    content_type: str | None = "application/x-image",
    accept: str | None = None,
) -> httpx.Response:
    headers = {"Content-Type": content_type, "Accept": accept}
    given = {name: value for name, value in headers.items() if value is not None}
    request = http.build_request("POST", f"/invocations?model={model}", content=body)
    for name in headers:
        request.headers.pop(name, None)
    request.headers.update(given)
    return http.send(request)


def test_ping_is_empty_and_tells_nothing(http: httpx.Client) -> None:
    answer = http.get("/ping")
    assert (answer.status_code, answer.content) == (200, b"")


def test_batch_transform_is_told_to_fill_what_it_may(http: httpx.Client) -> None:
    told = {"MaxConcurrentTransforms": 16, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 6}
    assert http.get("/execution-parameters").json() == told


@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "application/*;q=0.5"])
def test_scores_are_a_list_in_the_order_of_the_classes(
    http: httpx.Client, accept: str | None
) -> None:
    answer = invoke(http, "colour", accept=accept)
    assert answer.headers["content-type"] == "application/json"
    (expected,) = colour_scores(noise(5)[None])
    np.testing.assert_allclose(answer.json(), expected, rtol=1e-5)


def test_scores_as_json_lines_are_those_of_the_seed(http: httpx.Client) -> None:
    answer = invoke(http, "colour", accept="application/jsonlines")
    assert answer.headers["content-type"] == "application/jsonlines"
    assert answer.text.endswith("]}\n")
    assert answer.json() == {"prediction": invoke(http, "colour").json()}
    seed = _seed("sagemaker_image_classification_ja.txt", "accept: application/jsonlines")
    assert seed == '{"prediction": [prob_0, prob_1, prob_2, prob_3, ...]}'


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        *((kind, PICTURE) for kind in ("image/png", "image/jpeg", "application/octet-stream")),
        *((kind, PICTURE) for kind in ("IMAGE/PNG; charset=binary", None)),
        ("application/x-www-form-urlencoded", PICTURE),
        ("application/json", b'{"instances":[{"data":"%b"}]}' % as_text(PICTURE).encode()),
        (None, b'\n {"instances":[{"data":"%b"}]}' % as_text(PICTURE).encode()),
    ],
)
def test_every_way_to_send_a_picture_has_the_same_answer(
    http: httpx.Client, content_type: str | None, body: bytes
) -> None:
    expected = invoke(http, "colour").json()
    answer = invoke(http, "colour", body, content_type)
    assert (answer.status_code, answer.json()) == (200, expected)


def test_several_pictures_are_a_list_or_lines(http: httpx.Client) -> None:
    body = httpx.Request("POST", "http://-", json=instances(PICTURE, WIDE)).content
    listed = invoke(http, "colour", body, "application/json").json()
    assert listed == [invoke(http, "colour", file).json() for file in (PICTURE, WIDE)]
    lines = invoke(http, "colour", body, "application/json", "application/jsonlines").text
    assert lines == "".join(
        invoke(http, "colour", file, accept="application/jsonlines").text
        for file in (PICTURE, WIDE)
    )


def test_several_masks_are_refused_before_the_model_sees_a_picture(http: httpx.Client) -> None:
    body = httpx.Request("POST", "http://-", json=instances(PICTURE, WIDE)).content
    before = _success_count(http, "parts")
    refused = invoke(http, "parts", body, "application/json")
    assert refused.status_code == 400
    assert "an answer as image/png is of one picture" in refused.json()["error"]
    assert _success_count(http, "parts") == before


def _mask(http: httpx.Client, file: bytes) -> Any:
    """V1's label map, at the model's size."""
    answer = http.post("/v1/models/parts:predict", json=instances(file))
    return np.array(answer.json()["predictions"][0], np.uint8)


@pytest.mark.parametrize("accept", [None, "image/png", "image/*"])
def test_a_mask_has_the_pictures_own_size(http: httpx.Client, accept: str | None) -> None:
    answer = invoke(http, "parts", WIDE, "image/png", accept)
    assert answer.headers["content-type"] == "image/png"
    image = Image.open(io.BytesIO(answer.content))
    assert image.mode == "P"
    expected = resize_label_map(_mask(http, WIDE), 16, 24)
    np.testing.assert_array_equal(np.asarray(image), expected)


def test_the_most_probable_class_at_the_models_size_is_the_masks(http: httpx.Client) -> None:
    record = invoke(http, "parts", accept="application/x-protobuf").content
    assert int.from_bytes(record[:4], "little") == MAGIC
    values = np.frombuffer(
        record[: 8 + int.from_bytes(record[4:8], "little")][-4 * 3 * 64 :], "<f4"
    )
    chosen = values.reshape(3, SIZE, SIZE).argmax(axis=0)
    np.testing.assert_array_equal(chosen, _mask(http, PICTURE))


def test_probabilities_of_a_large_picture_come_whole(http: httpx.Client) -> None:
    large = encode(Image.fromarray(noise(7)).resize((900, 700)))
    answer = invoke(http, "parts", large, accept="application/x-recordio-protobuf")
    length = int.from_bytes(answer.content[4:8], "little")
    assert len(answer.content) == 8 + length + -length % 4
    values = np.frombuffer(answer.content[8 : 8 + length][-4 * 3 * 700 * 900 :], "<f4")
    np.testing.assert_allclose(values.reshape(3, 700, 900).sum(axis=0), 1, atol=1e-5)


def test_probabilities_over_the_longest_record_are_refused(http: httpx.Client) -> None:
    huge = encode(Image.new("L", (6700, 6700)))  # 3 float32 a pixel: 539 MB
    answer = invoke(http, "parts", huge, accept="application/x-recordio-protobuf")
    assert answer.status_code == 413
    assert "the answer would take over 536870912 bytes" in answer.json()["error"]


def _best_first() -> "np.ndarray[Any, np.dtype[np.intp]]":
    return np.argsort(-detector_scores(noise(5)), kind="stable")


def test_boxes_are_all_of_them_best_first(http: httpx.Client) -> None:
    answer = invoke(http, "boxes").json()
    assert list(answer) == ["normalized_boxes", "classes", "scores"]
    order = _best_first()
    np.testing.assert_array_equal(answer["normalized_boxes"], BOXES[order].clip(0, 1))
    assert answer["classes"] == [CLASSES[i] for i in order]
    np.testing.assert_allclose(answer["scores"], detector_scores(noise(5))[order], rtol=1e-5)


def test_a_verbose_answer_has_the_keys_of_the_seed(http: httpx.Client) -> None:
    answer = invoke(http, "boxes", accept="application/json;verbose").json()
    assert answer["labels"] == list(LABELS)
    raw = answer["tensorflow_model_output"]
    (boxes,), (classes,) = raw["detection_boxes"], raw["detection_classes"]
    assert [[x0, y0, x1, y1] for y0, x0, y1, x1 in boxes] == answer["normalized_boxes"]
    assert (classes, raw["detection_scores"]) == (answer["classes"], [answer["scores"]])
    assert raw["num_detections"] == [len(BOXES)]
    seed = _seed("sagemaker_object_detection_ja.txt", "accept: application/json;verbose")
    keys = [part.partition('":')[0] for part in seed.replace('{"', ' "').split(' "')[1:]]
    assert list(answer) == keys


@pytest.mark.parametrize(
    "accept", ["application/json;n_predictions=2", "application/json; N_PREDICTIONS=2 ;q=0.9"]
)
def test_the_best_boxes_alone(http: httpx.Client, accept: str) -> None:
    whole, best = invoke(http, "boxes").json(), invoke(http, "boxes", accept=accept).json()
    assert best == {name: values[:2] for name, values in whole.items()}


def test_parameters_stand_in_any_order(http: httpx.Client) -> None:
    one, other = (
        invoke(http, "boxes", accept=f"application/json;{order}").json()
        for order in ("verbose;n_predictions=1", "n_predictions=1;verbose")
    )
    assert one == other
    assert len(one["scores"]) == 1
    assert len(one["tensorflow_model_output"]["detection_scores"][0]) == len(BOXES)


@pytest.mark.parametrize(
    ("model", "accept", "offered"),
    [
        ("colour", "image/png", "application/json or application/jsonlines"),
        ("colour", "application/json;verbose", "application/json or application/jsonlines"),
        (
            "parts",
            "application/json",
            "image/png or application/x-recordio-protobuf or application/x-protobuf",
        ),
        ("boxes", "application/jsonlines", "application/json[;verbose][;n_predictions=N]"),
        ("boxes", "application/json;boxes=2", "application/json[;verbose][;n_predictions=N]"),
    ],
)
def test_an_accept_that_a_task_lacks_is_refused_with_what_it_has(
    http: httpx.Client, model: str, accept: str, offered: str
) -> None:
    answer = invoke(http, model, accept=accept)
    assert answer.status_code == 406
    assert answer.json() == {"error": f"Accept is {accept!r}; the answer can be {offered}"}


@pytest.mark.parametrize(
    ("model", "given", "status", "error"),
    [
        (
            "colour",
            {"content_type": "text/csv"},
            415,
            "Content-Type is 'text/csv'; expected image/*",
        ),
        ("colour", {"body": b""}, 400, "instance 0: zero bytes"),
        ("colour", {"content_type": "application/json"}, 400, "failed to parse the request JSON"),
        ("boxes", {"accept": "application/json;n_predictions=0"}, 400, "expected int in [1, inf)"),
        ("absent", {}, 404, "Request for unknown model: 'absent' is not found"),
    ],
)
def test_what_cannot_be_answered_is_one_line(
    http: httpx.Client, model: str, given: Mapping[str, Any], status: int, error: str
) -> None:
    answer = invoke(http, model, **given)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])
    assert error in answer.json()["error"]


def test_with_several_models_one_is_to_be_named(http: httpx.Client) -> None:
    answer = http.post("/invocations", content=PICTURE)
    assert answer.status_code == 400
    assert answer.json()["error"].endswith("boxes, colour, parts")
    named = http.post("/invocations", content=PICTURE, headers={"Aperture-Model": "colour"})
    assert named.json() == invoke(http, "colour").json()


def test_custom_attributes_come_back_as_aws_leaves_to_its_containers(http: httpx.Client) -> None:
    attributes = {"X-Amzn-SageMaker-Custom-Attributes": "trace=7"}
    answer = http.post("/invocations?model=colour", content=PICTURE, headers=attributes)
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
    http: httpx.Client, name: str, value: str
) -> None:
    headers = {f"X-Amzn-SageMaker-{name}".encode(): value.encode("latin-1")}
    answer = http.post("/invocations?model=colour", content=PICTURE, headers=headers)
    assert (answer.status_code, answer.json()) == (200, invoke(http, "colour").json())


def test_requests_of_all_protocols_are_counted_together(http: httpx.Client) -> None:
    before = _success_count(http, "boxes")
    invoke(http, "boxes")
    http.post("/v1/models/boxes:predict", json=instances(PICTURE))
    assert _success_count(http, "boxes") == before + 2


def _success_count(http: httpx.Client, model: str) -> int:
    stats = http.get(f"/v2/models/{model}/stats").json()
    found: int = stats["model_stats"][0]["inference_stats"]["success"]["count"]
    return found


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a container of one bare model that takes as long as its picture is bright."""
    folder = tmp_path_factory.mktemp("batch")
    model_dir = publish_slow_model(folder / "repository", "slow").model_dir
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


def _seed(name: str, start: str) -> str:
    """What stands behind `start` in a seed document."""
    path = SEEDS / name
    if not path.exists():
        pytest.skip(f"{name} is not beside this repository")
    text = path.read_text(encoding="utf-8")
    return text.partition(start)[2].lstrip().partition("\n")[0].strip()
