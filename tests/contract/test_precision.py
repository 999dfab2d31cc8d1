"""A stored measurement allows a precision or does not, for the file that was measured alone."""

from pathlib import Path

import pytest

from contract.model_config import CONFIG_FILE, ModelConfig
from contract.precision import (
    Guard,
    Measurement,
    file_sha256,
    read_guard,
    with_own_measurement,
)
from tests.onnx_graphs import int8_graph
from tests.tiny_models import colour_config


def measurement(
    model: Path, bf16: float, fp32: float = 0.9, max_loss: float = 0.005
) -> Measurement:
    return Measurement("accuracy", {"fp32": fp32, "bf16": bf16}, 500, max_loss, file_sha256(model))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"a model")
    return path


@pytest.mark.parametrize(
    ("bf16", "allowed"),
    [(0.9, True), (0.95, True), (0.895, True), (0.8949, False), (float("nan"), False)],
)
def test_a_loss_up_to_the_bound_is_allowed(model: Path, bf16: float, allowed: bool) -> None:
    guard = read_guard(measurement(model, bf16).parameters(), model)
    assert guard.allows("bf16") is allowed
    assert not guard.allows("fp16")
    assert "fp16 was not measured" in guard.says("fp16")


def test_a_measurement_is_read_as_it_was_written(model: Path) -> None:
    for graph in ("fp32", "int8"):
        written = Measurement(
            "mAP", {"fp32": 0.1 + 0.2, "int8": 1 / 3}, 7, 0.01, file_sha256(model), graph
        )
        assert read_guard(written.parameters(), model) == Guard(written)


def test_the_graph_says_itself_that_it_computes_in_int8(model: Path) -> None:
    parameters = measurement(model, 0.9).parameters()
    assert read_guard(parameters, model).graph == "fp32"
    model.write_bytes(int8_graph().SerializeToString())
    assert read_guard({}, model).graph == "int8"
    assert read_guard(parameters, model).graph == "int8"
    assert not read_guard(parameters, model).allows("int8")


def test_another_versions_measurement_allows_nothing(model: Path) -> None:
    parameters = measurement(model, 0.9).parameters()
    model.write_bytes(b"another model")
    guard = read_guard(parameters, model)
    assert not guard.allows("bf16")
    assert guard.says("bf16") == "bf16 was measured of another version's model.onnx"
    assert guard.graph == "fp32"


@pytest.mark.parametrize("broken", [{"metric_fp32": "high"}, {"metric_pictures": ""}])
def test_a_measurement_that_cannot_be_read_allows_nothing(
    model: Path, broken: dict[str, str]
) -> None:
    guard = read_guard(measurement(model, 0.9).parameters() | broken, model)
    assert not guard.allows("bf16")
    assert "cannot be read" in guard.says("bf16")


def test_without_a_measurement_nothing_is_allowed(model: Path) -> None:
    assert read_guard({"task": "image-classification"}, model) == Guard()


def config_of(measured: Measurement | None, **more: str) -> ModelConfig:
    parameters = measured.parameters() if measured is not None else {}
    return colour_config("m").with_parameters({**parameters, **more})


def own(model: Path, config: ModelConfig, shared: ModelConfig) -> ModelConfig:
    (model.parent / CONFIG_FILE).write_text(config.to_text())
    return with_own_measurement(shared, model.parent, model)


def test_a_version_has_its_own_measurement_where_the_shared_one_is_anothers(model: Path) -> None:
    mine = measurement(model, 0.8)
    others = Measurement("accuracy", {"fp32": 0.9, "int8": 0.9, "fp16": 0.9}, 5, 1, "0", "int8")
    config = own(model, config_of(mine, base_model="former"), config_of(others, base_model="new"))
    assert config.parameters == config_of(mine, base_model="new").parameters
    guard = read_guard(config.parameters, model)
    assert guard == Guard(mine)
    assert not guard.allows("bf16")
    assert own(model, config_of(mine), config_of(None)).parameters == config_of(mine).parameters


def test_the_shared_measurement_counts_where_it_is_of_this_file(model: Path) -> None:
    edited = config_of(measurement(model, 0.1))
    assert own(model, config_of(measurement(model, 0.9)), edited) is edited
    others = config_of(Measurement("accuracy", {"fp32": 0.9}, 5, 1, "0"))
    for copy in (config_of(None), others):
        assert own(model, copy, edited) is edited


def test_a_copy_that_has_no_measurement_of_this_file_changes_nothing(model: Path) -> None:
    shared = config_of(Measurement("accuracy", {"fp32": 0.9}, 5, 1, "0"))
    for copy in (config_of(None), config_of(Measurement("accuracy", {"fp32": 0.9}, 5, 1, "1"))):
        assert own(model, copy, shared) is shared
    (model.parent / CONFIG_FILE).write_text("nonsense")
    assert with_own_measurement(shared, model.parent, model) is shared
    (model.parent / CONFIG_FILE).unlink()
    assert with_own_measurement(shared, model.parent, model) is shared
