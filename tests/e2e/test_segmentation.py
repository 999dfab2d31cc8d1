"""A served label map is the trainer's, on every pixel, over each protocol."""

import base64
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from contract.label_maps import resize_label_map
from contract.pictures import decode_picture
from contract.sessions import detect_machine
from tests.clients import run_client
from tests.e2e.random_models import publish_segmenter
from tests.live_server import LiveServer, live_server
from tests.picture_files import as_text, china_jpeg, instances
from tests.trainer.conftest import aperture_train
from tests.trainer.segmentation_folders import LABELS, write_blocks
from trainer.checkpoints import Checkpoint
from trainer.predictors import CheckpointPredictor

SIZE = 64
BF16_OTHER_PIXELS = 0.02


@dataclass(frozen=True, slots=True)
class Served:
    """A checkpoint of random weights, and its published version behind a running server."""

    data: Path
    checkpoint: Checkpoint
    repository: Path
    server: LiveServer

    def expected(self, *files: bytes) -> NDArray[np.uint8]:
        """The label maps [N, S, S] that the trainer's evaluation sees."""
        outputs = CheckpointPredictor(self.checkpoint).predict(files)
        return np.asarray(outputs["label_map"], np.uint8)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    repository = folder / "repository"
    checkpoint = publish_segmenter(repository, "blocks", "segformer-tiny", SIZE)
    flags = ("--model_repository", str(repository), "--precision", "fp32")
    with live_server(folder / "log", *flags) as server:
        yield Served(write_blocks(folder / "data"), checkpoint, repository, server)


@pytest.fixture
def http(served: Served) -> Iterator[httpx.Client]:
    with served.server.client() as client:
        yield client


@pytest.fixture(scope="module")
def files(served: Served) -> list[bytes]:
    """A photograph, and drawn pictures of another shape than the model's."""
    drawn = sorted((served.data / "test" / "images").iterdir())
    return [china_jpeg(), *(path.read_bytes() for path in drawn[:2])]


def test_v1_answers_rows_of_the_trainers_ids(
    served: Served, http: httpx.Client, files: list[bytes]
) -> None:
    response = http.post("/v1/models/blocks:predict", json=instances(*files))
    assert response.status_code == 200
    answer = response.json()
    assert set(answer) == {"predictions"}
    expected = served.expected(*files)
    assert len(np.unique(expected)) > 1
    assert answer["predictions"] == expected.tolist()


def test_easymakers_route_answers_the_same_body(
    served: Served, http: httpx.Client, files: list[bytes]
) -> None:
    response = http.post("/inference", json=instances(files[0]))
    assert response.json() == {"predictions": served.expected(files[0]).tolist()}


def test_v2_answers_the_trainers_label_maps(
    served: Served, http: httpx.Client, files: list[bytes]
) -> None:
    pixels = np.stack([decode_picture(file, SIZE, SIZE).pixels for file in files])
    image = {
        "name": "image",
        "datatype": "UINT8",
        "shape": list(pixels.shape),
        "data": pixels.ravel().tolist(),
    }
    response = http.post("/v2/models/blocks/infer", json={"inputs": [image]})
    outputs = {output["name"]: output for output in response.json()["outputs"]}
    label_map = outputs["label_map"]
    assert (label_map["datatype"], label_map["shape"]) == ("UINT8", [len(files), SIZE, SIZE])
    found = np.array(label_map["data"], np.uint8).reshape(label_map["shape"])
    np.testing.assert_array_equal(found, served.expected(*files))
    assert outputs["logits"]["shape"] == [len(files), len(LABELS), SIZE // 4, SIZE // 4]


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_tritonclient_gets_the_trainers_label_maps(
    served: Served, files: list[bytes], tmp_path: Path, protocol: str
) -> None:
    found = infer(served.server, files, tmp_path, protocol)
    np.testing.assert_array_equal(found, served.expected(*files))


def test_bf16_changes_few_pixels(served: Served, files: list[bytes], tmp_path: Path) -> None:
    if not {"amx_bf16", "avx512_bf16"} & detect_machine().cpu_flags:
        pytest.skip("the CPU has neither AMX nor AVX512-BF16")
    flags = ("--model_repository", str(served.repository), "--precision", "bf16")
    expected = served.expected(*files)
    with live_server(tmp_path / "log", *flags) as server, server.client() as http:
        by_v1 = http.post("/v1/models/blocks:predict", json=instances(*files)).json()
        by_v2 = [infer(server, files, tmp_path, protocol) for protocol in ("rest", "grpc")]
    for found in (np.array(by_v1["predictions"]), *by_v2):
        assert np.mean(found != expected) <= BF16_OTHER_PIXELS


def infer(
    server: LiveServer, files: list[bytes], folder: Path, protocol: str
) -> NDArray[np.integer]:
    """The label maps [N, S, S] that tritonclient gets for pictures, which it reads from `folder`."""
    paths = [folder / str(index) for index in range(len(files))]
    for path, file in zip(paths, files, strict=True):
        path.write_bytes(file)
    address = f"127.0.0.1:{server.http_port if protocol == 'rest' else server.grpc_port}"
    (label_maps,) = run_client(
        "triton", protocol, address, "blocks", "bytes", "label_map", *map(str, paths)
    )
    return np.array(label_maps)


def test_png_at_the_pictures_own_size_holds_the_ids(
    served: Served, http: httpx.Client, files: list[bytes]
) -> None:
    parameters = {"format": "png", "size": "original"}
    body = {"instances": [{"data": as_text(files[0])}], "parameters": parameters}
    (answer,) = http.post("/v1/models/blocks:predict", json=body).json()["predictions"]
    image = Image.open(io.BytesIO(base64.b64decode(answer["png"])))
    assert (image.size, image.mode) == ((640, 427), "P")
    expected = resize_label_map(served.expected(files[0])[0], 427, 640)
    np.testing.assert_array_equal(np.asarray(image), expected)


def test_accept_asks_for_a_png(served: Served, http: httpx.Client, files: list[bytes]) -> None:
    response = http.post(
        "/v1/models/blocks:predict", json=instances(files[1]), headers={"Accept": "image/png"}
    )
    assert response.headers["content-type"] == "image/png"
    found = np.asarray(Image.open(io.BytesIO(response.content)))
    np.testing.assert_array_equal(found, served.expected(files[1])[0])


def test_run_lengths_cover_every_pixel_once(
    served: Served, http: httpx.Client, files: list[bytes]
) -> None:
    body = {"instances": [{"data": as_text(files[0])}], "parameters": {"format": "rle"}}
    (answer,) = http.post("/v1/models/blocks:predict", json=body).json()["predictions"]
    decoded = np.full((SIZE, SIZE), 255, np.uint8)
    for entry in answer:
        assert entry["label"] == LABELS[entry["label_id"]]
        runs = entry["rle"]["counts"]
        flat = np.repeat(np.arange(len(runs)) % 2, runs).astype(bool)
        decoded[flat.reshape(SIZE, SIZE, order="F")] = entry["label_id"]
    np.testing.assert_array_equal(decoded, served.expected(files[0])[0])


def test_three_ways_to_evaluate_agree(served: Served, tmp_path: Path) -> None:
    found = []
    for source in (
        ("--checkpoint", str(served.checkpoint.folder)),
        ("--model_repository", str(served.repository), "--name", "blocks"),
        ("--url", served.server.url, "--name", "blocks", "--batch_size", "3"),
    ):
        argv = ("evaluate", "--task", "semantic-segmentation", "--data", str(served.data))
        output = tmp_path / "metrics.json"
        assert aperture_train(*argv, *source, "--output", str(output)) == 0
        found.append(json.loads(output.read_text()))
    assert found[0] == found[1] == found[2]
    assert 0 < found[0]["test"]["overall_accuracy"] < 1
