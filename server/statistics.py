"""What a model version has answered and how long each stage took, as Triton counts it.

Durations are cumulative nanoseconds of `time.perf_counter_ns`. A request counts once, however many
runs it was spread over; a run counts once, however many requests shared it.

Source: Triton's statistics extension,
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_statistics.md
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from contract.model_config import Json
from server.durations import Duration, Histogram

FailureReason = Literal["REJECTED", "CANCELED", "BACKEND", "OTHER"]
"""Why a request failed, in the words of Triton's metric nv_inference_request_failure."""

FAILURE_REASONS: Final[tuple[FailureReason, ...]] = ("REJECTED", "CANCELED", "BACKEND", "OTHER")


@dataclass(slots=True)
class Stages:
    """The stages of one request, or of one run, in nanoseconds.

    Attributes:
        queue_ns: From entering the queue to the start of the first run.
        compute_input_ns: Decoding pictures and stacking tensors.
        compute_infer_ns: Running the model.
        compute_output_ns: Splitting the outputs and making the answer of them.
    """

    queue_ns: int = 0
    compute_input_ns: int = 0
    compute_infer_ns: int = 0
    compute_output_ns: int = 0

    def add_run(self, run: "Stages") -> None:
        """Add the time of a run that the request had a part in."""
        self.compute_input_ns += run.compute_input_ns
        self.compute_infer_ns += run.compute_infer_ns
        self.compute_output_ns += run.compute_output_ns

    def add(self, part: "Stages") -> None:
        """Add the time of a part of the request."""
        self.queue_ns += part.queue_ns
        self.add_run(part)


@dataclass(slots=True)
class BatchStatistics:
    """The runs of one batch size."""

    compute_input: Duration = field(default_factory=Duration)
    compute_infer: Duration = field(default_factory=Duration)
    compute_output: Duration = field(default_factory=Duration)


@dataclass(slots=True)
class Statistics:
    """The counters of one version; written on the event loop alone.

    Attributes:
        last_inference_ms: When the last run ended, in milliseconds since 1970; 0 before the first.
        inference_count: Pictures, or batch rows, of the requests that were answered.
        execution_count: Runs of the model.
        pending: Requests in the queue now.
        cached: Whether its configuration asks for the response cache.
        success: Answered requests, and their time in the server.
        fail: The same of the others.
        queue: Time of the answered requests in the queue.
        compute_input: Their share of decoding and stacking.
        compute_infer: Their share of running the model.
        compute_output: Their share of making answers.
        cache_hit: Requests that the response cache answered, and the time of looking them up.
        cache_miss: Requests that it did not have whole, failed ones too, and the time of looking
            them up and of keeping their answers.
        failures: The failed requests by reason.
        batches: The runs by batch size.
    """

    last_inference_ms: int = 0
    inference_count: int = 0
    execution_count: int = 0
    pending: int = 0
    cached: bool = False
    success: Duration = field(default_factory=Duration)
    fail: Duration = field(default_factory=Duration)
    queue: Histogram = field(default_factory=Histogram)
    compute_input: Histogram = field(default_factory=Histogram)
    compute_infer: Histogram = field(default_factory=Histogram)
    compute_output: Histogram = field(default_factory=Histogram)
    cache_hit: Duration = field(default_factory=Duration)
    cache_miss: Duration = field(default_factory=Duration)
    failures: dict[FailureReason, int] = field(
        default_factory=lambda: dict.fromkeys(FAILURE_REASONS, 0)
    )
    batches: dict[int, BatchStatistics] = field(default_factory=dict)

    def ran(self, batch_size: int, stages: Stages) -> None:
        """Count a run that ended now."""
        self.last_inference_ms = time.time_ns() // 1_000_000
        self.execution_count += 1
        batch = self.batches.get(batch_size)
        if batch is None:
            batch = self.batches[batch_size] = BatchStatistics()
        batch.compute_input.add(stages.compute_input_ns)
        batch.compute_infer.add(stages.compute_infer_ns)
        batch.compute_output.add(stages.compute_output_ns)

    def succeeded(self, rows: int, request_ns: int, stages: Stages) -> None:
        """Count an answered request of `rows` pictures or batch rows."""
        self.inference_count += rows
        self.success.add(request_ns)
        self.queue.add(stages.queue_ns)
        self.compute_input.add(stages.compute_input_ns)
        self.compute_infer.add(stages.compute_infer_ns)
        self.compute_output.add(stages.compute_output_ns)

    def recalled(self, request_ns: int, lookup_ns: int) -> None:
        """Count a request that the response cache answered: as Triton, neither rows nor runs."""
        self.success.add(request_ns)
        self.queue.add(0)
        self.cache_hit.add(lookup_ns)

    def failed(self, reason: FailureReason, request_ns: int) -> None:
        """Count a request that was not answered."""
        self.failures[reason] += 1
        self.fail.add(request_ns)

    def to_json(self, name: str, number: int) -> dict[str, Json]:
        """One entry of `model_stats` as the statistics extension prints it."""
        return {
            "name": name,
            "version": str(number),
            "last_inference": self.last_inference_ms,
            "inference_count": self.inference_count,
            "execution_count": self.execution_count,
            "inference_stats": {
                "success": self.success.to_json(),
                "fail": self.fail.to_json(),
                "queue": self.queue.to_json(),
                "compute_input": self.compute_input.to_json(),
                "compute_infer": self.compute_infer.to_json(),
                "compute_output": self.compute_output.to_json(),
                "cache_hit": self.cache_hit.to_json(),
                "cache_miss": self.cache_miss.to_json(),
            },
            "response_stats": {},
            "batch_stats": [
                {
                    "batch_size": size,
                    "compute_input": batch.compute_input.to_json(),
                    "compute_infer": batch.compute_infer.to_json(),
                    "compute_output": batch.compute_output.to_json(),
                }
                for size, batch in sorted(self.batches.items())
            ],
            "memory_usage": [],
        }


Versions = Sequence[tuple[dict[str, str], Statistics]]
"""The labels `model` and `version` of each loaded version, beside its statistics."""
