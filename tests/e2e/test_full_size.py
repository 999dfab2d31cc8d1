"""EasyMaker's architectures at their own sizes, exported and served together."""

import math
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from contract.sessions import detect_machine
from tests.e2e.random_models import publish_detector, publish_segmenter
from tests.live_server import live_server
from tests.picture_files import as_text, china_jpeg, instances
from tests.trainer.segmentation_folders import LABELS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

WIDTH, HEIGHT = 640, 427  # of the photograph
QUERIES = 100
PRECISION = "bf16" if detect_machine().bf16_flags else "fp32"


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """SegFormer-B3 and DETR-ResNet-50 from one repository, in bf16 where the CPU has it."""
    folder = tmp_path_factory.mktemp("full_size")
    publish_segmenter(folder / "repository", "b3", "segformer-b3", 512)
    publish_detector(folder / "repository", "detr", "detr-resnet-50", 800)
    flags = ("--model_repository", str(folder / "repository"), "--precision", PRECISION)
    with live_server(folder / "log", *flags, start_s=600) as server, server.client() as client:
        yield client


def infer(http: httpx.Client, model: str) -> dict[str, NDArray[np.float64]]:
    """The outputs [1, ...] for the photograph over V2."""
    image = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [as_text(china_jpeg())]}
    response = http.post(f"/v2/models/{model}/infer", json={"inputs": [image]}, timeout=120)
    assert response.status_code == 200, response.text
    return {
        output["name"]: np.array(output["data"], np.float64).reshape(output["shape"])
        for output in response.json()["outputs"]
    }


def predict(http: httpx.Client, model: str, **parameters: object) -> object:
    """The photograph's prediction over V1."""
    body = {**instances(china_jpeg()), "parameters": parameters}
    response = http.post(f"/v1/models/{model}:predict", json=body, timeout=120)
    assert response.status_code == 200, response.text
    (prediction,) = response.json()["predictions"]
    return prediction


@pytest.mark.parametrize("model", ["b3", "detr"])
def test_a_precision_that_was_not_measured_is_served_with_a_warning(
    http: httpx.Client, model: str
) -> None:
    parameters = http.get(f"/v2/models/{model}/config").json()["parameters"]
    assert parameters["execution_precision"]["string_value"] == PRECISION
    assert ("execution_warning" in parameters) == (PRECISION == "bf16")


def test_segformer_b3_answers_512_rows_of_512_ids(http: httpx.Client) -> None:
    rows = np.array(predict(http, "b3"))
    assert rows.shape == (512, 512)
    assert set(np.unique(rows)) <= set(range(len(LABELS)))
    assert len(np.unique(rows)) > 1
    outputs = infer(http, "b3")
    np.testing.assert_array_equal(outputs["label_map"][0], rows)
    assert outputs["logits"].shape == (1, len(LABELS), 128, 128)


def test_detr_answers_boxes_in_the_pixels_of_the_picture(http: httpx.Client) -> None:
    objects = predict(http, "detr", threshold=0, scores=True)
    assert isinstance(objects, list)
    assert len(objects) == QUERIES
    outputs = infer(http, "detr")
    assert outputs["boxes"].shape == (1, QUERIES, 4)
    order = np.argsort(-outputs["scores"][0], kind="stable")
    for entry, query in zip(objects, order, strict=True):
        assert math.isclose(entry.pop("score"), outputs["scores"][0, query], abs_tol=1e-6)
        ((label, box),) = entry.items()
        assert label == LABELS[int(outputs["labels"][0, query])]
        assert 0 <= box["xmin"] <= box["xmax"] <= WIDTH
        assert 0 <= box["ymin"] <= box["ymax"] <= HEIGHT
        scaled = outputs["boxes"][0, query] * [WIDTH, HEIGHT, WIDTH, HEIGHT]
        np.testing.assert_allclose(list(box.values()), scaled, atol=0.5 + 1e-3)
