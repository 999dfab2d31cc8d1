"""Boxes of an augmented manifest -> objects, in the form that Ground Truth writes.

"bounding-box": {"image_size": [{"width": 500, "height": 400, "depth": 3}],
"annotations": [{"class_id": 0, "left": 111, "top": 134,
"width": 61, "height": 128}]}
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, TypeAdapter, ValidationError

from trainer.datasets.annotated_picture import AnnotatedPicture
from trainer.datasets.coco_file import Annotation, Entry, Number, Whole
from trainer.datasets.coco_objects import Instance, Objects, instance_of, visible_part
from trainer.datasets.coco_split import other_size
from trainer.datasets.dataset import Problem, Sample, picture_size
from trainer.errors import DatasetError, listed

LARGEST_CLASS_ID: Final = 4095


class _Size(Entry):
    """A picture's size in pixels."""

    width: Annotated[Whole, Field(gt=0)]
    height: Annotated[Whole, Field(gt=0)]


class _Box(Entry):
    """An object and its place in pixels."""

    class_id: Annotated[Whole, Field(ge=0, le=LARGEST_CLASS_ID)]
    left: Number
    top: Number
    width: Annotated[Number, Field(ge=0)]
    height: Annotated[Number, Field(ge=0)]


class _Boxes(Entry):
    """What a picture shows."""

    image_size: list[_Size] = Field(default_factory=list)
    annotations: list[_Box]


_BOXES: Final = TypeAdapter(_Boxes)


@dataclass(frozen=True, slots=True)
class ManifestBoxes:
    """What pictures with boxes are.

    Attributes:
        samples: The pictures and their objects.
        problems: The pictures of another size than is said.
        dropped: The places of boxes without any area in their picture.
        clipped: The places of boxes that reach out of their picture.
    """

    samples: list[Sample] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    clipped: list[str] = field(default_factory=list)


def read_boxes(entries: Sequence[AnnotatedPicture]) -> ManifestBoxes:
    """The samples of pictures with boxes.

    Raises:
        DatasetError: An annotation is none; a line each.
    """
    found, faults = ManifestBoxes(), []
    for entry in entries:
        try:
            text = isinstance(entry.annotation, str)
            said = (
                _BOXES.validate_json(str(entry.annotation))
                if text
                else (_BOXES.validate_python(entry.annotation))
            )
        except ValidationError as err:
            detail = err.errors()[0]
            place = ".".join(map(str, detail["loc"]))
            faults.append(f"{entry.where}: {place or 'annotation'}: {detail['msg']}")
            continue
        _add(entry, said, found)
    if faults:
        raise DatasetError(*listed(faults))
    return found


def _add(entry: AnnotatedPicture, said: _Boxes, found: ManifestBoxes) -> None:
    """Add a picture's objects to what is found, and what is odd about them."""
    declared = next(((size.width, size.height) for size in said.image_size), None)
    size = picture_size(entry.picture)
    if declared and size and (reason := other_size(declared, size, entry.where)):
        found.problems.append(Problem(entry.picture, reason))
    # Of a picture without a readable header the scan says what is wrong.
    width, height = size or declared or (1, 1)
    instances: list[Instance] = []
    for index, box in enumerate(said.annotations):
        bbox = [box.left, box.top, box.width, box.height]
        annotation = Annotation(image_id=0, category_id=box.class_id, bbox=bbox)
        visible, cut = visible_part(annotation, width, height)
        place = f"{Path(entry.where).name} annotations[{index}]"
        if visible is None:
            found.dropped.append(place)
            continue
        if cut:
            found.clipped.append(place)
        instances.append(instance_of(annotation, visible, box.class_id))
    found.samples.append(Sample(entry.picture, Objects(width, height, tuple(instances))))
