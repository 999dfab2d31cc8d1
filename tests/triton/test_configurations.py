"""What Triton takes as a config.pbtxt, and what it refuses, ours does."""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest

from contract.model_config import read_model_config
from tests.live_server import LiveServer, start_server, wait_for
from tests.triton.configurations import (
    ACCEPTED,
    CHANGED,
    FORGIVEN,
    NOT_SERVED,
    REFUSED,
    write_configurations,
)
from tests.triton.conftest import Pair
from tests.triton.reference import STRICT, killed, make_backends, start_triton
from tests.triton.trained import TRAINED
from trainer.sagemaker.artefacts import write_labels
from trainer.sagemaker.incremental import CHECKPOINT_FOLDER

NO_BACKEND = (
    "Invalid argument: unable to find backend library for backend 'onnxruntime', "
    "try specifying runtime on the model configuration."
)
IN_TRITONS_WORDS = (
    *("preferred_over_maximum", "preferred_zero", "preferred_negative", "policy_beyond"),
    *("default_priority_missing", "default_priority_beyond", "priorities_in_order"),
    "no_such_version",
)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What each server made of each model: its state and reason, by name.

    `refusals` are the words of Triton's log for those of which its index says nothing.
    """

    triton: Mapping[str, tuple[str, str]]
    ours: Mapping[str, tuple[str, str]]
    refusals: Mapping[str, str]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory, trained: Path) -> Loaded:
    folder = tmp_path_factory.mktemp("configurations")
    for name in ("triton", "ours"):
        shutil.copytree(trained, folder / name)
        add_artefacts(folder / name)
        write_configurations(folder / name)
    backends = make_backends(folder / "backends")
    with killed(start_triton(folder, folder / "triton", backends, *STRICT)) as server:
        triton = index(server)
        refusals = re.findall(
            r"(?:Poll failed for model directory|failed to load model) '(\w+)': (.*)\"",
            server.log.read_text(),
        )
    flags = ["--model_repository", str(folder / "ours"), "--strict_readiness=false"]
    flags += ["--provider=cpu", "--precision=fp32"]
    with killed(start_server(folder / "ours.log", *flags)) as server:
        wait_for(server, "/v2/models/warmed_up/ready")
        wait_for(server, "/v2/models/batching/ready")
        return Loaded(triton, index(server), dict(refusals))


def add_artefacts(repository: Path) -> None:
    """What `aperture-train train` leaves beside the models and in their versions."""
    write_labels(repository, ["cat", "dog"])
    for name in TRAINED:
        checkpoint = repository / name / "1" / CHECKPOINT_FOLDER
        checkpoint.mkdir()
        (checkpoint / "model.safetensors").write_bytes(b"weights")


def index(server: LiveServer) -> dict[str, tuple[str, str]]:
    rows = httpx.post(f"{server.url}/v2/repository/index", json={}).json()
    return {row["name"]: (row.get("state", ""), row.get("reason", "")) for row in rows}


@pytest.mark.parametrize("name", [*TRAINED, *ACCEPTED])
def test_both_take(loaded: Loaded, name: str) -> None:
    assert (loaded.triton[name], loaded.ours[name]) == (("READY", ""), ("READY", ""))


@pytest.mark.parametrize("name", [*REFUSED, *CHANGED])
def test_both_refuse(loaded: Loaded, name: str) -> None:
    assert loaded.triton.get(name, ("", ""))[0] != "READY"
    state, reason = loaded.ours[name]
    assert state == "UNAVAILABLE"
    assert reason
    if name in IN_TRITONS_WORDS:
        assert loaded.refusals[name] in reason


@pytest.mark.parametrize("name", NOT_SERVED)
def test_ours_alone_refuses_what_it_cannot_do(loaded: Loaded, name: str) -> None:
    assert loaded.triton[name] == ("READY", "")
    state, reason = loaded.ours[name]
    assert state == "UNAVAILABLE"
    assert reason


@pytest.mark.parametrize("name", FORGIVEN)
def test_triton_alone_refuses(loaded: Loaded, name: str) -> None:
    assert loaded.triton.get(name, ("", ""))[0] != "READY"
    assert loaded.ours[name] == ("READY", "")


def test_without_the_backend_the_trainers_files_fail_behind_the_parser(
    tmp_path: Path, trained: Path
) -> None:
    backends = make_backends(tmp_path / "backends", with_onnxruntime=False)
    with killed(start_triton(tmp_path, trained, backends, *STRICT)) as server:
        assert index(server) == dict.fromkeys(TRAINED, ("UNAVAILABLE", NO_BACKEND))


@pytest.mark.parametrize("name", TRAINED)
def test_a_trained_model_answers_the_same_numbers(pair: Pair, trained: Path, name: str) -> None:
    config = read_model_config(trained / name)
    rng = np.random.default_rng(0)
    inputs = []
    for spec in config.inputs:
        low, high = (0, 255) if spec.datatype == "UINT8" else (40, 64)
        numbers = rng.integers(low, high, (3, *spec.dims))
        shape = list(numbers.shape)
        entry = {"name": spec.name, "datatype": spec.datatype, "shape": shape}
        inputs.append({**entry, "data": numbers.ravel().tolist()})
    answers = []
    for server in (pair.triton, pair.ours):
        response = httpx.post(f"{server.url}/v2/models/{name}/infer", json={"inputs": inputs})
        assert response.status_code == 200, response.text
        answers.append({entry["name"]: entry for entry in response.json()["outputs"]})
    theirs, ours = answers
    assert theirs.keys() == ours.keys() == {spec.name for spec in config.outputs}
    for output, entry in theirs.items():
        got = ours[output]
        assert (entry["datatype"], entry["shape"]) == (got["datatype"], got["shape"])
        np.testing.assert_allclose(got["data"], entry["data"], rtol=1e-4, atol=1e-5)
