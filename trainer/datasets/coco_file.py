"""One COCO JSON file -> its well-formed entries, and a line for each that is malformed.

An entry that is malformed hides no other: what is left of the file is read on, so that whoever
mends it sees everything at once. Ids, widths and heights may be written as whole floats (1.0), as
some exporters do. An id is a key and no more, so it may be text too, which is not the number that
it spells; a width or height may not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import ErrorDetails, PydanticCustomError, from_json


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def key_of(value: object) -> int | str | None:
    """The id that a value says; None where it is none."""
    key = _whole(value)
    return key if isinstance(key, int | str) and not isinstance(key, bool) else None


def _key(value: object) -> int | str:
    key = key_of(value)
    if key is None:
        raise PydanticCustomError("id", "Input should be a whole number or text")
    return key


Key: TypeAlias = int | str
Whole = Annotated[int, BeforeValidator(_whole)]
Id = Annotated[Key, PlainValidator(_key)]
Number = Annotated[float, Field(allow_inf_nan=False, strict=False)]


class Entry(BaseModel):
    """Base of every entry: frozen, and of the types that JSON says."""

    model_config = ConfigDict(frozen=True, strict=True)


class Category(Entry):
    """A category; ids may have gaps."""

    id: Id
    name: str


class Image(Entry):
    """A picture, and its size in pixels if the file says it."""

    id: Id
    file_name: str = Field(min_length=1)
    width: Annotated[Whole, Field(gt=0)] | None = None
    height: Annotated[Whole, Field(gt=0)] | None = None


class Annotation(Entry):
    """An object: its bbox is x, y, width and height in pixels."""

    image_id: Id
    category_id: Id
    bbox: Annotated[list[Number], Field(min_length=4, max_length=4)]
    area: Number | None = None
    iscrowd: Annotated[int, Field(strict=False, ge=0, le=1)] = 0


@dataclass(frozen=True, slots=True)
class CocoFile:
    """What a file says.

    Attributes:
        categories: The well-formed categories.
        images: The well-formed images.
        annotations: The well-formed annotations by their place in the file.
        category_ids: The ids of all categories, or None where a malformed one hides its own.
        image_ids: Likewise those of all images.
        faults: One line for each malformed entry, or for the whole file.
    """

    categories: Sequence[Category] = ()
    images: Sequence[Image] = ()
    annotations: Mapping[int, Annotation] = field(default_factory=dict)
    category_ids: frozenset[Key] | None = None
    image_ids: frozenset[Key] | None = None
    faults: tuple[str, ...] = ()


class _Whole(Entry):
    categories: list[Category] = Field(min_length=1)
    images: list[Image] = Field(min_length=1)
    annotations: list[Annotation]


_EntryT = TypeVar("_EntryT", bound=Entry)
_ID: Final[TypeAdapter[Key]] = TypeAdapter(Id, config=ConfigDict(strict=True))


def read_coco_file(path: Path) -> CocoFile:
    """Read a file; whatever is wrong with it is in its faults."""
    try:
        data = path.read_bytes()
    except OSError as err:
        return CocoFile(faults=(f"cannot be read: {err.strerror}",))
    return parse_coco(data)


def parse_coco(data: bytes) -> CocoFile:
    """What JSON says."""
    try:
        whole = _Whole.model_validate_json(data)
    except ValidationError as err:
        return _well_formed(data, err.errors())
    return CocoFile(
        categories=whole.categories,
        images=whole.images,
        annotations=dict(enumerate(whole.annotations)),
        category_ids=frozenset(entry.id for entry in whole.categories),
        image_ids=frozenset(entry.id for entry in whole.images),
    )


def _well_formed(data: bytes, details: Sequence[ErrorDetails]) -> CocoFile:
    """What is left of a file in which `details` are wrong."""
    faults = tuple(_describe(detail) for detail in details)
    places = {detail["loc"][:2] for detail in details}
    if () in places:  # no JSON, or no object
        return CocoFile(faults=faults)
    lists = {name: value for name, value in from_json(data).items() if (name,) not in places}
    return CocoFile(
        categories=list(_entries(Category, "categories", lists, places).values()),
        images=list(_entries(Image, "images", lists, places).values()),
        annotations=_entries(Annotation, "annotations", lists, places),
        category_ids=_ids(lists.get("categories")),
        image_ids=_ids(lists.get("images")),
        faults=faults,
    )


def _entries(
    kind: type[_EntryT], name: str, lists: Mapping[str, Any], wrong: set[tuple[int | str, ...]]
) -> dict[int, _EntryT]:
    """The entries of a list that are not wrong, by their place."""
    return {
        index: kind.model_validate(entry)
        for index, entry in enumerate(lists.get(name, ()))
        if (name, index) not in wrong
    }


def _ids(entries: list[Any] | None) -> frozenset[Key] | None:
    """The ids of raw entries, or None where one has none that can be told."""
    if entries is None:
        return None
    try:
        return frozenset(_ID.validate_python(entry["id"]) for entry in entries)
    except (ValidationError, KeyError, TypeError):
        return None


def _describe(detail: ErrorDetails) -> str:
    """`annotations[3].bbox: ...` from pydantic's own words."""
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in detail["loc"])
    shown = "" if detail["type"] in ("missing", "json_invalid") else f", got {detail['input']!r}"
    return f"{place.lstrip('.')}: {detail['msg']}{shown[:120]}".removeprefix(": ")
