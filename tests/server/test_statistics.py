import contextlib

import pytest

from server.durations import Interval, timed
from server.record import recorded
from server.statistics import Stages, Statistics


def test_statistics_are_printed_as_triton_prints_them() -> None:
    statistics = Statistics()
    statistics.ran(4, Stages(compute_input_ns=1, compute_infer_ns=20, compute_output_ns=3))
    statistics.ran(4, Stages(compute_input_ns=2, compute_infer_ns=30, compute_output_ns=4))
    statistics.ran(1, Stages(compute_infer_ns=5))
    statistics.succeeded(6, 900, Stages(100, 11, 22, 33))
    statistics.succeeded(3, 100, Stages(10, 1, 2, 3))
    statistics.failed("REJECTED", 70)
    printed = statistics.to_json("colour", 3)
    last_inference = printed.pop("last_inference")
    assert isinstance(last_inference, int)
    assert last_inference > 1_700_000_000_000
    assert printed == {
        "name": "colour",
        "version": "3",
        "inference_count": 9,
        "execution_count": 3,
        "inference_stats": {
            "success": {"count": 2, "ns": 1000},
            "fail": {"count": 1, "ns": 70},
            "queue": {"count": 2, "ns": 110},
            "compute_input": {"count": 2, "ns": 12},
            "compute_infer": {"count": 2, "ns": 24},
            "compute_output": {"count": 2, "ns": 36},
            "cache_hit": {"count": 0, "ns": 0},
            "cache_miss": {"count": 0, "ns": 0},
        },
        "response_stats": {},
        "batch_stats": [
            {
                "batch_size": 1,
                "compute_input": {"count": 1, "ns": 0},
                "compute_infer": {"count": 1, "ns": 5},
                "compute_output": {"count": 1, "ns": 0},
            },
            {
                "batch_size": 4,
                "compute_input": {"count": 2, "ns": 3},
                "compute_infer": {"count": 2, "ns": 50},
                "compute_output": {"count": 2, "ns": 7},
            },
        ],
        "memory_usage": [],
    }


def test_failures_are_counted_by_reason() -> None:
    statistics = Statistics()
    statistics.failed("CANCELED", 1)
    statistics.failed("CANCELED", 2)
    statistics.failed("OTHER", 4)
    assert statistics.failures == {"REJECTED": 0, "CANCELED": 2, "BACKEND": 0, "OTHER": 1}
    assert (statistics.fail.count, statistics.fail.ns) == (3, 7)


def test_time_is_taken_of_a_block_that_fails_too() -> None:
    with pytest.raises(KeyError), timed() as taken:
        raise KeyError
    assert taken.end_ns > taken.start_ns
    assert taken.ns == taken.end_ns - taken.start_ns


def test_a_request_that_the_cache_answered_counts_neither_rows_nor_runs() -> None:
    statistics = Statistics()
    with recorded(statistics) as record:
        record.looked_up(Interval(0, 7), hit=False)
        record.ran(4, Stages(queue_ns=1, compute_infer_ns=2), 0, [Interval(0, 2)])
        record.kept(Interval(10, 13))
    with recorded(statistics) as record:
        record.looked_up(Interval(0, 5), hit=True)
        record.responded(Interval(0, 100))
    with recorded(statistics) as record:  # a long request, of which one part was there
        record.looked_up(Interval(0, 5), hit=True)
        record.looked_up(Interval(0, 6), hit=False)
        record.ran(3, Stages(queue_ns=1, compute_infer_ns=2), 0, [Interval(0, 2)])
    with contextlib.suppress(KeyError), recorded(statistics) as record:
        record.looked_up(Interval(0, 5), hit=False)
        raise KeyError
    stats = statistics.to_json("m", 1)["inference_stats"]
    assert isinstance(stats, dict)
    assert statistics.inference_count == 7
    assert stats["cache_hit"] == {"count": 1, "ns": 5}
    assert stats["cache_miss"] == {"count": 3, "ns": 26}
    assert stats["queue"] == {"count": 3, "ns": 2}
    assert stats["compute_infer"] == {"count": 2, "ns": 4}
    assert stats["compute_output"] == {"count": 2, "ns": 0}
    assert (statistics.success.count, statistics.fail.count) == (3, 1)
