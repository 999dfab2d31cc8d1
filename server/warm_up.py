"""A model's runs before it is ready: warm-up, and the batch size that is fastest here.

What compiles for a shape does so now and not in a client's request. Where config.pbtxt leaves the
batch size open (dynamic batching without a preferred size), the time of a row is measured at each
power of two, because on a CPU a larger batch is not always faster.

It blocks. The price of a load: the requests of `model_warmup`; `BUDGET_S` of measuring, twice that
on a busy machine, or two runs of one row where those take longer; and, of the sizes that were not
measured, `POWERS_BUDGET_S` for the powers of two and `BUDGET_S` for the others. A batch over
`MOST_BYTES` is not run.
"""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from contract.model_config import ModelConfig
from contract.scheduling import Scheduling
from contract.warm_ups import WarmUp
from server.errors import LoadError
from server.execution import Execution, Row, Run
from server.samples import default_row, warm_up_row

logger = logging.getLogger(__name__)

BUDGET_S: Final = 2.0
"""Seconds of measuring, beside what the first run of a size takes longer than others."""

POWERS_BUDGET_S: Final = 30.0
"""Seconds, as far as they can be foreseen, of running the powers of two that were not measured."""

MOST_BYTES: Final = 2**29
"""Inputs and outputs of a batch; a size above that is not run before a request needs it."""

MOST_RUNS: Final = 10_000
"""Runs of the requests of `model_warmup`. A client may send these with a load, and while they run no
other model is loaded."""

RUNS: Final = 7
"""Timed runs of a size, the fastest of which counts."""

SURE: Final = 3
"""Timed runs of a size before it is called clearly worse, whatever the budget."""

SAME: Final = 1.05
"""A larger batch must be faster by more than this to be worth its latency."""

WORSE: Final = 1.2
"""Above this times the best time no larger batch is tried."""


@dataclass(frozen=True, slots=True)
class Warmed:
    """What the warm-up found.

    Attributes:
        execution: The runs, and the largest batch that they are to be given.
        seconds_per_row: What a row took at each batch size that was measured.
    """

    execution: Execution
    seconds_per_row: Mapping[int, float] = field(default_factory=dict)

    def parameters(self) -> dict[str, str]:
        """What the configuration's answer shows of it."""
        if not self.execution.batch_size:
            return {}
        shown = {"execution_batch_size": str(self.execution.batch_size)}
        if self.seconds_per_row:
            shown["execution_batch_ms"] = ", ".join(
                f"{size}: {seconds * 1000:.3f}" for size, seconds in self.seconds_per_row.items()
            )
        return shown


def warm_up(
    runs: Sequence[Run], config: ModelConfig, scheduling: Scheduling, model_dir: Path
) -> Warmed:
    """Run each instance at the sizes that it will be given, and find the best of them.

    A model of a task is run on zeros where config.pbtxt has no `model_warmup`; of a model of
    another origin zeros may be no input that it can take, and then it is served unmeasured.

    Raises:
        LoadError: A warm-up request, or a model of a task, cannot be run.
    """
    if (count := sum(entry.count for entry in scheduling.warm_ups)) > MOST_RUNS:
        raise LoadError(
            f"{model_dir}: the count of model_warmup is {count} altogether; "
            f"expected up to {MOST_RUNS}"
        )
    rows = [_run_warm_up(runs, config, model_dir, entry) for entry in scheduling.warm_ups]
    row = rows[0] if rows else default_row(config)
    if not config.max_batch_size:
        return Warmed(Execution(tuple(runs), 0))
    if row is None:
        return Warmed(Execution(tuple(runs), _largest(config, scheduling)))
    try:
        return _warm_up_batches(runs, config, scheduling, row)
    except Exception as err:  # onnxruntime's errors share no base class below Exception
        if config.task or rows:
            raise LoadError(f"{model_dir}: the warm-up run failed: {err}") from err
        logger.info("model=%s cannot be warmed up with zeros: %s", config.name, err)
        return Warmed(Execution(tuple(runs), _largest(config, scheduling)))


def measure(time_run: Callable[[int], float], largest: int) -> dict[int, float]:
    """Seconds that a row takes at batch sizes 1, 2, 4, ... up to `largest`.

    Sizes are run in turn and the least time of each counts: other work on the machine only adds to
    it, and to all sizes alike. It ends where a size is clearly worse than a smaller one, or the
    next would pass the budget.

    Args:
        time_run: Runs a batch of that size and returns the seconds it took.
        largest: The largest size, measured too.
    """
    found: dict[int, float] = {}
    counts: dict[int, int] = {}
    spent = 0.0

    def run(size: int) -> None:
        nonlocal spent
        seconds = time_run(size)
        spent += seconds
        found[size] = min(seconds / size, found.get(size, math.inf))
        counts[size] = counts.get(size, 0) + 1

    for size in powers_of_two(largest):
        best = min(found, key=found.__getitem__, default=size)
        if found and spent + 2 * size * found[best] > BUDGET_S:
            break
        time_run(size)  # the first run of a shape may compile
        run(size)
        spent += size * found[size]
        while found[size] > WORSE * found[best] and (
            counts[size] < SURE or (counts[size] < RUNS and spent < BUDGET_S)
        ):
            run(best)
            run(size)
        if found[size] > WORSE * found[best]:
            break
    round_s = sum(size * seconds for size, seconds in found.items())
    while min(counts.values()) < RUNS and spent + round_s <= BUDGET_S:
        for size in found:
            run(size)
    return found


def best_batch_size(seconds_per_row: Mapping[int, float]) -> int:
    """The smallest size that is as fast a row as the fastest."""
    fastest = min(seconds_per_row.values())
    return min(size for size, seconds in seconds_per_row.items() if seconds <= SAME * fastest)


def powers_of_two(largest: int) -> list[int]:
    """1, 2, 4, ... and `largest`, which need not be a power."""
    return sorted({largest, *(2**k for k in range(largest.bit_length()))})


def _largest(config: ModelConfig, scheduling: Scheduling) -> int:
    dynamic = scheduling.dynamic_batching
    preferred = dynamic.preferred_batch_sizes if dynamic else ()
    return preferred[-1] if preferred else config.max_batch_size


def _warm_up_batches(
    runs: Sequence[Run], config: ModelConfig, scheduling: Scheduling, row: Row
) -> Warmed:
    dynamic = scheduling.dynamic_batching
    size = _largest(config, scheduling)
    outputs = runs[0](_batch(row, 1))
    sizes = {name: tensor.nbytes for name, tensor in outputs.items()}
    row_bytes = sum(sizes.values()) + sum(tensor.nbytes for tensor in row.values())
    most = max(1, MOST_BYTES // max(1, row_bytes))
    measured: dict[int, float] = {}
    if dynamic is not None and not dynamic.preferred_batch_sizes and size > 1:
        measured = measure(lambda size: _time_run(runs[0], row, size), min(size, most))
        size = best_batch_size(measured)
    for i, run in enumerate(runs):
        _run_sizes(run, row, min(size, most), known=set(measured) if i == 0 else set())
    return Warmed(Execution(tuple(runs), size, sizes), measured)


def _run_sizes(run: Run, row: Row, largest: int, known: set[int]) -> None:
    """Run the powers of two up to `largest`, and the sizes between, while their budgets last."""
    powers = powers_of_two(largest)
    spent = row_s = 0.0
    for size in powers:
        if size in known:
            continue
        if spent + size * row_s > POWERS_BUDGET_S:
            break
        seconds = _time_run(run, row, size)
        spent += seconds
        row_s = min(row_s or math.inf, seconds / size)
    for size in range(1, largest):
        if spent > BUDGET_S:
            break
        if size not in powers and size not in known:
            spent += _time_run(run, row, size)


def _time_run(run: Run, row: Row, size: int) -> float:
    inputs = _batch(row, size)
    start = time.perf_counter()
    run(inputs)
    return time.perf_counter() - start


def _run_warm_up(runs: Sequence[Run], config: ModelConfig, model_dir: Path, entry: WarmUp) -> Row:
    row = warm_up_row(model_dir, entry)
    size = entry.batch_size * sum(tensor.nbytes for tensor in row.values())
    if size > MOST_BYTES:
        raise LoadError(
            f"{model_dir}: model_warmup '{entry.name}' has {size} bytes; expected up to {MOST_BYTES}"
        )
    inputs = _batch(row, entry.batch_size) if config.max_batch_size else row
    try:
        for run in runs:
            for _ in range(entry.count):
                run(inputs)
    except Exception as err:  # onnxruntime's errors share no base class below Exception
        raise LoadError(f"{model_dir}: model_warmup '{entry.name}' failed: {err}") from err
    return row


def _batch(row: Row, size: int) -> dict[str, NDArray[Any]]:
    return {name: np.repeat(tensor[np.newaxis], size, axis=0) for name, tensor in row.items()}
