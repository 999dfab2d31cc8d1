"""A split's COCO file -> the pictures that it names: their sizes, and the files that are none.

Of the pictures only the headers are read.
"""

from dataclasses import dataclass
from pathlib import Path

from contract.pictures import upright_size
from trainer.datasets.coco_file import CocoFile, Image
from trainer.datasets.dataset import Problem, is_inside, why_no_file


@dataclass(frozen=True, slots=True)
class Split:
    """A split's JSON file and where it lies.

    Attributes:
        root: The dataset's folder.
        path: The file.
        content: What it says.
        pictures: What file names are relative to, from the file's folder.
    """

    root: Path
    path: Path
    content: CocoFile
    pictures: str = "."

    def file_of(self, image: Image) -> Path:
        """Where a picture lies."""
        return self.path.parent / self.pictures / image.file_name

    def holds(self, image: Image) -> bool:
        """Whether a picture's path stays in the dataset."""
        return is_inside(self.root, self.file_of(image))


@dataclass(frozen=True, slots=True)
class PictureFiles:
    """A split's pictures with their upright width and height, and the files that are none."""

    sizes: tuple[tuple[Image, tuple[int, int]], ...]
    problems: tuple[Problem, ...]


def check_files(split: Split) -> PictureFiles:
    """Open the pictures of a split that lie in the dataset, their headers alone."""
    sizes, problems = [], []
    for image in filter(split.holds, split.content.images):
        path = split.file_of(image)
        if reason := why_no_file(path):
            problems.append(Problem(path, f"{reason}; {split.path.name} names it"))
            continue
        size = upright_size(path)
        if size is not None and (reason := other_size((image.width, image.height), size)):
            problems.append(Problem(path, reason))
        # Of a picture without a readable header the scan says what is wrong.
        sizes.append((image, size or (image.width or 1, image.height or 1)))
    return PictureFiles(tuple(sizes), tuple(problems))


def other_size(
    declared: tuple[int | None, int | None], upright: tuple[int, int], where: str = "the JSON"
) -> str:
    """What is wrong with the width and height that are declared somewhere, or nothing."""
    width, height = declared
    if all(said in (None, actual) for said, actual in zip(declared, upright, strict=True)):
        return ""
    return (
        f"is of {upright[0]} x {upright[1]} pixels, as it stands upright, but {where} says "
        f"{width or '?'} x {height or '?'}"
    )
