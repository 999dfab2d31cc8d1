"""Every protocol gives the arithmetic's own answer, by clients that others wrote."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.clients import run_client
from tests.live_server import LiveServer, live_server
from tests.picture_files import as_text, china_jpeg, encode, instances, noise, noise_png
from tests.tiny_models import LABELS, colour_scores, publish_colour_model

TOLERANCE = 1e-5


def expected_scores(count: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    return colour_scores(np.stack([noise(seed) for seed in range(count)]))


def by_label(answer: list[dict[str, Any]]) -> list[float]:
    scores = {entry["label"]: entry["score"] for entry in answer}
    return [scores[label] for label in LABELS]


@pytest.mark.parametrize("form", ["bytes", "uint8"])
@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_tritonclient_gets_the_models_scores(
    server: LiveServer, png_files: list[Path], protocol: str, form: str
) -> None:
    port = server.http_port if protocol == "rest" else server.grpc_port
    address, files = f"127.0.0.1:{port}", map(str, png_files)
    (scores,) = run_client("triton", protocol, address, "colour", form, "scores", *files)
    np.testing.assert_allclose(scores, expected_scores(10), atol=TOLERANCE)


def test_v1_answers_every_label_best_first(http: httpx.Client) -> None:
    response = http.post("/v1/models/colour:predict", json=instances(noise_png(0), noise_png(1)))
    assert response.status_code == 200
    assert list(response.json()) == ["predictions"]
    for answer in response.json()["predictions"]:
        assert sorted(entry["label"] for entry in answer) == sorted(LABELS)
        scores = [entry["score"] for entry in answer]
        assert scores == sorted(scores, reverse=True)


def test_v1_takes_a_slash_for_the_colon(http: httpx.Client) -> None:
    body = instances(noise_png(0))
    colon = http.post("/v1/models/colour:predict", json=body).json()
    assert http.post("/v1/models/colour/predict", json=body).json() == colon


def test_inference_answers_with_the_body_of_the_easymaker_guide(http: httpx.Client) -> None:
    one = http.post("/inference", json=instances(noise_png(0))).json()
    assert [set(entry) for entry in one] == [{"score", "label"}] * len(LABELS)
    two = http.post("/inference", json=instances(noise_png(0), noise_png(1))).json()
    assert two[0] == one
    assert len(two) == 2
    assert http.post("/inference?model=colour", json=instances(noise_png(0))).json() == one
    chosen = {"Aperture-Model": "colour"}
    assert http.post("/inference", json=instances(noise_png(0)), headers=chosen).json() == one
    assert http.post("/inference?model=nope", json=instances(noise_png(0))).status_code == 404


def test_v2_json_holds_flat_data_and_no_nulls(http: httpx.Client) -> None:
    tensor = {
        "name": "image",
        "shape": [1, 1],
        "datatype": "BYTES",
        "data": [[as_text(noise_png(3))]],
    }
    response = http.post("/v2/models/colour/infer", json={"id": "a", "inputs": [tensor]}).json()
    (output,) = response.pop("outputs")
    assert response == {"id": "a", "model_name": "colour", "model_version": "1"}
    assert set(output) == {"name", "datatype", "shape", "data"}
    assert output["shape"] == [1, 3]
    np.testing.assert_allclose(output["data"], colour_scores(noise(3)[None])[0], atol=TOLERANCE)


def test_v2_takes_a_uint8_tensor_as_json(http: httpx.Client) -> None:
    tensor = {
        "name": "image",
        "shape": [1, 8, 8, 3],
        "datatype": "UINT8",
        "data": noise(3).tolist(),
    }
    body = {"inputs": [tensor], "outputs": [{"name": "scores"}]}
    (output,) = http.post("/v2/models/colour/versions/1/infer", json=body).json()["outputs"]
    np.testing.assert_allclose(output["data"], colour_scores(noise(3)[None])[0], atol=TOLERANCE)


def test_v2_decides_by_the_header_length_not_by_the_content_type(http: httpx.Client) -> None:
    tensor = {
        "name": "image",
        "shape": [1, 8, 8, 3],
        "datatype": "UINT8",
        "data": noise(3).tolist(),
    }
    body = json.dumps({"inputs": [tensor]})
    for content_type in (None, "application/json; charset=utf-8", "application/octet-stream"):
        headers = {"Content-Type": content_type} if content_type else {}
        response = http.post("/v2/models/colour/infer", content=body, headers=headers)
        assert response.status_code == 200


def test_pictures_of_any_size_and_mode_are_answered(http: httpx.Client) -> None:
    pictures = [
        encode(Image.new(mode, size, 1 if mode in ("1", "P") else None))
        for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
        for size in ((1, 1), (3, 700), (640, 480))
    ]
    pictures += [encode(Image.new("CMYK", (30, 20)), "JPEG"), encode(Image.new("L", (9, 9)), "BMP")]
    pictures += [encode(Image.new("RGBA", (9, 9)), "WEBP"), china_jpeg()]
    response = http.post("/v1/models/colour:predict", json=instances(*pictures))
    assert response.status_code == 200, response.text
    assert len(response.json()["predictions"]) == len(pictures)


def test_exif_orientation_is_honoured(http: httpx.Client) -> None:
    left_red = np.zeros((16, 16, 3), np.uint8)
    left_red[:, :8, 0] = 255
    upright = Image.fromarray(left_red)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise when shown
    stored = upright.transpose(Image.Transpose.ROTATE_90)
    files = [encode(stored, "PNG", exif=exif), encode(upright)]
    first, second = http.post("/v1/models/colour:predict", json=instances(*files)).json()[
        "predictions"
    ]
    assert first == second


def test_a_long_request_is_answered_in_its_order(http: httpx.Client) -> None:
    response = http.post(
        "/v1/models/colour:predict", json=instances(*(noise_png(seed) for seed in range(100)))
    )
    scores = [by_label(answer) for answer in response.json()["predictions"]]
    np.testing.assert_allclose(scores, expected_scores(100), atol=TOLERANCE)


def test_a_request_may_hold_more_pictures_than_the_queue(tmp_path: Path) -> None:
    publish_colour_model(tmp_path / "repository", "m")
    flags = ["--model_repository", str(tmp_path / "repository"), "--max_queue_size", "7"]
    body = instances(*[noise_png(seed % 10) for seed in range(600)])
    pixels = np.stack([noise(seed % 10) for seed in range(600)])
    tensor = {"name": "image", "shape": [600, 8, 8, 3], "datatype": "UINT8"}
    with (
        live_server(tmp_path / "log", *flags, "--precision", "fp32") as own,
        own.client() as client,
    ):
        answers = client.post("/v1/models/m:predict", json=body).json()["predictions"]
        request = {"inputs": [tensor | {"data": pixels.reshape(-1).tolist()}]}
        (output,) = client.post("/v2/models/m/infer", json=request).json()["outputs"]
    scores = [by_label(answer) for answer in answers]
    np.testing.assert_allclose(scores, colour_scores(pixels), atol=TOLERANCE)
    np.testing.assert_allclose(np.reshape(output["data"], (600, 3)), scores, atol=TOLERANCE)


def test_metadata_config_and_index(http: httpx.Client) -> None:
    assert http.get("/v2").json()["name"] == "aperture"
    metadata = http.get("/v2/models/colour").json()
    assert metadata["versions"] == ["1"]
    assert metadata["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, 8, 8, 3]}]
    assert metadata["outputs"] == [{"name": "scores", "datatype": "FP32", "shape": [-1, 3]}]
    parameters = http.get("/v2/models/colour/config").json()["parameters"]
    assert parameters["execution_provider"] == {"string_value": "cpu"}
    assert parameters["execution_precision"] == {"string_value": "fp32"}
    assert parameters["execution_reason"] == {"string_value": "precision fp32 was asked for"}
    row = {"name": "colour", "version": "1", "state": "READY"}
    assert http.post("/v2/repository/index").json() == [row]
    assert http.get("/v1/models").json() == {"models": ["colour"]}
    assert http.get("/v1/models/colour").json() == {"name": "colour", "ready": True}


@pytest.mark.parametrize("program", ["ask_v1", "ask_v2_rest", "ask_v2_grpc", "ask_easymaker"])
def test_the_examples_print_labels_best_first(
    server: LiveServer, png_files: list[Path], program: str
) -> None:
    address = {"ask_v1": server.url, "ask_v2_rest": f"127.0.0.1:{server.http_port}"}
    address["ask_easymaker"] = server.url
    arguments = [address.get(program, f"127.0.0.1:{server.grpc_port}"), "colour", str(png_files[3])]
    if program == "ask_easymaker":
        arguments[1:] = arguments[:0:-1]
    command = [sys.executable, "-W", "ignore", f"examples/{program}.py", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    scores = dict(line.split()[::-1] for line in done.stdout.splitlines())
    expected = colour_scores(noise(3)[None])[0]
    assert list(scores) == [LABELS[i] for i in np.argsort(-expected)]
    np.testing.assert_allclose([float(scores[x]) for x in LABELS], expected, atol=1e-5)


def test_classification_answers_the_best_classes_as_text(http: httpx.Client) -> None:
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [as_text(noise_png(3))]}
    asked = [{"name": "scores", "parameters": {"classification": 2}}]
    body = {"inputs": [tensor], "outputs": asked}
    (output,) = http.post("/v2/models/colour/infer", json=body).json()["outputs"]
    assert (output["datatype"], output["shape"]) == ("BYTES", [1, 2])
    scores = colour_scores(noise(3)[None])[0]
    for text, index in zip(output["data"], np.argsort(-scores)[:2], strict=True):
        score, number, label = text.split(":")
        assert (int(number), label) == (index, LABELS[index])
        assert abs(float(score) - scores[index]) < TOLERANCE
