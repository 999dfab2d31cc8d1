"""What a model takes is given back when it is unloaded."""

import re
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.live_server import LiveServer, live_server, wait_until
from tests.onnx_graphs import write_graph

ROUNDS = 20
WEIGHTS = (2500, 2000)
WEIGHT_MB = 20


def write_large_model(path: Path) -> None:
    """A graph x[N, 2500] -> y[N, 2000] by random weights of 20 MB."""
    rng = np.random.default_rng(0)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "large",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", WEIGHTS[0]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", WEIGHTS[1]])],
        [numpy_helper.from_array(rng.random(WEIGHTS, np.float32), "w")],
    )
    write_graph(path, graph)


def resident_mb(server: LiveServer) -> float:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


@pytest.mark.parametrize("precision", ["fp32", "auto"])
def test_twenty_loads_and_unloads_leave_the_server_as_large_as_before(
    tmp_path: Path, precision: str
) -> None:
    write_large_model(tmp_path / "models" / "m" / "1" / "model.onnx")
    flags = ["--model_repository", str(tmp_path / "models"), "--model_control_mode", "explicit"]
    sizes = []
    with (
        live_server(tmp_path / "log", *flags, "--precision", precision) as server,
        server.client() as http,
    ):

        def is_unloaded() -> bool:
            (row,) = http.post("/v2/repository/index").json()
            return str(row.get("state")) == "UNAVAILABLE"

        for _ in range(ROUNDS):
            assert http.post("/v2/repository/models/m/load").status_code == 200
            loaded = resident_mb(server)
            assert http.post("/v2/repository/models/m/unload").status_code == 200
            wait_until(is_unloaded)
            sizes.append(resident_mb(server))
    assert loaded > min(sizes[-5:]), f"nothing was given back: {loaded} MB loaded, then {sizes} MB"
    grown = min(sizes[-5:]) - min(sizes[:5])
    assert grown < 3 * WEIGHT_MB, f"a leak of the weights would be {15 * WEIGHT_MB} MB; {sizes}"
