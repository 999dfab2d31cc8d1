"""COCO annotations on disk -> a Dataset: DIR/{train,validation,test}/_annotations.coco.json.

The format of EasyMaker's object detection, and of Roboflow's exports. COCO's own rules hold: a
bbox is x, y, width, height in pixels; category ids may have gaps; `iscrowd` marks a region that
is neither trained on nor counted against a model; a missing `area` is the box's. The labels are
the categories of train/ in the order of their ids, as the file names them: one without any
annotation ("none", id 0, in Roboflow's exports) stays a label, which nothing ever trains.

Of the pictures only the headers are read. A file that is missing, or of another size than the
JSON says, becomes a Problem beside those that the scan finds; JSON that cannot mean what it says
is refused, every fault of it at once.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, TypeAlias

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from contract.labels import check_labels
from trainer.datasets.dataset import TEST, TRAIN, VALIDATION, Dataset, Problem, Sample
from trainer.errors import LISTED_PROBLEMS, DatasetError

ANNOTATIONS_FILE: Final = "_annotations.coco.json"
LAYOUT: Final = f"expected DIR/{{train,validation,test}}/{ANNOTATIONS_FILE}"

RESERVED: Final = "score"  # beside the box in {label: box, "score": 0.9}

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


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)


class _Category(_Entry):
    id: int
    name: str


class _Image(_Entry):
    id: int
    file_name: str = Field(min_length=1)
    width: int | None = Field(default=None, gt=0)
    height: int | None = Field(default=None, gt=0)


_Number = Annotated[float, Field(allow_inf_nan=False, strict=False)]


class _Annotation(_Entry):
    image_id: int
    category_id: int
    bbox: Annotated[list[_Number], Field(min_length=4, max_length=4)]
    area: _Number | None = None
    iscrowd: Annotated[int, Field(strict=False, ge=0, le=1)] = 0


class _File(_Entry):
    categories: list[_Category] = Field(min_length=1)
    images: list[_Image] = Field(min_length=1)
    annotations: list[_Annotation]


@dataclass(frozen=True, slots=True)
class _Split:
    """A split's JSON file and where it lies."""

    root: Path
    path: Path
    content: _File

    @property
    def folder(self) -> Path:
        """The folder that file names are relative to."""
        return self.path.parent


@dataclass(frozen=True, slots=True)
class _Samples:
    """A split's samples, unusable files, and counts of boxes clipped and dropped."""

    samples: tuple[Sample, ...]
    problems: tuple[Problem, ...]
    clipped: int
    dropped: int


def read_coco(data: Path) -> Dataset:
    """Read a dataset to train on.

    Raises:
        DatasetError: The JSON of train or validation is missing, or a split's is malformed or
            names an image, a category or a place that does not exist; one line each.
        ConfigError: A category that a labels.txt cannot hold.
    """
    files = {split: find_annotations(data, split) for split in (TRAIN, VALIDATION, TEST)}
    if missing := [split for split in (TRAIN, VALIDATION) if files[split] is None]:
        raise DatasetError(
            *(f"{data / split / ANNOTATIONS_FILE}: file is missing; {LAYOUT}" for split in missing)
        )
    splits = _load_all(data, {split: path for split, path in files.items() if path is not None})
    train = splits[TRAIN]
    labels = tuple(entry.name for entry in sorted(train.content.categories, key=lambda c: c.id))
    dataset = _dataset(data, splits, labels, known_by="train")
    check_labels(train.path, labels)
    return dataset


def read_coco_split(data: Path, split: str, labels: Sequence[str]) -> Dataset:
    """Read one split to evaluate a model of known `labels` on.

    Raises:
        DatasetError: As `read_coco`, or a category that the model lacks.
    """
    path = find_annotations(data, split)
    if path is None:
        raise DatasetError(f"{data / split / ANNOTATIONS_FILE}: file is missing; {LAYOUT}")
    return _dataset(data, _load_all(data, {split: path}), tuple(labels), known_by="the model")


def find_annotations(data: Path, split: str) -> Path | None:
    """The JSON file of a split, in its folder or in a folder of the same name inside."""
    candidates = (folder / ANNOTATIONS_FILE for folder in (data / split, data / split / split))
    return next((path for path in candidates if path.is_file()), None)


def objects_of(sample: Sample) -> Objects:
    """What a sample of this reader shows."""
    assert isinstance(sample.target, Objects)  # noqa: S101 - what this reader puts there
    return sample.target


def _load_all(data: Path, files: Mapping[str, Path]) -> dict[str, _Split]:
    loaded, faults = {}, []
    for split, path in files.items():
        try:
            loaded[split] = _Split(data, path, _File.model_validate_json(path.read_bytes()))
        except ValidationError as err:
            faults += _limited(path, [_describe(detail) for detail in err.errors()])
        except OSError as err:
            faults.append(f"{path}: cannot be read: {err.strerror}")
    if faults:
        raise DatasetError(*faults)
    return loaded


def _describe(detail: ErrorDetails) -> str:
    """`annotations[3].bbox: ...` from pydantic's own words."""
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in detail["loc"])
    shown = "" if detail["type"] in ("missing", "json_invalid") else f", got {detail['input']!r}"
    return f"{place.lstrip('.')}: {detail['msg']}{shown[:120]}".removeprefix(": ")


def _limited(path: Path, faults: Sequence[str]) -> list[str]:
    """The faults of a file, each behind its path, up to a limit."""
    rest = len(faults) - LISTED_PROBLEMS
    more = [f"and {rest} more"] if rest > 0 else []
    return [f"{path}: {fault}" for fault in [*faults[:LISTED_PROBLEMS], *more]]


def _dataset(
    data: Path, splits: Mapping[str, _Split], labels: tuple[str, ...], known_by: str
) -> Dataset:
    faults = [
        fault
        for split in splits.values()
        for fault in _limited(split.path, list(_faults(split, labels, known_by)))
    ]
    if faults:
        raise DatasetError(*faults)
    found = {name: _samples(split, labels) for name, split in splits.items()}
    return Dataset(
        root=data,
        labels=labels,
        splits={name: one.samples for name, one in found.items()},
        problems=tuple(problem for one in found.values() for problem in one.problems),
        warnings=tuple(
            warning
            for name, one in found.items()
            for warning in _warnings(splits[name], one, labels if name == TRAIN else ())
        ),
    )


def _faults(split: _Split, labels: Sequence[str], known_by: str) -> Iterator[str]:
    """Everything in a well-formed file that cannot be meant."""
    content = split.content
    image_ids = Counter(entry.id for entry in content.images)
    categories = Counter(entry.id for entry in content.categories)
    yield from _repeated("image id", image_ids)
    yield from _repeated("category id", categories)
    yield from _repeated("category name", Counter(entry.name for entry in content.categories))
    yield from _repeated("file_name", Counter(entry.file_name for entry in content.images))
    for category in content.categories:
        if category.name not in labels:
            yield (
                f"category {category.name!r} is unknown to {known_by}, "
                f"whose labels are {', '.join(labels)}"
            )
        if category.name == RESERVED:
            yield f"category {RESERVED!r}: an answer has a key of that name; rename it"
    for image in content.images:
        if not _inside(split.root, split.folder / image.file_name):
            yield f"image {image.id}: {image.file_name!r} leads out of the dataset's folder"
    for index, entry in enumerate(content.annotations):
        if entry.image_id not in image_ids:
            yield f"annotations[{index}]: there is no image of the image_id {entry.image_id}"
        if entry.category_id not in categories:
            yield (
                f"annotations[{index}]: there is no category of the category_id {entry.category_id}"
            )


def _repeated(kind: str, counts: Mapping[int, int] | Mapping[str, int]) -> Iterator[str]:
    for value, count in counts.items():
        if count > 1:
            yield f"{kind} {value!r} occurs {count} times"


def _inside(data: Path, path: Path) -> bool:
    """Whether a path that a file of the dataset names stays in it; links are the owner's own."""
    return Path(os.path.abspath(path)).is_relative_to(os.path.abspath(data))  # noqa: PTH100 - resolve() would follow links


def _samples(split: _Split, labels: Sequence[str]) -> _Samples:
    label_of = {entry.id: labels.index(entry.name) for entry in split.content.categories}
    entries: dict[int, list[_Annotation]] = {entry.id: [] for entry in split.content.images}
    for entry in split.content.annotations:
        entries[entry.image_id].append(entry)
    samples, problems = [], []
    clipped = dropped = 0
    for image in split.content.images:
        path = split.folder / image.file_name
        if not path.is_file():
            problems.append(Problem(path, f"file is missing; {split.path.name} names it"))
            continue
        (width, height), reason = _checked_size(path, image)
        if reason:
            problems.append(Problem(path, reason))
        instances = []
        for entry in entries[image.id]:
            box, cut = _box(entry, width, height)
            clipped += cut and box is not None
            dropped += box is None
            if box is not None:
                instances.append(_instance(entry, box, label_of[entry.category_id]))
        samples.append(Sample(path, Objects(width, height, tuple(instances))))
    return _Samples(tuple(samples), tuple(problems), clipped, dropped)


def _box(entry: _Annotation, width: int, height: int) -> tuple[BoxXyxyPx | None, bool]:
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


def _instance(entry: _Annotation, box: BoxXyxyPx, label: int) -> Instance:
    box_area = (box[2] - box[0]) * (box[3] - box[1])
    area = box_area if entry.area is None or entry.area <= 0 else entry.area
    return Instance(label, box, area, bool(entry.iscrowd))


def _warnings(split: _Split, found: _Samples, labels: Sequence[str]) -> Iterator[str]:
    """What is odd about a split but usable; `labels` are those that it should show."""
    if found.dropped:
        yield f"{split.path}: {found.dropped} boxes without any area in their picture are dropped"
    if found.clipped:
        yield f"{split.path}: {found.clipped} boxes reach out of their picture and are clipped"
    shown = {
        instance.label
        for sample in found.samples
        for instance in objects_of(sample).instances
        if not instance.crowd
    }
    if unshown := [label for index, label in enumerate(labels) if index not in shown]:
        yield (
            f"{split.path}: nothing is annotated as {', '.join(unshown)}; "
            "such a label is kept, but never learned"
        )


def _checked_size(path: Path, image: _Image) -> tuple[tuple[int, int], str]:
    """Upright width and height, and what is wrong with the declared ones; the scan reads on."""
    declared = image.width, image.height
    try:
        with Image.open(path) as opened:
            stored = opened.size
            turned = opened.getexif().get(0x0112, 1) >= 5
    except (OSError, ValueError, SyntaxError):
        return (image.width or 1, image.height or 1), ""  # the scan says what is wrong
    upright = (stored[1], stored[0]) if turned else stored
    if all(ours in (None, actual) for ours, actual in zip(declared, upright, strict=True)):
        return upright, ""
    note = " upright, as its EXIF orientation turns it" if turned else ""
    said = f"{image.width or '?'} x {image.height or '?'}"
    return upright, f"is of {upright[0]} x {upright[1]} pixels{note}, but the JSON says {said}"
