"""The trace settings of Triton's trace extension: which requests are traced.

They decide, for all models or for one, and server/tracing.py records. Spans go where OTLP's
environment variables say, so a client chooses no file.

Source: https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_trace.md
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from contract.model_config import Json
from server.errors import RequestError, Unsupported

Values: TypeAlias = "Mapping[str, Sequence[str] | None]"
"""New values by setting; None, or no value, takes the setting back."""

_LEVELS: Final = ("OFF", "TIMESTAMPS", "TENSORS")
_LOWEST: Final = {"trace_rate": 1, "trace_count": -1, "log_frequency": 0}
_MOST: Final = 2**31 - 1
_NUMBER: Final = re.compile(r"\s*[+-]?[0-9]{1,40}\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Setting:
    """One set of trace settings.

    Attributes:
        level: OFF; or TIMESTAMPS, TENSORS or both.
        rate: Every so many requests, one is traced.
        count: So many are left to be traced; -1 for no end.
        log_frequency: Kept for Triton's clients; it is for trace files, which there are none of.
    """

    level: tuple[str, ...] = ("OFF",)
    rate: int = 1000
    count: int = -1
    log_frequency: int = 0

    def to_json(self) -> dict[str, Json]:
        """The setting as Triton prints it: numbers as text."""
        return {
            "trace_level": list(self.level),
            "trace_rate": str(self.rate),
            "trace_count": str(self.count),
            "log_frequency": str(self.log_frequency),
            "trace_file": "",
            "trace_mode": "opentelemetry",
        }


class TraceSettings:
    """The settings of the server and, where a model differs, the model's own values.

    Args:
        start: The settings of the server at its start, to which null takes a setting back.
    """

    def __init__(self, start: Setting | None = None) -> None:
        self._start = start or Setting()
        self._server = self._start
        self._models: dict[str, dict[str, tuple[str, ...]]] = {}
        self._seen: dict[str, int] = {}
        self._traced: dict[str, int] = {}

    def of(self, model: str = "") -> Setting:
        """The setting of a model, or, without a name, of the server."""
        setting = self._server
        for name, values in self._models.get(model, {}).items():
            setting = _with(setting, name, values)
        return setting

    def update(self, values: Values, model: str = "") -> Setting:
        """Change settings of a model, or of the server; all or, if one is refused, none.

        Raises:
            RequestError: An unknown setting, or a value that it cannot have.
            Unsupported: A trace file, which a client must not choose.
        """
        given = {name: tuple(value or ()) for name, value in values.items()}
        changed = self.of(model)
        for name, value in given.items():
            changed = _with(changed, name, value) if value else changed
            _check_name(name)
        if model:
            kept = self._models.get(model, {}) | given
            self._models[model] = {name: value for name, value in kept.items() if value}
        else:
            for name, value in given.items():
                start = _texts(self._start)[name]
                self._server = _with(self._server, name, value or start)
        self._traced.clear()
        return self.of(model)

    def sample(self, model: str) -> bool:
        """Whether the request of a model that begins now is to be traced; counts it."""
        setting = self.of(model)
        if setting.level == ("OFF",):
            return False
        scope = model if self._models.get(model) else ""
        seen = self._seen[scope] = self._seen.get(scope, 0) + 1
        if seen % setting.rate or self._traced.get(scope, 0) == setting.count:
            return False
        self._traced[scope] = self._traced.get(scope, 0) + 1
        return True


def _with(setting: Setting, name: str, values: Sequence[str]) -> Setting:
    """The setting with another value of `name`."""
    _check_name(name)
    if name == "trace_level":
        return replace(setting, level=_levels(values))
    number = _number(name, values)
    if name == "trace_rate":
        return replace(setting, rate=number)
    if name == "trace_count":
        return replace(setting, count=number)
    return replace(setting, log_frequency=number)


def _texts(setting: Setting) -> dict[str, tuple[str, ...]]:
    return {
        "trace_level": setting.level,
        "trace_rate": (str(setting.rate),),
        "trace_count": (str(setting.count),),
        "log_frequency": (str(setting.log_frequency),),
    }


def _check_name(name: str) -> None:
    if name == "trace_file":
        raise Unsupported("trace file location can not be updated through network protocol")
    if name not in ("trace_level", *_LOWEST):
        known = ", ".join(["trace_level", *_LOWEST])
        raise RequestError(f"trace setting {name[:40]!r} is unknown; expected one of {known}")


def _levels(values: Sequence[str]) -> tuple[str, ...]:
    for value in values:
        if value not in _LEVELS:
            raise RequestError(
                f"trace_level is {value[:40]!r}; expected {', '.join(_LEVELS[:-1])} or {_LEVELS[-1]}"
            )
    if "OFF" in values and len(values) > 1:
        raise RequestError("Expect only one trace level 'OFF' is specified")
    return tuple(values)


def _number(name: str, values: Sequence[str]) -> int:
    text = values[0] if len(values) == 1 else ",".join(values)
    if not _NUMBER.fullmatch(text):
        raise RequestError(f"Unable to parse '{name}', got: {text[:40]}")
    number = int(text)
    if not _LOWEST[name] <= number <= _MOST:
        raise RequestError(
            f"Unable to parse '{name}', value is out of range [ {_LOWEST[name]}, {_MOST} ], "
            f"got: {text[:40]}"
        )
    return number
