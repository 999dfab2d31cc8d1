import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from contract.choice import Choice
from contract.errors import ConfigError
from contract.model_config import ModelConfig, parse_model_config
from contract.sessions import Launch, open_session
from contract.tuning import Tuning, read_tuning
from tests.tiny_models import SIZE, write_colour_model

CHOICE = Choice("cpu", "fp32", "")


def config_of(parameters: dict[str, str], level: int = 0) -> ModelConfig:
    values = {key: {"string_value": value} for key, value in parameters.items()}
    described = {"name": "m", "parameters": values, "optimization": {"graph": {"level": level}}}
    return parse_model_config(json.dumps(described))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_colour_model(tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def options_of(path: Path, tuning: Tuning, threads: int = 2) -> Any:
    return open_session(Launch(path, CHOICE, threads, 0, tuning)).get_session_options()


@pytest.mark.parametrize(
    ("level", "name"),
    [(0, "ALL"), (-1, "BASIC"), (1, "EXTENDED"), (2, "ORT_DISABLE_ALL"), (7, "ALL")],
)
def test_the_graph_level_is_that_of_tritons_backend(path: Path, level: int, name: str) -> None:
    options = options_of(path, read_tuning(config_of({}, level)))
    found = options.graph_optimization_level
    assert found == getattr(
        ort.GraphOptimizationLevel, name if "_" in name else f"ORT_ENABLE_{name}"
    )


def test_parameters_of_tritons_backend_reach_the_session(path: Path) -> None:
    asked = {
        "intra_op_thread_count": "3",
        "inter_op_thread_count": "5",
        "execution_mode": "1",
        "enable_mem_arena": "0",
        "enable_mem_pattern": "False",
        "session.use_device_allocator_for_initializers": "1",
    }
    options = options_of(path, read_tuning(config_of(asked)))
    assert options.intra_op_num_threads == 3
    assert options.inter_op_num_threads == 5
    assert options.execution_mode == ort.ExecutionMode.ORT_PARALLEL
    assert not options.enable_cpu_mem_arena
    assert not options.enable_mem_pattern
    entry = options.get_session_config_entry("session.use_device_allocator_for_initializers")
    assert entry == "1"


def test_what_is_left_open_is_as_the_server_was_told(path: Path) -> None:
    open_ones = {"intra_op_thread_count": "0", "inter_op_thread_count": "-1"}
    options = options_of(path, read_tuning(config_of(open_ones)))
    assert options.intra_op_num_threads == 2
    assert options.execution_mode == ort.ExecutionMode.ORT_SEQUENTIAL
    assert options.enable_cpu_mem_arena
    assert options.enable_mem_pattern
    parallel = options_of(path, read_tuning(config_of({"execution_mode": "1"})))
    assert parallel.inter_op_num_threads == 2


def test_answers_do_not_depend_on_it(path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), np.uint8)
    tunings = [Tuning(), Tuning(2), Tuning(-1, 1, 2, parallel=True), Tuning(mem_arena=False)]
    answers = [
        open_session(Launch(path, CHOICE, 2, 0, tuning)).run(None, {"image": image})[0]
        for tuning in tunings
    ]
    for answer in answers[1:]:
        np.testing.assert_allclose(answer, answers[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"execution_mode": "2"}, "execution_mode are 0 or 1 but got 2"),
        ({"execution_mode": "x"}, "execution_mode is 'x'; expected a whole number"),
        ({"intra_op_thread_count": "1.5"}, "intra_op_thread_count is '1.5'; expected a whole"),
        ({"inter_op_thread_count": "99999"}, "is 99999; expected up to 1024"),
        ({"enable_mem_arena": "maybe"}, "enable_mem_arena is 'maybe'; expected 1, 0, true or"),
    ],
)
def test_a_bad_value_is_refused(parameters: dict[str, str], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        read_tuning(config_of(parameters))
