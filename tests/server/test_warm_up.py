from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from contract.model_config import ModelConfig, read_model_config
from contract.scheduling import read_scheduling
from server.errors import LoadError
from server.execution import Row
from server.warm_up import (
    BUDGET_S,
    Warmed,
    best_batch_size,
    measure,
    powers_of_two,
    warm_up,
)

FLOATS = 'input { name: "x" data_type: TYPE_FP32 dims: [2] } '
OUTPUT = 'output { name: "y" data_type: TYPE_FP32 dims: [2] } '
SHARED = "max_batch_size: 8 dynamic_batching {} "
WARM_UP = (
    'model_warmup {{ name: "w" batch_size: 3 count: 2 '
    'inputs {{ key: "x" value {{ data_type: {} dims: [2] {} }} }} }}'
)


def config_of(folder: Path, text: str) -> ModelConfig:
    (folder / "config.pbtxt").write_text(f'name: "m" {OUTPUT} {text}')
    return read_model_config(folder)


class Recorder:
    """A run that notes its inputs."""

    def __init__(self) -> None:
        self.inputs: list[Row] = []

    @property
    def sizes(self) -> list[int]:
        return [len(next(iter(inputs.values()))) for inputs in self.inputs]

    def __call__(self, inputs: Row) -> Row:
        self.inputs.append(inputs)
        return {"y": np.zeros((len(next(iter(inputs.values()))), 2), np.float32)}


def warmed(folder: Path, text: str, *runs: Callable[[Row], Row]) -> Warmed:
    config = config_of(folder, text)
    return warm_up(runs, config, read_scheduling(config), folder)


def timer(seconds_of: Callable[[int], float], runs: list[int]) -> Callable[[int], float]:
    def time_run(size: int) -> float:
        runs.append(size)
        return seconds_of(size)

    return time_run


def test_every_power_of_two_is_measured_where_larger_is_faster() -> None:
    runs: list[int] = []
    measured = measure(timer(lambda size: 0.01 + 0.0001 * size, runs), 12)
    assert list(measured) == [1, 2, 4, 8, 12]
    assert measured[1] == pytest.approx(0.0101)
    assert best_batch_size(measured) == 12
    assert runs[:6] == [1, 1, 2, 2, 4, 4]


def test_measuring_ends_where_larger_is_clearly_worse() -> None:
    measured = measure(timer(lambda size: 0.001 * size * (1.5 if size > 2 else 1), []), 64)
    assert list(measured) == [1, 2, 4]
    assert best_batch_size(measured) == 1


def test_slow_runs_do_not_decide() -> None:
    rng = np.random.default_rng(0)

    def noisy(size: int) -> float:
        return (0.001 + 0.0005 * size) * (1 if rng.random() < 0.5 else rng.uniform(1, 20))

    for _ in range(20):
        measured = measure(noisy, 8)
        assert list(measured) == [1, 2, 4, 8]
        assert best_batch_size(measured) == 8


@pytest.mark.parametrize(
    ("seconds_per_row", "best"),
    [
        ({1: 1.0, 2: 0.96, 4: 0.96}, 1),
        ({1: 1.0, 2: 0.90, 4: 0.87}, 2),
        ({1: 1.0, 2: 0.90, 4: 0.80}, 4),
        ({1: 1.0}, 1),
    ],
)
def test_a_larger_batch_must_be_faster_by_more_than_5_percent(
    seconds_per_row: dict[int, float], best: int
) -> None:
    assert best_batch_size(seconds_per_row) == best


@pytest.mark.parametrize("slower", [1, 3])
@pytest.mark.parametrize("row_s", [0.0001, 0.01, 0.1, 0.5, 1.0, 3.0])
def test_measuring_takes_a_bounded_time(row_s: float, slower: int) -> None:
    spent = 0.0

    def time_run(size: int) -> float:
        nonlocal spent
        seconds = row_s * size * (slower if size > 1 else 1)
        spent += seconds
        return seconds

    measure(time_run, 64)
    assert spent <= max(BUDGET_S * (1 if slower == 1 else 2), 2 * row_s)


def test_powers_of_two_end_with_the_largest() -> None:
    assert powers_of_two(1) == [1]
    assert powers_of_two(6) == [1, 2, 4, 6]
    assert powers_of_two(8) == [1, 2, 4, 8]


def test_the_measured_size_is_shown_and_every_size_up_to_it_is_warm(tmp_path: Path) -> None:
    run = Recorder()
    found = warmed(tmp_path, FLOATS + SHARED, run)
    size = found.execution.batch_size
    assert set(run.sizes) >= set(range(1, size + 1))
    assert set(found.seconds_per_row) >= {1, 2, size}
    shown = found.parameters()
    assert shown["execution_batch_size"] == str(size)
    assert shown["execution_batch_ms"].startswith("1: 0.")
    assert found.execution.output_bytes == {"y": 8}


def test_preferred_sizes_are_taken_without_measuring_on_each_instance(tmp_path: Path) -> None:
    first, second = Recorder(), Recorder()
    text = FLOATS + "max_batch_size: 8 dynamic_batching { preferred_batch_size: [2, 3] }"
    found = warmed(tmp_path, text, first, second)
    assert found.execution.batch_size == 3
    assert found.parameters() == {"execution_batch_size": "3"}
    assert sorted(set(first.sizes)) == sorted(set(second.sizes)) == [1, 2, 3]


def test_without_dynamic_batching_runs_may_have_the_maximum(tmp_path: Path) -> None:
    found = warmed(tmp_path, FLOATS + "max_batch_size: 8", Recorder())
    assert found.parameters() == {"execution_batch_size": "8"}


@pytest.mark.parametrize(
    "scheduler", ["", "dynamic_batching { preferred_batch_size: 100000 }", "dynamic_batching {}"]
)
def test_a_batch_that_takes_too_much_memory_is_not_tried(
    tmp_path: Path, scheduler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.warm_up.MOST_BYTES", 100 * (8 + 8))
    run = Recorder()
    found = warmed(tmp_path, FLOATS + "max_batch_size: 100000 " + scheduler, run)
    assert max(run.sizes) <= 100
    assert scheduler == "dynamic_batching {}" or found.execution.batch_size == 100000


def test_a_slow_model_is_not_run_at_every_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("POWERS_BUDGET_S", "BUDGET_S"):
        monkeypatch.setattr(f"server.warm_up.{name}", 0.0)
    run = Recorder()
    warmed(tmp_path, FLOATS + "max_batch_size: 1000000", run)
    assert max(run.sizes) < 1_000_000


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (WARM_UP.replace("size: 3", "size: 999999999"), "'w' has 7999999992 bytes; expected up to"),
        (
            WARM_UP.replace("dims: [2]", "dims: [99999999999]"),
            "input 'x' has 99999999999 elements; expected up to",
        ),
    ],
)
def test_a_warm_up_request_that_no_machine_holds_is_refused(
    tmp_path: Path, text: str, problem: str
) -> None:
    text = FLOATS + "max_batch_size: 999999999 " + text.format("TYPE_FP32", "zero_data: true")
    with pytest.raises(LoadError, match=problem):
        warmed(tmp_path, text, Recorder())


def test_a_warm_up_request_that_is_run_for_ever_is_refused(tmp_path: Path) -> None:
    run = Recorder()
    often = WARM_UP.replace("count: 2", "count: 5001").format("TYPE_FP32", "zero_data: true") * 2
    with pytest.raises(LoadError, match="model_warmup is 10002 altogether; expected up to 10000"):
        warmed(tmp_path, FLOATS + "max_batch_size: 4 " + often, run)
    assert run.sizes == []


def test_a_model_without_a_batch_axis_has_no_batch_size(tmp_path: Path) -> None:
    found = warmed(tmp_path, FLOATS, Recorder())
    assert (found.execution.batch_size, found.parameters()) == (0, {})


def test_a_model_of_any_size_is_not_run_on_a_guess(tmp_path: Path) -> None:
    run = Recorder()
    text = 'input { name: "x" data_type: TYPE_FP32 dims: [-1] } ' + SHARED
    assert warmed(tmp_path, text, run).execution.batch_size == 8
    assert run.sizes == []


def broken(_: Row) -> Row:
    raise RuntimeError("index out of range")


def test_a_foreign_model_that_takes_no_zeros_is_served_unmeasured(tmp_path: Path) -> None:
    assert warmed(tmp_path, FLOATS + SHARED, broken).execution.batch_size == 8


def test_a_model_of_a_task_that_cannot_be_run_is_refused(tmp_path: Path) -> None:
    text = SHARED + FLOATS + 'parameters { key: "task" value { string_value: "t" } }'
    with pytest.raises(LoadError, match="the warm-up run failed: index out of range"):
        warmed(tmp_path, text, broken)


def test_a_warm_up_request_is_run_as_often_as_it_says_on_each_instance(tmp_path: Path) -> None:
    first, second = Recorder(), Recorder()
    text = FLOATS + "max_batch_size: 4 " + WARM_UP.format("TYPE_FP32", "random_data: true")
    warmed(tmp_path, text, first, second)
    for run in (first, second):
        assert run.sizes[:2] == [3, 3]
        row = run.inputs[0]["x"]
        assert row.dtype == np.float32
        assert (row == row[0]).all()
        assert len(set(row[0])) == 2


def test_a_warm_up_request_of_a_model_without_a_batch_axis(tmp_path: Path) -> None:
    run = Recorder()
    text = FLOATS + WARM_UP.format("TYPE_FP32", "zero_data: true").replace("size: 3", "size: 1")
    warmed(tmp_path, text, run)
    assert [inputs["x"].shape for inputs in run.inputs] == [(2,), (2,)]


def test_a_warm_up_request_of_the_content_of_a_file(tmp_path: Path) -> None:
    run = Recorder()
    (tmp_path / "warmup").mkdir()
    (tmp_path / "warmup" / "raw").write_bytes(np.array([1, 2], np.float32).tobytes())
    text = FLOATS + "max_batch_size: 4 " + WARM_UP.format("TYPE_FP32", 'input_data_file: "raw"')
    warmed(tmp_path, text, run)
    np.testing.assert_array_equal(run.inputs[0]["x"], [[1, 2]] * 3)


def test_a_warm_up_request_of_strings(tmp_path: Path) -> None:
    run = Recorder()
    (tmp_path / "warmup").mkdir()
    (tmp_path / "warmup" / "raw").write_bytes(b"\1\0\0\0a\2\0\0\0bc")
    text = 'input { name: "x" data_type: TYPE_STRING dims: [2] } max_batch_size: 4 '
    warmed(tmp_path, text + WARM_UP.format("TYPE_STRING", 'input_data_file: "raw"'), run)
    assert run.inputs[0]["x"].tolist() == [[b"a", b"bc"]] * 3
    warmed(tmp_path, text + WARM_UP.format("TYPE_STRING", "random_data: true"), other := Recorder())
    assert other.inputs[0]["x"].tolist() == [[b"", b""]] * 3


@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "No such file"), (b"abc", "expects 8 bytes for input 'x', but the file has 3")],
)
def test_a_warm_up_file_that_cannot_be_used_is_refused(
    tmp_path: Path, content: bytes | None, problem: str
) -> None:
    (tmp_path / "warmup").mkdir()
    if content is not None:
        (tmp_path / "warmup" / "raw").write_bytes(content)
    text = FLOATS + "max_batch_size: 4 " + WARM_UP.format("TYPE_FP32", 'input_data_file: "raw"')
    with pytest.raises(LoadError, match=problem):
        warmed(tmp_path, text, Recorder())


def test_a_warm_up_file_that_leads_out_of_its_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "warmup").mkdir()
    (tmp_path / "secret").write_bytes(bytes(8))
    (tmp_path / "warmup" / "raw").symlink_to(tmp_path / "secret")
    text = FLOATS + "max_batch_size: 4 " + WARM_UP.format("TYPE_FP32", 'input_data_file: "raw"')
    with pytest.raises(LoadError, match="leads out of"):
        warmed(tmp_path, text, Recorder())


def test_a_warm_up_request_that_fails_is_named(tmp_path: Path) -> None:
    text = FLOATS + "max_batch_size: 4 " + WARM_UP.format("TYPE_FP32", "zero_data: true")
    with pytest.raises(LoadError, match="model_warmup 'w' failed: index out of range"):
        warmed(tmp_path, text, broken)


@pytest.mark.parametrize(
    ("datatype", "dtype"),
    [("FP16", np.float16), ("INT8", np.int8), ("UINT64", np.uint64), ("BOOL", np.bool_)],
)
def test_random_numbers_are_of_the_datatype(
    tmp_path: Path, datatype: str, dtype: type[np.generic]
) -> None:
    run = Recorder()
    text = f'input {{ name: "x" data_type: TYPE_{datatype} dims: [2] }} max_batch_size: 4 '
    warmed(tmp_path, text + WARM_UP.format(f"TYPE_{datatype}", "random_data: true"), run)
    assert run.inputs[0]["x"].dtype == dtype
