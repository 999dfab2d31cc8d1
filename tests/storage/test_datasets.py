"""Datasets in a bucket: copied, kept, refused, trained on as those in a folder are."""

import json
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from contract.bucket import Store
from contract.errors import BucketError
from contract.locations import Bucket
from contract.objects import Entry
from tests.live_server import wait_until
from tests.storage.gate import gate
from tests.storage.local_s3 import LocalS3, new_clients
from tests.trainer.conftest import FAST, aperture_train, fit_flags, problems, write_digits
from trainer import copying
from trainer.copying import AT_ONCE
from trainer.errors import DatasetError
from trainer.local_data import local_data
from trainer.processes import ALONE
from trainer.scan import scan_pictures
from trainer.tasks import load_task

NOTED_BEFORE_DEATH = 40

COPIES = r"""
import logging, sys
from pathlib import Path
from contract.locations import Bucket
from trainer.errors import DatasetError
from trainer.local_data import local_data
from trainer.processes import leave_processes, start_processes

logging.basicConfig(level=logging.INFO)
bucket, cache, absent = sys.argv[1:]
processes = start_processes()
for cache_dir in (None, Path(cache)):
    with local_data(Bucket(bucket), cache_dir, processes) as folder:
        # One write a line: print's two let the processes' lines run into each other.
        sys.stdout.write(f"files={sum(path.is_file() for path in folder.rglob('*'))}\n")
        processes.gather([None])  # the first one takes a temporary copy away when it leaves
try:
    with local_data(Bucket(absent), None, processes):
        pass
except DatasetError as err:
    sys.stdout.write(f"{err}\n")
leave_processes()
"""
"""A program of several processes, which have a dataset together three times."""

DIES = f"""
import itertools, os, signal, sys
from trainer import copying
from trainer.cli import run

count, line = itertools.count(1), copying._line

def dies(*args):
    if next(count) > {NOTED_BEFORE_DEATH}:
        os.kill(os.getpid(), signal.SIGKILL)
    return line(*args)

copying._line = dies
run(sys.argv[1:], os.environ)
"""


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_digits(tmp_path_factory.mktemp("digits"), {"train": 8, "validation": 4, "test": 4})


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary folders."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def upload(s3: LocalS3, name: str, content: dict[str, bytes]) -> Bucket:
    """A new bucket with these objects."""
    bucket = s3.bucket(name)
    put(bucket, content)
    return bucket


def put(bucket: Bucket, content: dict[str, bytes]) -> None:
    """Write objects by their very keys."""
    name, _, prefix = bucket.url.removeprefix("s3://").partition("/")
    fs = Store(bucket)._fs
    with ThreadPoolExecutor(8) as threads:
        for done in [
            threads.submit(fs.call_s3, "put_object", Bucket=name, Key=f"{prefix}/{key}", Body=body)
            for key, body in content.items()
        ]:
            done.result()


def flags(data: object, folder: Path) -> list[str]:
    """A fit of one epoch."""
    argv = fit_flags(Path("unused"), folder / "repository", "digits", *FAST)
    argv[argv.index("--data") + 1] = str(data)
    return [*argv, "--num_train_epochs", "1"]


def digest(folder: Path) -> str:
    return scan_pictures(load_task("image-classification").read(folder), ALONE).sha256


def count_fetches(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of all objects that are fetched from now on."""
    fetched: list[str] = []
    fetch = Store.fetch

    def counted(self: Store, key: str, *args: object) -> None:
        fetched.append(key)
        fetch(self, key, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "fetch", counted)
    return fetched


def test_a_copy_is_the_dataset_and_goes_with_the_command(
    s3: LocalS3, digits: Path, temporary: Path
) -> None:
    content = files(digits)
    content |= {"train/0/A b+c%20?#ü.png": content["train/0/000.png"], ".hidden": b"."}
    content |= {"train/0/a.png": content["train/1/000.png"], "test/0/.DS_Store": b""}
    content["train/0/A.png"] = content["train/2/000.png"]
    bucket = upload(s3, "datasets", {**content, "train/": b""})
    with local_data(bucket, None) as folder:
        assert folder.is_relative_to(temporary)
        assert files(folder) == content
    assert not list(temporary.iterdir())


def test_the_hash_is_that_of_a_folder_with_the_same_content(s3: LocalS3, digits: Path) -> None:
    with local_data(upload(s3, "hashed", files(digits)), None) as folder:
        assert digest(folder) == digest(digits)


def test_a_long_copy_says_how_far_it_is(
    s3: LocalS3, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bucket = upload(s3, "long", {str(number): b"x" * 500_000 for number in range(3)})
    monkeypatch.setattr(copying, "_REPORT_SECONDS", 0.0)
    caplog.set_level("INFO", "trainer.copying")
    with local_data(bucket, None):
        pass
    begin, *said = [record.getMessage() for record in caplog.records]
    assert begin.startswith("event=copy source=s3://long/models folder=")
    assert begin.endswith(" objects=3 new=3 megabytes=1.5 removed=0")
    assert said[1] == "event=copying source=s3://long/models objects=2/3 megabytes=1.0/1.5"


def test_a_kept_copy_gets_what_is_new_and_loses_what_is_gone(
    s3: LocalS3, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = upload(s3, "kept-data", content := files(digits))
    cache, fetched = tmp_path / "cache", count_fetches(monkeypatch)
    with local_data(bucket, cache) as folder:
        assert sorted(fetched) == sorted(content)
    fetched.clear()
    same_size = content["train/0/000.png"][::-1]
    put(bucket, {"train/0/000.png": same_size, "train/new/1.png": b"new"})
    store = Store(bucket)
    for key in [key for key in content if key.startswith("test/0/")]:
        store.delete(key)
    (folder / "train/1/000.png").write_bytes(b"cut short")
    (folder / "train/1/stranger.png").write_bytes(b"of nobody")
    with local_data(bucket, cache) as again:
        assert again == folder
        assert sorted(fetched) == ["train/0/000.png", "train/1/000.png", "train/new/1.png"]
        held = files(folder)
    expected = {key: body for key, body in content.items() if not key.startswith("test/0/")}
    assert held == expected | {"train/0/000.png": same_size, "train/new/1.png": b"new"}
    assert not (folder / "test/0").exists(), "an empty folder would be a label"
    fetched.clear()
    with local_data(upload(s3, "other", {"a": b"another dataset"}), cache) as other:
        assert files(other) == {"a": b"another dataset"}
    with local_data(bucket, cache) as again:
        assert fetched == ["a"], "datasets share a folder of copies"


def test_a_file_becomes_a_folder_and_back(s3: LocalS3, tmp_path: Path) -> None:
    bucket = upload(s3, "turned", {"a": b"1", "b/c": b"2"})
    for content in ({"a/x/y": b"3", "b": b"4"}, {"a": b"1", "b/c": b"2"}):
        with local_data(bucket, tmp_path):
            pass
        for key in Store(bucket).list():
            Store(bucket).delete(key)
        put(bucket, content)
        with local_data(bucket, tmp_path) as folder:
            assert files(folder) == content


def test_sixteen_objects_come_at_once(
    s3: LocalS3, digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = upload(s3, "at-once-data", content := files(digits))
    with gate(s3.url, opens_at=AT_ONCE) as relay, new_clients():
        monkeypatch.setenv("AWS_ENDPOINT_URL", relay.url)
        with local_data(bucket, None) as folder:
            assert files(folder) == content
        assert relay.most == AT_ONCE


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_copy_whose_network_has_stalled(
    s3: LocalS3, digits: Path, tmp_path: Path, number: int, status: int
) -> None:
    argv = flags(upload(s3, f"stalled-{status}", files(digits)), tmp_path)
    (temporary := tmp_path / "temporary").mkdir()
    with gate(s3.url) as relay:
        environ = {**os.environ, "AWS_ENDPOINT_URL": relay.url, "TMPDIR": str(temporary)}
        command = [sys.executable, "-m", "trainer", *argv]
        process = subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True)
        wait_until(lambda: relay.waiting == AT_ONCE or process.poll() is not None)
        assert len(list(temporary.glob("aperture-data-*"))) == 1
        process.send_signal(number)
        _, stderr = process.communicate(timeout=60)
        assert relay.waiting, "nothing came through"
    assert process.returncode == status, stderr
    assert not list(temporary.glob("aperture-data-*"))


def test_a_killed_copy_goes_on_where_it_was(
    s3: LocalS3, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = upload(s3, "killed", content := files(digits))
    cache = tmp_path / "cache"
    argv = [*flags(bucket, tmp_path), "--data_cache_dir", str(cache)]
    done = subprocess.run(
        [sys.executable, "-c", DIES, *argv], capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    fetched = count_fetches(monkeypatch)
    with local_data(bucket, cache) as folder:
        assert files(folder) == content
    assert len(fetched) == len(content) - NOTED_BEFORE_DEATH


def test_what_cannot_be_copied_is_one_line_each(
    s3: LocalS3, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(url: str, cache: Path | None = None) -> str:
        with (
            pytest.raises((BucketError, DatasetError)) as caught,
            local_data(Bucket(url), cache or tmp_path / "cache"),
        ):
            pass
        return str(caught.value)

    assert refused("s3://no-such-bucket/data") == (
        "cannot list s3://no-such-bucket/data: The specified bucket does not exist"
    )
    bucket = upload(s3, "refused", files(digits))
    nothing = refused("s3://refused/models/trian")
    assert nothing.startswith("s3://refused/models/trian: no objects lie below it; expected ")
    one_object = refused(f"{bucket}/train/0/000.png")
    assert "no objects lie below it" in one_object

    free, needed = (64 + 6) << 20, (6 << 20) // 4096 + 1
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
        patch.setattr(Store, "list", lambda _: {str(n): Entry(1, "") for n in range(needed)})
        full = refused(bucket.url)
    assert f"the dataset needs {needed * 4096} bytes, and {6 << 20} bytes of that disk" in full
    assert "--data_cache_dir" in full
    occupied = tmp_path / "occupied"
    occupied.write_text("a file")
    assert aperture_train(*flags(bucket, tmp_path), "--data_cache_dir", str(occupied)) == 1

    with monkeypatch.context() as patch:
        patch.setattr(Store, "list", lambda _: {"train/0/000.png": Entry(5, "")})
        changed = refused(bucket.url)
    assert changed.startswith("cannot download s3://refused/models/train/0/000.png: got ")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with new_clients():
        no_keys = refused(bucket.url)
    assert "expected AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in no_keys
    assert "\n" not in no_keys


def test_keys_that_are_no_paths_are_all_named(s3: LocalS3, tmp_path: Path) -> None:
    keys = ("../a.png", "train/../../b", "train/./c", "train//d", "/e", "f", "f/g", "n" * 256)
    bucket = upload(s3, "unsafe", dict.fromkeys((*keys, "train/0/fine.png"), b"x"))
    with pytest.raises(DatasetError) as caught, local_data(bucket, tmp_path / "cache"):
        pass
    lines = caught.value.problems
    assert len(lines) == len(keys) - 1, "f itself may be"
    for key in keys:
        assert key == "f" or any(repr(key) in line for line in lines), key
    assert all(line.startswith("s3://unsafe/models: key ") for line in lines)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["lock"]


def test_a_copy_in_use_is_shared_but_not_changed(s3: LocalS3, tmp_path: Path) -> None:
    bucket = upload(s3, "shared", {"a": b"1"})
    with local_data(bucket, tmp_path) as folder:
        with local_data(bucket, tmp_path) as same:
            assert same == folder
        put(bucket, {"a": b"2"})
        with pytest.raises(BucketError) as caught, local_data(bucket, tmp_path):
            pass
        assert "another command reads the former copy" in str(caught.value)
        assert files(folder) == {"a": b"1"}
    with local_data(bucket, tmp_path) as folder:
        assert files(folder) == {"a": b"2"}


def test_the_commands_take_a_bucket_as_they_take_a_folder(
    s3: LocalS3,
    digits: Path,
    tmp_path: Path,
    temporary: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bucket = upload(s3, "commands", files(digits))
    assert aperture_train(*flags(digits, tmp_path)) == 0
    capsys.readouterr()
    run = json.loads((tmp_path / "runs/digits/run.json").read_text())
    assert aperture_train(*flags(bucket, tmp_path)) == 0
    assert "was published by this run before" in capsys.readouterr().out, "it is the same run"
    fresh = tmp_path / "fresh"
    assert aperture_train(*flags(bucket, fresh)) == 0
    trained = json.loads((fresh / "runs/digits/run.json").read_text())
    assert trained["identity"] == run["identity"]
    weights = "checkpoint-2/model.safetensors"
    assert files(fresh / "runs/digits")[weights] == files(tmp_path / "runs/digits")[weights]

    capsys.readouterr()
    model = ["--checkpoint", str(tmp_path / "runs/digits")]
    tables = []
    for data in (str(digits), bucket.url):
        assert aperture_train("evaluate", "--data", data, *model) == 0
        tables.append(capsys.readouterr().out)
    assert tables[0] == tables[1]
    place = ["--model_repository", str(tmp_path / "exported"), "--name", "digits"]
    assert aperture_train("export", "--data", bucket.url, *model, *place) == 0
    assert not list(temporary.glob("aperture-data-*"))


def test_bad_pictures_are_named_by_where_they_lie(
    s3: LocalS3, digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket = upload(s3, "bad", {**files(digits), "train/0/bad.png": b"no picture"})
    assert aperture_train(*flags(bucket, tmp_path)) == 1
    first = problems(capsys.readouterr().err)[0]
    assert first.startswith(f"{bucket}/train/0/bad.png: 10 bytes of no known picture format")
    listed = (tmp_path / "runs/digits/bad_images.txt").read_text()
    assert listed.startswith(f"{bucket}/train/0/bad.png: ")
    nothing = upload(s3, "layout", {"train/0/1.png": b""})
    assert aperture_train(*flags(nothing, tmp_path)) == 1
    assert problems(capsys.readouterr().err)[0].startswith(f"{nothing}/validation: folder is miss")


def in_two(folder: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    """Run a program in two processes of this machine, with `folder` for its temporary files."""
    folder.mkdir()
    launch = ["-m", "torch.distributed.run", "--nproc_per_node", "2"]
    launch += ["--rdzv_backend", "c10d", "--rdzv_endpoint", "127.0.0.1:0"]
    environ = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(folder)}
    done = subprocess.run(
        [sys.executable, *launch, *command],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not list(folder.glob("aperture-data-*"))
    return done


def test_of_two_processes_one_copies(s3: LocalS3, digits: Path, tmp_path: Path) -> None:
    program, contents = tmp_path / "program.py", files(digits)
    program.write_text(COPIES)
    bucket, absent = upload(s3, "two-processes", contents), Bucket("s3://no-such-bucket/data")
    places = (bucket.url, str(tmp_path / "cache"), absent.url)
    done = in_two(tmp_path / "temporary", str(program), *places)
    assert done.stderr.count("event=copy ") == 2, "a temporary copy and a kept one"
    assert done.stdout.count(f"files={len(contents)}\n") == 4, "both processes have both copies"
    assert done.stdout.count("cannot list s3://no-such-bucket/data: ") == 2


@pytest.mark.slow
def test_two_processes_train_on_one_copy(s3: LocalS3, digits: Path, tmp_path: Path) -> None:
    bucket = upload(s3, "trained-by-two", files(digits))
    done = in_two(tmp_path / "temporary", "-m", "trainer", *flags(bucket, tmp_path))
    assert done.stdout.count("published ") == 1
    assert done.stderr.count("event=copy ") == 1
