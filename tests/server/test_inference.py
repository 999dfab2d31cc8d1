"""How long requests are taken apart."""

import pytest

from server.execution import Execution
from server.inference import part_rows


@pytest.mark.parametrize(
    ("row_bytes", "max_queue_size", "pictures", "expected"),
    [
        (4, 4096, True, 256),
        (4, 4096, False, 1024),
        (4, 100, False, 100),
        (4, 500, False, 256),
        (1 << 20, 4096, True, 128),
        (1 << 20, 4096, False, 128),
        (1 << 30, 4096, False, 1),
        (0, 4096, False, 1024),
    ],
)
def test_a_part_leaves_room_in_the_queue_and_in_memory(
    row_bytes: int, max_queue_size: int, pictures: bool, expected: int
) -> None:
    execution = Execution((), 8, {"y": row_bytes} if row_bytes else {})
    assert part_rows(execution, max_queue_size, pictures=pictures) == expected
