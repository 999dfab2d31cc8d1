"""What a manifest's metadata call the classes.

Ground Truth writes one of three: the class of the line, a map of a picture's several classes, or the
colours of a mask with their classes.

    "class-name": "cat"      "class-map": {"0": "dog", "2": "cat"}
    "internal-color-map": {"0": {"class-name": "BACKGROUND", "hex-color": "#ffffff"}}
"""

from collections.abc import Iterable, Iterator

from trainer.datasets.annotated_picture import AnnotatedPicture, Annotation
from trainer.errors import DatasetError, listed


def class_names(entries: Iterable[AnnotatedPicture], num_classes: int) -> tuple[str, ...]:
    """The names of all classes; their indices, unless each has a name of its own.

    Args:
        entries: What the manifests of all splits name.
        num_classes: How many classes there are.

    Raises:
        DatasetError: Some class has two names, a line each.
    """
    found: dict[str, tuple[str, str]] = {}
    faults: dict[tuple[str, str], str] = {}
    for entry in entries:
        for index, name in _pairs(entry):
            known, where = found.setdefault(index, (name, entry.where))
            if name != known:
                faults[index, name] = (
                    f"{entry.where}: class {index} is named {name!r}, but {known!r} in {where}; a "
                    "class has one name, the same in training and validation"
                )
    if faults:
        raise DatasetError(*listed(list(faults.values())))
    indices = tuple(str(index) for index in range(num_classes))
    names = tuple(found[index][0] for index in indices if index in found)
    whole = len(names) == len(set(names)) == len(indices) == len(found)
    return names if whole and all(map(_can_be_label, names)) else indices


def _pairs(entry: AnnotatedPicture) -> Iterator[tuple[str, str]]:
    """Each class index that a line names, as text, and its name."""
    if not isinstance(entry.metadata, dict):
        return
    if isinstance(name := entry.metadata.get("class-name"), str):
        yield _index(entry.annotation), name
    for key in ("class-map", "internal-color-map"):
        named = entry.metadata.get(key)
        for index, value in named.items() if isinstance(named, dict) else ():
            name = value.get("class-name") if isinstance(value, dict) else value
            if isinstance(name, str):
                yield index, name


def _index(annotation: Annotation) -> str:
    """A line's class as text; 1.0 is 1."""
    whole = isinstance(annotation, float) and annotation.is_integer()
    return f"{annotation:.0f}" if whole else str(annotation)


def _can_be_label(name: str) -> bool:
    return bool(name.strip()) and len(name.splitlines()) == 1
