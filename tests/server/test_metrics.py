import types
from collections.abc import Iterable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from server.cache_metrics import cache_families
from server.durations import BUCKETS_S, Histogram
from server.exposition import Family, Sample, write
from server.gpu_metrics import GpuMetrics
from server.metrics import BATCH_SIZES, CpuMetrics, inference_families
from server.response_cache import Part, ResponseCache
from server.statistics import Stages, Statistics


def scraped(families: Iterable[Family]) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """What prometheus_client's own parser reads, by name and labels; it adds _total to counters."""
    return {
        (sample.name.removesuffix("_total"), frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(write(families))
        for sample in family.samples
    }


def key(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


def test_inference_metrics_have_tritons_names_and_the_numbers_of_the_statistics() -> None:
    statistics = Statistics(pending=2)
    statistics.ran(3, Stages())
    statistics.ran(3, Stages())
    statistics.ran(400, Stages())
    statistics.succeeded(5, 9_000_000, Stages(1_000_000, 2_000_000, 3_000_000, 4_000))
    statistics.failed("CANCELED", 5)
    at = {"model": "colour", "version": "3"}
    read = scraped(inference_families([(at, statistics)]))
    assert read[key("nv_inference_request_success", **at)] == 1
    assert read[key("nv_inference_request_failure", reason="CANCELED", **at)] == 1
    assert read[key("nv_inference_request_failure", reason="BACKEND", **at)] == 0
    assert read[key("nv_inference_count", **at)] == 5
    assert read[key("nv_inference_exec_count", **at)] == 3
    assert read[key("nv_inference_pending_request_count", **at)] == 2
    assert read[key("nv_inference_request_duration_us", **at)] == 9000
    assert read[key("nv_inference_queue_duration_us", **at)] == 1000
    assert read[key("nv_inference_compute_input_duration_us", **at)] == 2000
    assert read[key("nv_inference_compute_infer_duration_us", **at)] == 3000
    assert read[key("nv_inference_compute_output_duration_us", **at)] == 4
    assert read[key("aperture_stage_seconds_sum", stage="queue", **at)] == 0.001
    assert read[key("aperture_stage_seconds_bucket", stage="queue", le="0.001", **at)] == 1
    assert read[key("aperture_stage_seconds_bucket", stage="queue", le="0.0005", **at)] == 0
    assert read[key("aperture_batch_size_sum", **at)] == 406
    assert read[key("aperture_batch_size_bucket", le="2", **at)] == 0
    assert read[key("aperture_batch_size_bucket", le="4", **at)] == 2
    assert read[key("aperture_batch_size_bucket", le=str(BATCH_SIZES[-1]), **at)] == 2
    assert read[key("aperture_batch_size_bucket", le="+Inf", **at)] == 3


def test_a_histogram_counts_each_duration_at_or_under_its_bound() -> None:
    histogram = Histogram()
    for ns in (0, 500_000, 500_001, 10_000_000_000, 10_000_000_001):
        histogram.add(ns)
    assert histogram.buckets == [2, 1, *[0] * (len(BUCKETS_S) - 3), 1, 1]
    assert (histogram.count, histogram.ns) == (5, 20_001_000_002)


def test_labels_are_escaped() -> None:
    odd = 'a"b\\c\nd'
    family = Family("one", "gauge", "A number", [Sample("", {"model": odd}, 1)])
    assert scraped([family]) == {key("one", model=odd): 1}


def test_the_caches_metrics_are_of_models_that_ask_for_it_and_of_the_whole() -> None:
    asks = Statistics(cached=True)
    asks.recalled(9_000, 2_000)
    asks.recalled(9_000, 3_000)
    asks.cache_miss.add(70_000)
    at = {"model": "colour", "version": "3"}
    versions = [(at, asks), ({"model": "other", "version": "1"}, Statistics())]
    read = scraped(cache_families(versions, None))
    assert read == {
        key("nv_cache_num_hits_per_model", **at): 2,
        key("nv_cache_hit_duration_per_model", **at): 5,
        key("nv_cache_num_misses_per_model", **at): 1,
        key("nv_cache_miss_duration_per_model", **at): 70,
    }
    cache = ResponseCache(1000)
    cache.keep((0, b"a"), Part([]), 600)
    cache.keep((0, b"b"), Part([]), 500)
    cache.find((0, b"a"))
    cache.find((0, b"b"))
    cache.find((0, b"b"))
    cache.statistics.lookup_ns, cache.statistics.insertion_ns = 3_500, 8_000
    of_all = {
        "util": 0.5,
        "num_entries": 1,
        "num_hits": 2,
        "num_misses": 1,
        "num_lookups": 3,
        "num_evictions": 1,
        "lookup_duration": 3,
        "insertion_duration": 8,
    }
    expected = {key(f"nv_cache_{name}"): number for name, number in of_all.items()}
    assert scraped(cache_families([], cache)) == expected


def test_a_metric_without_samples_is_left_out() -> None:
    assert write(inference_families([])) == ""


def test_cpu_metrics_lie_in_their_range() -> None:
    read = scraped(CpuMetrics().families())
    assert 0 <= read[key("nv_cpu_utilization")] <= 1
    total = read[key("nv_cpu_memory_total_bytes")]
    assert 0 < read[key("nv_cpu_memory_used_bytes")] < total


class NVMLError(Exception):
    """As the binding raises it."""


class FakeNvml:
    """One GPU that does not tell its power limit, and has used 5 J more at each look."""

    NVMLError = NVMLError

    def __init__(self) -> None:
        self.joules = 100

    def nvmlInit(self) -> None:  # noqa: N802  # NVML's names
        pass

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return 1

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetUUID(self, _device: int) -> str:  # noqa: N802
        return "GPU-1"

    def nvmlDeviceGetUtilizationRates(self, _device: int) -> object:  # noqa: N802
        return types.SimpleNamespace(gpu=40)

    def nvmlDeviceGetMemoryInfo(self, _device: int) -> object:  # noqa: N802
        return types.SimpleNamespace(total=1000, used=300)

    def nvmlDeviceGetPowerUsage(self, _device: int) -> int:  # noqa: N802
        return 70_500

    def nvmlDeviceGetPowerManagementLimit(self, _device: int) -> int:  # noqa: N802
        raise NVMLError

    def nvmlDeviceGetTotalEnergyConsumption(self, _device: int) -> int:  # noqa: N802
        self.joules += 5
        return self.joules * 1000


def test_gpu_metrics_are_what_nvml_says_and_leave_out_what_it_does_not() -> None:
    read = scraped(GpuMetrics(FakeNvml()).families())
    gpu = {"gpu_uuid": "GPU-1"}
    assert read == {
        key("nv_gpu_utilization", **gpu): 0.4,
        key("nv_gpu_memory_total_bytes", **gpu): 1000,
        key("nv_gpu_memory_used_bytes", **gpu): 300,
        key("nv_gpu_power_usage", **gpu): 70.5,
        key("nv_energy_consumption", **gpu): 5,
    }


def test_without_a_driver_there_are_no_gpu_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_driver(_self: FakeNvml) -> None:
        raise NVMLError("no library")

    monkeypatch.setattr(FakeNvml, "nvmlInit", no_driver)
    assert write(GpuMetrics(FakeNvml()).families()) == ""
