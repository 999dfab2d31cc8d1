"""SageMaker's label map -> the label of each value that an annotation's pixel may have.

SageMaker's semantic segmentation reads one file for each split:

    {"scale": "3"}                          a label is the largest whole number in value / 3
    {"map": {"0": 5, "1": 0, "2": 2}}       the label, and the value of pixels that means it

255 is ignored and no label; it is neither scaled nor mapped, unless the map itself names it. A value
that a map does not name is ignored, too, and said.

The direction of the map is that of SageMaker's own example, in which the values [0, 5, 2] become
the labels [1, 0, 2]: the other reading has no meaning for 5.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

from contract.model_config import Json
from trainer.datasets.json_file import read_json
from trainer.errors import DatasetError
from trainer.masks import IGNORED_ID

EXPECTED: Final = 'expected {"scale": "1"}, or {"map": {"LABEL": VALUE, ...}}'
VALUES: Final = range(256)


@dataclass(frozen=True, slots=True)
class ValueMap:
    """What the values of pixels mean.

    Attributes:
        id_of: The label of each of the 256 values; None where it is the value itself.
        unnamed: Values that the map does not name.
    """

    id_of: bytes | None = None
    unnamed: frozenset[int] = frozenset()


IDENTITY: Final = ValueMap()
"""Of a split without a file."""


def read_value_map(path: Path) -> ValueMap:
    """Read a file.

    Raises:
        DatasetError: It cannot be read, has both keys or none, or says what no label map can.
    """
    repeated: list[str] = []

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        counts = Counter(key for key, _ in pairs)
        repeated.extend(key for key, count in counts.items() if count > 1)
        return dict(pairs)

    content = read_json(path, collect)
    if repeated:
        raise DatasetError(*(f"{path}: {key!r} occurs twice, expected once" for key in repeated))
    match content:
        case {"scale": _, "map": _}:
            raise DatasetError(f"{path}: has both scale and map; {EXPECTED}")
        case {"scale": str() | int() | float() as scale}:
            return _scaled(path, scale)
        case {"map": dict(labels)} if labels:
            return _mapped(path, labels)
    raise DatasetError(f"{path}: got {str(content)[:60]}, {EXPECTED}")


def _scaled(path: Path, scale: str | float) -> ValueMap:
    try:
        divisor = Decimal(str(scale))
    except InvalidOperation:
        divisor = Decimal("nan")
    if not (divisor.is_finite() and divisor >= 1):
        raise DatasetError(f"{path}: scale: got {scale!r}, expected a number from 1")
    if divisor == 1:
        return IDENTITY
    labels = [int(value / divisor) for value in VALUES]
    return ValueMap(bytes([*labels[:IGNORED_ID], IGNORED_ID]))


def _mapped(path: Path, labels: dict[str, Json]) -> ValueMap:
    id_of: dict[int, int] = {}
    faults = []
    for key, said in labels.items():
        label, value = _byte(key), _byte(said)
        if label is None or value is None or label == IGNORED_ID:
            faults.append(
                f"{path}: map: got {key!r}: {said!r}, expected a label from 0 to "
                f"{IGNORED_ID - 1} and the value of its pixels from 0 to {VALUES[-1]}"
            )
        elif value in id_of:
            faults.append(f"{path}: map: labels {id_of[value]} and {label} are both {value}")
        elif label in id_of.values():  # as 0 and 00
            faults.append(f"{path}: map: label {label} occurs twice, expected once")
        else:
            id_of[value] = label
    if faults:
        raise DatasetError(*faults)
    unnamed = frozenset(VALUES) - id_of.keys() - {IGNORED_ID}
    return ValueMap(bytes(id_of.get(value, IGNORED_ID) for value in VALUES), unnamed)


def _byte(said: Json) -> int | None:
    """A whole number from 0 to 255, or as text; None where it is something else."""
    if isinstance(said, bool) or not isinstance(said, int | str):
        return None
    text = str(said)
    whole = text.isascii() and text.isdecimal() and len(text) <= 3
    return int(text) if whole and int(text) in VALUES else None


def describe_values(values: Iterable[int]) -> str:
    """A few values, such as `7, 9 and 3 more`."""
    ordered = sorted(values)
    more = f" and {len(ordered) - 5} more" if len(ordered) > 5 else ""
    return ", ".join(map(str, ordered[:5])) + more
