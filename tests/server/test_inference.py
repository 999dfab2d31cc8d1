"""How long requests are taken apart, and what a full queue costs."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from contract.scheduling import DynamicBatching, QueuePolicy
from server.batcher import Batcher
from server.decoder import Decoder
from server.errors import QueueFull
from server.execution import Execution
from server.inference import Inference, Turn, part_rows
from server.record import Record
from server.runtime import Runtime
from server.statistics import Statistics
from tests.picture_files import noise_png
from tests.repositories import repository
from tests.server.batched import Gate, ask, started
from tests.tiny_models import publish_colour_model


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


@pytest.mark.parametrize("policy", [QueuePolicy(max_queue_size=1), QueuePolicy()])
def test_nothing_is_decoded_for_a_full_queue(
    tmp_path: Path, runtime: Runtime, policy: QueuePolicy
) -> None:
    publish_colour_model(tmp_path, "colour")
    gate, decoder = Gate(), Decoder(1, 10_000)
    decoder.stop()  # it would raise another error

    async def main() -> None:
        async with repository(tmp_path, runtime) as served:
            version = served.find("colour").version()
            with ThreadPoolExecutor(1) as executor:
                execution, dynamic = Execution((gate.run,), 8), DynamicBatching(policies=(policy,))
                batcher = Batcher(execution, executor, dynamic, 1, Statistics())
                batcher.start()
                inference = Inference(version.config, version.task, decoder, batcher, 1)
                first = asyncio.create_task(ask(batcher, 1))
                await gate.busy()
                (waiting,) = await started(ask(batcher, 1))
                with pytest.raises(QueueFull):
                    await anext(inference.of_pictures([noise_png(0)], Turn(), Record()))
                gate.opened.set()
                await asyncio.gather(first, waiting)
                await batcher.stop()

    asyncio.run(main())
