"""Boxes of an augmented manifest -> objects, in the form that Ground Truth writes.

"bounding-box": {"image_size": [{"width": 500, "height": 400, "depth": 3}],
"annotations": [{"class_id": 0, "left": 111, "top": 134,
"width": 61, "height": 128}]}
"""

from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import Field, TypeAdapter, ValidationError

from trainer.datasets.annotated_picture import AnnotatedPicture
from trainer.datasets.coco_file import Annotation, Entry, Number, Whole
from trainer.datasets.coco_objects import Instance, Objects, instance_of, visible_part
from trainer.datasets.dataset import Sample, picture_size
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
    width: Number
    height: Number


class _Boxes(Entry):
    """What a picture shows."""

    image_size: list[_Size] = Field(default_factory=list)
    annotations: list[_Box]


_BOXES: Final = TypeAdapter(_Boxes)


def box_samples(entries: Sequence[AnnotatedPicture]) -> tuple[Sample, ...]:
    """The samples of pictures with boxes.

    Raises:
        DatasetError: An annotation is none; a line each.
    """
    samples, faults = [], []
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
        samples.append(Sample(entry.picture, _objects(entry, said)))
    if faults:
        raise DatasetError(*listed(faults))
    return tuple(samples)


def _objects(entry: AnnotatedPicture, said: _Boxes) -> Objects:
    # Of a picture without a readable header the scan says what is wrong.
    declared = next(((size.width, size.height) for size in said.image_size), (1, 1))
    width, height = picture_size(entry.picture) or declared
    instances: list[Instance] = []
    for box in said.annotations:
        bbox = [box.left, box.top, box.width, box.height]
        annotation = Annotation(image_id=0, category_id=box.class_id, bbox=bbox)
        visible, _ = visible_part(annotation, width, height)
        if visible is not None:
            instances.append(instance_of(annotation, visible, box.class_id))
    return Objects(width, height, tuple(instances))
