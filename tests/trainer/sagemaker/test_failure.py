"""output/failure and output/success: what a job leaves of its end."""

from pathlib import Path

import pytest

from contract.errors import OptionsError, RepositoryError
from trainer.errors import BadImages, DatasetError, Diverged, TrainerError, listed
from trainer.sagemaker.failure import SHOWN, first_line, outcome
from trainer.sagemaker.folders import Folders


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
    assert failure_of(tmp_path, Diverged(0.5)).startswith("AlgorithmError: the training diverged")
    assert failure_of(tmp_path, TrainerError("x")) == "AlgorithmError: x\n"
    assert failure_of(tmp_path, RepositoryError("full")) == "AlgorithmError: full\n"


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
