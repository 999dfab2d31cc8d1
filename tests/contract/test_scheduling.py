from pathlib import Path

import pytest

from contract.errors import ConfigError
from contract.model_config import read_model_config
from contract.scheduling import (
    DynamicBatching,
    QueuePolicy,
    Scheduling,
    read_scheduling,
)
from contract.warm_ups import WarmUpInput

TENSOR = 'max_batch_size: 8 input { name: "x" data_type: TYPE_FP32 dims: [2] } '


def scheduling(folder: Path, text: str) -> Scheduling:
    (folder / "config.pbtxt").write_text(f'name: "m" {TENSOR} {text}')
    return read_scheduling(read_model_config(folder))


def test_a_configuration_that_says_nothing_has_one_instance_and_shares_no_runs(
    tmp_path: Path,
) -> None:
    assert scheduling(tmp_path, "") == Scheduling(None, instances=1, warm_ups=())


def test_empty_dynamic_batching_shares_runs_without_delay(tmp_path: Path) -> None:
    assert scheduling(tmp_path, "dynamic_batching {}").dynamic_batching == DynamicBatching()


def test_every_field_of_dynamic_batching_is_read(tmp_path: Path) -> None:
    read = scheduling(
        tmp_path,
        """dynamic_batching {
            preferred_batch_size: [4, 2] max_queue_delay_microseconds: 100
            priority_levels: 3 default_priority_level: 2
            default_queue_policy { timeout_action: DELAY default_timeout_microseconds: 5 }
            priority_queue_policy {
                key: 2 value { allow_timeout_override: true max_queue_size: 9 }
            }
        }""",
    )
    default = QueuePolicy("DELAY", 5)
    own = QueuePolicy("REJECT", 0, allow_timeout_override=True, max_queue_size=9)
    assert read.dynamic_batching == DynamicBatching(
        (2, 4), 100, default_priority_level=2, policies=(default, own, default)
    )


def test_a_policy_for_a_level_is_without_effect_where_there_are_no_levels(tmp_path: Path) -> None:
    text = "dynamic_batching { priority_queue_policy { key: 1 value { max_queue_size: 9 } } }"
    assert scheduling(tmp_path, text).dynamic_batching == DynamicBatching()


def test_a_priority_that_is_no_level_is_the_default_level() -> None:
    dynamic = DynamicBatching(default_priority_level=2, policies=(QueuePolicy(),) * 3)
    assert [dynamic.level(priority) for priority in (0, 1, 2, 3, 4)] == [2, 1, 2, 3, 2]


@pytest.mark.parametrize(
    ("policy", "asked", "expected"),
    [
        (QueuePolicy(), 5, 0),
        (QueuePolicy(default_timeout_us=9), 5, 9),
        (QueuePolicy(default_timeout_us=9, allow_timeout_override=True), 0, 9),
        (QueuePolicy(default_timeout_us=9, allow_timeout_override=True), 5, 5),
        (QueuePolicy(default_timeout_us=9, allow_timeout_override=True), 50, 9),
        (QueuePolicy(allow_timeout_override=True), 50, 50),
    ],
)
def test_a_request_may_shorten_its_time_where_the_policy_allows_it(
    policy: QueuePolicy, asked: int, expected: int
) -> None:
    assert policy.timeout_us(asked) == expected


def test_instances_are_the_counts_of_all_groups(tmp_path: Path) -> None:
    text = "instance_group [{ count: 2 kind: KIND_CPU }, { kind: KIND_AUTO }]"
    assert scheduling(tmp_path, text).instances == 3


def test_a_warm_up_is_read(tmp_path: Path) -> None:
    text = """model_warmup {
        name: "w" batch_size: 4 count: 3
        inputs { key: "x" value { data_type: TYPE_FP32 dims: [2] input_data_file: "raw" } }
    }"""
    (warm_up,) = scheduling(tmp_path, text).warm_ups
    assert (warm_up.name, warm_up.batch_size, warm_up.count) == ("w", 4, 3)
    assert warm_up.inputs == {"x": WarmUpInput("FP32", (2,), "file", "raw")}


def test_a_warm_up_of_batch_size_0_is_skipped_as_triton_does(tmp_path: Path) -> None:
    assert scheduling(tmp_path, 'model_warmup { name: "w" }').warm_ups == ()


def test_instances_have_a_limit(tmp_path: Path) -> None:
    groups = "instance_group { count: 96 } instance_group { count: %d }"
    assert scheduling(tmp_path, groups % 4000).instances == 4096
    with pytest.raises(
        ConfigError, match="instance_group has 2000000096 instances; expected up to"
    ):
        scheduling(tmp_path, groups % 2_000_000_000)


INPUT = 'inputs {{ key: "{}" value {{ data_type: {} dims: [2] {} }} }}'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("preferred_batch_size: [0]", "preferred size must be positive for m"),
        ("preferred_batch_size: [9]", "preferred size must be <= max batch size for m; got 9 and"),
        ("priority_levels: 2", r"default priority level must be in range \[1, 2\] for m; got 0"),
        (
            "priority_levels: 2 default_priority_level: 3",
            r"default priority level must be in range \[1, 2\] for m; got 3",
        ),
        (
            "priority_levels: 2 default_priority_level: 1 priority_queue_policy { key: 3 value {} }",
            r"priority queue policy must have priority level in range \[1, 2\] for m; got \[3\]",
        ),
        (
            "priority_levels: 4000000000 default_priority_level: 1",
            "priority_levels is 4000000000; expected up to 1000",
        ),
        (
            "priority_levels: 2 default_priority_level: 1 preserve_ordering: true",
            "Only one priority level is allowed when 'preserve_ordering' is true for m",
        ),
        (
            "preserve_ordering: true default_queue_policy "
            "{ timeout_action: DELAY default_timeout_microseconds: 1 }",
            "Queue policy can not have DELAY as timeout action when 'preserve_ordering' is true",
        ),
    ],
)
def test_what_triton_refuses_of_dynamic_batching_is_refused(
    tmp_path: Path, text: str, problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        scheduling(tmp_path, f"dynamic_batching {{ {text} }}")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"batch_size: 9 {INPUT.format('x', 'TYPE_FP32', 'zero_data: true')}", "expected up to 8"),
        ("batch_size: 1", "its inputs are none; expected x FP32"),
        (f"batch_size: 1 {INPUT.format('y', 'TYPE_FP32', 'zero_data: true')}", "are y FP32; exp"),
        (f"batch_size: 1 {INPUT.format('x', 'TYPE_INT8', 'zero_data: true')}", "are x INT8; exp"),
        (f"batch_size: 1 {INPUT.format('x', 'TYPE_FP32', '')}", "give zero_data, random_data or"),
        *(
            (
                f"batch_size: 1 {INPUT.format('x', 'TYPE_FP32', f'input_data_file: {name!r}')}",
                "in w",
            )
            for name in ("../secret", "/etc/passwd", "..", "", "a/b")
        ),
    ],
)
def test_a_warm_up_that_cannot_be_run_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        scheduling(tmp_path, f'model_warmup {{ name: "w" {text} }}')
