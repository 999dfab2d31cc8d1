import asyncio
from collections.abc import Iterator

import numpy as np
import pytest

from contract.scheduling import DynamicBatching
from server.rule import Rule, decide, make_rule
from server.waiting_line import Request, WaitingLine, signature_of


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    own = asyncio.new_event_loop()
    yield own
    own.close()


def line_of(
    loop: asyncio.AbstractEventLoop, *sizes: int, shapes: tuple[int, ...] = ()
) -> WaitingLine:
    """Requests of `sizes` rows; rows of [2] floats, or of `shapes`."""
    line = WaitingLine(levels=1, max_rows=1000)
    for i, size in enumerate(sizes):
        inputs = {"x": np.zeros((size, shapes[i] if shapes else 2), np.float32)}
        line.add(Request(inputs, size, signature_of(inputs), 1, 0, loop.create_future()))
    return line


SHARED = Rule((8,), shared=True, may_wait=False)
PATIENT = Rule((4, 8), shared=True, may_wait=True)
ALONE = Rule((8,), shared=False, may_wait=False)


@pytest.mark.parametrize(
    ("rule", "sizes", "expected", "rows"),
    [
        (SHARED, (), False, 0),
        (SHARED, (1,), False, 1),
        (SHARED, (1,), True, 1),
        (SHARED, (1, 2, 3), False, 6),
        (SHARED, (5, 5), False, 8),
        (SHARED, (20,), False, 8),
        (PATIENT, (1,), False, 1),
        (PATIENT, (3,), True, 0),
        (PATIENT, (3, 1), True, 4),
        (PATIENT, (3, 3), True, 4),
        (PATIENT, (7,), False, 4),
        (PATIENT, (9,), True, 8),
        (ALONE, (1, 2), True, 1),
        (ALONE, (20, 2), True, 8),
    ],
)
def test_rows_that_run_now(
    loop: asyncio.AbstractEventLoop, rule: Rule, sizes: tuple[int, ...], expected: bool, rows: int
) -> None:
    assert decide(line_of(loop, *sizes), rule, expected=expected) == rows


def test_rows_of_another_shape_end_a_batch_and_the_wait_for_others(
    loop: asyncio.AbstractEventLoop,
) -> None:
    line = line_of(loop, 1, 1, 1, shapes=(2, 2, 3))
    assert decide(line, SHARED, expected=False) == 2
    assert decide(line, PATIENT, expected=True) == 2


def test_nobody_waits_for_others_twice(loop: asyncio.AbstractEventLoop) -> None:
    line = line_of(loop, 2)
    assert decide(line, PATIENT, expected=True) == 0
    next(iter(line)).overdue = True
    assert decide(line, PATIENT, expected=True) == 2


def test_the_rest_of_a_long_request_waits_for_nobody(loop: asyncio.AbstractEventLoop) -> None:
    line = line_of(loop, 10)
    line.take(8)
    assert decide(line, PATIENT, expected=True) == 2


@pytest.mark.parametrize(
    ("batch_size", "dynamic", "rule"),
    [
        (8, None, Rule((8,), shared=False, may_wait=False)),
        (0, DynamicBatching(), Rule((1,), shared=False, may_wait=False)),
        (8, DynamicBatching(), Rule((8,), shared=True, may_wait=False)),
        (8, DynamicBatching(max_queue_delay_us=5), Rule((8,), shared=True, may_wait=True)),
        (8, DynamicBatching((2, 4, 8)), Rule((2, 4, 8), shared=True, may_wait=False)),
    ],
)
def test_the_rule_of_a_configuration(
    batch_size: int, dynamic: DynamicBatching | None, rule: Rule
) -> None:
    assert make_rule(batch_size, dynamic) == rule
