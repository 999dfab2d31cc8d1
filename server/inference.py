"""Pictures or tensors of a request -> rows -> the batcher -> outputs, part by part.

A long request is decoded and run in parts, so that it takes the memory of one part and leaves the
queue room for others.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contract.model_config import ModelConfig
from contract.pictures import Picture, without_pixels
from server.batcher import Batcher
from server.decoder import Decoder, PictureFile
from server.durations import timed
from server.errors import BadPicture
from server.execution import Execution, Row, Rows, rows_of
from server.record import Record
from server.request_digest import Files, Inputs, Tensors
from server.response_cache import Part, VersionCache
from server.tasks.task import Task
from server.tensors import BYTES, InferRequest, Tensor

PART_PICTURES: Final = 256
PARTS_IN_QUEUE: Final = 4
"""Parts of tensors that the queue has room for: a row of few numbers is not worth a part of 256."""

PART_BYTES: Final = 128 * 2**20


@dataclass(frozen=True, slots=True)
class Turn:
    """What a request says of its turn in the queue.

    Attributes:
        priority: Its priority level; 0 for the model's default.
        timeout_us: How long it may wait; 0 for the model's default.
    """

    priority: int = 0
    timeout_us: int = 0


@dataclass(frozen=True, slots=True)
class Inference:
    """The way of requests to the runs of one version.

    Attributes:
        config: The model's configuration.
        task: Its task; None if it answers tensors alone.
        decoder: Decodes its pictures.
        batcher: Its queue.
        part: Rows of a long request that are decoded and run together.
        cache: What it answered before; None if nothing is kept.
    """

    config: ModelConfig
    task: Task | None
    decoder: Decoder
    batcher: Batcher
    part: int
    cache: VersionCache | None = None

    def row_count(self, request: InferRequest) -> int:
        """The pictures, or batch rows, of a V2 request whose inputs were checked."""
        if self._pictures(request):
            return len(request.inputs[0].elements)
        return request.inputs[0].shape[0] if self.config.max_batch_size else 1

    async def of_request(
        self, request: InferRequest, turn: Turn, record: Record
    ) -> AsyncIterator[Row]:
        """The outputs of a V2 request whose inputs were checked, in parts.

        Raises:
            BadPicture: Names the first picture that cannot be used.
        """
        if elements := self._pictures(request):
            async for parts, _ in self.of_pictures(elements, turn, record):
                for part in parts:
                    yield part
            return
        inputs = {tensor.name: _array(tensor) for tensor in request.inputs}
        if self.task is not None:
            for index, row in enumerate(rows_of(inputs)):
                if fault := self.task.fault(row):
                    raise BadPicture(index, fault)
        rows = self.row_count(request)
        for start in range(0, rows, self.part):
            stop = min(rows, start + self.part)
            whole = stop - start == rows
            piece = inputs if whole else {name: inputs[name][start:stop] for name in inputs}
            run = partial(self._run_tensors, piece, stop - start, turn, record)
            for outputs in (await self._recall(Tensors(piece), run, record)).outputs:
                yield outputs

    async def of_pictures(
        self, files: Sequence[PictureFile], turn: Turn, record: Record
    ) -> AsyncIterator[tuple[Sequence[Row], Sequence[Picture]]]:
        """The outputs for some pictures, in one part or several, beside the pictures' sizes.

        Raises:
            BadPicture: Names the first picture that cannot be used.
        """
        for start in range(0, len(files), self.part):
            some = files[start : start + self.part]
            run = partial(self._run_pictures, some, start, turn, record)
            part = await self._recall(Files(some), run, record)
            yield part.outputs, part.pictures

    async def _recall(
        self, inputs: Inputs, run: Callable[[], Awaitable[Part]], record: Record
    ) -> Part:
        """What the cache has of equal inputs, or else what comes of `run`."""
        if self.cache is None:
            return await run()
        return await self.cache.recall(inputs, run, record)

    async def _run_pictures(
        self, files: Sequence[PictureFile], start: int, turn: Turn, record: Record
    ) -> Part:
        """Decode and run pictures, the first of which has the index `start` in its request.

        Where the queue is full nothing is decoded.
        """
        task = self.task
        assert task is not None  # noqa: S101  # the version looked
        height, width, _ = self.config.inputs[0].dims
        with self.batcher.coming(len(files), turn.priority), timed() as taken:
            pictures = await self.decoder.decode(files, (height, width), task.fit, start)
        record.decoded(taken)
        rows = [task.prepare(picture) for picture in pictures]
        inputs = {name: [row[name] for row in rows] for name in rows[0]}
        outputs = await self._submit(inputs, len(rows), turn, record)
        return Part(outputs, [without_pixels(picture) for picture in pictures])

    async def _run_tensors(self, inputs: Row, rows: int, turn: Turn, record: Record) -> Part:
        return Part(await self._submit(inputs, rows, turn, record))

    async def _submit(
        self, inputs: Mapping[str, Rows], rows: int, turn: Turn, record: Record
    ) -> Sequence[Row]:
        answer = await self.batcher.submit(inputs, rows, turn.priority, turn.timeout_us)
        record.ran(rows, answer.stages, answer.arrived_ns, answer.runs)
        return answer.parts

    def _pictures(self, request: InferRequest) -> tuple[PictureFile, ...]:
        """The picture files of a request; empty if it holds tensors."""
        if self.task is None or len(request.inputs) != 1 or request.inputs[0].datatype != BYTES:
            return ()
        return request.inputs[0].elements


def part_rows(execution: Execution, max_queue_size: int, *, pictures: bool) -> int:
    """Rows of a long request that are run together, and decoded where they may be pictures."""
    row_bytes = max(1, sum(execution.output_bytes.values()))
    most = PART_PICTURES if pictures else max(PART_PICTURES, max_queue_size // PARTS_IN_QUEUE)
    return min(most, max_queue_size, max(1, PART_BYTES // row_bytes))


def _array(tensor: Tensor) -> NDArray[np.generic]:
    """A tensor's numbers, or its strings as an array of bytes."""
    if tensor.array is not None:
        return tensor.array
    strings = np.empty(len(tensor.elements), np.object_)
    strings[:] = tensor.elements
    return strings.reshape(tensor.shape)
