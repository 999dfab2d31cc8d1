"""V2 over gRPC beyond what tritonclient sends: health, reflection, streams, limits, forms."""

import asyncio
import itertools
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2

from server.errors import AnswerTooLarge
from server.protocol import oip_pb2 as oip
from server.protocol.rpc import MAX_SMALL_MESSAGE_BYTES
from server.version import MAX_ANSWER_BYTES
from tests.clients import run_client
from tests.e2e.grpc_calls import SERVICE, call
from tests.live_server import LiveServer, live_server, start_server, wait_for
from tests.onnx_graphs import Through, write_expanding, write_identity
from tests.tiny_models import publish_colour_model

LIMIT = 1_000_000


def publish(repository: Path) -> None:
    publish_colour_model(repository, "colour")
    write_identity(repository / "pass" / "1" / "model.onnx", Through("", "FP32", ["n", 2]))
    write_identity(repository / "words" / "1" / "model.onnx", Through("", "BYTES", ["n", 1]))
    write_expanding(repository / "wide" / "1" / "model.onnx", "UINT8", 7)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("grpc")
    publish(folder / "repository")
    flags = ["--model_repository", str(folder / "repository"), "--provider", "cpu"]
    flags += ["--http_max_input_size", str(LIMIT), "--precision", "fp32"]
    with live_server(folder / "log", *flags) as running:
        yield running


@pytest.fixture
def channel(own: LiveServer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{own.grpc_port}") as opened:
        yield opened


def refused(channel: grpc.Channel, method: str, request: Message) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(channel, method, request)
    return caught.value.code(), str(caught.value.details())


def infer_request(number: float = 0, **more: Any) -> oip.ModelInferRequest:
    tensor = oip.ModelInferRequest.InferInputTensor(name="x", datatype="FP32", shape=[1, 2])
    raw = [np.full((1, 2), number, np.float32).tobytes()]
    request = {"model_name": "pass", "inputs": [tensor], "raw_input_contents": raw} | more
    return oip.ModelInferRequest(**request)


def wide_request(count: int, **more: Any) -> oip.ModelInferRequest:
    """Asks for an answer of `count` bytes."""
    tensor = oip.ModelInferRequest.InferInputTensor(name="count", datatype="INT64", shape=[1])
    raw = [np.array([count], np.int64).tobytes()]
    request = {"model_name": "wide", "inputs": [tensor], "raw_input_contents": raw} | more
    return oip.ModelInferRequest(**request)


def number_of(response: oip.ModelInferResponse) -> float:
    return float(np.frombuffer(response.raw_output_contents[0], np.float32)[0])


@pytest.mark.parametrize("protocol", ["v1", "v1alpha"])
def test_reflection_alone_is_enough_to_ask(own: LiveServer, protocol: str) -> None:
    answers = run_client("grpc_reflected", protocol, f"127.0.0.1:{own.grpc_port}", "colour")
    assert answers == {
        "services": [
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
            SERVICE,
        ],
        "differences": [],
        "unfound": [],
        "unknown": grpc.StatusCode.NOT_FOUND.value[0],
        "unknown method": grpc.StatusCode.NOT_FOUND.value[0],
        "live": {"live": True},
        "config": "image",
        "metadata": "onnxruntime_onnx",
    }


@pytest.mark.parametrize("service", ["", SERVICE, "colour", "pass"])
def test_health_of_the_server_and_of_each_model(channel: grpc.Channel, service: str) -> None:
    assert health(channel, service) == health_pb2.HealthCheckResponse.SERVING


def test_health_of_no_service_is_not_found(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        health(channel, "nope")
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    "method",
    [
        f"{SERVICE}/ServerLive",
        f"{SERVICE}/ModelMetadata",
        "grpc.health.v1.Health/Check",
        "grpc.health.v1.Health/Watch",
        "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    ],
)
def test_a_long_message_that_is_no_tensor_is_refused(channel: grpc.Channel, method: str) -> None:
    long = bytes(MAX_SMALL_MESSAGE_BYTES + 1)  # fits gRPC's own limit
    stub: Any = channel.stream_stream(f"/{method}")
    with pytest.raises(grpc.RpcError) as caught:
        list(stub(iter([long]), timeout=30))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == (
        "the request is 1048577 bytes; a message of this method has at most 1048576"
    )


def health(channel: grpc.Channel, service: str) -> int:
    request = health_pb2.HealthCheckRequest(service=service)
    check = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        health_pb2.HealthCheckRequest.SerializeToString,
        health_pb2.HealthCheckResponse.FromString,
    )
    return int(check(request, timeout=30).status)


def watch(channel: grpc.Channel, service: str) -> Any:
    stub = channel.unary_stream(
        "/grpc.health.v1.Health/Watch",
        health_pb2.HealthCheckRequest.SerializeToString,
        health_pb2.HealthCheckResponse.FromString,
    )
    return stub(health_pb2.HealthCheckRequest(service=service), timeout=60)


def test_watchers_and_idle_streams_do_not_hold_the_server(tmp_path: Path) -> None:
    publish(tmp_path / "repository")
    flags = ["--model_repository", str(tmp_path / "repository"), "--shutdown_delay", "2.5"]
    server = start_server(tmp_path / "log", *flags, "--provider", "cpu")
    try:
        wait_for(server)
        with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
            statuses = watch(channel, "colour")
            unknown = watch(channel, "nope")
            answers = stream(channel, itertools.chain([infer_request(7)], forever()))
            assert number_of(next(answers).infer_response) == 7
            assert next(unknown).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
            assert next(statuses).status == health_pb2.HealthCheckResponse.SERVING
            server.process.send_signal(signal.SIGTERM)
            assert next(statuses).status == health_pb2.HealthCheckResponse.NOT_SERVING
            with pytest.raises(grpc.RpcError) as caught:
                next(answers)
            assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
            assert server.process.wait(timeout=20) == 0, server.log.read_text()
    finally:
        server.process.kill()
        server.process.wait()


def forever() -> Iterator[oip.ModelInferRequest]:
    """A client that keeps its stream open and sends nothing."""
    threading.Event().wait()
    yield from ()


def stream(channel: grpc.Channel, requests: Iterator[oip.ModelInferRequest], **options: Any) -> Any:
    stub = channel.stream_stream(
        f"/{SERVICE}/ModelStreamInfer",
        oip.ModelInferRequest.SerializeToString,
        oip.ModelStreamInferResponse.FromString,
    )
    return stub(requests, timeout=60, **options)


def test_many_streams_at_once_keep_their_orders(own: LiveServer) -> None:
    async def one(channel: grpc.aio.Channel, start: int) -> list[float]:
        stub = channel.stream_stream(
            f"/{SERVICE}/ModelStreamInfer",
            oip.ModelInferRequest.SerializeToString,
            oip.ModelStreamInferResponse.FromString,
        )

        async def requests() -> AsyncIterator[oip.ModelInferRequest]:
            for number in range(start, start + 300):
                yield infer_request(number)

        return [number_of(answer.infer_response) async for answer in stub(requests())]

    async def all_of_them() -> list[list[float]]:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{own.grpc_port}") as channel:
            return await asyncio.gather(*(one(channel, 1000 * index) for index in range(8)))

    for index, numbers in enumerate(asyncio.run(all_of_them())):
        assert numbers == list(range(1000 * index, 1000 * index + 300))


def test_errors_in_a_stream_name_their_request(channel: grpc.Channel) -> None:
    requests = [infer_request(1, id="a"), infer_request(id="b", model_name="nope")]
    requests += [infer_request(id="c", raw_input_contents=[b"1"]), infer_request(2, id="d")]
    answers = list(stream(channel, iter(requests)))
    assert [answer.infer_response.id for answer in answers] == ["a", "b", "c", "d"]
    assert [answer.error_message for answer in answers] == [
        "",
        "Request for unknown model: 'nope' is not found",
        "input byte size mismatch for input 'x' for model 'pass'. Expected 8, got 1",
        "",
    ]


def test_a_client_may_ask_that_an_error_end_its_stream(channel: grpc.Channel) -> None:
    requests = [infer_request(1), infer_request(model_name="nope"), infer_request(2)]
    answers = stream(channel, iter(requests), metadata=[("triton_grpc_error", "true")])
    assert number_of(next(answers).infer_response) == 1
    with pytest.raises(grpc.RpcError) as caught:
        next(answers)
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_a_client_that_leaves_its_stream_harms_nobody(channel: grpc.Channel) -> None:
    for _ in range(5):
        answers = stream(channel, itertools.chain((infer_request(n) for n in range(50)), forever()))
        next(answers)
        answers.cancel()
    assert number_of(call(channel, "ModelInfer", infer_request(3))) == 3


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"raw_input_contents": []}, "INVALID_ARGUMENT",
         "unable to find data for input tensor 'x' for model 'pass' in request."),
        ({"raw_input_contents": [bytes(8), b""]}, "INVALID_ARGUMENT", "expected 1 raw_input_contents"),
        ({"model_version": "7"}, "NOT_FOUND", "'pass' version 7 is not found"),
        ({"model_version": "x"}, "INVALID_ARGUMENT", "version string 'x'"),
        ({"parameters": {"priority": oip.InferParameter(string_param="a")}}, "INVALID_ARGUMENT",
         "Unable to parse 'priority'"),
        ({"parameters": {"a": oip.InferParameter()}}, "INVALID_ARGUMENT", "invalid type"),
        ({"outputs": [oip.ModelInferRequest.InferRequestedOutputTensor(name="z")]},
         "INVALID_ARGUMENT", "unexpected inference output 'z'"),
    ],
)  # fmt: skip
def test_messages_of_another_form_are_refused(
    channel: grpc.Channel, changes: dict[str, Any], code: str, message: str
) -> None:
    status, text = refused(channel, "ModelInfer", infer_request(**changes))
    assert status.name == code
    assert message in text


def test_typed_contents_are_taken_too(channel: grpc.Channel) -> None:
    tensor = oip.ModelInferRequest.InferInputTensor(name="x", datatype="FP32", shape=[1, 2])
    tensor.contents.fp32_contents.extend([4, 5])
    request = infer_request(inputs=[tensor], raw_input_contents=[])
    assert number_of(call(channel, "ModelInfer", request)) == 4
    both = infer_request(inputs=[tensor])
    text = refused(channel, "ModelInfer", both)[1]
    assert text.startswith("contents field must not be specified when using raw_input_contents")
    word = oip.ModelInferRequest.InferInputTensor(name="x", datatype="BYTES", shape=[1, 1])
    word.contents.bytes_contents.append(b"abc")
    request = oip.ModelInferRequest(model_name="words", inputs=[word])
    assert call(channel, "ModelInfer", request).raw_output_contents[0] == b"\x03\0\0\0abc"


def test_large_typed_contents_are_read_in_a_thread(channel: grpc.Channel) -> None:
    tensor = oip.ModelInferRequest.InferInputTensor(name="x", datatype="FP32", shape=[50_000, 2])
    tensor.contents.fp32_contents.extend(range(100_000))
    request = oip.ModelInferRequest(model_name="pass", inputs=[tensor])
    (raw,) = call(channel, "ModelInfer", request).raw_output_contents
    np.testing.assert_array_equal(np.frombuffer(raw, np.float32), np.arange(100_000))


def test_a_message_over_the_limit_is_refused(channel: grpc.Channel) -> None:
    request = infer_request(raw_input_contents=[bytes(LIMIT + 2**21)])
    assert refused(channel, "ModelInfer", request)[0] == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_an_answer_has_the_limit_of_answers_not_that_of_requests(own: LiveServer) -> None:
    large, too_large = 80_000_000, MAX_ANSWER_BYTES + 1
    too_large_text = AnswerTooLarge(MAX_ANSWER_BYTES).args[0]
    address, options = f"127.0.0.1:{own.grpc_port}", [("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(address, options) as channel:
        (raw,) = call(channel, "ModelInfer", wide_request(large)).raw_output_contents
        assert raw == bytes([7]) * large
        assert refused(channel, "ModelInfer", wide_request(too_large)) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            too_large_text,
        )
        counts = [1, large, too_large, 2]
        answers = list(stream(channel, map(wide_request, counts)))
    sizes = [sum(map(len, answer.infer_response.raw_output_contents)) for answer in answers]
    assert sizes == [1, large, 0, 2]
    assert [answer.error_message for answer in answers] == ["", "", too_large_text, ""]
    assert "Traceback" not in own.log.read_text()


@pytest.mark.parametrize("algorithm", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed_requests_are_understood(
    channel: grpc.Channel, algorithm: grpc.Compression
) -> None:
    answer = call(channel, "ModelInfer", infer_request(6), compression=algorithm)
    assert number_of(answer) == 6


def test_unknown_load_parameters_are_refused(channel: grpc.Channel) -> None:
    wrong = oip.ModelRepositoryParameter(int64_param=3)
    for name, message in (
        ("config", "parameter 'config' is no string"),
        ("file:1/model.onnx", "is no bytes_param"),
        ("what", "'what' is unknown"),
    ):
        request = oip.RepositoryModelLoadRequest(model_name="pass", parameters={name: wrong})
        assert message in refused(channel, "RepositoryModelLoad", request)[1]
    request = oip.RepositoryModelLoadRequest(model_name="pass", repository_name="other")
    assert refused(channel, "RepositoryModelLoad", request)[0] == grpc.StatusCode.UNIMPLEMENTED


def test_responses_are_compressed_where_the_server_is_told_to(tmp_path: Path) -> None:
    publish(tmp_path / "repository")
    flags = ["--model_repository", str(tmp_path / "repository"), "--provider", "cpu"]
    flags += ["--grpc-infer-response-compression-level", "low", "--grpc-keepalive-time", "1000"]
    large = oip.ModelInferRequest.InferInputTensor(name="x", datatype="FP32", shape=[50_000, 2])
    request = infer_request(inputs=[large], raw_input_contents=[bytes(400_000)])
    with (
        live_server(tmp_path / "log", *flags) as server,
        grpc.insecure_channel(
            f"127.0.0.1:{server.grpc_port}", [("grpc.max_receive_message_length", 300_000)]
        ) as small,
    ):
        # gRPC's limit is on the message unpacked, so a packed answer is refused with that word.
        with pytest.raises(grpc.RpcError) as caught:
            call(small, "ModelInfer", request)
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "decompressed" in str(caught.value.details()).lower()
        assert number_of(call(small, "ModelInfer", infer_request(9))) == 9
