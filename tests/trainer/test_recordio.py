"""RecordIO: what a writer that follows the format's description frames comes back, in File mode and
through a pipe; what is damaged is named."""

import os
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.recordio import frame
from trainer.datasets.image_records import read_image_records
from trainer.datasets.pipe import spool
from trainer.datasets.recordio import MAGIC, read_records
from trainer.errors import DatasetError

CONTENT = st.lists(st.sampled_from((MAGIC, MAGIC[:3], b"\x0a", b"ab", b"1234"))).map(b"".join)


def refusal(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(DatasetError) as caught:
        list(read_records(path))
    return str(caught.value).removeprefix(f"{path}: ")


def test_an_empty_file_is_said_to_be_empty(tmp_path: Path) -> None:
    told = "is empty; expected a RecordIO file, as MXNet's im2rec writes"
    assert refusal(tmp_path / "a.rec", b"") == told


@given(st.lists(CONTENT, min_size=1))
def test_framed_contents_come_back(
    tmp_path_factory: pytest.TempPathFactory, contents: list[bytes]
) -> None:
    path = tmp_path_factory.mktemp("framed") / "a.rec"
    path.write_bytes(b"".join(map(frame, contents)))
    records = [record for record, _ in read_records(path)]
    assert [record.read_bytes() for record in records] == contents
    assert [record.size for record in records] == [len(content) for content in contents]
    for record, content in zip(records, contents, strict=True):
        for count in range(len(content) + 2):
            assert record.read_first(count) == content[:count]
            if count <= len(content):
                assert record.after(count).read_bytes() == content[count:]


@given(
    st.lists(CONTENT, min_size=1),
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=3),
    st.integers(0, 200),
)
def test_damaged_files_are_read_or_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory,
    contents: list[bytes],
    changes: list[tuple[int, int]],
    length: int,
) -> None:
    data = bytearray(b"".join(map(frame, contents))[:length])
    for place, value in changes:
        if place < len(data):
            data[place] = value
    path = tmp_path_factory.mktemp("damaged") / "a.rec"
    path.write_bytes(data)
    try:
        records = [record for record, _ in read_records(path)]
    except DatasetError as err:
        assert str(err).startswith(str(path))  # noqa: PT017 - either outcome is right
        return
    assert sum(len(record.read_bytes()) for record in records) <= len(data)


def test_frames_without_parts_are_read_as_sagemakers_sdk_writes_them(tmp_path: Path) -> None:
    content = b"abcd" + MAGIC + b"e"
    path = tmp_path / "a.rec"
    path.write_bytes(struct.pack("<4sI", MAGIC, len(content)) + content + bytes(3))
    assert [record.read_bytes() for record, _ in read_records(path)] == [content]


def test_damage_is_named_with_its_place(tmp_path: Path) -> None:
    path, whole = tmp_path / "a.rec", frame(b"abcde")
    parts = frame(b"abcd" + MAGIC + b"efgh")
    cut = "; the file is cut short, copy it again"
    assert refusal(path, b"\xff\xd8\xff\xe0JFIF") == (
        "at byte 0: got the bytes ffd8ffe0 instead of 0a23d7ce; expected a RecordIO file, as "
        "MXNet's im2rec writes"
    )
    assert refusal(path, whole + b"\0" * 8) == (
        "at byte 16: got the bytes 00000000 instead of 0a23d7ce; it is damaged"
    )
    assert refusal(path, whole + whole[:-1]) == f"at byte 24: record 1 needs 1 bytes more{cut}"
    assert (
        refusal(path, whole + whole[:6]) == f"at byte 16: the head of record 1 is incomplete{cut}"
    )
    assert (
        refusal(path, whole + whole[:2]) == f"at byte 16: the head of record 1 is incomplete{cut}"
    )
    assert refusal(path, parts[:12]) == f"at byte 12: record 0 lacks its last part{cut}"
    assert refusal(path, parts[12:]) == (
        "at byte 0: record 0 has a later part without its first; the file is damaged"
    )
    assert refusal(path, parts[:12] + whole) == (
        "at byte 12: record 0 begins inside another; the file is damaged"
    )
    assert refusal(path, struct.pack("<4sI", MAGIC, 4 << 29)) == (
        "at byte 0: flag 4 in record 0; expected 0 to 3"
    )


def test_a_file_that_shrinks_after_it_was_listed_is_an_unreadable_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    path.write_bytes(frame(b"abcd"))
    [(record, _)] = read_records(path)
    path.write_bytes(frame(b"abcd")[:10])
    with pytest.raises(OSError, match="shorter since"):
        record.read_bytes()
    with pytest.raises(DatasetError, match="cannot be read: No such file"):
        list(read_records(tmp_path / "missing.rec"))


def image_record(flag: int, label: float, *labels: float) -> bytes:
    """MXNet's header by its description, and a picture's bytes."""
    return frame(struct.pack(f"<IfQQ{len(labels)}f", flag, label, 7, 0, *labels) + b"picture")


def test_headers_of_image_records_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    path.write_bytes(image_record(0, 3) + image_record(1, 9, 2) + image_record(3, 0, 1, 0, 1))
    found = list(read_image_records([path, path], 3))
    assert [entry.annotation for entry in found] == [(3,), (2,), (1, 0, 1)] * 2
    assert {entry.picture.read_bytes() for entry in found} == {b"picture"}
    assert [entry.picture.name for entry in found] == [f"a.rec#{n}" for n in range(3)] * 2


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"0123456789", "record 0: is of 10 bytes; expected MXNet's header of 24 bytes, labels"),
        (struct.pack("<IfQQ", 3, 0, 0, 0), "record 0: says that it has 3 labels in 24 bytes;"),
    ],
)
def test_records_that_are_no_image_records_are_named(
    tmp_path: Path, content: bytes, told: str
) -> None:
    (tmp_path / "a.rec").write_bytes(frame(content))
    with pytest.raises(DatasetError) as caught:
        list(read_image_records([tmp_path / "a.rec"], 3))
    assert told in str(caught.value)


@pytest.fixture
def feed(tmp_path: Path) -> Callable[[bytes], Path]:
    """Makes a FIFO, through which a thread sends what it is told."""

    def fed(data: bytes) -> Path:
        pipe = tmp_path / "train_0"
        os.mkfifo(pipe)
        threading.Thread(target=pipe.write_bytes, args=(data,), daemon=True).start()
        return pipe

    return fed


def test_what_comes_through_a_pipe_is_read_once_and_kept(
    tmp_path: Path, feed: Callable[[bytes], Path]
) -> None:
    data = image_record(0, 1) * 20_000  # more than a pipe holds
    target = tmp_path / "workspace" / "train.rec"
    assert spool(feed(data), target) == target
    assert target.read_bytes() == data
    assert spool(tmp_path / "train_0", target) == target, "the pipe is not opened again"
    assert sorted(path.name for path in target.parent.iterdir()) == ["train.lock", "train.rec"]


def test_a_pipe_that_brings_nothing_or_is_none_is_refused(
    tmp_path: Path, feed: Callable[[bytes], Path]
) -> None:
    with pytest.raises(DatasetError, match="nothing came through the pipe"):
        spool(feed(b""), tmp_path / "workspace" / "train.rec")
    with pytest.raises(DatasetError, match=r"cannot be copied to .*: No such file or directory"):
        spool(tmp_path / "validation_0", tmp_path / "workspace" / "validation.rec")
