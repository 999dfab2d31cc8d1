"""A folder of pictures and one of annotations -> pairs: SageMaker's segmentation channels.

train/street/0000.jpg            a picture
train_annotation/street/0000.png its labels, a mask: of the same name but for the suffix
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from trainer.datasets.annotated_picture import AnnotatedPicture
from trainer.datasets.dataset import Problem
from trainer.datasets.visible_files import visible_files
from trainer.errors import DatasetError, listed

PICTURES: Final = (".jpg", ".jpeg", ".png")
ANNOTATIONS: Final = (".png",)


@dataclass(frozen=True, slots=True)
class Pairs:
    """What two folders hold.

    Attributes:
        entries: The pictures with their annotations, by name.
        problems: Pictures without an annotation.
        lonely: Annotations without a picture.
    """

    entries: list[AnnotatedPicture] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    lonely: list[Path] = field(default_factory=list)


def read_pairs(pictures: Path, annotations: Path) -> Pairs:
    """Pair two folders.

    Raises:
        DatasetError: A folder is missing or holds no such file, or two files have one name.
    """
    masks = _by_name(annotations, ANNOTATIONS)
    found = _by_name(pictures, PICTURES)
    pairs = Pairs()
    for name, picture in found.items():
        if (mask := masks.pop(name, None)) is None:
            wanted = annotations / f"{name}{ANNOTATIONS[0]}"
            pairs.problems.append(Problem(picture, f"has no annotation; expected {wanted}"))
        else:
            pairs.entries.append(AnnotatedPicture(str(picture), picture, mask))
    pairs.lonely.extend(masks.values())
    return pairs


def _by_name(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """The files of these suffixes by their relative paths without them, in order."""
    if not folder.is_dir():
        raise DatasetError(f"{folder}: folder is missing")
    found: dict[str, Path] = {}
    twice = []
    for path in visible_files(folder):
        if path.suffix.lower() not in suffixes:
            continue
        name = str(path.relative_to(folder).with_suffix(""))
        if name in found:
            twice.append(f"{path}: {found[name].name} has the same name but for its suffix")
        found[name] = path
    if twice:
        raise DatasetError(*listed(twice))
    if not found:
        raise DatasetError(f"{folder}: holds no file; expected {', '.join(suffixes)}")
    return found
