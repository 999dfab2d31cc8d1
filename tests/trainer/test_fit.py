"""`aperture-train fit`, from a dataset folder to a version in the repository."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-untyped]  # ships no types
    EventAccumulator,
)

from contract.labels import read_labels
from contract.model_config import read_model_config
from tests.trainer.conftest import (
    FAST,
    LABELS,
    Trained,
    aperture_train,
    fit_flags,
    problems,
    write_digits,
)
from trainer.checkpoints import is_whole

METRICS = ("accuracy", "precision", "recall", "f1")
ONE_EPOCH = (*FAST, "--num_train_epochs", "1")


def again(trained: Trained, *more: str) -> list[str]:
    """The command line that trained `trained`, or a variation of it."""
    return fit_flags(trained.data, trained.repository, trained.name, *FAST, *more)


def versions(trained: Trained) -> list[str]:
    model_dir = trained.repository / trained.name
    return sorted(path.name for path in model_dir.iterdir() if path.is_dir())


def test_fit_publishes_a_version_with_config_and_labels(trained: Trained) -> None:
    model_dir = trained.repository / trained.name
    config = read_model_config(model_dir)
    assert sorted(path.name for path in model_dir.iterdir()) == ["1", "config.pbtxt", "labels.txt"]
    files = sorted(path.name for path in (model_dir / "1").iterdir())
    assert files == ["config.pbtxt", "labels.txt", "model.onnx"]
    assert read_labels(model_dir / "labels.txt") == LABELS
    assert config.max_batch_size == 64
    assert [(spec.name, spec.datatype, spec.dims) for spec in config.inputs] == [
        ("image", "UINT8", (20, 20, 3))
    ]
    assert [(spec.name, spec.datatype, spec.dims) for spec in config.outputs] == [
        ("scores", "FP32", (4,))
    ]
    assert config.outputs[0].label_filename == "labels.txt"


def test_config_and_graph_carry_metrics_hash_and_version(trained: Trained) -> None:
    model_dir = trained.repository / trained.name
    parameters = {
        name: value
        for name, value in read_model_config(model_dir).parameters.items()
        if not name.startswith("metric_")  # measured of the graph, so not in it
    }
    splits = json.loads((trained.run_dir / "metrics.json").read_text())["splits"]
    record = json.loads((trained.run_dir / "run.json").read_text())
    assert set(parameters) == {
        *("task", "resize", "labels", "dataset_sha256", "trainer_version", "base_model"),
        *(f"{split}_{name}" for split in ("validation", "test") for name in METRICS),
    }
    assert all(
        float(parameters[f"{split}_{name}"]) == splits[split][name]
        for split in ("validation", "test")
        for name in METRICS
    )
    assert parameters["dataset_sha256"] == record["identity"]["dataset_sha256"]
    assert parameters["base_model"] == "resnet-tiny"
    graph = onnx.load(model_dir / "1" / "model.onnx")
    assert {entry.key: entry.value for entry in graph.metadata_props} == parameters


def test_tiny_model_learns_the_digits(trained: Trained) -> None:
    metrics = json.loads((trained.run_dir / "metrics.json").read_text())
    assert metrics["splits"]["test"]["accuracy"] > 0.6  # chance is 0.25


def test_metrics_of_each_epoch_are_in_file_and_tensorboard(trained: Trained) -> None:
    epochs = json.loads((trained.run_dir / "metrics.json").read_text())["epochs"]
    assert [row["epoch"] for row in epochs] == [1, 2, 3]
    events = EventAccumulator(str(trained.run_dir / "tensorboard")).Reload()
    for name in METRICS:
        logged = [event.value for event in events.Scalars(f"eval/{name}")]
        assert logged == pytest.approx([row[f"validation_{name}"] for row in epochs])
        assert len(events.Scalars(f"test/{name}")) == 1
    assert len(events.Scalars("train/loss")) == 3


def test_table_at_the_end_shows_validation_and_test(trained: Trained) -> None:
    header, _, validation, test, published = trained.output.splitlines()
    assert header.split() == [
        "|",
        "split",
        *(cell for name in METRICS for cell in ("|", name)),
        "|",
    ]
    assert validation.startswith("| validation")
    assert test.startswith("| test")
    assert published == f"published {trained.repository / trained.name / '1'}"


def test_each_epoch_leaves_a_whole_checkpoint(trained: Trained) -> None:
    folders = sorted(trained.run_dir.glob("checkpoint-*"))
    assert [folder.name for folder in folders] == [
        "checkpoint-10",
        "checkpoint-20",
        "checkpoint-30",
    ]
    assert all(is_whole(folder) for folder in folders)


def test_same_command_after_publishing_does_nothing_and_says_so(
    trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (trained.run_dir / "checkpoint-30").stat().st_mtime_ns
    assert aperture_train(*again(trained)) == 0
    output = capsys.readouterr()
    assert "was published by this run before; --restart trains anew" in output.out
    assert (trained.run_dir / "checkpoint-30").stat().st_mtime_ns == before
    assert versions(trained) == ["1"]


def test_same_folder_with_other_options_exits_2_and_names_them(
    trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    assert aperture_train(*again(trained, "--seed", "7", "--num_train_epochs", "5")) == 2
    assert problems(capsys.readouterr().err) == [
        f"num_train_epochs: the run in {trained.run_dir} has '3', this command has '5'",
        f"seed: the run in {trained.run_dir} has '42', this command has '7'",
        "give another --output_dir, or --restart to delete that run and train anew",
    ]


def test_same_folder_with_another_dataset_exits_2(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = Path(shutil.copytree(trained.data, tmp_path / "data"))
    (data / "train" / "0" / "000.png").unlink()
    flags = [str(data) if flag == str(trained.data) else flag for flag in again(trained)]
    assert aperture_train(*flags) == 2
    assert problems(capsys.readouterr().err)[0].startswith("dataset_sha256: the run in ")


def test_run_killed_before_publishing_publishes_without_training(
    trained: Trained, tmp_path: Path
) -> None:
    run_dir = Path(shutil.copytree(trained.run_dir, tmp_path / "run"))
    record = json.loads((run_dir / "run.json").read_text())
    record["published"] = None
    (run_dir / "run.json").write_text(json.dumps(record))
    (run_dir / "metrics.json").unlink()
    before = (run_dir / "checkpoint-30").stat().st_mtime_ns
    flags = fit_flags(trained.data, tmp_path / "repository", trained.name, *FAST)
    assert aperture_train(*flags, "--output_dir", str(run_dir)) == 0
    assert (run_dir / "checkpoint-30").stat().st_mtime_ns == before
    ours, theirs = (
        (folder / trained.name / "config.pbtxt").read_text()
        for folder in (tmp_path / "repository", trained.repository)
    )
    assert ours == theirs


def test_restart_trains_anew_and_publishes_the_next_version(digits: Path, tmp_path: Path) -> None:
    flags = fit_flags(digits, tmp_path / "repository", "digits", *ONE_EPOCH)
    assert aperture_train(*flags) == 0
    assert aperture_train(*flags, "--restart", "--seed", "7") == 0
    first, second = (
        (tmp_path / "repository" / "digits" / version / "model.onnx").read_bytes()
        for version in ("1", "2")
    )
    assert first != second
    assert not (tmp_path / "repository" / "digits" / "3").exists()


def test_random_weights_are_announced(
    digits: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="trainer")
    assert aperture_train(*fit_flags(digits, tmp_path / "repository", "digits", *ONE_EPOCH)) == 0
    assert "event=random_weights model=resnet-tiny" in caplog.text


def test_local_checkpoint_starts_from_its_weights_and_may_have_other_labels(
    trained: Trained, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="trainer")
    shutil.copytree(trained.data, tmp_path / "data")
    for split in ("train", "validation", "test"):
        shutil.rmtree(tmp_path / "data" / split / "3")
    model = ("--model", str(trained.run_dir / "checkpoint-30"))
    rate = ("--learning_rate", "0", "--augmentation", "none", "--weight_decay", "0")
    flags = fit_flags(tmp_path / "data", tmp_path / "repository", "three", *ONE_EPOCH)
    assert aperture_train(*flags, *model, *rate) == 0
    assert "random_weights" not in caplog.text
    assert read_labels(tmp_path / "repository" / "three" / "labels.txt") == LABELS[:3]


@pytest.mark.parametrize(
    ("flags", "answer"),
    [
        (("--model", "resnet-51"), "model: got 'resnet-51', expected one of resnet-tiny"),
        (("--model", "resnet-tiny", "--pretrained"), "pretrained: the hub has no weights"),
        (
            ("--precision", "fp16"),
            "precision: got 'fp16', but cpu at input_size 28 trains in fp32 or bf16",
        ),
    ],
)
def test_model_or_precision_that_cannot_be_had_exits_2(
    digits: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    flags: tuple[str, str],
    answer: str,
) -> None:
    assert aperture_train(*fit_flags(digits, tmp_path / "repository", "digits"), *flags) == 2
    assert problems(capsys.readouterr().err)[0].startswith(answer)


def test_hub_model_without_network_says_how_to_go_on(
    digits: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    flags = fit_flags(digits, tmp_path / "repository", "digits", "--pretrained")
    assert aperture_train(*flags) == 1
    (line,) = problems(capsys.readouterr().err)
    assert line.startswith("weights of microsoft/resnet-50 cannot be loaded: ")
    assert "--model DIR" in line


@pytest.mark.parametrize("train_pictures", [2, 17])
def test_any_number_of_pictures_trains(tmp_path: Path, train_pictures: int) -> None:
    """Batch normalisation of a 1 x 1 map fails on a lone last picture."""
    data = tmp_path / "data"
    random = np.random.default_rng(0)
    for split, count in {"train": train_pictures, "validation": 3}.items():
        for index in range(count):
            target = data / split / "ab"[index % 2]
            target.mkdir(parents=True, exist_ok=True)
            pixels = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(target / f"{index}.png")
    flags = (*ONE_EPOCH, "--input_size", "4")
    assert aperture_train(*fit_flags(data, tmp_path / "repository", "few", *flags)) == 0


def test_label_without_validation_pictures_is_warned_about(
    digits: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = Path(shutil.copytree(digits, tmp_path / "data"))
    shutil.rmtree(data / "validation" / "2")
    shutil.rmtree(data / "test")
    assert aperture_train(*fit_flags(data, tmp_path / "repository", "digits", *ONE_EPOCH)) == 0
    assert f"{data / 'validation' / '2'}: no picture of this label" in caplog.text
    parameters = read_model_config(tmp_path / "repository" / "digits").parameters
    assert "validation_accuracy" in parameters
    assert "test_accuracy" not in parameters


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_pure_defaults_learn_scikit_learns_digits(tmp_path: Path) -> None:
    """ResNet-50, learning rate 0.1, AdamW, three epochs: the README's number."""
    data = write_digits(tmp_path / "data", {"train": 140, "validation": 34}, labels=range(10))
    assert aperture_train(*fit_flags(data, tmp_path / "repository", "digits")) == 0
    metrics = json.loads((tmp_path / "runs" / "digits" / "metrics.json").read_text())
    assert metrics["splits"]["validation"]["accuracy"] > 0.7  # chance is 0.1
