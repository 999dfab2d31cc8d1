"""Options from flags, a JSON file and the environment, into one frozen model.

A pydantic model beside its owner says what an option is: name, type, default, range and a
description with its unit. This file turns such models into flags, merges what the user gave
(flags over file over environment over defaults), and answers a bad value with one line that
names the field, the value and the range, and an unknown name with the nearest known one.
It reads neither argv nor the environment itself; the two command lines do.
"""

import argparse
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    TypeAlias,
    TypeVar,
    Union,
    get_args,
    get_origin,
)

import annotated_types
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from contract.errors import OptionsError
from contract.locations import parse_path

_MOST_SHOWN = 100  # characters of a value in a message
_NEAR = 0.6  # of difflib's ratio: what a slip of the keyboard or a forgotten word leaves

LocalPath: TypeAlias = Annotated[Path, BeforeValidator(parse_path)]
"""An option that is a folder or file of this machine: a URL would be the path of an odd folder."""


class Options(BaseModel):
    """Base of every options model: frozen, unknown names refused, no infinities."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    alternatives: ClassVar[frozenset[str]] = frozenset()
    """Options of which one excludes the others, so that a flag wins over another's variable."""

    refuse_empty: ClassVar[frozenset[str]] = frozenset()
    """Types, as a table names them, whose own checks refuse empty text and say what they expect."""


OptionsT = TypeVar("OptionsT", bound=Options)


@dataclass(frozen=True, slots=True)
class OptionRow:
    """One option as a table or an error message shows it."""

    name: str
    type: str
    default: str
    range: str
    description: str

    @property
    def expected(self) -> str:
        """What a value must be, such as `int in [4, inf)`."""
        return f"{self.type} in {self.range}" if self.range else self.type


def describe(model: type[Options]) -> list[OptionRow]:
    """The options of a model in their order."""
    return [_row(name, field) for name, field in model.model_fields.items()]


def add_flags(parser: argparse.ArgumentParser, model: type[Options], title: str) -> None:
    """Add a `--name` flag for each option; values stay text until `build` checks them."""
    group = parser.add_argument_group(title)
    for row in describe(model):
        note = f" ({row.expected}; default {row.default})" if row.default else f" ({row.expected})"
        # A switch may stand alone or be given a value, as KServe's own flags allow.
        switch = {"nargs": "?", "const": "true"} if row.type == "bool" else {}
        if row.type == "list":
            switch = {"action": "append"}
        group.add_argument(
            f"--{row.name}",
            default=None,
            metavar=row.type.upper() if "|" not in row.type else None,
            help=(row.description + note).replace("%", "%%"),
            **switch,  # type: ignore[arg-type]  # argparse types each keyword apart
        )


def given_flags(namespace: argparse.Namespace, model: type[Options]) -> dict[str, Any]:
    """What the command line gave for the options of `model`."""
    values = {name: getattr(namespace, name) for name in model.model_fields}
    return {name: value for name, value in values.items() if value is not None}


def given_environment(
    environ: Mapping[str, str], prefix: str, model: type[Options]
) -> dict[str, str]:
    """What variables named `prefix` + upper-case option give for the options of `model`."""
    names = {f"{prefix}{name.upper()}": name for name in model.model_fields}
    return {name: environ[variable] for variable, name in names.items() if variable in environ}


def shown(value: object) -> str:
    """A value as a message shows it: its beginning where it is long."""
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}... ({len(text)} characters)"


def build(model: type[OptionsT], *layers: Mapping[str, Any]) -> OptionsT:
    """Merge `layers`, the first winning, and check them against `model`.

    Raises:
        OptionsError: One line for each unknown name and each value out of its range.
    """
    merged = _merge(model, layers)
    rows = {row.name: row for row in describe(model)}
    asked = {name: row for name, row in rows.items() if row.type not in model.refuse_empty}
    if empty := [name for name, value in merged.items() if _says_nothing(value, asked.get(name))]:
        raise OptionsError(
            [f"{name}: got {shown(merged[name])}, expected {rows[name].expected}" for name in empty]
        )
    try:
        return model.model_validate(merged)
    except ValidationError as err:
        raise OptionsError(_problems(err, rows)) from None


def _merge(model: type[Options], layers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The layers in one, the first winning; it also wins over its alternatives in later ones."""
    merged: dict[str, Any] = {}
    for layer in layers:
        decided = model.alternatives if model.alternatives & merged.keys() else frozenset()
        merged |= {k: v for k, v in layer.items() if k not in merged and k not in decided}
    return merged


def _says_nothing(value: object, row: OptionRow | None) -> bool:
    """Whether a value is empty text, or a truth value for what is none: pydantic takes both."""
    return row is not None and (value == "" or (isinstance(value, bool) and row.type != "bool"))


def nearest(name: str, known: Sequence[str], least: float = _NEAR) -> str | None:
    """The known name that another one may be a slip of; None where none is near.

    Args:
        name: The other one.
        known: The known names.
        least: How near it must be, from 0 to 1, which is the same name: difflib's ratio.
    """
    near = difflib.get_close_matches(name, known, n=1, cutoff=least)
    return near[0] if near else None


def unknown_name(name: str, known: Sequence[str]) -> str:
    """One line about an unknown option that suggests the nearest known one."""
    if not known:
        return f"{name}: unknown option; there are none"
    near = nearest(name, known)
    hint = f"did you mean {near}?" if near is not None else f"known are {', '.join(known)}"
    return f"{name}: unknown option; {hint}"


def _problems(err: ValidationError, rows: Mapping[str, OptionRow]) -> list[str]:
    problems = []
    for detail in err.errors():
        name = str(detail["loc"][0]) if detail["loc"] else ""
        if detail["type"] == "extra_forbidden":
            problems.append(unknown_name(name, list(rows)))
        elif detail["type"] == "missing":
            problems.append(f"{name}: required, but not given; expected {rows[name].expected}")
        elif name in rows and detail["type"] == "value_error":
            problems.append(f"{name}: {detail['msg'].removeprefix('Value error, ')}")
        elif name in rows:
            problems.append(f"{name}: got {shown(detail['input'])}, expected {rows[name].expected}")
        else:
            problems.append(detail["msg"].removeprefix("Value error, "))
    return problems


def _row(name: str, field: FieldInfo) -> OptionRow:
    default = field.default
    return OptionRow(
        name=name,
        type=_type_name(field.annotation),
        default="" if default in (PydanticUndefined, None, ()) else _text(default),
        range=_range_of(field),
        description=field.description or "",
    )


def _type_name(annotation: Any) -> str:
    origin = get_origin(annotation)
    if origin is Literal:
        return "|".join(str(choice) for choice in get_args(annotation))
    if origin in (Union, UnionType):
        return "|".join(_type_name(arg) for arg in get_args(annotation) if arg is not type(None))
    if origin is tuple:
        return "list"
    if origin is Annotated:
        return _type_name(get_args(annotation)[0])
    name = getattr(annotation, "__name__", str(annotation))
    return {"Path": "path", "str": "text", "Bucket": "url"}.get(name, name)


def _text(default: object) -> str:
    return str(default).lower() if isinstance(default, bool) else str(default)


def _range_of(field: FieldInfo) -> str:
    low, high, step = "(-inf", "inf)", ""
    for bound in field.metadata:
        if isinstance(bound, annotated_types.Ge):
            low = f"[{bound.ge}"
        elif isinstance(bound, annotated_types.Gt):
            low = f"({bound.gt}"
        elif isinstance(bound, annotated_types.Le):
            high = f"{bound.le}]"
        elif isinstance(bound, annotated_types.Lt):
            high = f"{bound.lt})"
        elif isinstance(bound, annotated_types.MultipleOf):
            step = f", a multiple of {bound.multiple_of}"
    bounded = (low, high, step) != ("(-inf", "inf)", "")
    return f"{low}, {high}{step}" if bounded else ""
