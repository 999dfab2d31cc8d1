"""model.tar.gz, by our own hand and by others'."""

import gzip
import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from trainer.errors import ArchiveError
from trainer.sagemaker import archive as archives
from trainer.sagemaker.archive import unpack_archive, write_archive

WHOLE = {
    "model/1/model.onnx": b"graph",
    "model/config.pbtxt": b"name",
    "labels_info.json": b"{}",
}


def write_model(folder: Path) -> Path:
    """A model folder with the rest of a publish that was killed."""
    half = {"model/.staging-1/model.onnx": b"half"}
    for name, content in (WHOLE | half).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_an_archive_is_unpacked_as_it_was(tmp_path: Path) -> None:
    archive = tmp_path / "out" / "model.tar.gz"
    write_archive(write_model(tmp_path / "model"), archive)
    unpack_archive(archive, tmp_path / "unpacked")
    assert files_in(tmp_path / "unpacked") == WHOLE
    assert [path.name for path in archive.parent.iterdir()] == [archive.name]


def test_the_tar_program_reads_ours_and_we_read_its(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours.tar.gz", tmp_path / "theirs.tar.gz"
    write_archive(write_model(tmp_path / "model"), ours)
    (tmp_path / "by_tar").mkdir()
    subprocess.run(["tar", "xzf", str(ours), "-C", str(tmp_path / "by_tar")], check=True)
    assert files_in(tmp_path / "by_tar") == WHOLE
    command = ["tar", "tzvf", str(ours), "--numeric-owner"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert all(" 0/0 " in line for line in listed.splitlines())
    # As SageMaker does: with the folder itself as ./
    command = ["tar", "czf", str(theirs), "--exclude=.staging-1"]
    subprocess.run([*command, "-C", str(tmp_path / "model"), "."], check=True)
    unpack_archive(theirs, tmp_path / "unpacked")
    assert files_in(tmp_path / "unpacked") == WHOLE


def member(name: str, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def write_tar(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for info in members:
            tar.addfile(info, io.BytesIO(b"x" * info.size) if info.isreg() else None)
    return path


@pytest.mark.parametrize(
    "hostile",
    [
        member("../outside", size=1),
        member("model/../../outside", size=1),
        member("link", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        member("link", type=tarfile.LNKTYPE, linkname="model"),
        member("device", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
        member("pipe", type=tarfile.FIFOTYPE),
    ],
    ids=lambda info: f"{info.name}-{info.type.decode()}",
)
def test_nothing_gets_out_of_the_folder(tmp_path: Path, hostile: tarfile.TarInfo) -> None:
    archive = write_tar(tmp_path / "model.tar.gz", hostile)
    with pytest.raises(ArchiveError, match=r"model\.tar\.gz cannot be unpacked"):
        unpack_archive(archive, tmp_path / "in" / "unpacked")
    assert {path.name for path in tmp_path.iterdir()} == {"model.tar.gz", "in"}
    assert not [*(tmp_path / "in").iterdir()]


def test_an_absolute_path_is_one_below_the_folder(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "model.tar.gz", member(f"{tmp_path}/outside", size=1))
    unpack_archive(archive, tmp_path / "unpacked")
    assert not (tmp_path / "outside").exists()
    assert [*files_in(tmp_path / "unpacked")] == [f"{tmp_path}/outside".removeprefix("/")]


def test_a_link_does_not_lead_a_later_file_outside(tmp_path: Path) -> None:
    link = member("way", type=tarfile.SYMTYPE, linkname=str(tmp_path))
    archive = write_tar(tmp_path / "model.tar.gz", link, member("way/outside", size=1))
    with pytest.raises(ArchiveError, match="'way' is neither a plain file nor a folder"):
        unpack_archive(archive, tmp_path / "unpacked")
    assert not (tmp_path / "outside").exists()


def test_an_archive_that_holds_too_much_is_refused_before_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = write_tar(tmp_path / "model.tar.gz", member("a", size=600), member("b", size=600))
    monkeypatch.setattr(archives, "LARGEST", 1000)
    with pytest.raises(ArchiveError, match="holds more than"):
        unpack_archive(archive, tmp_path / "unpacked")
    assert not (tmp_path / "unpacked" / "b").exists()
    monkeypatch.setattr(archives, "MOST_MEMBERS", 1)
    monkeypatch.setattr(archives, "LARGEST", 10_000)
    with pytest.raises(ArchiveError, match="more than 1 files"):
        unpack_archive(archive, tmp_path / "again")


def test_a_header_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    header = member("x", type=tarfile.XHDTYPE, size=1 << 32).tobuf(tarfile.USTAR_FORMAT)
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(gzip.compress(header + bytes(1 << 20)))
    with pytest.raises(ArchiveError, match=f"a header of {1 << 32} bytes"):
        unpack_archive(archive, tmp_path / "unpacked")


@pytest.mark.parametrize("content", [b"", b"no gzip", gzip.compress(b"no tar" * 300, mtime=0)])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(content)
    with pytest.raises(ArchiveError):
        unpack_archive(archive, tmp_path / "unpacked")


def test_an_archive_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    archive, model = tmp_path / "model.tar.gz", tmp_path / "model"
    model.mkdir()
    (model / "weights").write_bytes(os.urandom(100_000))
    write_archive(model, archive)
    archive.write_bytes(archive.read_bytes()[:50_000])
    with pytest.raises(ArchiveError):
        unpack_archive(archive, tmp_path / "unpacked")
