"""What lies beside a model's file serves as it was when the session was opened."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from contract.choice import Choice
from contract.errors import ProviderError
from contract.external_data import read_external_data
from contract.sessions import Launch, detect_machine, open_session
from tests.onnx_graphs import model_of

ROWS = 100_000
"""Of a table that no optimisation makes another constant of, and onnxruntime maps."""


def write_table(path: Path, value: float, location: str = "weights.bin") -> Path:
    """Write a graph i[n] -> y[n, 2], rows of a table; returns the file that this lies in."""
    table = np.full((ROWS, 2), value, np.float32)
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "i"], ["y"], axis=0)],
        "table",
        [helper.make_tensor_value_info("i", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(table, "table")],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(
        model_of(graph), path, save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    model = onnx.load(path, load_external_data=False)
    (tensor,) = model.graph.initializer
    next(entry for entry in tensor.external_data if entry.key == "location").value = location
    path.write_bytes(model.SerializeToString())
    return path.parent / "weights.bin"


def opened(path: Path, provider: str = "cpu") -> ort.InferenceSession:
    choice = Choice("openvino" if provider == "openvino" else "cpu", "fp32", "")
    return open_session(Launch(path, choice, threads=1))


def answer(session: ort.InferenceSession) -> Sequence[Sequence[float]]:
    rows: Sequence[Sequence[float]] = session.run(["y"], {"i": np.array([ROWS - 1])})[0].tolist()
    return rows


@pytest.mark.parametrize("provider", ["cpu", "openvino"])
def test_a_file_that_is_written_over_changes_no_answer_of_an_open_session(
    tmp_path: Path, provider: str
) -> None:
    if provider == "openvino" and not detect_machine().has_openvino:
        pytest.skip("OpenVINO's plug-in is not installed, or takes no CPU of this maker")
    weights = write_table(tmp_path / "model.onnx", 1)
    session = opened(tmp_path / "model.onnx", provider)
    with weights.open("r+b") as file:
        file.write(np.full((ROWS, 2), 2, np.float32).tobytes())
    assert answer(session) == [[1, 1]]
    assert str(weights) not in Path("/proc/self/maps").read_text()
    weights.write_bytes(b"")  # of a file that is mapped, this would end the process
    assert answer(session) == [[1, 1]]


@pytest.mark.parametrize("location", ["./weights.bin", "../1/weights.bin"])
def test_a_location_is_any_path_to_a_file_within_the_folder(tmp_path: Path, location: str) -> None:
    write_table(tmp_path / "1" / "model.onnx", 1, location)
    assert list(read_external_data(tmp_path / "1" / "model.onnx")) == [location]
    assert answer(opened(tmp_path / "1" / "model.onnx")) == [[1, 1]]


def test_a_model_and_its_data_may_be_links_into_one_folder(tmp_path: Path) -> None:
    write_table(tmp_path / "blobs" / "model.onnx", 1)
    (tmp_path / "1").mkdir()
    for name in ("model.onnx", "weights.bin"):
        (tmp_path / "1" / name).symlink_to(tmp_path / "blobs" / name)
    assert list(read_external_data(tmp_path / "1" / "model.onnx")) == ["weights.bin"]
    assert answer(opened(tmp_path / "1" / "model.onnx")) == [[1, 1]]


@pytest.mark.parametrize("kind", ["parent", "absolute", "link", "absent", "folder"])
def test_data_that_lie_elsewhere_than_the_model_are_not_read(tmp_path: Path, kind: str) -> None:
    location = {"parent": "../weights.bin", "absolute": str(tmp_path / "1" / "weights.bin")}
    path = tmp_path / "1" / "model.onnx"
    weights = write_table(path, 1, location.get(kind, "weights.bin"))
    if kind != "absolute":
        weights.rename(tmp_path / "weights.bin")
    if kind == "link":
        weights.symlink_to(tmp_path / "weights.bin")
    if kind == "folder":
        weights.mkdir()
    assert read_external_data(path) == {}
    with pytest.raises(ProviderError, match=r"model\.onnx: onnxruntime cannot load it"):
        opened(path)


@pytest.mark.parametrize("size", [0, 100])
def test_data_that_are_cut_short_are_refused(tmp_path: Path, size: int) -> None:
    weights = write_table(tmp_path / "model.onnx", 1)
    weights.write_bytes(b"\0" * size)
    with pytest.raises(ProviderError, match=r"model\.onnx: onnxruntime cannot load it"):
        opened(tmp_path / "model.onnx")


def test_a_file_that_is_no_model_has_no_data(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    for content in (b"", b"no model", b"\x3a\x04\x2a\x02\x6a\x00"):
        path.write_bytes(content)
        assert read_external_data(path) == {}
