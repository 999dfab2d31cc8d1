"""Requests that cost their sender next to nothing, and must not cost the server more."""

import os
from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import pytest
from onnx import TensorProto, helper

from server.protocol import oip_pb2 as oip
from server.shared_memory import FOLDER
from tests.live_server import LiveServer, live_server
from tests.onnx_graphs import Through, write_graph, write_identity

RPC = "/inference.GRPCInferenceService/"
ROWS = """
max_batch_size: 4
input { name: "x" data_type: TYPE_FP32 dims: [-1] }
output { name: "y" data_type: TYPE_FP32 dims: [-1] }
"""
WORDS = """
max_batch_size: 0
input { name: "x" data_type: TYPE_STRING dims: [-1, -1] }
output { name: "y" data_type: TYPE_STRING dims: [-1, -1] }
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server of `rows` and `words`, whose axes may have any size, and `constant`, of no input."""
    folder = tmp_path_factory.mktemp("costly")
    root = folder / "models"
    for name, datatype, config in (("rows", "FP32", ROWS), ("words", "BYTES", WORDS)):
        through = Through("", datatype, ["n", "k"])
        write_identity(root / name / "1" / "model.onnx", through)
        (root / name / "config.pbtxt").write_text(config)
    numbers = helper.make_tensor("value", TensorProto.FLOAT, [2], [1, 2])
    node = helper.make_node("Constant", [], ["y"], value=numbers)
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
    graph = helper.make_graph([node], "constant", [], [output])
    write_graph(root / "constant" / "1" / "model.onnx", graph)
    flags = ["--model_repository", str(root), "--provider", "cpu", "--allow_shared_memory", "true"]
    with live_server(folder / "log", *flags) as running:
        yield running


@pytest.fixture
def http(server: LiveServer) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


@pytest.fixture
def channel(server: LiveServer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as opened:
        yield opened


def call(channel: grpc.Channel, wire: bytes, method: str = "ModelInfer") -> tuple[str, str]:
    """The status of a call of these bytes, and its text."""
    try:
        stub: Any = channel.unary_unary(RPC + method)
        stub(wire, timeout=30)
    except grpc.RpcError as err:
        return err.code().name, str(err.details())
    return "OK", ""


def stream(
    channel: grpc.Channel, *wires: bytes, **options: Any
) -> Iterator[oip.ModelStreamInferResponse]:
    """The answers to a stream of these bytes."""
    stub: Any = channel.stream_stream(RPC + "ModelStreamInfer")
    return map(oip.ModelStreamInferResponse.FromString, stub(iter(wires), timeout=30, **options))


def message(model: str, name: str, datatype: str, *shape: int, raw: bytes = b"") -> bytes:
    tensor = oip.ModelInferRequest.InferInputTensor(name=name, datatype=datatype, shape=shape)
    request = oip.ModelInferRequest(model_name=model, inputs=[tensor], raw_input_contents=[raw])
    return request.SerializeToString()


def rest(http: httpx.Client, model: str, datatype: str, *shape: int) -> httpx.Response:
    tensor = {"name": "x", "datatype": datatype, "shape": shape, "data": []}
    return http.post(f"/v2/models/{model}/infer", json={"inputs": [tensor]})


@pytest.mark.parametrize(
    ("tensor", "text"),
    [
        (("rows", "FP32", 2**40, 0), "holds nothing, and its other axes are over"),
        (("rows", "FP32", 2**20, 0), "batch-size must be <= 4 for 'rows': its rows hold nothing"),
        (("words", "BYTES", 2**62, 0), "holds nothing, and its other axes are over"),
        (("words", "BYTES", *[1] * 100), "shape has 100 axes; expected 64 at most"),
    ],
)
def test_a_shape_of_nothing_is_not_run_without_end(
    http: httpx.Client, channel: grpc.Channel, tensor: tuple[Any, ...], text: str
) -> None:
    model, datatype, *shape = tensor
    response = rest(http, model, datatype, *shape)
    assert response.status_code == 400
    assert text in response.json()["error"]
    code, details = call(channel, message(model, "x", datatype, *shape))
    assert code == "INVALID_ARGUMENT"
    assert text in details


def test_empty_tensors_are_answered(http: httpx.Client) -> None:
    for model, datatype, shape in (("rows", "FP32", (4, 0)), ("words", "BYTES", (2**20, 0))):
        (output,) = rest(http, model, datatype, *shape).json()["outputs"]
        assert (output["shape"], output["data"]) == (list(shape), [])


def test_more_inputs_than_the_model_has_are_not_read(
    http: httpx.Client, channel: grpc.Channel
) -> None:
    """The second is no tensor, but nobody looks."""
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [1]}
    body = {"inputs": [tensor, {"name": "a"}, *({"name": f"n{i}"} for i in range(20_000))]}
    response = http.post("/v2/models/rows/infer", json=body)
    assert response.status_code == 400
    text = "expected 1 inputs but got 20002 inputs for model 'rows'. Got input(s) ['x','a','n0',"
    assert text in response.json()["error"]
    assert len(response.content) < 1000
    request = oip.ModelInferRequest(model_name="rows")
    request.inputs.add(name="x")
    for index in range(10_000):
        request.inputs.add(name=f"n{index}")
    code, details = call(channel, request.SerializeToString())
    assert code == "INVALID_ARGUMENT"
    assert "expected 1 inputs but got 10001 inputs for model 'rows'" in details


@pytest.mark.parametrize("char", ["n", "ж", "%", "\n"])
def test_long_names_leave_errors_their_status(channel: grpc.Channel, char: str) -> None:
    name = char * 20_000
    code, details = call(channel, message(name, "x", "FP32", 1, 1))
    assert (code, details[:37]) == ("NOT_FOUND", "Request for unknown model: '" + char * 9)
    code, details = call(channel, message("rows", name, "FP32", 1, 1, raw=bytes(4)))
    assert (code, details[:28]) == ("INVALID_ARGUMENT", "unexpected inference input '")
    asked = message(name, "x", "FP32", 1, 1)
    with pytest.raises(grpc.RpcError) as caught:
        next(stream(channel, asked, metadata=(("triton_grpc_error", "true"),)))
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_what_is_no_message_is_the_clients_fault(channel: grpc.Channel) -> None:
    for method in ("ModelInfer", "ModelMetadata", "RepositoryIndex"):
        code, details = call(channel, b"\xff\xff\xff", method)
        assert code == "INVALID_ARGUMENT"
        assert details == "the 3 bytes of the request are not the message of this method"


def test_what_is_no_message_does_not_end_its_stream(channel: grpc.Channel) -> None:
    first, second = stream(channel, b"\xff\xff", message("rows", "x", "FP32", 1, 1, raw=bytes(4)))
    assert first.error_message.startswith("the 2 bytes of the request are not")
    assert second.infer_response.raw_output_contents == [bytes(4)]


def test_a_raw_body_for_a_model_without_inputs(http: httpx.Client) -> None:
    headers = {"Inference-Header-Content-Length": "0"}
    for body in (b"", b"abc"):
        response = http.post("/v2/models/constant/infer", content=body, headers=headers)
        assert response.status_code == 400
        text = "Raw request must only have 1 input (found 1) to be deduced but got 0 inputs"
        assert text in response.json()["error"]
    answer = http.post("/v2/models/constant/infer", json={"inputs": []}).json()
    assert answer["outputs"][0]["data"] == [1.0, 2.0]


def test_a_number_that_is_too_large_for_its_datatype(http: httpx.Client) -> None:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [1e39]}
    response = http.post("/v2/models/rows/infer", json={"inputs": [tensor]})
    assert response.status_code == 400
    assert "a value too large for float32" in response.json()["error"]


def test_shared_memory_of_another_size_is_not_read(http: httpx.Client) -> None:
    """The region is a file of a TiB, of holes."""
    path = FOLDER / f"aperture-test-{os.getpid()}-holes"
    path.touch()
    try:
        os.truncate(path, 1 << 40)
        region: dict[str, Any] = {"key": path.name, "byte_size": 1 << 40}
        url = "/v2/systemsharedmemory/region/holes/register"
        assert http.post(url, json=region).status_code == 200
        places = {"shared_memory_region": "holes", "shared_memory_byte_size": 1 << 40}
        tensor = {"name": "x", "datatype": "FP32", "shape": [1, 1], "parameters": places}
        response = http.post("/v2/models/rows/infer", json={"inputs": [tensor]})
        assert response.status_code == 400
        assert "Expected 4, got 1099511627776" in response.json()["error"]
    finally:
        path.unlink()
        http.post("/v2/systemsharedmemory/unregister")


def test_nothing_of_this_was_an_internal_error(server: LiveServer, http: httpx.Client) -> None:
    assert http.get("/v2/health/ready").status_code == 200
    assert "internal error" not in server.log.read_text()
