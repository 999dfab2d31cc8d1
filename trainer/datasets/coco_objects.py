"""COCO's annotations of one picture -> the objects that it shows.

A bbox is x, y, width, height in pixels and is clipped to its picture; a missing `area` is that of
what is left.
"""

from dataclasses import dataclass
from typing import TypeAlias

from trainer.datasets.coco_file import Annotation
from trainer.datasets.dataset import Sample

BoxXyxyPx: TypeAlias = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Instance:
    """One annotated object.

    Attributes:
        label: The class index.
        box_xyxy_px: Left, top, right and bottom in pixels of the upright picture, inside it.
        area_px: The area that COCO's sizes go by; of the box where the file has none.
        crowd: Whether it is a region of many objects.
    """

    label: int
    box_xyxy_px: BoxXyxyPx
    area_px: float
    crowd: bool


@dataclass(frozen=True, slots=True)
class Objects:
    """What a picture shows.

    Attributes:
        width: Width of the upright picture in pixels.
        height: Height of the upright picture in pixels.
        instances: Its objects in the file's order.
    """

    width: int
    height: int
    instances: tuple[Instance, ...]


def objects_of(sample: Sample) -> Objects:
    """What a sample of this reader shows."""
    assert isinstance(sample.target, Objects)  # noqa: S101 - what this reader puts there
    return sample.target


def visible_part(entry: Annotation, width: int, height: int) -> tuple[BoxXyxyPx | None, bool]:
    """The part of a box inside the picture, or None, and whether some of it was outside."""
    left, top, box_width, box_height = entry.bbox
    whole = left, top, left + box_width, top + box_height
    inside = (
        min(max(whole[0], 0.0), width),
        min(max(whole[1], 0.0), height),
        min(max(whole[2], 0.0), width),
        min(max(whole[3], 0.0), height),
    )
    visible = inside[2] > inside[0] and inside[3] > inside[1]
    return (inside if visible else None), inside != whole


def instance_of(entry: Annotation, box: BoxXyxyPx, label: int) -> Instance:
    """An annotation as the object of a class, of which `box` is visible."""
    box_area = (box[2] - box[0]) * (box[3] - box[1])
    area = box_area if entry.area is None or entry.area <= 0 else entry.area
    return Instance(label, box, area, bool(entry.iscrowd))
