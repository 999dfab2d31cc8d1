"""The log settings of Triton's logging extension, which change this server's own log.

An event is one line: what a client or a file names may hold newlines, and must not write lines of
its own. A traceback's lines are indented, so that none of them looks like an event either.

Source: https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_logging.md
"""

import logging
from collections.abc import Mapping
from typing import Any, Final

from contract.model_config import Json
from server.errors import RequestError, Unsupported

_FORMATS: Final = {
    "default": "%Y-%m-%d %H:%M:%S",
    "ISO8601": "%Y-%m-%dT%H:%M:%SZ",
}
_LINE: Final = "%(asctime)s %(levelname)s %(name)s %(message)s"
_SWITCHES: Final = {
    "log_info": logging.INFO,
    "log_warning": logging.WARNING,
    "log_error": logging.ERROR,
}
_OUR_PACKAGES: Final = ("server", "contract")
_LEVEL_OF_ALL: Final = 2
_MOST_LEVEL: Final = (1 << 32) - 1  # gRPC's settings are uint32


class OneLine(logging.Formatter):
    """Writes an event as one line, with what is not printable escaped, and tracebacks indented."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's name
        """The line of an event."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802  # logging's name
        """The traceback below it."""
        lines = super().formatException(ei).split("\n")
        return "\n".join(f"    {printable(line)}" for line in lines)


def printable(text: str) -> str:
    """The text with control characters, line ends and lone surrogates as Python escapes them."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text
    )


class LogSettings:
    """What a handler writes, and how; one line of each request from verbose level 1 on.

    Args:
        handler: Where the log goes; install it on the root logger.
    """

    def __init__(self, handler: logging.Handler) -> None:
        self._handler = handler
        self._on = dict.fromkeys(_SWITCHES, True)
        self._verbose_level = 0
        self._format = "default"
        handler.addFilter(self._passes)
        self._apply()

    def to_json(self) -> dict[str, Json]:
        """The settings, as Triton prints them; the log goes to stderr, which is no file."""
        return {
            "log_file": "",
            **self._on,
            "log_verbose_level": self._verbose_level,
            "log_format": self._format,
        }

    def update(self, settings: Mapping[str, Json]) -> None:
        """Change the settings that are given and not null; all or, if one is refused, none.

        Raises:
            RequestError: An unknown setting, or a value that it cannot have.
            Unsupported: A log file, which a client must not choose.
        """
        given = {name: value for name, value in settings.items() if value is not None}
        for name, value in given.items():
            _check(name, value)
        self._on |= {name: value is True for name, value in given.items() if name in _SWITCHES}
        self._verbose_level = int(str(given.get("log_verbose_level", self._verbose_level)))
        self._format = str(given.get("log_format", self._format))
        self._apply()

    def _apply(self) -> None:
        self._handler.setFormatter(OneLine(_LINE, _FORMATS[self._format]))
        ours = logging.DEBUG if self._verbose_level else logging.INFO
        for package in _OUR_PACKAGES:
            logging.getLogger(package).setLevel(ours)
        all_of_them = self._verbose_level >= _LEVEL_OF_ALL
        logging.getLogger().setLevel(logging.DEBUG if all_of_them else logging.INFO)

    def _passes(self, record: logging.LogRecord) -> bool:
        for name, level in reversed(_SWITCHES.items()):
            if record.levelno >= level:
                return self._on[name]
        return True  # verbose lines are let through by the loggers' levels


def _check(name: str, value: Json) -> None:
    """Refuse a setting that is unknown, or cannot have that value."""
    if name == "log_file":
        raise Unsupported("log file location can not be updated through network protocol")
    if name in _SWITCHES:
        fits, expected = isinstance(value, bool), "true or false"
    elif name == "log_verbose_level":
        fits = type(value) is int and 0 <= value <= _MOST_LEVEL
        expected = f"a whole number from 0 to {_MOST_LEVEL}"
    elif name == "log_format":
        fits, expected = value in _FORMATS, " or ".join(_FORMATS)
    else:
        known = ", ".join([*_SWITCHES, "log_verbose_level", "log_format"])
        raise RequestError(f"log setting {name[:40]!r} is unknown; expected one of {known}")
    if not fits:
        raise RequestError(f"log setting '{name}' is {str(value)[:40]!r}; expected {expected}")
