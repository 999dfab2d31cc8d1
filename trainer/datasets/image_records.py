"""RecordIO files of MXNet's image records -> pictures with their labels.

A record begins with MXNet's header, 24 bytes of `<IfQQ`: flag, label, id and id2. A flag above 0 is
a number of float32 labels that follow the header, and the header's own label means nothing then.
The encoded picture is the rest. Of each record the header and the labels are read, not the picture.

Source: https://github.com/apache/mxnet/blob/master/src/io/image_recordio.h
"""

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from trainer.datasets.annotated_picture import AnnotatedPicture
from trainer.datasets.recordio import Record, read_records
from trainer.errors import DatasetError

_HEADER: Final = struct.Struct("<IfQQ")


def read_image_records(paths: Sequence[Path], most_labels: int) -> Iterator[AnnotatedPicture]:
    """The pictures of files, one file after the other, of up to `most_labels` labels each.

    Raises:
        DatasetError: A file is no RecordIO file, or a record is no image record.
    """
    for path in paths:
        for record, head in read_records(path, _HEADER.size + 4 * most_labels):
            yield _parse(record, head, most_labels)


def _parse(record: Record, head: bytes, most_labels: int) -> AnnotatedPicture:
    if len(head) < _HEADER.size:
        raise _no_image_record(record, f"is of {record.size} bytes")
    count, label, _, _ = _HEADER.unpack_from(head)
    if count == 0:
        return AnnotatedPicture(str(record), record.after(_HEADER.size), (label,))
    start = _HEADER.size + 4 * count
    if count > most_labels:
        raise DatasetError(
            f"{record}: has {count} labels, expected at most {most_labels}; several need "
            "multi_label, and num_classes as many"
        )
    if record.size < start:
        raise _no_image_record(record, f"says that it has {count} labels in {record.size} bytes")
    labels = struct.unpack_from(f"<{count}f", head, _HEADER.size)
    return AnnotatedPicture(str(record), record.after(start), labels)


def _no_image_record(record: Record, text: str) -> DatasetError:
    return DatasetError(
        f"{record}: {text}; expected MXNet's header of {_HEADER.size} bytes, labels and a picture"
    )
