"""A picture with what a file says of it, before anyone knows what that means."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from contract.model_config import Json
from trainer.datasets.dataset import Problem, Stored, why_no_file

Annotation: TypeAlias = "tuple[float, ...] | Json | Stored"
"""Numbers of a list or a record; what a manifest holds; or a record of text or of a mask."""


@dataclass(frozen=True, slots=True)
class AnnotatedPicture:
    """A picture and its annotation.

    Attributes:
        where: The place that says so, for messages.
        picture: The picture.
        annotation: What is said of it.
        metadata: What a manifest says about the annotation.
    """

    where: str
    picture: Stored
    annotation: Annotation
    metadata: Json = None


def missing_files(entries: Iterable[AnnotatedPicture]) -> Iterator[Problem]:
    """The pictures and masks that are no files, each with the place that names it."""
    for entry in entries:
        for stored in (entry.picture, entry.annotation):
            if isinstance(stored, Path) and (reason := why_no_file(stored)):
                yield Problem(stored, f"{reason}; {entry.where} names it")
