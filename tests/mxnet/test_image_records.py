"""Files that MXNet writes give the pictures and labels that went into them."""

from pathlib import Path

import numpy as np
import pytest

from tests.mxnet.records import write_records
from trainer.datasets.image_records import read_image_records
from trainer.datasets.recordio import MAGIC
from trainer.errors import DatasetError

CONTENTS = (
    b"",
    b"x",
    MAGIC,
    MAGIC * 3,
    b"abcd" + MAGIC + b"efgh",
    b"abc" + MAGIC + b"efgh",  # not at a multiple of 4: left where it is
    b"abcd" + MAGIC,
    b"abcd" + MAGIC + MAGIC + b"e",
    bytes(range(256)) * 40 + MAGIC + bytes(5000) + MAGIC + b"\x01\x02",
)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    pieces, draw = (MAGIC, b"\x0a\x23", b"1", b"1234"), np.random.default_rng(0)
    random = (b"".join(pieces[one] for one in draw.integers(0, 4, 30)) for _ in range(40))
    contents = [*CONTENTS, *random]
    paths = [tmp_path / f"{number}.bin" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return paths


def test_contents_with_the_magic_at_any_place_come_back(files: list[Path], tmp_path: Path) -> None:
    written = write_records(
        tmp_path / "a.rec", [(path, float(number)) for number, path in enumerate(files)]
    )
    found = list(read_image_records([written], 1))
    assert [entry.picture.read_bytes() for entry in found] == [path.read_bytes() for path in files]
    assert [entry.annotation for entry in found] == [(float(n),) for n in range(len(files))]


def test_vectors_of_labels_come_back(files: list[Path], tmp_path: Path) -> None:
    labels = [[float(number >> bit & 1) for bit in range(3)] for number in range(8)]
    labels[3][1] = -1804698880.0  # its four bytes are the magic's, so that the labels are cut there
    written = write_records(tmp_path / "a.rec", zip(files, labels, strict=False))
    found = list(read_image_records([written], 3))
    assert [entry.annotation for entry in found] == [tuple(one) for one in labels]
    assert [entry.picture.read_bytes() for entry in found] == [
        path.read_bytes() for path in files[: len(labels)]
    ]
    with pytest.raises(DatasetError) as caught:
        list(read_image_records([written], 1))
    assert str(caught.value) == (
        f"{written} record 0: has 3 labels, expected at most 1; several need multi_label, and "
        "num_classes as many"
    )
