"""What a manifest's metadata call the classes.

Ground Truth writes one of three: the class of the line, a map of a picture's several classes, or the
colours of a mask with their classes.

    "class-name": "cat"      "class-map": {"0": "dog", "2": "cat"}
    "internal-color-map": {"0": {"class-name": "BACKGROUND", "hex-color": "#ffffff"}}
"""

from collections.abc import Iterable, Iterator

from trainer.datasets.annotated import Annotated


def class_names(entries: Iterable[Annotated], num_classes: int) -> tuple[str, ...]:
    """The names of all classes; their indices, unless each has one name of its own."""
    found: dict[str, set[str]] = {}
    for entry in entries:
        for index, name in _pairs(entry):
            found.setdefault(index, set()).add(name)
    indices = tuple(str(index) for index in range(num_classes))
    names = tuple(name for index in indices for name in found.get(index, ()))
    whole = len(names) == len(set(names)) == len(indices) == len(found)
    return names if whole and all(map(_can_be_label, names)) else indices


def _pairs(entry: Annotated) -> Iterator[tuple[str, str]]:
    """Each class index that a line names, as text, and its name."""
    if not isinstance(entry.metadata, dict):
        return
    if isinstance(name := entry.metadata.get("class-name"), str):
        yield str(entry.annotation), name
    for key in ("class-map", "internal-color-map"):
        named = entry.metadata.get(key)
        for index, value in named.items() if isinstance(named, dict) else ():
            name = value.get("class-name") if isinstance(value, dict) else value
            if isinstance(name, str):
                yield index, name


def _can_be_label(name: str) -> bool:
    return bool(name.strip()) and len(name.splitlines()) == 1
