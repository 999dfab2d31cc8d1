"""The turns of long work, by a clock that moves when it is read or slept by."""

import numpy as np
import orjson
import pytest

from server import turns
from server.json_numbers import numbers_from_json
from server.json_text import parse_json_with_arrays
from server.protocol.long_json import flat_json, json_pieces
from server.turns import in_turns

NUMBERS = np.arange(300_000, dtype=np.float32)


class Clock:
    """Stands for the module `time`: reading it takes half a millisecond."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.pauses_s: list[float] = []

    def perf_counter(self) -> float:
        self.now_s += 5e-4
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.pauses_s.append(seconds)
        self.now_s += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(turns, "time", clock)
    return clock


def test_the_pieces_come_as_they_are_with_a_pause_after_each_2_ms(clock: Clock) -> None:
    assert list(in_turns(range(40))) == list(range(40))
    assert len(clock.pauses_s) == 40 // 4
    assert min(clock.pauses_s) >= 1e-4  # a thread that sleeps takes half of that to wake up


def test_short_work_has_no_pause(clock: Clock) -> None:
    assert list(in_turns(range(3))) == [0, 1, 2]
    assert clock.pauses_s == []


def test_long_arrays_are_read_in_turns(clock: Clock) -> None:
    text = orjson.dumps({"data": NUMBERS}, option=orjson.OPT_SERIALIZE_NUMPY)
    parsed = parse_json_with_arrays(text, 100)
    assert isinstance(parsed, dict)
    np.testing.assert_array_equal(numbers_from_json(parsed["data"], NUMBERS.dtype), NUMBERS)
    assert len(clock.pauses_s) >= 4


def test_long_arrays_are_written_in_turns(clock: Clock) -> None:
    written = b"".join(json_pieces({"data": flat_json(NUMBERS)}))
    assert orjson.loads(written) == {"data": NUMBERS.tolist()}
    assert len(clock.pauses_s) >= 3
