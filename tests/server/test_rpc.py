from urllib.parse import quote

import pytest

from server.errors import RequestError
from server.protocol import oip_pb2 as oip
from server.protocol.rpc import fit_for_status, understood

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
