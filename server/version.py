"""One loaded version of a model: its runs, its batcher, its task.

Made by server/loader.py in a thread; `start` and the inference calls belong on the event loop. Each
request is counted in the version's statistics, whichever protocol it came by.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contract.model_config import ModelConfig
from contract.pictures import Picture
from contract.scheduling import read_scheduling
from server.asked_outputs import asked_outputs, gather
from server.batcher import Batcher
from server.durations import timed
from server.errors import AnswerTooLarge, NoVisionTask, TooManyInstances
from server.execution import Execution, Row, rows_of
from server.in_order import InOrder
from server.inference import Inference, Turn, part_rows
from server.input_check import check_inputs
from server.instances import PredictRequest
from server.record import Record, StageTrace, recorded
from server.rendering import AnswerT, Rendering
from server.runtime import Runtime
from server.statistics import Statistics
from server.tasks import TASKS
from server.tasks.task import Task
from server.tensors import InferRequest, raw_size
from server.turns import beside_loop

MAX_ANSWER_BYTES: Final = 512 * 2**20

_BYTES_OF_JSON = 4  # what V2's JSON takes for a byte of an output, about


class Version:
    """A loaded version; made by `server.loader.load_version`.

    Args:
        number: Its number.
        config: The model's configuration, as it is shown.
        labels: The class names in index order, by output; of those that have some.
        execution: How it is run.
        runtime: How all versions are run on this machine.
    """

    def __init__(
        self,
        number: int,
        config: ModelConfig,
        labels: Mapping[str, tuple[str, ...]],
        execution: Execution,
        runtime: Runtime,
    ) -> None:
        self.number = number
        self.config = config
        self.labels = labels
        self.statistics = Statistics(cached=config.wants_response_cache)
        classes = next(iter(labels.values()), ())
        self.task: Task | None = TASKS[config.task](config, classes) if config.task else None
        self._output_bytes = execution.output_bytes
        self._executor = ThreadPoolExecutor(
            len(execution.runs), thread_name_prefix=f"infer-{config.name}"
        )
        dynamic = read_scheduling(config).dynamic_batching
        self._batcher = Batcher(
            execution, self._executor, dynamic, runtime.max_queue_size, self.statistics
        )
        self._order = InOrder() if dynamic and dynamic.preserve_ordering else None
        self._max_instances = runtime.max_instances
        self._tracer = runtime.tracer
        part = part_rows(execution, runtime.max_queue_size, pictures=self.task is not None)
        cache = runtime.response_cache if self.statistics.cached else None
        self._cache = None if cache is None else cache.for_load()
        self._inference = Inference(
            config, self.task, runtime.decoder, self._batcher, part, self._cache
        )
        self._requests = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def alive(self) -> bool:
        """Whether it can answer."""
        return self._batcher.alive

    @property
    def vision_task(self) -> Task:
        """Its task.

        Raises:
            NoVisionTask: It has none, and answers tensors alone.
        """
        if self.task is None:
            raise NoVisionTask(self.config.name)
        return self.task

    def start(self) -> None:
        """Start answering; call it on the event loop."""
        self._batcher.start()

    @contextlib.contextmanager
    def in_use(self) -> Iterator["Version"]:
        """Count a request that this version answers, so that it is not stopped under it."""
        self._requests += 1
        self._idle.clear()
        try:
            yield self
        finally:
            self._requests -= 1
            if not self._requests:
                self._idle.set()

    async def idle(self) -> None:
        """Wait until no request is being answered."""
        await self._idle.wait()

    async def stop(self) -> None:
        """Stop after the runs under way and let go of the sessions' memory, and of its answers."""
        await self._batcher.stop()
        if self._cache is not None:
            await self._cache.close()
        self._executor.shutdown(wait=False)

    async def infer(self, request: InferRequest) -> dict[str, NDArray[np.generic]]:
        """The outputs[N, ...] of a V2 request, by name, in the order asked for.

        Raises:
            RequestError: Tensors that are not the model's inputs.
            AnswerTooLarge: The outputs together are too large.
            BadPicture: Names the first picture that cannot be used.
            QueueFull: Too many pictures wait already.
            QueueTimeout: They waited for too long.
        """
        # As with Triton, what does not fit the model is refused before it counts as a request.
        check_inputs(request, self.config, pictures=self.task is not None)
        asked = asked_outputs(request.outputs, self.config)
        names = [output.name for output in asked]
        rows = self._inference.row_count(request)
        self._check_instances(rows)
        self._check_outputs_size(rows, names)
        async with self._answering(request.id) as record:
            turn = Turn(request.priority, request.timeout_us)
            parts: list[Row] = []
            size = 0
            async for part in self._inference.of_request(request, turn, record):
                parts.append({name: part[name] for name in names})
                size += sum(tensor.nbytes for tensor in parts[-1].values())
                check_answer_size(size)  # of some outputs it was not known before

            def made() -> dict[str, NDArray[np.generic]]:
                outputs = gather(parts, asked, self.config, self.labels)
                # of strings, `nbytes` are those of the objects alone
                check_answer_size(sum(map(raw_size, outputs.values())))
                return outputs

            with timed() as taken:
                outputs = await beside_loop(size, made)
            record.responded(taken)
            return outputs

    async def make(self, request: PredictRequest, rendering: Rendering[AnswerT]) -> list[AnswerT]:
        """The answer for each picture, in their order, in a form of the task's.

        Much is made beside the event loop.

        Raises:
            AnswerTooLarge: The answers together are over MAX_ANSWER_BYTES.
            BadPicture: Names the first picture that cannot be used.
            QueueFull: Too many pictures wait already.
            QueueTimeout: They waited for too long.
        """
        options = request.options
        self._check_instances(len(request.files))

        def make_part(parts: Sequence[Row], pictures: Sequence[Picture]) -> list[AnswerT]:
            rows = (row for part in parts for row in rows_of(part))
            return [
                rendering.make(row, picture, options)
                for row, picture in zip(rows, pictures, strict=True)
            ]

        made: list[AnswerT] = []
        size = len(request.files) * rendering.answer_bytes(1, 1, options)
        async with self._answering() as record:
            check_answer_size(size)
            size = 0
            async for parts, pictures in self._inference.of_pictures(request.files, Turn(), record):
                added = sum(
                    rendering.answer_bytes(one.height, one.width, options) for one in pictures
                )
                size += added
                check_answer_size(size)
                job = partial(make_part, parts, pictures)
                with timed() as taken:
                    made += await beside_loop(added, job)
                record.responded(taken)
        return made

    @contextlib.asynccontextmanager
    async def _answering(self, request_id: str = "") -> AsyncIterator[Record]:
        """Count a request, and keep it in its order where that is asked for."""
        with recorded(self.statistics, self._begin_trace(request_id)) as record:
            async with self._order.turn() if self._order else contextlib.nullcontext():
                yield record

    def _begin_trace(self, request_id: str = "") -> StageTrace | None:
        if self._tracer is None:
            return None
        return self._tracer.begin(self.config.name, self.number, request_id)

    def _check_instances(self, count: int) -> None:
        if self.task is not None and count > self._max_instances:
            raise TooManyInstances(count, self._max_instances)

    def _check_outputs_size(self, rows: int, names: Sequence[str]) -> None:
        size = sum(self._output_bytes.get(name, 0) for name in names)
        check_answer_size(rows * size * _BYTES_OF_JSON)


def check_answer_size(size: int) -> None:
    """Refuse a request whose answer takes more than MAX_ANSWER_BYTES.

    Raises:
        AnswerTooLarge: Says what to do.
    """
    if size > MAX_ANSWER_BYTES:
        raise AnswerTooLarge(MAX_ANSWER_BYTES)
