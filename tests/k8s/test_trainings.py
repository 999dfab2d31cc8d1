"""Trainings of k8s/ rehearsed to their published end, and the next version as docs/deploy.md has it.

Arguments, environment, mounts and the ConfigMap are those of the rendered manifests; the volumes are
folders of the test. Of the recipe only its length and the size of the data are less.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.k8s.document import next_version
from tests.k8s.pods import trainers_of
from tests.k8s.rendered import Manifest, kubectl, of_kind, rendered
from tests.trainer.sagemaker.containers import TINY, write_container
from tests.trainings import quick_trainings
from trainer.cli import run

pytestmark = kubectl
ML = "/opt/ml"
OF_ANOTHER_RUN = 2


@pytest.fixture(scope="module", autouse=True)
def _quick_trainings() -> Iterator[None]:
    with quick_trainings():
        yield


def variables(container: dict[str, Any]) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container["env"]}


def versions(model: Path) -> set[str]:
    return {path.parent.name for path in model.glob("*/model.onnx")}


def run_job(manifests: tuple[Manifest, ...], volumes: Path, learning_rate: str) -> int:
    """What the Job of base ends with, each volume being the folder of its mount."""
    (pod,) = trainers_of(manifests)
    args = [
        arg.replace("=/", f"={volumes}/", 1).replace("epochs=12", "epochs=1")
        for arg in pod.main["args"]
        if not arg.startswith("--learning_rate=")
    ]
    return run([*args, f"--learning_rate={learning_rate}"], variables(pod.main))


def test_the_job_publishes_and_the_next_one_publishes_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    volumes, model = tmp_path / "volumes", tmp_path / "volumes" / "models" / "shapes"
    sample = ["sample-data", "--task=image-classification", "--count=2"]
    assert run([*sample, f"{volumes}/data/shapes"], {}) == 0
    first = rendered("base")
    assert run_job(first, volumes, "0.01") == 0
    assert versions(model) == {"1"}
    assert run_job(first, volumes, "0.02") == OF_ANOTHER_RUN
    assert "give another --output_dir" in capsys.readouterr().err
    second = next_version(tmp_path, "base", "--output_dir")
    assert run_job(second, volumes, "0.02") == 0
    assert versions(model) == {"1", "2"}
    shutil.rmtree(model / "2")
    assert run_job(second, volumes, "0.02") == 0
    assert versions(model) == {"1", "2"}, "a version that was withdrawn is published again"


def run_sagemakers(manifests: tuple[Manifest, ...], volumes: Path, base: Path, epochs: int) -> int:
    """What overlays/sagemaker's Job ends with: /opt/ml is `base`, a mount a link into a volume."""
    (pod,) = trainers_of(manifests)
    (files,) = of_kind(manifests, "ConfigMap")
    config = volumes / "config"
    config.mkdir(exist_ok=True)
    for name, text in files["data"].items():
        told = json.loads(text)
        if name == "hyperparameters.json":
            told |= {"epochs": str(epochs)}
            told |= {key: TINY[key] for key in ("num_classes", "num_training_samples")}
        (config / name).write_text(json.dumps(told), encoding="utf-8")
    for mount in pod.main["volumeMounts"]:
        if mount["mountPath"].startswith(ML):
            place = volumes / mount["name"] / mount.get("subPath", "")
            place.mkdir(parents=True, exist_ok=True)
            link = base / Path(mount["mountPath"]).relative_to(ML)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(place)
    return run(pod.main["args"], {**variables(pod.main), "SAGEMAKER_BASE_DIR": str(base)})


def test_sagemakers_job_publishes_and_the_next_one_publishes_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    volumes, first = tmp_path / "volumes", rendered("overlays/sagemaker")
    volumes.mkdir()
    write_container(tmp_path / "drawn").data.rename(volumes / "data")
    runs = volumes / "runs" / "sagemaker" / "shapes"
    model = runs / "model" / "shapes"
    assert run_sagemakers(first, volumes, tmp_path / "first", 1) == 0
    assert versions(model) == {"1"}
    assert (runs / "output" / "success").is_file()
    assert run_sagemakers(first, volumes, tmp_path / "again", 2) == OF_ANOTHER_RUN
    assert "epochs" in capsys.readouterr().err
    patched = next_version(tmp_path, "overlays/sagemaker", "/opt/ml/checkpoints")
    assert run_sagemakers(patched, volumes, tmp_path / "second", 2) == 0
    assert versions(model) == {"1", "2"}
    assert (runs / "2" / "output" / "success").is_file()
    assert (runs / "output" / "failure").is_file()  # of the one that was refused
