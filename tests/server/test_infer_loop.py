"""What takes long of an infer request leaves the event loop free.

Each request here is refused at its end, so nothing but its parsing is awaited: where that were done on the event
loop, nothing else would have run meanwhile.
"""

import asyncio
import logging
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from server.errors import RequestError
from server.log_settings import LogSettings
from server.protocol import oip_pb2 as oip
from server.protocol.body import LARGE, Bodies
from server.protocol.oip_json import may_name_slot
from server.protocol.oip_messages import ReceivedInfer
from server.protocol.v2 import V2
from server.protocol.v2_infer import Infer
from server.runtime import Runtime
from server.shared_memory import FOLDER, Region, SharedMemory
from server.trace_settings import TraceSettings
from tests.event_loop import counted_turns
from tests.onnx_graphs import Through, write_identity
from tests.repositories import repository

CUT = b"\x01"
"""A string whose length is cut off."""


@asynccontextmanager
async def v2_over(root: Path, runtime: Runtime) -> AsyncIterator[V2]:
    """V2 over the model `words`, which answers the strings of `x`."""
    write_identity(root / "words" / "1" / "model.onnx", Through("", "BYTES", ["n", "k"]))
    bodies = Bodies(1 << 26, 100)
    logs = LogSettings(logging.NullHandler())
    async with repository(root, runtime) as served:
        yield V2(served, SharedMemory(allowed=True), logs, TraceSettings(), "aperture", bodies)
    bodies.stop()


async def turns_while_refused(v2: V2, message: oip.ModelInferRequest) -> int:
    """How often the event loop came round while a request was refused as cut off."""
    async with counted_turns() as turns:
        with pytest.raises(RequestError, match="incomplete string length indicator"):
            await Infer(v2).model_infer(ReceivedInfer.of(message.SerializeToString()))
        return turns()


def ask(count: int) -> oip.ModelInferRequest:
    tensor = oip.ModelInferRequest.InferInputTensor(name="x", datatype="BYTES", shape=[1, count])
    return oip.ModelInferRequest(model_name="words", inputs=[tensor])


def test_strings_of_a_message(tmp_path: Path, runtime: Runtime) -> None:
    async def turns(count: int) -> int:
        message = ask(count)
        message.raw_input_contents.append(bytes(4 * count - 4) + CUT)
        async with v2_over(tmp_path, runtime) as v2:
            return await turns_while_refused(v2, message)

    assert asyncio.run(turns(10)) == 0  # not worth a thread
    assert asyncio.run(turns(LARGE)) > 0


def test_strings_in_shared_memory(
    tmp_path: Path, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = FOLDER / f"aperture-test-{os.getpid()}-words"
    message = ask(LARGE)
    message.inputs[0].parameters["shared_memory_region"].string_param = "r"
    message.inputs[0].parameters["shared_memory_byte_size"].int64_param = 4 * LARGE - 3

    async def turns() -> int:
        async with v2_over(tmp_path, runtime) as v2:
            v2.shared_memory.register("r", path.name, 0, 4 * LARGE - 3)
            return await turns_while_refused(v2, message)

    readers: list[str] = []
    read = Region.read

    def watched(region: Region, offset: int, byte_size: int) -> memoryview:
        readers.append(threading.current_thread().name)
        return read(region, offset, byte_size)

    monkeypatch.setattr(Region, "read", watched)
    try:
        path.write_bytes(bytes(4 * LARGE - 4) + CUT)
        assert asyncio.run(turns()) > 0
    finally:
        path.unlink()
    assert len(readers) == 1
    assert readers[0].startswith("copy"), "no other work waits for these threads"


def test_a_request_without_shared_memory_needs_no_thread_where_others_have_some(
    tmp_path: Path, runtime: Runtime
) -> None:
    path = FOLDER / f"aperture-test-{os.getpid()}-other"
    message = ask(10)
    message.raw_input_contents.append(bytes(36) + CUT)

    async def turns() -> int:
        async with v2_over(tmp_path, runtime) as v2:
            v2.shared_memory.register("r", path.name, 0, 1)
            return await turns_while_refused(v2, message)

    try:
        path.write_bytes(b"\0")
        assert asyncio.run(turns()) == 0
    finally:
        path.unlink()


@pytest.mark.parametrize(
    ("body", "may"),
    [
        (b'{"inputs": [{"parameters": {"shared_memory_region": "r"}}]}', True),
        (b'{"inputs": [{"parameters": {"\\u0073hared_memory_region": "r"}}]}', True),
        (b'{"inputs": [{"name": "x", "data": [1]}]}', False),
    ],
)
def test_a_body_may_name_shared_memory_where_its_name_or_an_escape_stands(
    body: bytes, may: bool
) -> None:
    assert may_name_slot(body) == may
