"""Programs written for KServe run here: every call of its REST and gRPC clients."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.clients import run_client
from tests.live_server import LiveServer
from tests.picture_files import noise
from tests.tiny_models import LABELS, colour_scores

TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def answers(server: LiveServer, png_files: list[Path]) -> dict[str, dict[str, Any]]:
    """What the calls of each client answered: of `v1`, `v2` and `grpc`."""
    address = f"127.0.0.1:{server.grpc_port}"
    found: dict[str, dict[str, Any]] = run_client(
        "kserve_all", server.url, address, "colour", *map(str, png_files)
    )
    return found


def expected_scores() -> np.ndarray[Any, np.dtype[np.float64]]:
    return colour_scores(np.stack([noise(seed) for seed in range(10)]))


def test_v1_predicts(answers: dict[str, dict[str, Any]]) -> None:
    predictions = answers["v1"]["predictions"]
    by_label = [{entry["label"]: entry["score"] for entry in answer} for answer in predictions]
    scores = [[answer[label] for label in LABELS] for answer in by_label]
    np.testing.assert_allclose(scores, expected_scores(), atol=TOLERANCE)


@pytest.mark.parametrize("client", ["v2", "grpc"])
def test_v2_infers_from_files_and_pixels_in_every_form(
    answers: dict[str, dict[str, Any]], client: str
) -> None:
    for identifier, model, scores in answers[client]["answers"]:
        assert (identifier, model) == ("r-1", "colour")
        np.testing.assert_allclose(scores, expected_scores(), atol=TOLERANCE)


def test_health(answers: dict[str, dict[str, Any]]) -> None:
    assert answers["v1"]["ready"] is True
    for client in ("v2", "grpc"):
        told = {key: answers[client][key] for key in ("live", "ready", "model_ready")}
        assert told == dict.fromkeys(told, True)


def test_errors_have_the_protocols_statuses(answers: dict[str, dict[str, Any]]) -> None:
    assert answers["v1"]["refused"] == ["404", "400", "405"]  # there is no explainer
    assert answers["v2"]["refused"] == ["404"]
    assert answers["grpc"]["refused"] == ["StatusCode.NOT_FOUND"]
