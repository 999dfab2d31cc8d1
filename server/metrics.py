"""The server's metrics, read at each scrape from where they are kept anyway, as Prometheus text.

Names, labels and help texts of `nv_*` are Triton's; those of `aperture_*` are ours; whatever
prometheus_client collects of this process comes after them. A model that was unloaded has none.

Source: https://github.com/triton-inference-server/server/blob/main/docs/user_guide/metrics.md
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import psutil
from prometheus_client import REGISTRY, generate_latest

from server.cache_metrics import cache_families
from server.durations import BUCKETS_S, Histogram
from server.exposition import Family, Sample, buckets, write
from server.gpu_metrics import GpuMetrics
from server.repository import Repository
from server.response_cache import ResponseCache
from server.statistics import FAILURE_REASONS, Statistics, Versions

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

BATCH_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Upper bounds of the buckets of aperture_batch_size."""

_CPU_INTERVAL_S: Final = 1.0
_NOT_CACHED: Final = "(does not include cached requests)"
_CACHED: Final = "(includes cached requests)"

_COUNTERS: Final[Sequence[tuple[str, str, Callable[[Statistics], int]]]] = (
    (
        "nv_inference_request_success",
        "Number of successful inference requests, all batch sizes",
        lambda one: one.success.count,
    ),
    (
        "nv_inference_count",
        f"Number of inferences performed {_NOT_CACHED}",
        lambda one: one.inference_count,
    ),
    (
        "nv_inference_exec_count",
        f"Number of model executions performed {_NOT_CACHED}",
        lambda one: one.execution_count,
    ),
    (
        "nv_inference_request_duration_us",
        f"Cumulative inference request duration in microseconds {_CACHED}",
        lambda one: one.success.ns // 1000,
    ),
    (
        "nv_inference_queue_duration_us",
        f"Cumulative inference queuing duration in microseconds {_CACHED}",
        lambda one: one.queue.ns // 1000,
    ),
    (
        "nv_inference_compute_input_duration_us",
        f"Cumulative compute input duration in microseconds {_NOT_CACHED}",
        lambda one: one.compute_input.ns // 1000,
    ),
    (
        "nv_inference_compute_infer_duration_us",
        f"Cumulative compute inference duration in microseconds {_NOT_CACHED}",
        lambda one: one.compute_infer.ns // 1000,
    ),
    (
        "nv_inference_compute_output_duration_us",
        f"Cumulative inference compute output duration in microseconds {_NOT_CACHED}",
        lambda one: one.compute_output.ns // 1000,
    ),
)

_STAGES: Final[Sequence[tuple[str, Callable[[Statistics], Histogram]]]] = (
    ("decode", lambda one: one.compute_input),
    ("queue", lambda one: one.queue),
    ("infer", lambda one: one.compute_infer),
    ("respond", lambda one: one.compute_output),
)


class Metrics:
    """The metrics of the whole server.

    Args:
        repository: The models.
        cache: The response cache; None if there is none.
    """

    def __init__(self, repository: Repository, cache: ResponseCache | None) -> None:
        self._repository = repository
        self._cache = cache
        self._cpu = CpuMetrics()
        self._gpu = GpuMetrics()

    def text(self) -> str:
        """All metrics as of now, in Prometheus' text format."""
        versions = [
            ({"model": model.name, "version": str(number)}, version.statistics)
            for model in self._repository.served()
            for number, version in sorted(model.versions.items())
        ]
        families = [*inference_families(versions), *cache_families(versions, self._cache)]
        families += [*self._cpu.families(), *self._gpu.families()]
        return write(families) + generate_latest(REGISTRY).decode()


class CpuMetrics:
    """How busy this machine is, looked at once a second at most."""

    def __init__(self) -> None:
        self._looked_s = time.monotonic()
        self._utilization = 0.0
        psutil.cpu_percent()  # later calls say how busy it was since the one before

    def families(self) -> Iterator[Family]:
        """Triton's metrics of the CPU."""
        if time.monotonic() - self._looked_s >= _CPU_INTERVAL_S:
            self._looked_s = time.monotonic()
            self._utilization = psutil.cpu_percent() / 100
        memory = psutil.virtual_memory()
        for name, text, value in (
            ("nv_cpu_utilization", "CPU utilization rate [0.0 - 1.0]", self._utilization),
            ("nv_cpu_memory_total_bytes", "CPU total memory (RAM), in bytes", memory.total),
            (
                "nv_cpu_memory_used_bytes",
                "CPU used memory (RAM), in bytes",
                memory.total - memory.available,
            ),
        ):
            yield Family(name, "gauge", text, [Sample("", {}, value)])


def inference_families(versions: Versions) -> Iterator[Family]:
    """Triton's metrics of inference, and our histograms of stages and batch sizes."""
    for name, text, value in _COUNTERS:
        samples = [Sample("", labels, value(statistics)) for labels, statistics in versions]
        yield Family(name, "counter", text, samples)
        if name == "nv_inference_request_success":
            yield _failures(versions)
    yield Family(
        "nv_inference_pending_request_count",
        "gauge",
        "Instantaneous number of pending requests awaiting execution per-model.",
        [Sample("", labels, statistics.pending) for labels, statistics in versions],
    )
    yield _stage_seconds(versions)
    yield _batch_sizes(versions)


def _failures(versions: Versions) -> Family:
    return Family(
        "nv_inference_request_failure",
        "counter",
        "Number of failed inference requests, all batch sizes",
        [
            Sample(
                "", {"model": labels["model"], "reason": reason, "version": labels["version"]}, n
            )
            for labels, statistics in versions
            for reason in FAILURE_REASONS
            for n in [statistics.failures[reason]]
        ],
    )


def _stage_seconds(versions: Versions) -> Family:
    samples = [
        sample
        for labels, statistics in versions
        for stage, histogram_of in _STAGES
        for histogram in [histogram_of(statistics)]
        for sample in buckets(
            {**labels, "stage": stage}, BUCKETS_S, histogram.buckets, histogram.ns / 1e9
        )
    ]
    text = "Time of an answered request in a stage, in seconds"
    return Family("aperture_stage_seconds", "histogram", text, samples)


def _batch_sizes(versions: Versions) -> Family:
    samples = [
        sample
        for labels, statistics in versions
        for sample in buckets(labels, BATCH_SIZES, *_batches_by_size(statistics))
    ]
    text = "Pictures or batch rows of a run of the model"
    return Family("aperture_batch_size", "histogram", text, samples)


def _batches_by_size(statistics: Statistics) -> tuple[list[int], int]:
    """The runs in each bucket of BATCH_SIZES, and the rows of all of them."""
    counts = [0] * (len(BATCH_SIZES) + 1)
    rows = 0
    for size, batch in statistics.batches.items():
        at = next((i for i, most in enumerate(BATCH_SIZES) if size <= most), len(BATCH_SIZES))
        counts[at] += batch.compute_infer.count
        rows += size * batch.compute_infer.count
    return counts, rows
