"""Augmented manifests -> pictures with what a line says of each.

A manifest is a file of JSON lines, as SageMaker's Ground Truth writes them:

    {"source-ref": "s3://BUCKET/1.jpg", "class": 0, "class-metadata": {"class-name": "cat"}}
    {"source-ref": "s3://BUCKET/1.jpg", "street-ref": "s3://BUCKET/1.png", "street-ref-metadata": {}}

A channel in Pipe mode brings no manifest, but what it names: RecordIO records of picture and
annotation by turns. All objects that a manifest names are fetched before a training begins.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from contract.model_config import Json
from trainer.datasets.annotated_picture import AnnotatedPicture
from trainer.datasets.recordio import Record, read_records
from trainer.datasets.references import resolve
from trainer.errors import DatasetError, listed

LARGEST_LINE_BYTES: Final = 16 << 20
"""Of a line, or of a record of text; thousands of boxes are fewer."""

_REFERENCE: Final = "-ref"
_METADATA: Final = "-metadata"
_SOURCE: Final = "source-ref"


@dataclass(frozen=True, slots=True)
class _Line:
    """A line's values."""

    where: str
    picture: str
    annotation: Json
    metadata: Json


def read_augmented_manifest(
    path: Path, attribute_names: Sequence[str], workspace: Path, *, by_reference: bool
) -> list[AnnotatedPicture]:
    """The pictures that a manifest names, in its order; what lies in a bucket is fetched.

    Args:
        path: The manifest.
        attribute_names: The attributes of the picture and of its annotation; where none are given,
            `source-ref` or the first that ends in `-ref`, and the only other one.
        workspace: A folder of this training alone, for what is fetched.
        by_reference: Whether an annotation is a file that the manifest names.

    Raises:
        DatasetError: The file cannot be read; or lines are no such objects, a line each.
        BucketError: An object cannot be fetched.
    """
    faults: list[str] = []
    try:
        lines = list(_lines(path, attribute_names, faults))
    except DatasetError as err:
        raise DatasetError(*listed([*faults, *err.problems])) from err
    if faults or not lines:
        raise DatasetError(*(listed(faults) or [f"{path}: names no picture; expected JSON lines"]))
    names = [(line.where, line.picture) for line in lines]
    if by_reference:
        names += [(line.where, str(line.annotation)) for line in lines]
    stored = resolve(names, path.parent, workspace)
    return [
        AnnotatedPicture(
            line.where,
            stored[line.picture],
            stored[str(line.annotation)] if by_reference else line.annotation,
            line.metadata,
        )
        for line in lines
    ]


def read_wrapped_manifest(path: Path, *, by_reference: bool) -> list[AnnotatedPicture]:
    """The pictures of a file of records, picture and annotation by turns.

    Args:
        path: The file.
        by_reference: Whether an annotation is a picture, too, instead of text.

    Raises:
        DatasetError: It is no RecordIO file, an annotation is missing, or no text.
    """
    records = [record for record, _ in read_records(path)]
    if len(records) % 2:
        raise DatasetError(
            f"{path}: got {len(records)} records, expected an annotation after each picture"
        )
    return [
        AnnotatedPicture(str(picture), picture, annotation if by_reference else _text(annotation))
        for picture, annotation in zip(records[::2], records[1::2], strict=True)
    ]


def _text(record: Record) -> str:
    if record.size > LARGEST_LINE_BYTES:
        raise DatasetError(
            f"{record}: got {record.size} bytes, expected the annotation of the picture before it, "
            f"text of at most {LARGEST_LINE_BYTES} bytes"
        )
    try:
        return record.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise DatasetError(
            f"{record}: is no text, but expected the annotation of the picture before it: {err}"
        ) from err


def _lines(path: Path, names: Sequence[str], faults: list[str]) -> Iterator[_Line]:
    """The lines that can be meant; a line for each other goes to `faults`."""
    for where, text in _texts(path):
        try:
            values: Json = json.loads(text)
        except (ValueError, RecursionError) as err:
            faults.append(f"{where}: is no JSON: {err}")
            continue
        if not isinstance(values, dict):
            faults.append(f"{where}: is no JSON object such as {{'source-ref': 's3://...'}}")
            continue
        names = names or _names_of(values)
        if not names:
            faults.append(
                f"{where}: got the attributes {', '.join(values)}, of which it is not plain which "
                "are the picture and its annotation; name both with AttributeNames"
            )
            continue
        if len(names) != 2:
            raise DatasetError(
                f"{path}: got the AttributeNames {', '.join(names)}, expected two: the picture's "
                "and its annotation's"
            )
        picture, annotation = names
        if not isinstance(values.get(picture), str) or values.get(annotation) is None:
            faults.append(
                f"{where}: got the attributes {', '.join(values)}, expected text in {picture} and "
                f"a value in {annotation}"
            )
            continue
        # Ground Truth's name; that of SageMaker's example of masks is without -ref.
        other = annotation.removesuffix(_REFERENCE) + _METADATA
        metadata = values.get(annotation + _METADATA, values.get(other))
        yield _Line(where, str(values[picture]), values[annotation], metadata)


def _texts(path: Path) -> Iterator[tuple[str, bytes]]:
    """The lines of a file with their places, without empty ones."""
    try:
        with path.open("rb") as file:
            number = 0
            while text := file.readline(LARGEST_LINE_BYTES + 1):
                number += 1
                if len(text) > LARGEST_LINE_BYTES:
                    limit = f"at most {LARGEST_LINE_BYTES} bytes"
                    raise DatasetError(f"{path} line {number}: is too long; expected {limit}")
                if text.strip():
                    yield f"{path} line {number}", text
    except OSError as err:
        raise DatasetError(f"{path}: cannot be read: {err.strerror}") from err


def _names_of(values: dict[str, Json]) -> tuple[str, ...]:
    """The attributes of picture and annotation, where nobody says them; none where not plain."""
    attributes = [name for name in values if not name.endswith(_METADATA)]
    references = [name for name in attributes if name.endswith(_REFERENCE)]
    picture = _SOURCE if _SOURCE in references else next(iter(references), "")
    others = [name for name in attributes if name != picture]
    return (picture, others[0]) if picture and len(others) == 1 else ()
