"""A server with a model of each task: every route reaches the model that the request names."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import ThreeTasks
from tests.picture_files import china_jpeg, instances

MODELS = ("blocks", "boxes", "colour")


@pytest.fixture
def http(three_tasks: ThreeTasks) -> Iterator[httpx.Client]:
    with three_tasks.server.client() as client:
        yield client


def ask(http: httpx.Client, path: str, **headers: str) -> Any:
    response = http.post(path, json=instances(china_jpeg()), headers=headers)
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.parametrize("model", MODELS)
def test_v1_takes_a_slash_for_the_colon(http: httpx.Client, model: str) -> None:
    colon = ask(http, f"/v1/models/{model}:predict")
    assert colon["predictions"][0]
    assert ask(http, f"/v1/models/{model}/predict") == colon


@pytest.mark.parametrize("model", MODELS)
def test_inference_takes_the_model_from_the_query_or_the_header(
    http: httpx.Client, model: str
) -> None:
    expected = ask(http, f"/v1/models/{model}:predict")
    if model == "colour":
        (expected,) = expected["predictions"]
    assert ask(http, f"/inference?model={model}") == expected
    assert ask(http, "/inference", **{"Aperture-Model": model}) == expected


@pytest.mark.parametrize("model", ["blocks", "boxes"])
def test_easymakers_example_prints_what_is_answered(
    three_tasks: ThreeTasks, http: httpx.Client, tmp_path: Path, model: str
) -> None:
    picture = tmp_path / "china.jpg"
    picture.write_bytes(china_jpeg())
    arguments = (three_tasks.server.url, str(picture), model)
    command = [sys.executable, "examples/ask_easymaker.py", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    (prediction,) = ask(http, f"/inference?model={model}")["predictions"]
    expected = [
        " ".join(map(str, entry))
        if isinstance(entry, list)
        else " ".join(str(word) for label, box in entry.items() for word in (label, *box.values()))
        for entry in prediction
    ]
    assert done.stdout.splitlines() == expected


def test_query_wins_over_the_header(http: httpx.Client) -> None:
    answer = ask(http, "/inference?model=colour", **{"Aperture-Model": "boxes"})
    assert answer == ask(http, "/inference?model=colour")


@pytest.mark.parametrize("path", ["/inference", "/inference?model="])
def test_inference_that_chooses_no_model_is_told_which_there_are(
    http: httpx.Client, path: str
) -> None:
    response = http.post(path, json=instances(china_jpeg()))
    assert response.status_code == 400
    assert response.json()["error"] == (
        "this server has 3 models; choose one by ?model=NAME or the header Aperture-Model: "
        "blocks, boxes, colour"
    )


def test_inference_of_an_unknown_model_is_404(http: httpx.Client) -> None:
    for query, headers in (("?model=nope", {}), ("", {"Aperture-Model": "nope"})):
        response = http.post(f"/inference{query}", json=instances(china_jpeg()), headers=headers)
        assert response.status_code == 404
        assert "'nope'" in response.json()["error"]
