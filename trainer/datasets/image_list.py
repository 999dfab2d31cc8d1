"""A .lst file -> the pictures that it names, with their labels: raw pictures of SageMaker's classes.

    index <TAB> label <TAB> path            or, of several labels, multi-hot
    index <TAB> label ... label <TAB> path

Labels may be written as floats, as MXNet's im2rec does. Paths are relative to the channel of the
pictures and stay in it. Every line that cannot be meant is named, not the first alone.
"""

from pathlib import Path
from typing import Final

from trainer.datasets.annotated_picture import AnnotatedPicture
from trainer.datasets.dataset import is_inside
from trainer.errors import DatasetError, listed

_FEWEST_FIELDS: Final = 3
_MOST_DIGITS: Final = 20
_EXPECTED: Final = "lines of index, label and relative path between tabs"


def read_image_list(path: Path, folder: Path) -> list[AnnotatedPicture]:
    """The pictures below `folder` that a file names, in its order.

    Raises:
        DatasetError: The file cannot be read or is empty; or lines are malformed, repeat an index,
            or name a path out of the folder, one line each.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # names may hold other separators
    except (OSError, UnicodeDecodeError) as err:
        raise DatasetError(f"{path}: cannot be read: {err}") from err
    pictures: list[AnnotatedPicture] = []
    faults: list[str] = []
    seen: dict[int, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path} line {number}"
        fields = line.rstrip("\r").split("\t")
        picture = _parse(where, fields, folder)
        if isinstance(picture, str):
            faults.append(f"{where}: {picture}")
            continue
        index = int(fields[0])
        if index in seen:
            faults.append(f"{where}: index {index} is that of line {seen[index]} already")
        seen.setdefault(index, number)
        pictures.append(picture)
    if faults:
        raise DatasetError(*listed(faults))
    if not pictures:
        raise DatasetError(f"{path}: names no picture; expected {_EXPECTED}")
    return pictures


def _parse(where: str, fields: list[str], folder: Path) -> AnnotatedPicture | str:
    """A line's picture, or what is wrong with the line."""
    index, *labels, name = fields if len(fields) >= _FEWEST_FIELDS else ("", "", "")
    is_index = index.strip().isascii() and index.strip().isdecimal() and len(index) <= _MOST_DIGITS
    if not name.strip() or not is_index:
        return f"got {len(fields)} fields {str(fields)[:80]}, expected {_EXPECTED}"
    try:
        numbers = tuple(map(float, labels))
    except ValueError as err:
        return f"label is no number: {err}"
    if "\0" in name:
        return f"got the path {name.strip()!r}, expected one without a zero byte"
    place = folder / name.strip()
    if not is_inside(folder, place):
        return f"{name.strip()!r} leads out of {folder}"
    return AnnotatedPicture(where, place, numbers)
