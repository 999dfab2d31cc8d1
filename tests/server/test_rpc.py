import asyncio
from typing import Any
from urllib.parse import quote

import grpc
import pytest
from grpc._cython import cygrpc  # type: ignore[attr-defined]  # a compiled module

from server.errors import RequestError
from server.protocol import oip_pb2 as oip
from server.protocol.rpc import fit_for_status, unary, understood

WORST = 8 * 1024  # bytes of metadata that any client takes


@pytest.mark.parametrize("char", ["x", "%", "ж", "日", "\n", "\ud800"])
def test_a_text_for_a_status_fits_whatever_it_is_of(char: str) -> None:
    assert fit_for_status(char * 10) == (char * 10).encode(errors="backslashreplace").decode()
    cut = fit_for_status(char * 20_000)
    assert cut.endswith("...")
    assert 5_900 < len(quote(cut, safe=" ")) < WORST


def test_bytes_that_are_no_message_are_the_clients_fault() -> None:
    with pytest.raises(RequestError, match="the 2 bytes of the request are not the message"):
        understood(oip.ModelInferRequest.FromString, b"\xff\xff")
    assert understood(oip.ModelInferRequest.FromString, b"") == oip.ModelInferRequest()


def test_a_call_whose_client_left_just_as_it_is_refused_ends_without_a_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Left:
        def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
            return ()

        async def abort(self, _code: grpc.StatusCode, _details: str) -> None:
            raise cygrpc.ExecuteBatchError("Failed grpc_call_start_batch")

    async def refuse(_: bytes) -> bytes:
        raise RequestError("no")

    async def run() -> None:
        handler: Any = unary(refuse, bytes)
        with pytest.raises(asyncio.CancelledError):  # which gRPC ends quietly
            await handler.unary_unary(b"", Left())

    caplog.set_level("INFO")
    asyncio.run(run())
    assert "client left rpc=refuse before its status=INVALID_ARGUMENT" in caplog.text
