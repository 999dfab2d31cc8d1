"""Real datasets on disk, and one tiny model trained and published once for the whole session."""

import contextlib
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from tests.trainer.kinds import KINDS, Kind
from tests.trainings import quick_trainings
from trainer.cli import run

LABELS = ("0", "1", "2", "3")
FAST = (
    *("--model", "resnet-tiny"),
    *("--input_size", "20"),
    *("--learning_rate", "0.02"),
)
REQUIRED = (
    "fit",
    *("--task", "image-classification"),
    *("--data", "nowhere"),
    *("--model_repository", "nowhere"),
    *("--name", "model"),
)


@dataclass(frozen=True, slots=True)
class Trained:
    """A run of `aperture-train fit` and where everything of it is."""

    data: Path
    repository: Path
    run_dir: Path
    name: str
    output: str


def write_digits(folder: Path, per_split: dict[str, int], labels: Iterable[int] = range(4)) -> Path:
    """Write scikit-learn's digits as FOLDER/SPLIT/LABEL/NNN.png, no picture twice."""
    digits = load_digits()
    for label in labels:
        images = iter(digits.images[digits.target == label])
        for split, count in per_split.items():
            target = folder / split / str(label)
            target.mkdir(parents=True)
            for index in range(count):
                pixels = (next(images) * (255 / 16)).astype(np.uint8)
                Image.fromarray(pixels).save(target / f"{index:03d}.png")
    return folder


def fit_flags(data: Path, repository: Path, name: str, *more: str) -> list[str]:
    """The command line of a fit whose run folder lies beside the repository."""
    return [
        "fit",
        *("--task", "image-classification"),
        *("--data", str(data)),
        *("--model_repository", str(repository)),
        *("--name", name),
        *("--output_dir", str(repository.parent / "runs" / name)),
        *more,
    ]


def aperture_train(*argv: str, environ: dict[str, str] | None = None) -> int:
    """Run `aperture-train` in this process."""
    return run(list(argv), environ or {})


def problems(stderr: str) -> list[str]:
    """The `error:` lines of a command."""
    return [
        line.removeprefix("error: ") for line in stderr.splitlines() if line.startswith("error: ")
    ]


@pytest.fixture(scope="session", autouse=True)
def _quick_trainings() -> Iterator[None]:
    with quick_trainings():
        yield


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """160 training, 48 validation and 48 test pictures of 8 x 8 pixels."""
    folder = tmp_path_factory.mktemp("digits")
    return write_digits(folder, {"train": 40, "validation": 12, "test": 12})


@pytest.fixture(scope="session")
def trained(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A tiny model, trained and published once."""

    repository = tmp_path_factory.mktemp("trained") / "repository"
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        code = aperture_train(*fit_flags(digits, repository, "digits", *FAST), environ={})
    assert code == 0
    return Trained(
        digits, repository, repository.parent / "runs" / "digits", "digits", output.getvalue()
    )


@pytest.fixture(params=KINDS, ids=lambda kind: kind.size)
def kind(request: pytest.FixtureRequest) -> Kind:
    """A small model of each kind in turn."""
    found = request.param
    assert isinstance(found, Kind)
    return found
