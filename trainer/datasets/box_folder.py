"""images/ and annotations.json -> a Dataset: the format of SageMaker's object detection.

    {"images": [{"file_name", "height", "width", "id"}, ...],
     "annotations": [{"image_id", "bbox": [xmin, ymin, xmax, ymax], "category_id"}, ...]}

It looks like COCO's, but a bbox names two corners in pixels, there are no categories, and a
category_id may be a number or a name: it is the label itself. So a file is put into COCO's words, and
then read as COCO's are. Labels are all category ids of the training's file, numbers first.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from pydantic_core import from_json, to_json

from trainer.datasets.coco_dataset import build_dataset, faults_of, label_faults, place_of
from trainer.datasets.coco_file import CocoFile, key_of, parse_coco
from trainer.datasets.coco_split import Split
from trainer.datasets.dataset import TRAIN, VALIDATION, Dataset
from trainer.datasets.held_out import held_out
from trainer.errors import DatasetError, listed

ANNOTATIONS_FILE: Final = "annotations.json"
PICTURES_FOLDER: Final = "images"
LAYOUT: Final = f"expected {PICTURES_FOLDER}/ and {ANNOTATIONS_FILE}"


@dataclass(frozen=True, slots=True)
class BoxFolder:
    """What a folder's file says, in COCO's words.

    Attributes:
        path: The file.
        content: Its entries, with a category for each label of the training.
        labels: The labels that it names itself.
    """

    path: Path
    content: CocoFile
    labels: tuple[str, ...]


def read_box_folders(root: Path, train: Path, validation: Path | None, share: float) -> Dataset:
    """Read a dataset to train on.

    Args:
        root: A folder that both lie in.
        train: The folder of the training.
        validation: That of the validation; None holds a share of the training out.
        share: How much.

    Raises:
        DatasetError: A file is missing or malformed, names pictures or places that do not exist, or
            has boxes that are none in pixels; one line each.
    """
    found = _read(train)
    if validation is not None:
        splits = {
            TRAIN: _split(root, found, found.content),
            VALIDATION: _validation(root, _read(validation), found),
        }
        return build_dataset(
            root, splits, found.labels, "train", label_faults(found.path, found.labels)
        )
    whole = _split(root, found, found.content)
    faults = [
        *label_faults(found.path, found.labels),
        *(f"{found.path}: {fault}" for fault in faults_of(whole, found.labels, "train")),
    ]
    if faults:
        raise DatasetError(*listed(faults))
    splits = {
        name: replace(whole, content=content) for name, content in _held_out(found, share).items()
    }
    return build_dataset(root, splits, found.labels, "train", ())


def _validation(root: Path, found: BoxFolder, train: BoxFolder) -> Split:
    """The validation, with the training's categories beside its own."""
    own = {category.id: category for category in found.content.categories}
    known = {category.id: category for category in train.content.categories}
    categories = [*(known | own).values()]
    ids = frozenset(category.id for category in categories)
    return _split(root, found, replace(found.content, categories=categories, category_ids=ids))


def _split(root: Path, found: BoxFolder, content: CocoFile) -> Split:
    return Split(root, found.path, content, PICTURES_FOLDER)


def _held_out(found: BoxFolder, share: float) -> Mapping[str, CocoFile]:
    """The file's content in two."""
    content = found.content
    shown = {entry.image_id for entry in content.annotations.values() if not entry.iscrowd}
    annotated = {place for place, image in enumerate(content.images) if image.id in shown}
    names = [image.file_name for image in content.images]
    places = held_out(names, share, found.path, annotated)
    ids = {content.images[place].id for place in places}
    return {
        name: replace(
            content,
            images=[image for image in content.images if (image.id in ids) == is_held],
            annotations={
                place: entry
                for place, entry in content.annotations.items()
                if (entry.image_id in ids) == is_held
            },
        )
        for name, is_held in ((TRAIN, False), (VALIDATION, True))
    }


def _read(folder: Path) -> BoxFolder:
    path = folder / ANNOTATIONS_FILE
    try:
        said = from_json(path.read_bytes())
    except OSError as err:
        raise DatasetError(f"{path}: cannot be read: {err.strerror}; {LAYOUT}") from err
    except ValueError as err:
        raise DatasetError(f"{path}: is no JSON file: {err}") from err
    entries = said.get("annotations") if isinstance(said, dict) else None
    if not isinstance(entries, list) or not entries:
        raise DatasetError(f"{path}: annotates nothing; expected images and annotations")
    if faults := list(_box_faults(entries)):
        raise DatasetError(*listed([f"{path}: {fault}" for fault in faults]))
    ids = {key_of(entry.get("category_id")) for entry in entries if isinstance(entry, dict)}
    keys = sorted((key for key in ids if key is not None), key=place_of)
    coco = {
        "annotations": [_as_coco(entry) for entry in entries],
        "categories": [{"id": key, "name": str(key)} for key in keys],
    }
    if "images" in said:
        coco["images"] = said["images"]
    return BoxFolder(path, parse_coco(to_json(coco)), tuple(map(str, keys)))


def _corners(entry: Any) -> list[float]:
    """The box of an annotation; nothing where it is none, which is told later."""
    box = entry.get("bbox") if isinstance(entry, dict) else None
    if not isinstance(box, list) or len(box) != 4:
        return []
    return box if all(isinstance(one, int | float) for one in box) else []


def _box_faults(entries: list[Any]) -> Iterator[str]:
    """Boxes that are none in pixels, as two corners."""
    boxes = {place: box for place, entry in enumerate(entries) if (box := _corners(entry))}
    if boxes and all(value <= 1 for box in boxes.values() for value in box):
        yield (
            "each bbox lies between 0 and 1, as shares of the picture; expected xmin, ymin, xmax, "
            "ymax in pixels"
        )
        return
    for place, (left, top, right, bottom) in boxes.items():
        if right < left or bottom < top:
            yield (
                f"annotations[{place}]: bbox {[left, top, right, bottom]}, expected xmin, ymin, "
                "xmax, ymax, of which the latter are no smaller"
            )


def _as_coco(entry: Any) -> Any:
    """An annotation whose bbox is x, y, width, height."""
    if not (box := _corners(entry)):
        return entry
    left, top, right, bottom = box
    return {**entry, "bbox": [left, top, right - left, bottom - top]}
