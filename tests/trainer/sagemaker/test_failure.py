"""output/failure and output/success: what a job leaves of its end."""

import errno
from pathlib import Path

import pytest

from contract.errors import (
    BucketError,
    ConfigError,
    OptionsError,
    ProviderError,
    RepositoryError,
)
from contract.options import build, given_environment
from trainer.cli import SETTING_PREFIX
from trainer.errors import (
    BadImages,
    DatasetError,
    Diverged,
    JobConflict,
    RunBusy,
    TrainerError,
    listed,
)
from trainer.sagemaker.failure import SHOWN, first_line, outcome
from trainer.sagemaker.folders import Folders
from trainer.sagemaker.settings import TrainSettings


def failure_of(base: Path, err: Exception) -> str:
    """What a job that ends with an error leaves."""
    with pytest.raises(type(err)), outcome(Folders(base)):
        raise err
    assert not Folders(base).success.exists()
    return Folders(base).failure.read_text(encoding="utf-8")


def test_bad_words_are_the_clients_and_all_of_them_are_said(tmp_path: Path) -> None:
    text = failure_of(tmp_path, OptionsError(["epochs: got 0", "momentum: got 2"]))
    assert text.splitlines() == [
        "ClientError: epochs: got 0; momentum: got 2",
        "epochs: got 0",
        "momentum: got 2",
    ]


def test_a_job_that_succeeds_leaves_no_failure_of_another(tmp_path: Path) -> None:
    with outcome(Folders(tmp_path)):
        failure_of(tmp_path, RunBusy(tmp_path))
    assert Folders(tmp_path).success.exists()
    assert not Folders(tmp_path).failure.exists()


def test_the_first_line_of_bad_pictures_says_what_to_do(tmp_path: Path) -> None:
    bad = [f"/opt/ml/input/data/train/{number:04}.jpg: broken" for number in range(60)]
    first, *rest = failure_of(tmp_path, BadImages(bad, None)).splitlines()
    assert first.startswith("ClientError: 60 bad files; remove or replace them")
    assert len(first) == SHOWN
    assert bad[49] in rest


def test_faults_of_a_dataset_stand_in_their_own_order(tmp_path: Path) -> None:
    faults = listed([f"train.lst line {number}: no label" for number in range(1, 81)])
    first, *rest = failure_of(tmp_path, DatasetError(*faults)).splitlines()
    assert first.startswith("ClientError: train.lst line 1: no label; train.lst line 2: no label;")
    assert rest == faults
    assert rest[-1] == "and 30 more"


def test_what_is_not_the_clients_is_the_algorithms(tmp_path: Path) -> None:
    assert failure_of(tmp_path, TrainerError("x")) == "AlgorithmError: x\n"
    assert failure_of(tmp_path, ProviderError("none")) == "AlgorithmError: none\n"
    assert failure_of(tmp_path, OSError(errno.EIO, "no disk")).startswith("AlgorithmError: OSError")


@pytest.mark.parametrize(
    ("err", "said"),
    [
        (BucketError("read", "s3://shop/a.jpg", "no credentials"), "cannot read s3://shop/a.jpg"),
        (RepositoryError("cannot write to /opt/ml/model"), "cannot write to /opt/ml/model"),
        (ConfigError(Path("labels.txt"), "an empty label"), "labels.txt: an empty label"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), "PermissionError: "),
        (OSError(errno.ENOSPC, "No space left on device"), "OSError: "),
        (RunBusy(Path("/opt/ml/checkpoints")), "/opt/ml/checkpoints: another process"),
        (Diverged(0.5), "the training diverged"),
    ],
)
def test_what_the_owner_can_put_right_is_the_clients(
    tmp_path: Path, err: Exception, said: str
) -> None:
    assert failure_of(tmp_path, err).startswith(f"ClientError: {said}")


def test_a_jobs_own_words_stand_for_flags(tmp_path: Path) -> None:
    """SageMaker passes none: a job has hyperparameters and variables."""
    text = failure_of(tmp_path, Diverged(0.5))
    assert "lower learning_rate (it is 0.5) and train anew with APERTURE_RESTART=true" in text
    conflict = failure_of(tmp_path, JobConflict(["epochs: 1, not 2"]))
    assert "a checkpoint folder of its own, or APERTURE_RESTART=true to delete" in conflict
    bad = failure_of(tmp_path, BadImages(["a.jpg: broken"], None))
    assert "or skip them with APERTURE_SKIP_BAD_IMAGES=true" in bad
    busy = failure_of(tmp_path, RunBusy(tmp_path / "checkpoints"))
    assert "or give another checkpoint folder" in busy
    assert "--" not in text + conflict + bad + busy


@pytest.mark.parametrize("name", ["restart", "skip_bad_images"])
def test_the_words_are_those_that_a_job_is_told_by(name: str) -> None:
    given = given_environment({f"APERTURE_{name.upper()}": "true"}, SETTING_PREFIX, TrainSettings)
    layers = {"algorithm": "object-detection"}
    assert getattr(build(TrainSettings, given, layers), name) is True


def test_an_error_that_nobody_foresaw_is_left_with_its_traceback(tmp_path: Path) -> None:
    text = failure_of(tmp_path, ZeroDivisionError("one\ntwo"))
    assert text.startswith("AlgorithmError: ZeroDivisionError: one two\nTraceback ")
    assert "failure_of" in text


def test_a_job_that_is_done_leaves_success_alone(tmp_path: Path) -> None:
    failure_of(tmp_path, TrainerError("x"))
    with outcome(Folders(tmp_path)):
        assert not Folders(tmp_path).failure.exists()
    assert Folders(tmp_path).success.read_bytes() == b""
    assert not Folders(tmp_path).failure.exists()


def test_the_reason_is_not_lost_where_output_cannot_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folders = Folders(tmp_path)
    folders.failure.parent.touch()  # which no user can write to, be it root
    reason = OptionsError(["epochs: got 0"])
    with pytest.raises(OptionsError) as caught, outcome(folders):
        raise reason
    assert caught.value is reason
    with outcome(folders):
        pass
    said = [record.message for record in caplog.records if "event=no_word_left" in record.message]
    assert said
    assert all(str(folders.failure.parent) in line for line in said)


def test_nothing_is_written_where_there_is_no_container(tmp_path: Path) -> None:
    folders = Folders(tmp_path / "none")
    with pytest.raises(TrainerError), outcome(folders):
        raise TrainerError("x")
    with outcome(folders):
        pass
    assert not folders.base.exists()


def test_a_line_is_one_line_and_no_longer_than_is_shown() -> None:
    assert first_line("ClientError", ["a\nb", "c"]) == "ClientError: a b; c"
    line = first_line("ClientError", ["x" * 5000])
    assert len(line) == SHOWN
    assert line.endswith("...")
