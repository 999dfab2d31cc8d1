"""Class labels as a dataset writes them -> a picture's target: one class index, or several.

All formats of SageMaker's image classification meet here: what a .lst file and a record hold are
numbers, what a manifest holds is text or JSON. A picture of one class has its index; with
`multi_label` it has a vector of one 0 or 1 for each class (multi-hot), or in a manifest that says
so a list of indices (class-id).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from contract.model_config import Json
from trainer.datasets.annotated_picture import Annotation
from trainer.datasets.dataset import Stored

LabelFormat: TypeAlias = Literal["multi-hot", "class-id"]
ClassTarget: TypeAlias = int | tuple[int, ...]
"""A class index, or the sorted indices of all classes that a picture shows, which may be none."""


class BadLabel(ValueError):
    """A label that is none; the message says why."""


@dataclass(frozen=True, slots=True)
class ClassLabels:
    """What labels mean.

    Attributes:
        num_classes: How many classes there are.
        multi_label: Whether a picture shows any number of them.
        label_format: How a manifest writes several.
    """

    num_classes: int
    multi_label: bool = False
    label_format: LabelFormat = "multi-hot"

    def of(self, annotation: Annotation) -> ClassTarget:
        """The target that an annotation says: numbers, JSON, or JSON in text.

        Raises:
            BadLabel: It is no class, or no vector of all classes.
        """
        if isinstance(annotation, tuple):
            return self._of_numbers(annotation)
        assert not isinstance(annotation, Stored)  # noqa: S101 - a reader of texts puts none there
        return self._of_json(_loads(annotation) if isinstance(annotation, str) else annotation)

    def _of_numbers(self, values: Sequence[float]) -> ClassTarget:
        if self.multi_label:
            return self._multi_hot(values)
        if len(values) != 1:
            raise BadLabel(f"got {len(values)} labels, expected one; several need multi_label")
        return self._class(values[0])

    def _of_json(self, value: Json) -> ClassTarget:
        if isinstance(value, list) and all(_is_number(one) for one in value):
            numbers = [one for one in value if isinstance(one, int | float)]
            if self.multi_label and self.label_format == "class-id":
                return tuple(sorted({self._class(one) for one in numbers}))
            return self._of_numbers(numbers)
        if not self.multi_label and isinstance(value, int | float) and _is_number(value):
            return self._class(value)
        expected = "a list of numbers" if self.multi_label else "a class index"
        raise BadLabel(f"got {str(value)[:60]!r}, expected {expected}")

    def _class(self, value: float) -> int:
        if not 0 <= value < self.num_classes or value != int(value):
            raise BadLabel(
                f"got the class {_short(value)}, expected a whole number from 0 to "
                f"{self.num_classes - 1} (num_classes is {self.num_classes})"
            )
        return int(value)

    def _multi_hot(self, values: Sequence[float]) -> tuple[int, ...]:
        if len(values) != self.num_classes:
            raise BadLabel(
                f"got {len(values)} labels, expected one 0 or 1 for each of the "
                f"{self.num_classes} classes (num_classes), or label-format=class-id in the "
                "content type of a manifest"
            )
        if strange := [value for value in values if value not in (0, 1)]:
            raise BadLabel(f"got {_short(strange[0])} for a class, expected 0 or 1")
        return tuple(index for index, value in enumerate(values) if value)


def _loads(text: str) -> Json:
    try:
        value: Json = json.loads(text)
    except (ValueError, RecursionError) as err:
        raise BadLabel(f"got {text[:60]!r}, expected a number or a list of numbers") from err
    return value


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _short(value: float) -> str:
    """A number for a message; an integer may be too large for a float, and long."""
    return f"{value:g}" if isinstance(value, float) else str(value)[:40]
