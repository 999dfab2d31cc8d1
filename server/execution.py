"""Pieces of requests -> stacked -> one run of the model -> split into the pieces' outputs.

`run_pieces` blocks and belongs in a thread; nothing here knows how a run is done.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.rate_limiter import Permit
from server.statistics import Stages

Row = Mapping[str, NDArray[Any]]
"""The tensors of one picture by name, without the batch axis; of a batch, with it."""

Run = Callable[[Row], Row]
"""Runs tensors[N, ...] of a batch of N and returns its outputs[N, ...]."""

Rows = NDArray[Any] | Sequence[NDArray[Any]]
"""One input of N rows: a tensor[N, ...], or N tensors without the batch axis."""


@dataclass(frozen=True, slots=True)
class Execution:
    """How a version is run here.

    Attributes:
        runs: One for each instance of the model; they go on at once, each alone in its thread.
        batch_size: Rows of the largest run; larger requests are split. 0: the model has no batch
            axis, so a request is one run of its tensors as they are.
        output_bytes: What a row of each output takes, where that is known.
        permits: What each run holds while it runs; empty if nothing limits them.
    """

    runs: tuple[Run, ...]
    batch_size: int
    output_bytes: Mapping[str, int] = field(default_factory=dict)
    permits: Sequence[Permit] = ()


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a run.

    Attributes:
        outputs: The outputs of each piece.
        start_ns: When it began, by `time.perf_counter_ns`.
        stages: How long its stages took.
    """

    outputs: Sequence[Row]
    start_ns: int
    stages: Stages


def run_pieces(run: Run, pieces: Sequence[Mapping[str, Rows]]) -> Ran:
    """Run pieces of some rows each as one batch.

    Raises:
        ValueError: An output has another number of rows than the batch.
        Exception: Whatever the run raises.
    """
    start_ns = time.perf_counter_ns()
    inputs = {name: _stack([piece[name] for piece in pieces]) for name in pieces[0]}
    stacked_ns = time.perf_counter_ns()
    outputs = run(inputs)
    inferred_ns = time.perf_counter_ns()
    split = _split(outputs, [_row_count(piece) for piece in pieces])
    stages = Stages(
        compute_input_ns=stacked_ns - start_ns,
        compute_infer_ns=inferred_ns - stacked_ns,
        compute_output_ns=time.perf_counter_ns() - inferred_ns,
    )
    return Ran(split, start_ns, stages)


def run_whole(run: Run, pieces: Sequence[Mapping[str, Rows]]) -> Ran:
    """Run the one request of `pieces` as it is, for a model without a batch axis.

    Raises:
        Exception: Whatever the run raises.
    """
    start_ns = time.perf_counter_ns()
    (tensors,) = pieces
    outputs = run({name: _readable(tensor) for name, tensor in tensors.items()})
    return Ran([outputs], start_ns, Stages(compute_infer_ns=time.perf_counter_ns() - start_ns))


def _stack(parts: Sequence[Rows]) -> NDArray[Any]:
    """One tensor of all rows, copied once at most."""
    arrays: list[NDArray[Any]] = []
    for part in parts:
        if isinstance(part, np.ndarray):
            arrays.append(part)
        else:
            arrays += [row[np.newaxis] for row in part]
    return _readable(arrays[0]) if len(arrays) == 1 else np.concatenate(arrays)


def _readable(array: Rows) -> NDArray[Any]:
    """The array itself, or a copy where its numbers lie at odd addresses of a request's body."""
    if isinstance(array, np.ndarray) and array.flags.c_contiguous and array.flags.aligned:
        return array
    return np.require(array, requirements=["C_CONTIGUOUS", "ALIGNED"])


def _row_count(piece: Mapping[str, Rows]) -> int:
    return len(next(iter(piece.values())))


def _split(outputs: Row, counts: Sequence[int]) -> list[Row]:
    """Views of outputs[sum(counts), ...], one for each count."""
    total = sum(counts)
    for name, tensor in outputs.items():
        if tensor.ndim == 0 or len(tensor) != total:
            rows = "no" if tensor.ndim == 0 else len(tensor)
            raise ValueError(f"output {name}: {rows} rows for a batch of {total}")
    if len(counts) == 1:
        return [outputs]
    ends = itertools.accumulate(counts)
    return [
        {name: tensor[end - count : end] for name, tensor in outputs.items()}
        for end, count in zip(ends, counts, strict=True)
    ]


def rows_of(part: Row) -> Iterator[Row]:
    """The rows of a part's outputs[n, ...], one by one, as views."""
    for i in range(_row_count(part)):
        yield {name: tensor[i] for name, tensor in part.items()}


def joined(parts: Sequence[Row], name: str) -> NDArray[Any]:
    """The output `name` of all parts, in their order; a copy only where there are several."""
    tensors = [part[name] for part in parts]
    return tensors[0] if len(tensors) == 1 else np.concatenate(tensors)
