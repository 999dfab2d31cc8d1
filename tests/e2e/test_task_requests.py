"""What a clumsy or hostile client asks of a segmentation or a detection is bounded and explained."""

import base64
import io
from collections.abc import Iterator, Mapping, Sequence

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.e2e.conftest import ThreeTasks
from tests.live_server import live_server
from tests.picture_files import encode, instances, noise, noise_png
from tests.tiny_segmenter import publish_red_segmenter, red_ids

LABELS = {"one": 1, "three": 3, "many": 300}


@pytest.fixture(scope="module")
def segmenters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A server of segmenters of 1, 3 and 300 labels, named `one`, `three` and `many`."""
    folder = tmp_path_factory.mktemp("segmenters")
    for name, labels in LABELS.items():
        publish_red_segmenter(folder / "repository", name, labels)
    flags = ("--model_repository", str(folder / "repository"), "--precision", "fp32")
    with live_server(folder / "log", *flags) as server, server.client() as client:
        yield client


@pytest.fixture
def http(three_tasks: ThreeTasks) -> Iterator[httpx.Client]:
    with three_tasks.server.client() as client:
        yield client


def predict(
    http: httpx.Client, model: str, *files: bytes, accept: str = "*/*", **parameters: object
) -> httpx.Response:
    return predict_with(http, model, files, parameters, accept)


def predict_with(
    http: httpx.Client,
    model: str,
    files: Sequence[bytes],
    parameters: Mapping[str, object],
    accept: str = "*/*",
) -> httpx.Response:
    body = {**instances(*files), "parameters": parameters}
    return http.post(f"/v1/models/{model}:predict", json=body, headers={"Accept": accept})


@pytest.mark.parametrize(
    ("model", "name", "value", "expected"),
    [
        *(("boxes", "threshold", text, "float in [0, 1]") for text in ("0.5", "nan", "")),
        *(("boxes", "threshold", number, "float in [0, 1]") for number in (-1, 1.01, True)),
        ("boxes", "threshold", [0.5], "float in [0, 1]"),
        *(("boxes", "scores", text, "bool") for text in ("yes", "true")),
        *(("boxes", "scores", other, "bool") for other in (1, None)),
        ("boxes", "round", 0, "bool"),
        *(("blocks", "format", text, "array|png|rle") for text in ("PNG", "")),
        *(("blocks", "format", other, "array|png|rle") for other in (None, ["png"])),
        ("blocks", "size", [64, 64], "model|original"),
    ],
)
def test_parameters_of_another_type_or_range_are_refused(
    http: httpx.Client, model: str, name: str, value: object, expected: str
) -> None:
    response = predict_with(http, model, [noise_png(0)], {name: value})
    assert response.status_code == 400
    error = f"parameters: {name}: got {value!r}, expected {expected}"
    assert response.json() == {"error": error}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_json_does_not_know_are_refused(http: httpx.Client, number: str) -> None:
    parameters = f'{{"threshold": {number}}}'
    body = f'{{"instances": [{{"data": "aGk="}}], "parameters": {parameters}}}'
    response = http.post("/v1/models/boxes:predict", content=body)
    assert response.status_code == 400
    assert "JSON" in response.json()["error"]


@pytest.mark.parametrize(
    "parameters",
    [
        {"x" * 1_000_000: 1},
        {"threshold": "x" * 1_000_000},
        {str(index): 1 for index in range(100_000)},
    ],
)
def test_long_parameters_are_not_sent_back(
    http: httpx.Client, parameters: dict[str, object]
) -> None:
    response = predict_with(http, "boxes", [noise_png(0)], parameters)
    assert response.status_code == 400
    assert "threshold" in response.json()["error"]
    assert len(response.content) < 1000


def test_a_picture_without_an_object_is_answered_with_none(http: httpx.Client) -> None:
    response = predict(http, "boxes", noise_png(0), noise_png(1), threshold=1)
    assert (response.status_code, response.json()) == (200, {"predictions": [[], []]})


@pytest.mark.parametrize("size", [[0, 0], [-1, 3], [65, 64], [64, 65], [2**31 - 1, 1]])
def test_a_size_that_no_picture_has_is_refused(http: httpx.Client, size: list[int]) -> None:
    image = {"name": "image", "datatype": "UINT8", "shape": [2, 64, 64, 3]}
    sizes = {"name": "size", "datatype": "INT32", "shape": [2, 2], "data": [[64, 64], size]}
    inputs = [{**image, "data": [0] * (2 * 64 * 64 * 3)}, sizes]
    response = http.post("/v2/models/boxes/infer", json={"inputs": inputs})
    assert response.status_code == 400
    error = response.json()["error"]
    assert error.startswith(f"instance 1: size is {size}; expected ")
    assert error.endswith("from [1, 1] to [64, 64]")


@pytest.mark.parametrize("model", LABELS)
def test_each_form_holds_the_ids_of_any_number_of_labels(
    segmenters: httpx.Client, model: str
) -> None:
    expected = red_ids(noise(3), LABELS[model])
    answers = {}
    for form in ("array", "png", "rle"):
        response = predict(segmenters, model, noise_png(3), format=form)
        assert response.status_code == 200, response.text
        (answers[form],) = response.json()["predictions"]
    assert answers["array"] == expected.tolist()
    image = Image.open(io.BytesIO(base64.b64decode(answers["png"]["png"])))
    assert image.mode == ("I;16" if LABELS[model] > 256 else "P")
    np.testing.assert_array_equal(np.asarray(image), expected)
    assert [entry["label_id"] for entry in answers["rle"]] == np.unique(expected).tolist()
    for entry in answers["rle"]:
        assert entry["label"] == f"label {entry['label_id']}"
        runs = entry["rle"]["counts"]
        flat = np.repeat(np.arange(len(runs)) % 2, runs).astype(bool)
        found = flat.reshape(entry["rle"]["size"], order="F")
        np.testing.assert_array_equal(found, expected == entry["label_id"])


def test_a_png_is_of_one_picture(segmenters: httpx.Client) -> None:
    response = predict(segmenters, "three", noise_png(0), noise_png(1), accept="image/png")
    assert response.status_code == 400
    assert response.json()["error"].startswith("2 instances; ")
    response = predict(segmenters, "three", accept="image/png")
    assert response.status_code == 400
    assert '"instances" is empty' in response.json()["error"]


def test_accept_and_format_must_not_contradict_each_other(segmenters: httpx.Client) -> None:
    response = predict(segmenters, "three", noise_png(0), accept="image/png", format="rle")
    assert response.status_code == 400
    assert "Accept asks for image/png, parameters.format for 'rle'" in response.json()["error"]
    response = predict(segmenters, "three", noise_png(0), accept="image/png", format="png")
    assert response.headers["content-type"] == "image/png"


@pytest.mark.parametrize("form", ["array", "png", "rle"])
def test_label_maps_of_the_pictures_own_size_are_bounded_together(
    segmenters: httpx.Client, form: str
) -> None:
    large = encode(Image.new("1", (7000, 7000)))
    response = predict(segmenters, "three", *[large] * 3, format=form, size="original")
    assert response.status_code == 413
    assert "the answer would take over 536870912 bytes" in response.json()["error"]
    assert predict(segmenters, "three", *[large] * 3, format=form).status_code == 200


def test_a_picture_of_a_million_rows_is_not_answered_row_by_row(segmenters: httpx.Client) -> None:
    tall = encode(Image.new("1", (1, 1_000_000)))
    assert predict(segmenters, "three", tall, size="original").status_code == 413


def test_a_large_label_map_is_answered_whole(segmenters: httpx.Client) -> None:
    pixels = np.repeat(np.repeat(noise(3), 500, axis=0), 500, axis=1)
    file = encode(Image.fromarray(pixels), compress_level=1)
    response = predict(segmenters, "three", file, accept="image/png", size="original")
    assert response.status_code == 200
    image = np.asarray(Image.open(io.BytesIO(response.content)))
    expected = predict(segmenters, "three", file).json()["predictions"][0]
    np.testing.assert_array_equal(image[250::500, 250::500], expected)
    assert image.shape == (4000, 4000)


def test_more_pictures_than_an_answer_may_hold_are_refused_before_any_is_decoded(
    http: httpx.Client,
) -> None:
    response = predict(http, "blocks", *[b"no picture"] * 20_000)
    assert response.status_code == 413
    tensor = {"name": "image", "datatype": "BYTES", "shape": [20_000], "data": ["AA=="] * 20_000}
    response = http.post("/v2/models/blocks/infer", json={"inputs": [tensor]})
    assert response.status_code == 413
    assert "send fewer pictures" in response.json()["error"]
