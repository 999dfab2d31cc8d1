"""The bytes that all requests under way have together, over each protocol."""

import json
import socket
from collections.abc import Iterator

import grpc
import httpx
import pytest

from server.protocol import oip_pb2 as oip
from tests.live_server import LiveServer, live_server, wait_until
from tests.picture_files import as_text, instances, noise_png
from tests.tiny_models import publish_colour_model

IN_FLIGHT = 1_000_000
PREDICT = "/v1/models/colour:predict"
INFER = "/v2/models/colour/infer"
INDEX = "/v2/repository/index"
RPC = "/inference.GRPCInferenceService/Model"
TOLD = (
    "the requests under way have the 1000000 bytes that this server keeps for them "
    "(--max_bytes_in_flight); try again shortly"
)


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("narrow")
    publish_colour_model(folder / "repository", "colour")
    flags = ["--model_repository", str(folder / "repository"), "--precision", "fp32"]
    with live_server(folder / "log", *flags, "--max_bytes_in_flight", str(IN_FLIGHT)) as server:
        yield server


def picture_input(file: bytes) -> dict[str, object]:
    return {"name": "image", "shape": [1], "datatype": "BYTES", "data": [as_text(file)]}


def message(file: bytes) -> oip.ModelInferRequest:
    image = oip.ModelInferRequest.InferInputTensor(name="image", datatype="BYTES", shape=[1])
    image.contents.bytes_contents.append(file)
    return oip.ModelInferRequest(model_name="colour", inputs=[image])


def test_a_request_without_room_is_refused_and_harms_no_other(narrow: LiveServer) -> None:
    picture = noise_png(1)
    padded = json.dumps({"inputs": [picture_input(picture)]}).encode() + b" " * 600_000
    large = message(picture + bytes(600_000))
    head = f"POST {INFER} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(padded)}\r\n\r\n".encode()
    with (
        narrow.client() as client,
        socket.create_connection(("127.0.0.1", narrow.http_port), timeout=60) as first,
        grpc.insecure_channel(f"127.0.0.1:{narrow.grpc_port}") as channel,
    ):
        first.sendall(head + padded[:-1])
        wait_until(lambda: client.post(INFER, content=padded).status_code == 503)  # it has come
        for path in (INFER, PREDICT, "/inference", "/invocations", INDEX):
            refused = client.post(path, content=padded)
            assert refused.status_code == 503, path
            assert refused.headers["Retry-After"] == "1"
            assert refused.json() == {"error": TOLD}
        write, read = oip.ModelInferRequest.SerializeToString, oip.ModelInferResponse.FromString
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(f"{RPC}Infer", write, read)(large, timeout=60)
        assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.UNAVAILABLE, TOLD)
        stream = channel.stream_stream(
            f"{RPC}StreamInfer", write, oip.ModelStreamInferResponse.FromString
        )
        told = [answer.error_message for answer in stream(iter([large, message(picture)]))]
        assert told == [TOLD, ""]
        assert client.post(PREDICT, json=instances(picture)).status_code == 200, "it has room"
        first.sendall(padded[-1:])
        assert first.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert client.post(INFER, content=padded).status_code == 200, "there is room again"


def test_one_that_is_alone_has_room_whatever_its_size(narrow: LiveServer) -> None:
    with httpx.Client(base_url=narrow.url) as client:
        content = json.dumps(instances(noise_png(1))).encode() + b" " * 2 * IN_FLIGHT
        assert client.post(PREDICT, content=content).status_code == 200
