"""The limits of a live server, each over every protocol that it concerns."""

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import pytest
from PIL import Image

from server.protocol import oip_pb2 as oip
from tests.bright_is_slow import publish_slow_model
from tests.live_server import LiveServer, live_server
from tests.picture_files import as_text, encode, instances, noise, noise_png
from tests.tiny_models import SIZE, publish_colour_model

PREDICT = "/v1/models/colour:predict"
INFER = "/v2/models/colour/infer"
RPC = "/inference.GRPCInferenceService/ModelInfer"
READ_TIMEOUT_S = 1.5


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("limited")
    publish_colour_model(folder / "repository", "colour")
    flags = ["--model_repository", str(folder / "repository"), "--precision", "fp32"]
    flags += ["--max_instances", "3", "--max_pixels", "100", "--max_json_depth", "8"]
    flags += ["--http_max_header_size", "4096", "--http_read_timeout", str(READ_TIMEOUT_S)]
    flags += ["--http_max_input_size", "3000000"]
    with live_server(folder / "log", *flags) as server:
        yield server


@pytest.fixture
def client(limited: LiveServer) -> Iterator[httpx.Client]:
    with limited.client() as client:
        yield client


def picture_input(*files: bytes) -> dict[str, object]:
    data = [as_text(file) for file in files]
    return {"name": "image", "shape": [len(files)], "datatype": "BYTES", "data": data}


def ask_grpc(server: LiveServer, *files: bytes) -> tuple[grpc.StatusCode, str]:
    """The status of a gRPC request for some pictures."""
    image = oip.ModelInferRequest.InferInputTensor(
        name="image", datatype="BYTES", shape=[len(files)]
    )
    image.contents.bytes_contents.extend(files)
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        infer = channel.unary_unary(
            RPC,
            request_serializer=oip.ModelInferRequest.SerializeToString,
            response_deserializer=oip.ModelInferResponse.FromString,
        )
        try:
            infer(oip.ModelInferRequest(model_name="colour", inputs=[image]))
        except grpc.RpcError as err:
            return err.code(), err.details() or ""
    return grpc.StatusCode.OK, ""


def test_instances(limited: LiveServer, client: httpx.Client) -> None:
    files = [noise_png(seed) for seed in range(4)]
    text = "request has 4 instances; the limit of this server is 3 (--max_instances)"
    for path, body in (
        (PREDICT, instances(*files)),
        ("/inference", instances(*files)),
        (INFER, {"inputs": [picture_input(*files)]}),
        (
            INFER,
            {
                "inputs": [
                    {
                        "name": "image",
                        "shape": [4, 8, 8, 3],
                        "datatype": "UINT8",
                        "data": [noise(seed).tolist() for seed in range(4)],
                    }
                ]
            },
        ),
    ):
        response = client.post(path, json=body)
        assert response.status_code == 413
        assert text in response.json()["error"]
    assert client.post(PREDICT, json=instances(*files[:3])).status_code == 200
    code, details = ask_grpc(limited, *files)
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert text in details
    assert ask_grpc(limited, *files[:3])[0] == grpc.StatusCode.OK


def test_pixels(limited: LiveServer, client: httpx.Client) -> None:
    large = noise_png(0, 11, 10)
    for path, body in (
        (PREDICT, instances(large)),
        ("/inference", instances(large)),
        (INFER, {"inputs": [picture_input(large)]}),
    ):
        response = client.post(path, json=body)
        assert response.status_code == 413
        assert "the limit is 100 pixels" in response.json()["error"]
    code, details = ask_grpc(limited, large)
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert "the limit is 100 pixels" in details


@pytest.mark.parametrize("path", [PREDICT, "/inference", INFER, "/v2/repository/index"])
def test_depth_of_json(client: httpx.Client, path: str) -> None:
    response = client.post(path, content='{"a": ' + "[" * 8 + "]" * 8 + "}")
    assert response.status_code == 400
    assert "JSON nesting depth exceeds maximum allowed limit (8)" in response.json()["error"]


def test_depth_of_a_long_array(client: httpx.Client) -> None:
    numbers = "[" * 9 + "1," * 200_000 + "1" + "]" * 9
    head = '{"inputs": [{"name": "image", "datatype": "UINT8", "shape": [1], "data": '
    response = client.post(INFER, content=head + numbers + "}]}")
    assert response.status_code == 400
    assert "JSON nesting depth exceeds maximum allowed limit (8)" in response.json()["error"]


@pytest.mark.parametrize("path", [PREDICT, "/inference", INFER, "/v2/repository/index"])
def test_values_of_json(client: httpx.Client, path: str) -> None:
    response = client.post(path, content='{"instances": [' + "{}," * 300_000 + "{}]}")
    assert response.status_code == 400
    assert "values beside arrays of numbers" in response.json()["error"]


def test_bodies_and_messages(limited: LiveServer, client: httpx.Client) -> None:
    for path in (PREDICT, "/inference", INFER):
        assert client.post(path, content=b" " * 3_000_001).status_code == 413
    code, details = ask_grpc(limited, b" " * 5_000_000)
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger than max" in details.lower()


def answer_to(server: LiveServer, *parts: bytes) -> bytes:
    """What the server answers to these bytes until it closes the connection."""
    with socket.create_connection(("127.0.0.1", server.http_port), timeout=30) as client:
        received = b""
        try:
            for part in parts:
                client.sendall(part)
            while part := client.recv(65536):
                received += part
        except ConnectionResetError:
            pass  # the server closed with bytes of ours unread
        return received


@pytest.mark.parametrize("end", [b"\r\n\r\n", b""], ids=["whole", "endless"])
def test_headers(limited: LiveServer, client: httpx.Client, end: bytes) -> None:
    head = b"GET /v2 HTTP/1.1\r\nHost: a\r\nX-Long: "
    answer = answer_to(limited, head + b"x" * 4096 + end)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert "over 4096 bytes" in json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    assert client.get("/v2", headers={"X-Long": "x" * 3000}).status_code == 200


def test_many_headers(limited: LiveServer) -> None:
    answer = answer_to(limited, b"GET /v2 HTTP/1.1\r\n" + b"A: b\r\n" * 1000 + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "head", ["Content-Length: 3000001\r\nExpect: 100-continue", f"Content-Length: {10**15}"]
)
def test_a_body_over_the_limit_is_refused_before_it_comes(limited: LiveServer, head: str) -> None:
    """Where its sender waits for that, or it is so long that its end would never be read."""
    asked = f"POST {INFER} HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", limited.http_port), timeout=30) as client:
        client.sendall(asked)
        answer = b""
        while part := client.recv(65536):
            answer += part
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"\r\nconnection: close\r\n" in answer.lower()


def test_a_header_behind_a_large_request_in_the_same_data(limited: LiveServer) -> None:
    body = b"{" + b" " * 20_000 + b"}"
    head = f"POST /v2/repository/index HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    second = (b"GET /v2/health/live HTTP/1.1\r\nHost", b": a\r\nConnection: close\r\n\r\n")
    answer = answer_to(limited, head + body + second[0], second[1])
    assert answer.count(b"HTTP/1.1 200 OK") == 2


def test_what_is_no_request(limited: LiveServer) -> None:
    answer = answer_to(limited, b"nonsense\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {
        "error": "Invalid HTTP request received."
    }


@pytest.mark.parametrize(
    "begun",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"GET /v2 HTTP/1.1\r\nHost", id="part of the headers"),
        pytest.param(
            b"POST /inference HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{", id="of the body"
        ),
        pytest.param(
            b"POST /inference HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n"
            b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n{",
            id="of the body of an upgrade",
        ),
        pytest.param(
            b"GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\nGET /v2", id="of a second request"
        ),
    ],
)
def test_slow_clients_are_left(limited: LiveServer, begun: bytes) -> None:
    start = time.monotonic()
    answer_to(limited, begun)
    assert 0.9 * READ_TIMEOUT_S < time.monotonic() - start < 20


def test_a_body_that_keeps_coming_is_read_to_its_end(limited: LiveServer) -> None:
    """Though altogether it takes longer than one pause may."""
    with socket.create_connection(("127.0.0.1", limited.http_port), timeout=30) as client:
        client.sendall(
            b"POST /v2/repository/index HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n"
        )
        for byte in b"{     }\n":
            client.sendall(bytes([byte]))
            time.sleep(READ_TIMEOUT_S / 6)  # the pause is what is tested
        assert client.recv(1000).startswith(b"HTTP/1.1 200 ")


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[LiveServer]:
    publish_slow_model(tmp_path / "models", "slow", steps_a_level=1600)
    flags = ["--model_repository", str(tmp_path / "models"), "--provider", "cpu"]
    flags += ["--http_read_timeout", str(READ_TIMEOUT_S)]
    with live_server(tmp_path / "log", *flags) as server:
        yield server


def test_a_slow_answer_is_no_slow_client(slow: LiveServer) -> None:
    """The connection of a client that waits, for an answer or between two requests, is kept."""
    connection = http.client.HTTPConnection("127.0.0.1", slow.http_port, timeout=60)
    with contextlib.closing(connection):
        connection.connect()
        connection.auto_open = 0  # one that was closed fails, and is not opened again
        level, waited_s = 1, 0.0
        while waited_s < 1.3 * READ_TIMEOUT_S:  # a picture as bright as this machine is fast
            start = time.monotonic()
            picture = encode(Image.new("RGB", (SIZE, SIZE), (level, level, level)))
            body = json.dumps(instances(picture))
            connection.request("POST", "/v1/models/slow:predict", body)
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            answer.read()
            level, waited_s = 2 * level, time.monotonic() - start
        time.sleep(1.3 * READ_TIMEOUT_S)  # the pause is what is tested
        connection.request("GET", "/v2")
        assert connection.getresponse().status == 200


def test_errors_name_their_request_in_the_log(limited: LiveServer, client: httpx.Client) -> None:
    headers = {"triton-request-id": "from-the-header"}
    assert client.post(PREDICT, content="{", headers=headers).status_code == 400
    body = {"id": "from-the-body", "inputs": [picture_input(b"rubbish")]}
    assert client.post(INFER, json=body).status_code == 400
    log = limited.log.read_text()
    assert f"refused path={PREDICT} request_id=from-the-header status=400 error=" in log
    assert f"refused path={INFER} request_id=from-the-body status=400 error=" in log
