"""Which version of the colour classifier a live server has, by its answer."""

import numpy as np
import pytest

from tests.live_server import LiveServer
from tests.picture_files import instances, noise, noise_png
from tests.tiny_models import LABELS, colour_scores

FP32 = ["--provider", "cpu", "--precision", "fp32"]


def expect_scale(server: LiveServer, scale: float, name: str = "m") -> None:
    """The server answers as the version of that scale does."""
    with server.client() as http:
        answer = http.post(f"/v1/models/{name}:predict", json=instances(noise_png(1)))
    assert answer.status_code == 200, answer.text
    (labels,) = answer.json()["predictions"]
    scores = {entry["label"]: entry["score"] for entry in labels}
    expected = dict(zip(LABELS, colour_scores(noise(1)[np.newaxis], scale)[0], strict=True))
    assert scores == pytest.approx(expected, abs=1e-5)
