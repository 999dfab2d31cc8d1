"""V2 over REST beyond what tritonclient sends: forms of the body, encodings, settings, limits."""

import gzip
import json
import zlib
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.live_server import LiveServer, live_server
from tests.onnx_graphs import Through, write_identity
from tests.picture_files import as_text, china_jpeg, encode, instances, noise, noise_png
from tests.tiny_models import LABELS, colour_scores, publish_colour_model

INFER = "/v2/models/colour/infer"
LENGTH = "Inference-Header-Content-Length"
LIMIT = 1_000_000
RAW = {LENGTH: "0"}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server of pictures (`colour`) and of tensors."""
    folder = tmp_path_factory.mktemp("rest")
    repository = folder / "repository"
    publish_colour_model(repository, "colour")
    models: tuple[tuple[str, str, list[str | int | None]], ...] = (
        ("pass", "FP32", ["n", 2]),
        ("free", "FP32", ["n", "k"]),
        ("half", "FP16", ["n", 2]),
        ("text", "BYTES", ["n", 1]),
        ("long", "FP32", ["n", "k", "l"]),
    )
    for name, datatype, shape in models:
        write_identity(repository / name / "1" / "model.onnx", Through("", datatype, shape))
    pair = (Through("A", "FP32", ["n", 1]), Through("B", "FP32", ["n", 1]))
    write_identity(repository / "pair" / "1" / "model.onnx", *pair)
    flags = ["--model_repository", str(repository), "--precision", "fp32", "--provider", "cpu"]
    flags += ["--http_max_input_size", str(LIMIT), "--server_name", "triton"]
    with live_server(folder / "log", *flags) as running:
        yield running


@pytest.fixture
def rest(own: LiveServer) -> Iterator[httpx.Client]:
    with own.client() as client:
        client.headers["Accept-Encoding"] = "identity"
        yield client


def pixels(*seeds: int) -> NDArray[np.uint8]:
    return np.stack([noise(seed) for seed in seeds])


def picture_body(*seeds: int, **more: Any) -> dict[str, Any]:
    data = [as_text(noise_png(seed)) for seed in seeds]
    tensor = {"name": "image", "shape": [len(seeds)], "datatype": "BYTES", "data": data}
    return {"inputs": [tensor], **more}


def error(response: httpx.Response, status: int = 400) -> str:
    assert response.status_code == status, response.text
    return str(response.json()["error"])


def raw_output(response: httpx.Response) -> NDArray[np.float32]:
    """The one output of a binary response."""
    assert response.status_code == 200, response.text
    length = int(response.headers[LENGTH])
    (output,) = json.loads(response.content[:length])["outputs"]
    assert output["parameters"]["binary_data_size"] == len(response.content) - length
    return np.frombuffer(response.content[length:], np.float32).reshape(output["shape"])


def test_a_raw_body_is_the_models_tensor(rest: httpx.Client) -> None:
    response = rest.post(INFER, content=pixels(3).tobytes(), headers=RAW)
    np.testing.assert_allclose(raw_output(response), colour_scores(pixels(3)), atol=1e-5)
    numbers = np.arange(7, dtype=np.float32)
    response = rest.post("/v2/models/free/infer", content=numbers.tobytes(), headers=RAW)
    assert raw_output(response).tolist() == [numbers.tolist()]


@pytest.mark.parametrize("picture", [noise_png(3), china_jpeg()])
def test_a_raw_body_may_be_a_picture_file(rest: httpx.Client, picture: bytes) -> None:
    raw = raw_output(rest.post(INFER, content=picture, headers=RAW))
    body = picture_body(3)
    body["inputs"][0]["data"] = [as_text(picture)]
    (output,) = rest.post(INFER, json=body).json()["outputs"]
    np.testing.assert_allclose(raw[0], output["data"], atol=1e-6)


def test_a_picture_file_as_long_as_the_pixels_is_a_file(rest: httpx.Client) -> None:
    red = encode(Image.new("RGB", (8, 8), (160, 0, 0)))
    padded = red.ljust(pixels(0).nbytes, b"\0")  # behind its end a reader passes over anything
    alone, long = (raw_output(rest.post(INFER, content=one, headers=RAW)) for one in (red, padded))
    assert long.tolist() == alone.tolist()


def test_pixels_that_begin_as_a_file_are_pixels(rest: httpx.Client) -> None:
    image = pixels(0)
    image.reshape(-1)[:4] = (0xFF, 0xD8, 0xFF, 0xC8)  # a JPEG's beginning, and then noise
    response = rest.post(INFER, content=image.tobytes(), headers=RAW)
    np.testing.assert_allclose(raw_output(response)[0], colour_scores(image)[0], atol=1e-5)


def test_a_raw_body_is_one_string(rest: httpx.Client) -> None:
    text = "h\u00e9".encode()
    response = rest.post("/v2/models/text/infer", content=text, headers=RAW)
    assert response.content[int(response.headers[LENGTH]) :] == b"\x03\0\0\0" + text


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("pair", "Raw request must only have 1 input (found 1) to be deduced but got 2 inputs"),
        ("long", "can not be deduced because there are more than one variable-sized dimension"),
        ("pass", "input byte size mismatch for input 'x' for model 'pass'. Expected 8, got 3"),
    ],
)
def test_a_raw_body_that_says_too_little_is_refused(
    rest: httpx.Client, model: str, message: str
) -> None:
    assert message in error(rest.post(f"/v2/models/{model}/infer", content=b"abc", headers=RAW))


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_bodies_are_compressed_both_ways(rest: httpx.Client, encoding: str) -> None:
    body = json.dumps(picture_body(*range(100))).encode()
    pack = gzip.compress if encoding == "gzip" else zlib.compress
    plain = rest.post(INFER, content=body)
    headers = {"Content-Encoding": encoding, "Accept-Encoding": encoding}
    packed = rest.post(INFER, content=pack(body), headers=headers)
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == encoding
    assert packed.json() == plain.json()
    body = json.dumps(instances(*map(noise_png, range(100)))).encode()
    for path in ("/v1/models/colour:predict", "/inference?model=colour"):
        plain = rest.post(path, content=body)
        packed = rest.post(path, content=pack(body), headers=headers)
        assert "Content-Encoding" not in plain.headers
        assert packed.headers["Content-Encoding"] == encoding
        assert packed.json() == plain.json()


@pytest.mark.parametrize("path", ["/openapi.json", "/metrics"])
def test_what_is_long_is_compressed_whoever_answers_it(rest: httpx.Client, path: str) -> None:
    packed = rest.get(path, headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert int(packed.headers["Content-Length"]) < len(packed.content)


@pytest.mark.parametrize("path", ["/v2/models/colour/config", "/v2/models/stats"])
def test_what_tritonclient_does_not_unpack_is_not_packed(rest: httpx.Client, path: str) -> None:
    plain = rest.get(path, headers={"Accept-Encoding": "gzip, deflate"})
    assert "Content-Encoding" not in plain.headers
    assert len(plain.content) > 1024


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_body_that_unpacks_over_the_limit_is_413(rest: httpx.Client, encoding: str) -> None:
    pack = gzip.compress if encoding == "gzip" else zlib.compress
    bomb = pack(b" " * 300_000_000)
    assert len(bomb) < LIMIT
    response = rest.post(INFER, content=bomb, headers={"Content-Encoding": encoding})
    assert f"over {LIMIT} bytes" in error(response, 413)


def test_other_encodings_are_refused_with_those_known(rest: httpx.Client) -> None:
    response = rest.post(INFER, content=b"x", headers={"Content-Encoding": "br"})
    assert error(response, 501).startswith("Unsupported compression type")
    assert response.headers["Accept-Encoding"] == "gzip, deflate"
    response = rest.post(INFER, content=b"no gzip", headers={"Content-Encoding": "gzip"})
    assert "body is not gzip data" in error(response)


def test_binary_sizes_must_fit_their_data(rest: httpx.Client) -> None:
    entry: dict[str, object] = {"name": "x", "shape": [1, 2], "datatype": "FP32"}

    def send(size: object, data: bytes) -> str:
        head = json.dumps({"inputs": [entry | {"parameters": {"binary_data_size": size}}]}).encode()
        headers = {LENGTH: str(len(head))}
        return error(rest.post("/v2/models/pass/infer", content=head + data, headers=headers))

    assert "unexpected size for input 'x', expecting 3 additional bytes" in send(8, b"12345")
    assert "unexpected additional input data for model 'pass'" in send(8, b"123456789")
    assert "input byte size mismatch" in send(4, b"1234")
    assert "Unable to parse 'binary_data_size'" in send(-1, b"")
    assert "Unable to parse 'binary_data_size'" in send("8", b"")
    entry["shape"] = [0, 2**62, 4]
    assert "input 'x'" in send(0, b"")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": 3}, "Unable to parse 'id'"),
        ({"parameters": {"priority": -1}}, "Unable to parse 'priority'"),
        ({"parameters": {"timeout": "soon"}}, "Unable to parse 'timeout'"),
        ({"parameters": {"a": []}}, "parameter 'a' has invalid type"),
        ({"parameters": {"triton_x": 1}}, "parameter keys starting with 'triton_' are reserved"),
        ({"parameters": {"binary_data_output": 1}}, "Unable to parse 'binary_data_output'"),
        ({"outputs": [{"name": "scores", "parameters": {"classification": -1}}]},
         "Unable to parse 'classification'"),
        ({"outputs": [{"name": "scores", "parameters": {
            "classification": 1, "shared_memory_region": "r"}}]},
         "Output can't set both 'shared_memory_region' and 'classification'"),
        ({"outputs": [{"name": "scores", "parameters": {
            "binary_data": True, "shared_memory_region": "r"}}]},
         "Output can't set both 'shared_memory_region' and 'binary_data'"),
    ],
)  # fmt: skip
def test_parameters_are_checked(rest: httpx.Client, changes: dict[str, Any], message: str) -> None:
    assert message in error(rest.post(INFER, json=picture_body(0, **changes)))


def test_parameters_that_are_fine_pass(rest: httpx.Client) -> None:
    parameters = {"priority": 1, "timeout": 60_000_000, "own": "x", "number": 0.5, "flag": True}
    response = rest.post(INFER, json=picture_body(0, parameters=parameters, id="a"))
    assert response.status_code == 200
    assert response.json()["id"] == "a"


def test_half_precision_is_binary_alone(rest: httpx.Client) -> None:
    entry = {"name": "x", "shape": [1, 2], "datatype": "FP16"}
    url = "/v2/models/half/infer"
    json_in = error(rest.post(url, json={"inputs": [entry | {"data": [1, 2]}]}))
    assert "receiving FP16 data via JSON is not supported" in json_in
    half = np.array([[1, 2]], np.float16)
    head = json.dumps({"inputs": [entry | {"parameters": {"binary_data_size": 4}}]}).encode()
    headers = {LENGTH: str(len(head))}
    json_out = error(rest.post(url, content=head + half.tobytes(), headers=headers))
    assert "sending FP16 data via JSON is not supported" in json_out
    raw = rest.post(url, content=half.tobytes(), headers=RAW)
    assert raw.content[int(raw.headers[LENGTH]) :] == half.tobytes()


def test_strings_of_a_tensor_model_are_themselves(rest: httpx.Client) -> None:
    entry = {"name": "x", "shape": [2, 1], "datatype": "BYTES", "data": [["h\u00e9"], ["aGk="]]}
    (output,) = rest.post("/v2/models/text/infer", json={"inputs": [entry]}).json()["outputs"]
    assert output["data"] == ["h\u00e9", "aGk="]
    wrong = rest.post("/v2/models/text/infer", json={"inputs": [entry | {"data": [1, 2]}]})
    assert "element 0 of input 'x' must be a string" in error(wrong)


def test_v1_is_for_models_with_a_task(rest: httpx.Client) -> None:
    body = {"instances": [{"data": as_text(noise_png(0))}]}
    for path in ("/v1/models/pass:predict", "/inference?model=pass"):
        assert "model 'pass' has no vision task" in error(rest.post(path, json=body))


def test_classification_of_some_of_the_outputs(rest: httpx.Client) -> None:
    asked = [{"name": "scores", "parameters": {"classification": 1, "binary_data": True}}]
    response = rest.post(INFER, json=picture_body(3, 4, outputs=asked))
    raw = response.content[int(response.headers[LENGTH]) :]
    scores = colour_scores(pixels(3, 4))
    for row in scores:
        size, raw = int.from_bytes(raw[:4], "little"), raw[4:]
        score, index, label = raw[:size].decode().split(":")
        assert (int(index), label) == (row.argmax(), LABELS[row.argmax()])
        assert abs(float(score) - row.max()) < 1e-5
        raw = raw[size:]
    assert raw == b""


def test_server_metadata_is_complete_and_true(rest: httpx.Client) -> None:
    metadata = rest.get("/v2").json()
    assert metadata["name"] == "triton"
    assert set(metadata["extensions"]) == {
        *("classification", "model_repository", "model_repository(unload_dependents)"),
        *("schedule_policy", "model_configuration", "binary_tensor_data", "parameters"),
        *("statistics", "trace", "logging"),
    }


def test_shared_memory_is_off_unless_allowed(rest: httpx.Client) -> None:
    body = {"key": "/x", "byte_size": 8}
    response = rest.post("/v2/systemsharedmemory/region/r/register", json=body)
    assert "--allow_shared_memory" in error(response, 501)
    assert rest.get("/v2/systemsharedmemory/status").json() == []
    assert rest.post("/v2/systemsharedmemory/unregister").status_code == 200
    entry: dict[str, object] = {"name": "x", "shape": [1, 2], "datatype": "FP32"}
    entry["parameters"] = {"shared_memory_region": "r", "shared_memory_byte_size": 8}
    response = rest.post("/v2/models/pass/infer", json={"inputs": [entry]})
    assert error(response, 404) == "Unable to find shared memory region: 'r'"
    unknown = rest.get("/v2/systemsharedmemory/region/r/status")
    assert error(unknown, 404) == "Unable to find system shared memory region: 'r'"
    assert "region name" in error(rest.post("/v2/systemsharedmemory/register", json=body))
    response = rest.post("/v2/systemsharedmemory/region/r/register", json={})
    assert error(response) == "Shared memory register request has no 'key' field"


def test_statistics_count_what_was_asked(rest: httpx.Client) -> None:
    def counted() -> tuple[int, int]:
        (row,) = rest.get("/v2/models/colour/stats").json()["model_stats"]
        return row["inference_count"], row["inference_stats"]["success"]["count"]

    inferences, requests = counted()
    rest.post(INFER, json=picture_body(0, 1, 2))
    assert counted() == (inferences + 3, requests + 1)
    every = rest.get("/v2/models/stats").json()["model_stats"]
    assert {"colour", "pass", "text"} <= {row["name"] for row in every}
    version = rest.get("/v2/models/colour/versions/1/stats").json()["model_stats"]
    assert [(row["name"], row["version"]) for row in version] == [("colour", "1")]


def test_load_and_unload_need_the_mode_explicit(rest: httpx.Client) -> None:
    for action in ("load", "unload"):
        response = rest.post(f"/v2/repository/models/pass/{action}")
        assert response.status_code == 503
        response = rest.post(f"/v2/repository/other/models/pass/{action}")
        assert error(response, 501) == "'repository_name' specification is not supported"
    bad = {"parameters": {"file:1/model.onnx": "%%%"}}
    assert "is not base64" in error(rest.post("/v2/repository/models/pass/load", json=bad))
    bad = {"parameters": {"what": "x"}}
    assert "'what' is unknown" in error(rest.post("/v2/repository/models/pass/load", json=bad))
    assert "Unable to parse 'ready'" in error(rest.post("/v2/repository/index", json={"ready": 1}))


def test_the_log_does_as_it_is_told(own: LiveServer, rest: httpx.Client) -> None:
    def lines_of(request_id: str) -> list[str]:
        rest.post(INFER, json=picture_body(0, id=request_id))
        rest.post(INFER, json={"id": request_id, "inputs": []})
        return [line for line in own.log.read_text().splitlines() if request_id in line]

    start = rest.get("/v2/logging").json()
    assert start == {
        "log_file": "",
        "log_info": True,
        "log_warning": True,
        "log_error": True,
        "log_verbose_level": 0,
        "log_format": "default",
    }
    try:
        assert ["INFO" in line for line in lines_of("quiet-1")] == [True]
        changed = rest.post("/v2/logging", json={"log_verbose_level": 1, "log_format": "ISO8601"})
        assert changed.json() == start | {"log_verbose_level": 1, "log_format": "ISO8601"}
        verbose = lines_of("loud-2")
        assert ["DEBUG" in line for line in verbose] == [True, True, False]
        assert all(line[10] == "T" for line in verbose)
        rest.post("/v2/logging", json={"log_info": False, "log_verbose_level": 0})
        assert lines_of("silent-3") == []
    finally:
        rest.post("/v2/logging", json={k: v for k, v in start.items() if k != "log_file"})
    assert rest.get("/v2/logging").json() == start


@pytest.mark.parametrize(
    ("settings", "status", "message"),
    [
        ({"log_file": "/tmp/x"}, 501, "log file location can not be updated"),  # noqa: S108
        ({"log_info": 1}, 400, "log setting 'log_info' is '1'; expected true or false"),
        ({"log_verbose_level": -1}, 400, "expected a whole number"),
        ({"log_verbose_level": 1 << 32}, 400, "expected a whole number from 0 to 4294967295"),
        ({"log_format": "json"}, 400, "expected default or ISO8601"),
        ({"log_what": True}, 400, "log setting 'log_what' is unknown"),
        ([], 400, "body is no JSON object"),
    ],
)
def test_log_settings_are_checked(
    rest: httpx.Client, settings: object, status: int, message: str
) -> None:
    assert message in error(rest.post("/v2/logging", json=settings), status)


@pytest.mark.parametrize(
    ("path", "settings", "status", "message"),
    [
        ("trace/setting", {"trace_file": "x"}, 501, "trace file location can not be updated"),
        ("trace/setting", {"trace_rate": "x"}, 400, "Unable to parse 'trace_rate', got: x"),
        ("trace/setting", {"trace_rate": 1}, 400, "is no text"),
        ("trace/setting", {"trace_level": ["ALL"]}, 400, "trace_level is 'ALL'"),
        ("trace/setting", {"trace_level": ["OFF", "TENSORS"]}, 400, "only one trace level 'OFF'"),
        ("models/nope/trace/setting", {}, 400, "Request for unknown model : nope"),
    ],
)
def test_trace_settings_are_checked(
    rest: httpx.Client, path: str, settings: object, status: int, message: str
) -> None:
    assert message in error(rest.post(f"/v2/{path}", json=settings), status)


def test_a_models_trace_settings_differ_from_the_servers(rest: httpx.Client) -> None:
    start = rest.get("/v2/trace/setting").json()
    own_values = {"trace_level": ["TIMESTAMPS", "TENSORS"], "trace_count": "5"}
    changed = rest.post("/v2/models/pass/trace/setting", json=own_values).json()
    assert changed == start | own_values
    rest.post("/v2/trace/setting", json={"trace_rate": "3"})
    assert rest.get("/v2/models/pass/trace/setting").json()["trace_rate"] == "3"
    taken_back = {"trace_level": None, "trace_count": None}
    rest.post("/v2/models/pass/trace/setting", json=taken_back)
    rest.post("/v2/trace/setting", json={"trace_rate": None})
    assert rest.get("/v2/models/pass/trace/setting").json() == start


@pytest.mark.parametrize("path", ["/v2", "/v2/health/ready", "/v2/models/colour", "/v2/logging"])
def test_head_is_get_without_a_body(rest: httpx.Client, path: str) -> None:
    response = rest.head(path)
    assert (response.status_code, response.content) == (200, b"")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/repository/index"),
        ("GET", "/v2/repository/models/pass/load"),
        ("POST", "/v2/models/colour/config"),
        ("POST", "/v2/models/stats"),
        ("DELETE", "/v2/logging"),
        ("POST", "/"),
        ("GET", "/v2/systemsharedmemory/unregister"),
    ],
)
def test_other_methods_are_405(rest: httpx.Client, method: str, path: str) -> None:
    assert error(rest.request(method, path), 405) == "Method Not Allowed"


def test_json_may_nest_to_a_depth_of_100(rest: httpx.Client) -> None:
    def send(depth: int) -> httpx.Response:
        data = "[" * depth + "1,2" + "]" * depth
        head = '{"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": '
        return rest.post("/v2/models/pass/infer", content=f"{head}{data}}}]}}")

    assert send(2).status_code == 200
    assert "JSON nesting depth" not in send(97).text  # within an object, a list and an object
    assert "JSON nesting depth exceeds maximum allowed limit (100)" in error(send(98))


def test_nothing_of_this_was_an_internal_error(own: LiveServer) -> None:
    assert own.process.poll() is None
    assert "Traceback" not in own.log.read_text()
