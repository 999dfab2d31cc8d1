"""`aperture-train train` from the container's folders to the model's, and every way to fail."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from contract.labels import read_labels
from contract.model_config import read_model_config
from contract.repository import list_model_dirs, list_versions
from tests.live_server import live_server, wait_until
from tests.trainer.sagemaker.containers import (
    ALGORITHM,
    CHANNELS,
    CLASSES,
    failure,
    name_classes,
    train,
    write_channels,
    write_container,
)
from trainer.checkpoints import MANIFEST, newest_whole
from trainer.cli import run
from trainer.sagemaker.archive import unpack_archive
from trainer.sagemaker.folders import Folders

ARCHIVE = "model.tar.gz"
STOPPED = 143


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """A container whose job is done, and its archive."""
    folders = write_container(tmp_path_factory.mktemp("done"))
    assert train(folders, "--archive", str(folders.base / ARCHIVE)) == 0
    return folders


def container(base: Path, former: Folders | None = None, **hyperparameters: str) -> Folders:
    """A container, with a former job's archive in the model channel."""
    folders = write_container(base, **hyperparameters)
    if former is not None:
        (folders.data / "model").mkdir()
        (folders.data / "model" / ARCHIVE).symlink_to(former.base / ARCHIVE)
        (folders.config / "inputdataconfig.json").unlink()  # the folders are the channels
    return folders


def learnt(checkpoint: Path) -> dict[str, torch.Tensor]:
    """What gradients alone change."""
    weights = load_file(checkpoint / "model.safetensors")
    return {
        name: value
        for name, value in weights.items()
        if "running" not in name and "num_batches" not in name
    }


def test_the_model_folder_is_a_repository_with_a_checkpoint(done: Folders) -> None:
    (model_dir,) = list_model_dirs(done.model)
    assert model_dir.name == read_model_config(model_dir).name == "model"
    assert list_versions(model_dir) == [1]
    assert read_model_config(model_dir).inputs[0].dims == (16, 16, 3)
    checkpoint = newest_whole(done.checkpoints)
    assert checkpoint is not None
    for name in ("config.json", "model.safetensors"):
        published = model_dir / "1" / "checkpoint" / name
        assert published.read_bytes() == (checkpoint / name).read_bytes()


def test_the_classes_are_in_the_files_that_sagemakers_users_read(done: Folders) -> None:
    labels = list(read_labels(done.model / "model" / "labels.txt"))
    assert labels == [str(index) for index in range(CLASSES)]
    info = json.loads((done.model / "labels_info.json").read_text(encoding="utf-8"))
    assert info == {"labels": labels}
    by_name = done.model / "class_label_to_prediction_index.json"
    assert json.loads(by_name.read_text(encoding="utf-8")) == {
        label: index for index, label in enumerate(labels)
    }


def test_metrics_events_and_success_are_in_the_output(done: Folders) -> None:
    metrics = json.loads((done.output_data / "metrics.json").read_text(encoding="utf-8"))
    assert len(metrics["epochs"]) == 1
    config = read_model_config(done.model / "model")
    accuracy = float(config.parameters["validation_accuracy"])
    assert metrics["splits"]["validation"]["accuracy"] == accuracy
    assert list(done.tensorboard.glob("events.*"))
    assert done.success.is_file()
    assert not done.failure.exists()


def test_the_archive_holds_what_the_model_folder_does(done: Folders, tmp_path: Path) -> None:
    unpack_archive(done.base / ARCHIVE, tmp_path / "unpacked")
    for path in done.model.rglob("*"):
        if path.is_file():
            unpacked = tmp_path / "unpacked" / path.relative_to(done.model)
            assert unpacked.read_bytes() == path.read_bytes()


def test_the_archive_serves(done: Folders, tmp_path: Path) -> None:
    unpack_archive(done.base / ARCHIVE, tmp_path / "model")
    picture = next((done.data / "train").rglob("*.png"))
    flags = ("--model_repository", str(tmp_path / "model"))
    with live_server(tmp_path / "log", *flags) as server, server.client() as client:
        answer = client.post(
            "/invocations",
            content=picture.read_bytes(),
            headers={"Content-Type": "application/x-image"},
        )
    assert answer.status_code == 200, answer.text
    assert sum(answer.json()) == pytest.approx(1, abs=1e-5)
    assert len(answer.json()) == CLASSES


def test_a_job_that_is_done_is_not_done_again(
    done: Folders, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(done) == 0
    assert "was published by this run before" in capsys.readouterr().out
    assert list_versions(done.model / "model") == [1]


def test_a_spot_machine_that_lost_the_model_publishes_it_anew(
    done: Folders, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folders = write_container(tmp_path)
    done.checkpoints.rename(folders.checkpoints)
    try:
        assert train(folders) == 0
    finally:
        folders.checkpoints.rename(done.checkpoints)
    assert not [record for record in caplog.records if "event=train" in record.message]
    ours, theirs = (one.model / "model" / "1" / "model.onnx" for one in (folders, done))
    assert ours.read_bytes() == theirs.read_bytes()


def test_another_job_does_not_go_on_with_the_checkpoints(
    done: Folders, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(done, "--learning_rate", "0.02") == 2
    assert "learning_rate" in capsys.readouterr().err
    advice = (
        "ClientError: give the job a checkpoint folder of its own, or APERTURE_RESTART=true to "
    )
    assert failure(done).startswith(advice)
    assert train(done) == 0  # nothing of the former was touched


@pytest.mark.parametrize("names", ["the same", "others"])
def test_a_former_jobs_model_is_where_the_next_begins(
    done: Folders, tmp_path: Path, names: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its head, too, whatever the classes are called; ImageNet's weights are no matter."""
    folders = container(tmp_path, done, learning_rate="0", use_pretrained_model="1")
    if names == "others":
        name_classes(folders)
    assert train(folders) == 0
    assert "use_pretrained_model: the model channel's weights go before" in caplog.text
    first, second = (one.model / "model" / "1" / "checkpoint" for one in (done, folders))
    former, weights = learnt(first), learnt(second)
    assert former.keys() == weights.keys()
    assert all(torch.equal(weights[name], former[name]) for name in former)
    parameters = read_model_config(folders.model / "model").parameters
    assert parameters["base_model"] == "resnet-cifar-20"  # no path of the unpacked archive
    assert train(folders) == 0  # started again, it is the same run
    assert list_versions(folders.model / "model") == [1]


@pytest.mark.parametrize("multi_label", ["0", "1"])
def test_a_classifier_that_is_trained_further_with_other_labels_is_told(
    done: Folders,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    multi_label: str,
) -> None:
    def untrained(*_: object) -> None:
        """No training: what is asked of it is not of interest."""

    monkeypatch.setattr("trainer.sagemaker.job.fit", untrained)
    assert train(container(tmp_path, done, multi_label=multi_label)) == 0
    told = "multi_label: the model in the model channel has 0, this job wants 1; all of its weights"
    assert (told in caplog.text) == (multi_label == "1")


@pytest.mark.parametrize(
    ("name", "found", "wanted"),
    [
        ("num_layers", "20", "32"),
        ("image_shape", "3,16,16", "3,16,12"),
        ("num_classes", "3", "4"),
    ],
)
def test_a_model_of_another_architecture_is_refused_by_what_differs(
    done: Folders,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    *,
    name: str,
    found: str,
    wanted: str,
) -> None:
    folders = container(tmp_path, done, **{name: wanted})
    assert train(folders) == 2
    said = f"{name}: the model in the model channel has {found!r}, this job wants {wanted!r}"
    assert said in capsys.readouterr().err
    assert said in failure(folders)
    assert not folders.checkpoints.exists()


@pytest.mark.parametrize("holds", ["nothing", "several archives", "weights of another program"])
def test_a_model_channel_without_a_model_of_ours_is_refused(tmp_path: Path, holds: str) -> None:
    folders = container(tmp_path)
    channel = folders.data / "model"
    channel.mkdir()
    write_channels(folders, {name: {} for name in (*CHANNELS, "model")})
    if holds == "several archives":
        (channel / "a.tar.gz").touch()
        (channel / "b.tar.gz").touch()
    elif holds == "weights of another program":
        (channel / "image-classification-0001.params").touch()
    assert train(folders) == 2
    assert failure(folders).startswith(f"ClientError: channel model: {channel} holds ")
    assert "NAME/VERSION/checkpoint" in failure(folders)


def test_an_archive_may_be_called_tgz_and_others_are_named(
    done: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = container(tmp_path, done, num_layers="32")  # refused by what is in the archive
    archive = folders.data / "model" / ARCHIVE
    archive = archive.rename(archive.with_name("model.tgz"))
    assert train(folders) == 2
    assert "num_layers: the model in the model channel has '20'" in capsys.readouterr().err
    archive.rename(archive.with_name("model.zip"))
    assert train(folders) == 2
    assert "holds no checkpoint, but model.zip; expected" in failure(folders)


@pytest.mark.parametrize("damage", ["cut short", "missing", "pickled"])
def test_a_damaged_model_is_to_be_copied_again(done: Folders, tmp_path: Path, damage: str) -> None:
    folders = container(tmp_path)
    (folders.config / "inputdataconfig.json").unlink()
    shutil.copytree(done.model, folders.data / "model")
    model_dir = folders.data / "model" / "model"
    newest = model_dir / str(max(list_versions(model_dir)))
    weights = newest / "checkpoint" / "model.safetensors"
    if damage == "cut short":
        weights.write_bytes(weights.read_bytes()[:2000])
    else:
        torch.save(load_file(weights), weights.with_name("pytorch_model.bin"))
        weights.unlink()
    if damage == "missing":
        weights.with_name("pytorch_model.bin").unlink()
    assert train(folders) == (1 if damage == "cut short" else 2)
    assert str(weights.parent) in failure(folders)
    assert "damaged; " in failure(folders)
    assert "hub" not in failure(folders)


def test_bad_hyperparameters_end_before_torch_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = write_container(tmp_path, learning_rate="1.5", num_layer="18")
    assert train(folders) == 2
    lines = capsys.readouterr().err.splitlines()
    assert "error: num_layer: unknown option; did you mean num_layers?" in lines
    assert any(line.startswith("error: learning_rate: got '1.5', expected") for line in lines)
    assert failure(folders).startswith("ClientError: ")
    assert not folders.model.exists()


def test_a_base_folder_may_be_a_url_of_this_machine(tmp_path: Path) -> None:
    folders = write_container(tmp_path, num_layer="18")
    environ = {**ALGORITHM, "SAGEMAKER_BASE_DIR": folders.base.resolve().as_uri()}
    assert run(["train"], environ) == 2
    assert failure(folders).startswith("ClientError: num_layer: unknown option; ")


def test_a_single_picture_is_too_few_to_train_with(tmp_path: Path) -> None:
    folders = write_container(tmp_path)
    listed = folders.data / "train_lst" / "files.lst"
    listed.write_text(listed.read_text().splitlines()[0] + "\n")
    assert train(folders) == 1
    said = f"{folders.data / 'train'}: holds 1 usable picture, expected at least 2"
    assert failure(folders) == f"ClientError: {said}"


@pytest.mark.parametrize("place", ["file/model.tar.gz", "folder", "model/shapes/model.tar.gz"])
def test_an_archive_that_cannot_be_written_is_refused_before_the_training(
    tmp_path: Path, place: str
) -> None:
    """Nor may one lie in the model's folder, which the next one would hold with it."""
    folders = write_container(tmp_path)
    (tmp_path / "file").touch()  # in which no user can make a file, be it root
    (tmp_path / "folder").mkdir()
    assert train(folders, "--archive", str(tmp_path / place)) == 2
    assert failure(folders).startswith(f"ClientError: archive: got {tmp_path / place}, ")
    assert not folders.checkpoints.exists()


def test_an_output_that_cannot_be_written_is_refused_before_the_training(tmp_path: Path) -> None:
    folders = write_container(tmp_path)
    folders.output_data.parent.mkdir()
    folders.output_data.touch()
    assert train(folders) == 1
    assert failure(folders).startswith(f"ClientError: cannot write to {folders.output_data}: ")
    assert not folders.checkpoints.exists()


def test_checkpoints_that_cannot_be_written_are_refused_before_the_channels_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = write_container(tmp_path)
    folders.checkpoints.symlink_to("/sys")  # in which no user can make a file, be it root
    shutil.rmtree(folders.data / "train")
    (folders.data / "train").mkdir()
    assert train(folders) == 2
    said = f"{folders.checkpoints} cannot be written as uid {os.getuid()}: "
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert line.startswith(f"error: {said}")
    assert failure(folders).startswith(f"ClientError: {said}")
    assert failure(folders).endswith("or give another checkpoint folder")


FILM = {"ContentType": "video/mp4"}
PIPE = {"ContentType": "application/x-recordio", "TrainingInputMode": "Pipe"}


@pytest.mark.parametrize(
    ("channels", "said"),
    [
        ({name: {} for name in CHANNELS if name != "validation"}, "channel 'validation' is miss"),
        ({}, "channel 'train' is missing; got the channels none"),
        (dict.fromkeys(CHANNELS, FILM), "channel train: got the content type 'video/mp4', exp"),
        ({"train": PIPE, "validation": PIPE}, "channel train: {data}/train_0 is missing; a chan"),
    ],
)
def test_channels_that_the_job_does_not_define_as_they_are_read_end_with_2(
    tmp_path: Path, channels: dict[str, dict[str, str]], said: str
) -> None:
    """The status by which a Job of Kubernetes is not tried again."""
    folders = write_container(tmp_path)
    write_channels(folders, channels)
    assert train(folders) == 2
    assert failure(folders).startswith(f"ClientError: {said.format(data=folders.data)}")


def test_an_interface_that_the_host_has_not_is_refused_before_anything_waits(
    tmp_path: Path,
) -> None:
    folders = write_container(tmp_path)
    resources = {
        "current_host": "algo-2",
        "hosts": ["algo-1", "algo-2"],
        "network_interface_name": "nowhere0",
    }
    (folders.config / "resourceconfig.json").write_text(json.dumps(resources), encoding="utf-8")
    assert train(folders) == 2
    assert failure(folders).startswith(
        "ClientError: network_interface_name: got 'nowhere0', expected one of those that host "
        "algo-2 has, lo"
    )


def test_data_that_are_bad_inside_end_with_1(tmp_path: Path) -> None:
    folders = write_container(tmp_path)
    (folders.data / "train_lst" / "files.lst").write_text("0 0 0/0.png\n", encoding="utf-8")
    assert train(folders) == 1
    assert failure(folders).startswith(f"ClientError: {folders.data}/train_lst/files.lst line 1: ")


@pytest.mark.parametrize(
    ("algorithm", "slip", "meant"),
    [
        ("image-classification", "Validation", "validation"),
        ("image-classification", "models", "model"),
        ("semantic-segmentation", "label_maps", "label_map"),
        ("object-detection", "validations", "validation"),
    ],
)
def test_a_channel_whose_name_is_a_slip_is_refused(
    tmp_path: Path, algorithm: str, slip: str, meant: str
) -> None:
    folders = Folders(tmp_path)
    for name in ("train", slip):
        (folders.data / name).mkdir(parents=True)
    given = {
        name: "3" for name in ("num_classes", "num_training_samples") if "object" not in algorithm
    }
    folders.config.mkdir()
    (folders.config / "hyperparameters.json").write_text(json.dumps(given), encoding="utf-8")
    assert train(folders, f"--algorithm={algorithm}", "--use_pretrained_model=0") == 2
    (line,) = folders.failure.read_text(encoding="utf-8").splitlines()
    said = f"ClientError: channel {slip}: {algorithm} does not read it; expected one of train"
    assert line.startswith(said)
    assert line.endswith(f", model; did you mean {meant}?")


@pytest.mark.parametrize("name", ["holdout", "evaluation", "test_annotation"])
def test_a_channel_of_another_name_is_named_in_the_log(
    done: Folders, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    (done.data / name).mkdir()
    write_channels(done, {one: {} for one in (*CHANNELS, name)})
    try:
        assert train(done) == 0
    finally:
        write_channels(done, {one: {} for one in CHANNELS})
    said = f"channels that image-classification does not read: {name}; it reads train, validation"
    assert caplog.text.count(said) == 1


@pytest.mark.parametrize("algorithm", ["", "xgboost"])
def test_an_algorithm_must_be_one_of_three(tmp_path: Path, algorithm: str) -> None:
    folders = write_container(tmp_path)
    assert train(folders, f"--algorithm={algorithm}") == 2
    assert failure(folders).startswith(f"ClientError: algorithm: got '{algorithm}', expected image")


def test_a_stopped_job_leaves_a_checkpoint_and_the_next_one_goes_on(tmp_path: Path) -> None:
    folders = write_container(tmp_path, epochs="12")
    command = [sys.executable, "-m", "trainer", "train"]
    variables = {**ALGORITHM, "SAGEMAKER_BASE_DIR": str(folders.base), "OMP_NUM_THREADS": "1"}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, env={**os.environ, **variables}, stdout=log, stderr=log)
    try:
        wait_until(lambda: any(folders.checkpoints.glob(f"checkpoint-*/{MANIFEST}")), 120)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=120) == STOPPED, (tmp_path / "log").read_text()
    finally:
        process.kill()
        process.wait()
    assert failure(folders).startswith("Stopped: asked to end; the same job goes on")
    assert not folders.success.exists()
    stopped_at = newest_whole(folders.checkpoints)
    assert stopped_at is not None
    state = json.loads((stopped_at / "trainer_state.json").read_text(encoding="utf-8"))
    assert 0 < state["global_step"] < state["max_steps"]
    assert train(folders) == 0
    assert not folders.failure.exists()
    metrics = json.loads((folders.output_data / "metrics.json").read_text(encoding="utf-8"))
    assert len(metrics["epochs"]) == 12


def test_checkpoints_of_another_program_are_left_alone(tmp_path: Path) -> None:
    folders = write_container(tmp_path)
    (folders.checkpoints / "checkpoint-7").mkdir(parents=True)
    assert train(folders) == 1
    assert "holds checkpoint-N folders, but no run.json" in failure(folders)
