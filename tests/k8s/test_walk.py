"""The walk of docs/deploy.md after its `kubectl apply`: its training, and its answers by curl and grpcurl.

Arguments are those of overlays/one-node, volumes are folders, and a server's own ports stand for the
forwarded ones. Of the outputs the scores are another machine's; all else is as the document says.
"""

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from server.protocol import oip_pb2
from tests.k8s.document import Step, steps
from tests.k8s.pods import MODELS, predictors_of, trainers_of
from tests.k8s.rendered import TOOLS, kubectl, rendered
from tests.live_server import LiveServer, live_server
from tests.trainings import quick_trainings
from trainer.cli import run

OVERLAY = "overlays/one-node"
TRAINING, QUESTIONS = "4. The training", "5. Ask it."
OF_THIS_MACHINE = ("--http_port=", "--grpc_port=", "--shutdown_delay=")
GOOD = 0.9
TOLERANCE = 1e-6

# Without one of them only its own questions are left out.
MISSING = [name for name in ("curl", "grpcurl") if shutil.which(name, path=TOOLS) is None]

pytestmark = kubectl
curl = pytest.mark.skipif("curl" in MISSING, reason="curl is not installed")
grpcurl = pytest.mark.skipif(
    "grpcurl" in MISSING, reason="grpcurl is not installed; `make grpcurl` gets one"
)


@dataclass(frozen=True, slots=True)
class Trained:
    """What the Job left on its volumes, and what it printed."""

    volumes: Path
    printed: str


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The containers of the Job, one after the other."""
    volumes = tmp_path_factory.mktemp("volumes")
    (pod,) = trainers_of(rendered(OVERLAY))
    printed = io.StringIO()
    with quick_trainings(), contextlib.redirect_stdout(printed):
        for container in pod.containers():
            args = [re.sub("^(--[a-z_]+=)?/", rf"\1{volumes}/", arg) for arg in container["args"]]
            assert run(args, {}) == 0
    return Trained(volumes, printed.getvalue().replace(str(volumes), ""))


@pytest.fixture(scope="module")
def server(trained: Trained) -> Iterator[LiveServer]:
    """A server with the arguments of the predictor's pod."""
    (pod,) = predictors_of(rendered(OVERLAY))
    args = [arg for arg in pod.main["args"] if not arg.startswith(OF_THIS_MACHINE)]
    flags = [arg.replace(MODELS, f"{trained.volumes}/models/shapes") for arg in args]
    with live_server(trained.volumes / "log", *flags) as running:
        yield running


@pytest.fixture(scope="module")
def answers(server: LiveServer, trained: Trained) -> list[tuple[Step, str]]:
    """The document's questions, without those that cannot be asked here, each with what it printed."""
    passed_over = tuple(f"{program} " for program in ("kubectl", *MISSING))
    asked = [step for step in steps(QUESTIONS) if not step.command.startswith(passed_over)]
    script = "\nprintf '\\0'\n".join(step.command for step in asked)
    for ours, port in (("8080", server.http_port), ("8081", server.grpc_port)):
        assert any(f"localhost:{ours}" in step.command for step in steps(QUESTIONS))
        script = script.replace(f"localhost:{ours}", f"127.0.0.1:{port}")
    done = subprocess.run(
        ["bash", "-euc", script],
        env={**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent), TOOLS])},
        cwd=trained.volumes,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return list(zip(asked, done.stdout.split("\0"), strict=True))


def test_the_training_prints_its_table_and_where_it_published(trained: Trained) -> None:
    (step,) = [step for step in steps(TRAINING) if "| tail -5" in step.command]
    last = "".join(trained.printed.splitlines(keepends=True)[-5:])
    score = r"\d\.\d{4}"
    assert re.sub(score, "score", last) == re.sub(score, "score", step.output)
    assert min(map(float, re.findall(score, last))) > GOOD


def test_the_pictures_are_drawn_as_the_document_says(answers: list[tuple[Step, str]]) -> None:
    said, got = _of("aperture-train ", answers)
    assert got == said


@curl
def test_curl_gets_the_answer(answers: list[tuple[Step, str]]) -> None:
    said, got = (json.loads(text)["predictions"] for text in _of("curl ", answers))
    assert _labels(got) == _labels(said)
    scores = [entry["score"] for entry in got[0]]
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(1)
    assert got[0][0]["label"] == said[0][0]["label"]
    assert scores[0] > GOOD


@curl
@grpcurl
def test_grpcurl_gets_the_same_answer(answers: list[tuple[Step, str]]) -> None:
    said, got = _of("grpcurl ", answers)
    assert [line.partition(":")[0] for line in got.splitlines() if ":" in line] == [
        line.partition(":")[0] for line in said.splitlines() if ":" in line
    ], "the fields are named as the document has them"
    theirs, ours = (json_format.Parse(text, oip_pb2.ModelInferResponse()) for text in (said, got))
    (raw,) = ours.raw_output_contents
    score, index, label = raw[4:].decode().split(":")
    ((best, *_),) = json.loads(_of("curl ", answers)[1])["predictions"]
    assert label == best["label"]
    assert float(score) == pytest.approx(best["score"], abs=TOLERANCE)
    (raw,) = theirs.raw_output_contents
    assert raw[4:].decode().split(":")[1:] == [index, label]
    for one in (theirs, ours):
        one.ClearField("raw_output_contents")
    assert ours == theirs


def test_the_raw_answer_is_decoded_as_the_document_says(answers: list[tuple[Step, str]]) -> None:
    said, got = _of("echo ", answers)
    assert f"{got}\n" == said
    (raw,) = json.loads(_said("grpcurl "))["rawOutputContents"]
    assert f"echo {raw} | base64 -d" in "".join(step.command for step, _ in answers)


def test_the_answers_of_the_document_are_of_one_model() -> None:
    ((best, *_),) = json.loads(_said("curl "))["predictions"]
    assert _said("echo ").startswith(f"{best['score']:.6f}:")


def _said(program: str) -> str:
    """What the document says that a program prints."""
    (output,) = [step.output for step in steps(QUESTIONS) if step.command.startswith(program)]
    return output


def _of(program: str, answers: list[tuple[Step, str]]) -> tuple[str, str]:
    """That, and what it printed."""
    (got,) = [got for step, got in answers if step.command.startswith(program)]
    return _said(program), got


def _labels(predictions: list[list[dict[str, Any]]]) -> list[set[str]]:
    return [{entry["label"] for entry in one} for one in predictions]
