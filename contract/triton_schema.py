"""Triton's own schema of a model's configuration, and its messages as JSON.

The schema is tritonclient's `model_config_pb2`, loaded by its location: importing it through its
package would register `package inference` beside KServe's and end the process.

Source: https://github.com/triton-inference-server/common/blob/main/protobuf/model_config.proto
"""

import importlib.util
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeAlias, cast

from google.protobuf.descriptor import FieldDescriptor, FileDescriptor
from google.protobuf.message import Message

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

_SCHEMA_MODULE: Final = "tritonclient.grpc.model_config_pb2"


@cache
def schema() -> Any:  # a generated module without types; no caller outside contract/ sees it
    """The generated module of Triton's model_config.proto."""
    spec = importlib.util.find_spec("tritonclient")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("tritonclient is not installed; pip install tritonclient")
    location = Path(spec.submodule_search_locations[0]) / "grpc" / "model_config_pb2.py"
    loaded = sys.modules.get(_SCHEMA_MODULE)
    return loaded if loaded is not None else _load_module(location)


def schema_file() -> FileDescriptor:
    """The file that describes the schema: model_config.proto of package `inference`."""
    return cast(FileDescriptor, schema().DESCRIPTOR)


def message_to_json(message: Message) -> dict[str, Json]:
    """Fields by their schema names; 64-bit integers stay numbers, unlike protobuf's JSON.

    Scalars, lists and maps that are not set are there with their defaults, as Triton prints them,
    because clients read them (its image_client.py the `format` of an input); messages are not.
    """
    fields = cast("Sequence[FieldDescriptor]", message.DESCRIPTOR.fields)
    return {
        field.name: _field_to_json(field, getattr(message, field.name))
        for field in fields
        if not field.has_presence or message.HasField(field.name)
    }


def check_numbers(message: Message, path: str = "") -> None:
    """Refuse numbers of enumerations that the schema does not have, which proto3 lets through.

    Raises:
        ValueError: Says where the first of them stands.
    """
    for field, value in message.ListFields():
        for where, one in _values(field, value):
            if isinstance(one, Message):
                check_numbers(one, f"{path}{where}.")
            elif field.enum_type is not None and one not in field.enum_type.values_by_number:
                known = ", ".join(field.enum_type.values_by_name)
                raise ValueError(f"{path}{where} is {one}; expected one of {known}")


def _values(field: FieldDescriptor, value: Any) -> Iterator[tuple[str, Any]]:
    """The values of a field, each with where it stands."""
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return ((f"{field.name}[{str(key)[:40]!r}]", value[key]) for key in value)
    if field.is_repeated:
        return ((f"{field.name}[{i}]", one) for i, one in enumerate(value))
    return iter([(field.name, value)])


def _load_module(location: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("contract._triton_model_config_pb2", location)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"{location} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _field_to_json(field: FieldDescriptor, value: Any) -> Json:
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        value_field = entry.fields_by_name["value"]
        return {str(key): _value_to_json(value_field, value[key]) for key in value}
    if field.is_repeated:
        return [_value_to_json(field, item) for item in value]
    return _value_to_json(field, value)


def _value_to_json(field: FieldDescriptor, value: Any) -> Json:
    if field.message_type is not None:
        return message_to_json(value)
    if field.enum_type is not None:
        return field.enum_type.values_by_number[value].name
    return cast(Json, value)
