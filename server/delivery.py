"""Outputs of a run -> the requests whose rows it held -> their answers."""

from collections.abc import Sequence
from dataclasses import dataclass

from server.durations import Interval
from server.execution import Ran, Row
from server.statistics import Stages, Statistics
from server.waiting_line import Piece


@dataclass(frozen=True, slots=True)
class Answer:
    """The outputs of a request.

    Attributes:
        parts: The outputs[n, ...] of its rows in their order, in one part or several.
        stages: How long it took.
        arrived_ns: When it was queued, by `time.perf_counter_ns`.
        runs: When its runs ran the model.
    """

    parts: Sequence[Row]
    stages: Stages
    arrived_ns: int
    runs: Sequence[Interval]


def deliver(pieces: Sequence[Piece], ran: Ran, statistics: Statistics) -> None:
    """Give each request of a run its outputs, and count the run."""
    statistics.ran(sum(piece.stop - piece.start for piece in pieces), ran.stages)
    run_ns = ran.stages.compute_input_ns + ran.stages.compute_infer_ns
    interval = Interval(ran.start_ns, ran.start_ns + run_ns)
    for piece, outputs in zip(pieces, ran.outputs, strict=True):
        request = piece.request
        if piece.start == 0:
            request.stages.queue_ns = ran.start_ns - request.arrived_ns
        request.stages.add_run(ran.stages)
        request.runs.append(interval)
        request.parts[piece.start] = outputs
        request.left -= piece.stop - piece.start
        if not request.left and not request.answer.done():
            request.answer.set_result(None)
