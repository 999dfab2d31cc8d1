"""The commands of `aperture-train` with a repository in a bucket."""

from pathlib import Path

import pytest

from contract.bucket import Store
from tests.live_server import live_server
from tests.storage.local_s3 import LocalS3, initialise_storage, keys
from tests.trainer.conftest import FAST, aperture_train, fit_flags, problems, write_digits


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_digits(tmp_path_factory.mktemp("digits"), {"train": 8, "validation": 4, "test": 4})


def flags(digits: Path, folder: Path, repository: str) -> list[str]:
    argv = fit_flags(digits, folder / "unused", "digits", *FAST)
    argv[argv.index("--model_repository") + 1] = repository
    return [*argv, "--num_train_epochs", "1"]


def test_a_fit_publishes_into_a_bucket_once(
    s3: LocalS3, digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket = s3.bucket("fitted")
    argv = flags(digits, tmp_path, bucket.url)
    assert aperture_train(*argv) == 0
    assert "published s3://fitted/models/digits/1\n" in capsys.readouterr().out
    first = {f"digits/1/{name}" for name in ("model.onnx", "config.pbtxt", "labels.txt")}
    assert keys(bucket) == first | {"digits/config.pbtxt", "digits/labels.txt"}

    assert aperture_train(*argv) == 0
    assert "digits/1 was published by this run before" in capsys.readouterr().out
    source = ["--model_repository", bucket.url, "--name", "digits"]
    assert aperture_train("evaluate", "--data", str(digits), *source) == 0
    table = capsys.readouterr().out
    assert "accuracy" in table
    mounted = tmp_path / "mounted"
    initialise_storage(f"{bucket}/digits/1/", mounted)
    served = ["--model_dir", str(mounted), "--model_name", "digits", "--precision", "fp32"]
    with live_server(tmp_path / "log", *served) as server:
        endpoint = ["--url", server.url, "--name", "digits"]
        assert aperture_train("evaluate", "--data", str(digits), *endpoint) == 0
        assert capsys.readouterr().out == table
    assert aperture_train("evaluate", "--data", str(digits), *source, "--version", "7") == 1
    (problem,) = problems(capsys.readouterr().err)
    expected = "cannot read s3://fitted/models/digits: no version 7; published are 1"
    assert problem == expected

    Store(bucket).delete("digits/1/model.onnx")
    Store(bucket).delete("digits/1/config.pbtxt")
    Store(bucket).delete("digits/1/labels.txt")
    assert aperture_train(*argv) == 0, "what is gone is published anew"
    assert keys(bucket) >= first


def test_a_bucket_that_refuses_ends_a_fit_before_it_trains(
    s3: LocalS3, digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert aperture_train(*flags(digits, tmp_path, "s3://absent-bucket/models")) == 1
    (problem,) = problems(capsys.readouterr().err)
    assert problem.startswith("cannot ")
    assert "s3://absent-bucket/models/digits" in problem
    assert not list(tmp_path.rglob("checkpoint-*"))
    assert aperture_train(*flags(digits, tmp_path, "s3:///models")) == 2
    (problem,) = problems(capsys.readouterr().err)
    assert problem.startswith("model_repository: got 's3:///models', expected a folder, or a URL: ")


def test_engines_are_not_built_for_a_bucket(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--checkpoint", str(tmp_path), "--model_repository", "s3://b/models", "--name", "n"]
    assert aperture_train("export", *argv, "--tensorrt") == 2
    (problem,) = problems(capsys.readouterr().err)
    assert "--tensorrt leaves engines in the version's folder" in problem
