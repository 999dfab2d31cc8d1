"""A stored measurement allows a precision or does not, for the file that was measured alone."""

from pathlib import Path

import pytest

from contract.precision import Guard, Measurement, file_sha256, read_guard


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


def test_without_a_measurement_nothing_is_read(tmp_path: Path) -> None:
    assert read_guard({"task": "image-classification"}, tmp_path / "absent") == Guard()
