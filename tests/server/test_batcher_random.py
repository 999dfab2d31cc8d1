"""The batcher against random traffic, in virtual time: what must hold whatever happens."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.scheduling import DynamicBatching, QueuePolicy, TimeoutAction
from server.batcher import Batcher
from server.errors import QueueFull, QueueTimeout
from server.execution import Execution, Row, joined
from server.statistics import Statistics
from tests.virtual_time import VirtualExecutor, run_virtual

MAX_QUEUE_SIZE = 40

seconds = st.integers(0, 80).map(lambda quarters: quarters / 4)


@dataclass(frozen=True)
class Client:
    """A request: when it comes, what it holds, and how long its client waits for the answer."""

    begin_s: float
    decode_s: float
    rows: int
    width: int
    priority: int
    timeout_us: int
    patience_s: float | None
    poisoned: bool

    @property
    def queued_s(self) -> float:
        """When it enters the queue."""
        return self.begin_s + self.decode_s


@dataclass(frozen=True)
class Setting:
    """A batcher's configuration, and how long its runs take."""

    batch_size: int
    instances: int
    run_s: float
    dynamic: DynamicBatching | None


@dataclass
class Outcome:
    """What became of each client, and each run's first columns and beginning."""

    answers: dict[int, object] = field(default_factory=dict)
    ends: dict[int, float] = field(default_factory=dict)
    runs: list[tuple[float, list[int], int]] = field(default_factory=list)
    statistics: Statistics = field(default_factory=Statistics)


clients = st.builds(
    Client,
    begin_s=seconds,
    decode_s=st.sampled_from([0.0, 0.0, 0.5, 10.0]),
    rows=st.integers(1, 9),
    width=st.sampled_from([1, 1, 1, 2]),
    priority=st.integers(0, 3),
    timeout_us=st.sampled_from([0, 0, 500_000, 5_000_000]),
    patience_s=st.one_of(st.none(), st.none(), seconds),
    poisoned=st.sampled_from([False, False, False, False, True]),
)


@st.composite
def dynamics(draw: st.DrawFn, batch_size: int) -> DynamicBatching:
    levels = draw(st.sampled_from([1, 1, 3]))
    actions: list[TimeoutAction] = ["REJECT", "DELAY"]
    policies = tuple(
        QueuePolicy(
            timeout_action=draw(st.sampled_from(actions)),
            default_timeout_us=draw(st.sampled_from([0, 0, 2_000_000])),
            allow_timeout_override=draw(st.booleans()),
            max_queue_size=draw(st.sampled_from([0, 0, 2])),
        )
        for _ in range(levels)
    )
    smaller = st.sets(st.integers(1, batch_size - 1)) if batch_size > 1 else st.just(set[int]())
    preferred = (*sorted(draw(smaller)), batch_size) if draw(st.booleans()) else ()
    return DynamicBatching(
        preferred_batch_sizes=preferred,
        max_queue_delay_us=draw(st.sampled_from([0, 250_000, 3_000_000])),
        default_priority_level=draw(st.integers(1, levels)),
        policies=policies,
    )


@st.composite
def configurations(draw: st.DrawFn) -> Setting:
    batch_size = draw(st.integers(1, 6))
    dynamic = draw(st.one_of(st.none(), dynamics(batch_size), dynamics(batch_size)))
    return Setting(
        batch_size, draw(st.integers(1, 3)), draw(st.sampled_from([0.125, 1.0, 3.0])), dynamic
    )


def rows_of(index: int, client: Client) -> Row:
    """Rows that name their request and their place in it; poison is below 0."""
    rows = np.zeros((client.rows, client.width), np.float64)
    rows[:, 0] = index * 100 + np.arange(client.rows) + 1
    if client.poisoned:
        rows[-1, 0] *= -1
    return {"x": rows}


def serve(setting: Setting, traffic: list[Client]) -> Outcome:
    outcome = Outcome()

    def run(inputs: Row) -> Row:
        rows = inputs["x"]
        now = asyncio.get_running_loop().time()
        outcome.runs.append((now, [int(abs(row[0])) - 1 for row in rows], rows.shape[1]))
        if (rows < 0).any():
            raise ArithmeticError("poison")
        return {"y": rows * 3}

    async def ask(batcher: Batcher, index: int, client: Client) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(client.begin_s)
        try:
            async with asyncio.timeout(client.patience_s):
                with batcher.coming(client.rows, client.priority):
                    await asyncio.sleep(client.decode_s)
                answer = await batcher.submit(
                    rows_of(index, client), client.rows, client.priority, client.timeout_us
                )
            outcome.answers[index] = joined(answer.parts, "y")
        except (TimeoutError, ArithmeticError, QueueTimeout, QueueFull) as err:
            outcome.answers[index] = err
        outcome.ends[index] = loop.time()

    async def main() -> None:
        execution = Execution((run,) * setting.instances, setting.batch_size)
        executor = VirtualExecutor(lambda: setting.run_s)
        batcher = Batcher(execution, executor, setting.dynamic, MAX_QUEUE_SIZE, outcome.statistics)
        batcher.start()
        await asyncio.gather(*(ask(batcher, i, one) for i, one in enumerate(traffic)))
        assert batcher.alive
        await asyncio.sleep(1000)  # virtual: runs of clients that left end
        last = Client(0, 0, MAX_QUEUE_SIZE, 1, 0, 0, None, poisoned=False)
        await batcher.submit(rows_of(len(traffic), last), last.rows)  # the queue is empty again
        await batcher.stop()

    run_virtual(main())
    return outcome


@settings(max_examples=300, deadline=None)
@given(setting=configurations(), traffic=st.lists(clients, min_size=1, max_size=25))
def test_whatever_happens(setting: Setting, traffic: list[Client]) -> None:
    outcome = serve(setting, traffic)

    outcome.runs = [run for run in outcome.runs if run[1][0] < 100 * len(traffic)]
    assert len(outcome.answers) == len(traffic), "each client has an end"
    for index, client in enumerate(traffic):
        check_answer(setting, client, index, outcome)
    for _, rows, width in outcome.runs:
        check_run(setting, traffic, rows, width)
    check_nobody_runs_after_leaving(traffic, outcome)
    check_order(setting, traffic, outcome)
    check_time(setting, traffic, outcome)
    assert outcome.statistics.pending == 0


def check_answer(setting: Setting, client: Client, index: int, outcome: Outcome) -> None:
    answer = outcome.answers[index]
    if isinstance(answer, np.ndarray):
        np.testing.assert_array_equal(answer, rows_of(index, client)["x"] * 3)
        assert not client.poisoned
    elif isinstance(answer, ArithmeticError):
        assert client.poisoned, "a request fails by its own rows alone"
    elif isinstance(answer, TimeoutError):
        assert client.patience_s is not None
    elif isinstance(answer, QueueTimeout):
        assert setting.dynamic is not None
        policy = setting.dynamic.policies[setting.dynamic.level(client.priority) - 1]
        assert policy.timeout_action == "REJECT"
        timeout_us = policy.timeout_us(client.timeout_us)
        assert timeout_us
        assert outcome.ends[index] == client.queued_s + timeout_us / 1e6
    else:
        assert isinstance(answer, QueueFull)
        refused = (client.begin_s, client.queued_s)
        assert outcome.ends[index] in refused, (
            "a full queue refuses at once, before the decoding or after"
        )


def check_run(setting: Setting, traffic: list[Client], rows: list[int], width: int) -> None:
    assert 1 <= len(rows) <= setting.batch_size
    requests = [row // 100 for row in rows]
    assert all(traffic[request].width == width for request in requests)
    assert len(set(rows)) == len(rows)
    if setting.dynamic is None:
        assert len(set(requests)) == 1
    for request in set(requests):
        own = [row for row in rows if row // 100 == request]
        assert own == list(range(own[0], own[0] + len(own))), "rows of a request are in order"


def check_nobody_runs_after_leaving(traffic: list[Client], outcome: Outcome) -> None:
    for began, rows, _ in outcome.runs:
        for request in {row // 100 for row in rows}:
            assert began <= outcome.ends[request], "rows ran of a request that had its end"
            assert began >= traffic[request].queued_s


def check_order(setting: Setting, traffic: list[Client], outcome: Outcome) -> None:
    """Requests of a level begin in the order of arrival."""
    dynamic = setting.dynamic or DynamicBatching()
    first_run: dict[int, int] = {}
    for position, (_, rows, _) in enumerate(outcome.runs):
        for row in rows:
            first_run.setdefault(row // 100, position)
    for level, policy in enumerate(dynamic.policies, start=1):
        if policy.timeout_action == "REJECT":
            own = [i for i in first_run if dynamic.level(traffic[i].priority) == level]
            check_ascending(traffic, {i: first_run[i] for i in own})


def check_ascending(traffic: list[Client], values: Mapping[int, float]) -> None:
    """Who came later has no smaller value."""
    for earlier, its_value in values.items():
        for later, other_value in values.items():
            if traffic[earlier].queued_s < traffic[later].queued_s:
                assert its_value <= other_value


def check_time(setting: Setting, traffic: list[Client], outcome: Outcome) -> None:
    """All ends within the runs' time and one delay a request after the last arrival."""
    delay_s = (setting.dynamic.max_queue_delay_us if setting.dynamic else 0) / 1e6
    runs_s = len(outcome.runs) * setting.run_s
    bound_s = max(one.queued_s for one in traffic) + len(traffic) * delay_s + runs_s
    assert max(outcome.ends.values()) <= bound_s + 1e-6


@settings(max_examples=50, deadline=None)
@given(
    concurrency=st.integers(4, 30),
    batch_size=st.integers(4, 16),
    instances=st.integers(1, 2),
    thinks_s=st.sampled_from([0.0, 0.1, 0.5]),
)
def test_executions_are_fewer_than_inferences_under_load(
    concurrency: int, batch_size: int, instances: int, thinks_s: float
) -> None:
    statistics = Statistics()
    repeats = 10

    async def client(batcher: Batcher, index: int) -> None:
        for i in range(repeats):
            rows = {"x": np.full((1, 1), index * 100 + i, np.float64)}
            answer = await batcher.submit(rows, 1)
            assert joined(answer.parts, "x")[0, 0] == index * 100 + i
            await asyncio.sleep(thinks_s)

    async def main() -> None:
        execution = Execution((lambda inputs: inputs,) * instances, batch_size)
        batcher = Batcher(
            execution, VirtualExecutor(lambda: 1.0), DynamicBatching(), 1000, statistics
        )
        batcher.start()
        await asyncio.gather(*(client(batcher, i) for i in range(concurrency)))
        await batcher.stop()

    run_virtual(main())
    rows = sum(size * batch.compute_infer.count for size, batch in statistics.batches.items())
    assert rows == concurrency * repeats
    assert statistics.execution_count < rows / 1.5
