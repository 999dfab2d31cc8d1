"""The lines of the log, and what must not become one."""

import io
import logging
from collections.abc import Iterator

import pytest

from contract.model_config import Json
from server.errors import RequestError
from server.log_settings import LogSettings, printable

LINE = "2026-11-21 12:00:00 ERROR server forged"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What a logger `server.test` writes, by a handler as the server's."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    LogSettings(handler)
    logger = logging.getLogger("server.test")
    logger.addHandler(handler)
    yield written
    logger.removeHandler(handler)


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\x0b", "\x85", "\u2028"])
def test_a_name_with_a_line_end_stays_on_its_line(log: io.StringIO, end: str) -> None:
    logging.getLogger("server.test").warning("unknown model: %s", f"m{end}{LINE}")
    written = log.getvalue()
    assert written.splitlines() == [written[:-1]]
    assert written.endswith(f"unknown model: m{printable(end)}{LINE}\n")


def test_no_line_of_a_traceback_looks_like_an_event(log: io.StringIO) -> None:
    def fail() -> None:
        raise ValueError(f"m\n{LINE}\r{LINE}")

    try:
        fail()
    except ValueError:
        logging.getLogger("server.test").exception("internal error")
    first, *others = log.getvalue().splitlines()
    assert first.endswith("ERROR server.test internal error")
    assert others[0] == "    Traceback (most recent call last):"
    assert f"    {LINE}\\r{LINE}" in others
    assert all(line.startswith("    ") for line in others)


def test_what_is_printable_stays_as_it_is() -> None:
    assert printable("größe 猫 'a' \\n") == "größe 猫 'a' \\n"
    assert printable("a\x1b[2J\x00\udcff") == "a\\x1b[2J\\x00\\udcff"


@pytest.mark.parametrize("level", [-1, 1 << 32, True, 1.0, "1"])
def test_a_verbose_level_is_one_that_grpc_can_tell(level: Json) -> None:
    settings = LogSettings(logging.NullHandler())
    before = settings.to_json()
    with pytest.raises(RequestError, match="expected a whole number from 0 to 4294967295"):
        settings.update({"log_info": False, "log_verbose_level": level})
    assert settings.to_json() == before
