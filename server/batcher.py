"""Rows of many requests -> batches -> one run each -> outputs back to their requests.

An idle instance takes what waits at once, unless somebody is expected to join it (expectation.py),
and while it works the next batch gathers by itself. rule.py decides, the workers here do.

Where instances share resources with those of other models (rate_limiter.py), a batch is formed only
once its instance has them, so that it gathers meanwhile.

The price: the rows of a request may be spread over several runs, even at once.
"""

import asyncio
import itertools
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager, nullcontext

from contract.scheduling import DynamicBatching, TimeoutAction
from server.delivery import Answer, deliver
from server.errors import QueueTimeout, Unloaded
from server.execution import Execution, Ran, Rows, Run, run_pieces, run_whole
from server.expectation import Expectation
from server.rate_limiter import Permit
from server.rule import decide, make_rule
from server.statistics import Statistics
from server.waiting_line import Piece, Request, WaitingLine, signature_of

logger = logging.getLogger(__name__)


class Batcher:
    """Shares the runs of one model version between all requests that wait for it.

    Args:
        execution: Its runs, and the largest of them.
        executor: Where the runs block; it needs a thread for each.
        dynamic: How requests share runs; None: each has runs of its own.
        max_queue_size: Most rows waiting.
        statistics: Where runs and waiting requests are counted.
    """

    def __init__(
        self,
        execution: Execution,
        executor: Executor,
        dynamic: DynamicBatching | None,
        max_queue_size: int,
        statistics: Statistics,
    ) -> None:
        self._execution = execution
        self._executor = executor
        self._dynamic = dynamic or DynamicBatching()
        self._rule = make_rule(execution.batch_size, dynamic)
        self._line = WaitingLine(len(self._dynamic.policies), max_queue_size)
        self._statistics = statistics
        self._wake = asyncio.Event()
        delay_s = self._dynamic.max_queue_delay_us / 1e6 if self._rule.may_wait else 0.0
        self._expectation = Expectation(delay_s, self._wake.set)
        self._stopping = False
        self._workers: list[asyncio.Task[None]] = []

    @property
    def alive(self) -> bool:
        """Whether every instance works; False makes the model unready."""
        return bool(self._workers) and not any(worker.done() for worker in self._workers)

    def start(self) -> None:
        """Start the instances on the running event loop."""
        execution = self._execution
        self._workers = [
            asyncio.create_task(self._work(run, permit), name="batcher")
            for run, permit in itertools.zip_longest(execution.runs, execution.permits)
        ]

    async def stop(self) -> None:
        """Stop after the runs under way; whoever still waits, or comes later, gets Unloaded."""
        self._stopping = True
        self._wake.set()
        for permit in self._execution.permits:
            permit.recheck()
        await asyncio.gather(*self._workers, return_exceptions=True)
        for permit in self._execution.permits:
            permit.leave()
        for request in list(self._line):
            self._fail(request, Unloaded())
        self._execution = Execution((), self._execution.batch_size)
        self._workers.clear()

    @contextmanager
    def coming(self, rows: int, priority: int = 0) -> Iterator[None]:
        """Announce a request whose rows are still being made: it has its room, and others may wait.

        Args:
            rows: Its rows.
            priority: Its priority level; 0 for the default one.

        Raises:
            QueueFull: It would not fit the queue.
        """
        level = self._dynamic.level(priority)
        limit = self._dynamic.policies[level - 1].max_queue_size
        with self._line.keep_room(level, rows, limit), self._expectation.coming():
            yield

    async def submit(
        self, inputs: Mapping[str, Rows], rows: int, priority: int = 0, timeout_us: int = 0
    ) -> Answer:
        """Queue the rows of one request and wait for their outputs.

        Args:
            inputs: Its tensors by name, `rows` rows of each.
            rows: Its rows, at least 1; 1 where the model has no batch axis.
            priority: Its priority level; 0 for the default one.
            timeout_us: How long it may wait, where the level's policy lets it say so.

        Raises:
            QueueFull: It does not fit the queue.
            QueueTimeout: Its time was over before it had its turn.
            Unloaded: The batcher was stopped.
            Exception: Whatever the run of its rows raised.
        """
        if self._stopping or not self.alive:
            raise Unloaded
        request = self._enqueue(inputs, rows, priority, timeout_us)
        try:
            await request.answer
        finally:
            self._leave(request)
        self._expectation.answered()
        parts = [request.parts[start] for start in sorted(request.parts)]
        return Answer(parts, request.stages, request.arrived_ns, request.runs)

    def _enqueue(
        self, inputs: Mapping[str, Rows], rows: int, priority: int, timeout_us: int
    ) -> Request:
        loop = asyncio.get_running_loop()
        level = self._dynamic.level(priority)
        policy = self._dynamic.policies[level - 1]
        signature = signature_of(inputs) if self._rule.shared else ()
        arrived_ns = time.perf_counter_ns()
        request = Request(inputs, rows, signature, level, arrived_ns, loop.create_future())
        self._line.add(request, policy.max_queue_size)
        if timeout := policy.timeout_us(timeout_us):
            action = policy.timeout_action
            request.timer = loop.call_later(timeout / 1e6, self._time_out, request, action)
        self._expectation.came(request)
        self._statistics.pending += 1
        self._wake.set()
        return request

    async def _work(self, run: Run, permit: Permit | None) -> None:
        pieces: list[Piece] = []
        try:
            while not self._stopping:
                if not self._rows_now():
                    self._expectation.limit_wait(next(iter(self._line), None))
                    self._wake.clear()
                    await self._wake.wait()
                    continue
                async with permit.held(self._has_work) if permit else nullcontext(True) as may_run:
                    if may_run:
                        pieces = self._take(self._rows_now())
                        await self._serve(run, pieces)
                        pieces = []
        except Exception as err:
            logger.exception("a batcher ended; its model is not ready any more")
            for request in [*(piece.request for piece in pieces), *self._line]:
                self._fail(request, err)
            raise

    def _rows_now(self) -> int:
        return decide(self._line, self._rule, expected=self._expectation.anybody())

    def _has_work(self) -> bool:
        return not self._stopping and self._rows_now() > 0

    def _take(self, rows: int) -> list[Piece]:
        pieces = self._line.take(rows)
        for piece in pieces:
            if piece.start == 0:
                self._statistics.pending -= 1
                _cancel_timer(piece.request)
        return pieces

    async def _serve(self, run: Run, pieces: Sequence[Piece]) -> None:
        """Run a batch; where it fails, each of its requests alone, so that only the bad fail."""
        try:
            ran = await self._run(run, pieces)
        except Exception as err:
            if len(pieces) == 1:  # whatever the run raises is its request's answer
                self._fail(pieces[0].request, err)
                return
            logger.info("run failed requests=%d error=%r; running each alone", len(pieces), err)
            for piece in pieces:
                if not piece.request.answer.done():
                    await self._serve(run, [piece])
        else:
            deliver(pieces, ran, self._statistics)

    async def _run(self, run: Run, pieces: Sequence[Piece]) -> Ran:
        loop = asyncio.get_running_loop()
        job = run_pieces if self._execution.batch_size else run_whole
        return await loop.run_in_executor(
            self._executor, job, run, [piece.inputs for piece in pieces]
        )

    def _time_out(self, request: Request, action: TimeoutAction) -> None:
        if action == "DELAY":
            self._line.put_back(request)
        else:
            self._fail(request, QueueTimeout())
        self._wake.set()

    def _fail(self, request: Request, err: Exception) -> None:
        if not request.answer.done():
            request.answer.set_exception(err)
        self._withdraw(request)

    def _leave(self, request: Request) -> None:
        """Note that nobody waits for a request any more: it was answered, or its client left."""
        if not request.answer.cancel() and not request.answer.cancelled():
            request.answer.exception()  # counts as seen even where its client left just now
        self._withdraw(request)

    def _withdraw(self, request: Request) -> None:
        """Drop what still waits of a request that has its answer or needs none."""
        _cancel_timer(request)
        if self._line.remove(request) and not request.taken:
            self._statistics.pending -= 1


def _cancel_timer(request: Request) -> None:
    if request.timer is not None:
        request.timer.cancel()
        request.timer = None
