"""Requests that ask for an upgrade, and what is no request behind others, cut at any border of packets."""

import asyncio
import re
from collections.abc import Sequence

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import ServerState

from server.protocol.guarded_http import guarded
from tests.virtual_time import run_virtual

UPGRADES = {
    "h2c": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
    "websocket": b"Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\n",
    "unknown": b"connection: Upgrade\r\nUPGRADE: one, two\r\nUpgrade: three\r\n",
    "proxy": b"Proxy-Connection: Upgrade\r\nUpgrade: one\r\n",
}
INNER = b"GET /inner HTTP/1.1\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nConnection: close\r\n\r\n"
MAX_HEADER_BYTES = 4096


class FakeTransport(asyncio.Transport):
    """Keeps what is written until it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = asyncio.Event()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.is_closing():
            self.written += data

    def close(self) -> None:
        self.closed.set()

    def is_closing(self) -> bool:
        return self.closed.is_set()

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request with itself, after a while."""
    body = await Request(scope, receive).body()
    await asyncio.sleep(5)
    names = {name.decode() for name, _ in scope["headers"]}
    asked = f"{scope['method']} {scope['path']} {sorted(names & {'x-a', 'x-b'})} "
    await Response(asked.encode() + body)(scope, receive, send)


def answer_to(*packets: bytes, app: ASGIApp = echo) -> bytes:
    """All that is answered to them until the connection is closed, as it is after 60 s at the latest."""

    async def main() -> bytes:
        config = uvicorn.Config(
            app, http=guarded(MAX_HEADER_BYTES, 60.0), ws="none", lifespan="off"
        )
        config.load()
        connection = config.http_protocol_class(config, ServerState(), {})  # type: ignore[call-arg]
        transport = FakeTransport()
        connection.connection_made(transport)
        for packet in packets:
            if not transport.is_closing():
                connection.data_received(packet)
                await asyncio.sleep(0)
        await transport.closed.wait()
        connection.connection_lost(None)
        return transport.written

    return run_virtual(main())


def answers(received: bytes) -> list[tuple[int, bytes]]:
    """Status and body of each answer."""
    found = []
    while received:
        head, _, received = received.partition(b"\r\n\r\n")
        status, length = head.split()[1], re.search(rb"(?i)content-length: (\d+)", head)
        assert length is not None
        size = int(length[1])
        found.append((int(status), received[:size]))
        received = received[size:]
    return found


def post(path: bytes, upgrade: bytes, body: bytes, *, chunked: bool = False) -> bytes:
    framing = b"Content-Length: %d\r\n" % len(body)
    if chunked:
        framing = b"Transfer-Encoding: chunked\r\n"
        body = b"5;x=y\r\n" + body[:5] + b"\r\n%x\r\n" % len(body[5:]) + body[5:] + b"\r\n0\r\n\r\n"
    head = b"POST %s HTTP/1.1\r\nX-A:\r\n%s%sX-B: b \r\n\r\n"
    return head % (path, upgrade, framing) + body


@pytest.mark.parametrize("upgrade", UPGRADES.values(), ids=list(UPGRADES))
def test_an_upgrade_is_ignored_wherever_the_request_is_cut(upgrade: bytes) -> None:
    asked = post(b"/a%20b", upgrade, INNER) + post(b"/c", upgrade, INNER, chunked=True)
    asked += b"GET /d HTTP/1.1\r\n" + upgrade + b"\r\n" + LAST
    expected = [
        (200, b"POST /a b ['x-a', 'x-b'] " + INNER),
        (200, b"POST /c ['x-a', 'x-b'] " + INNER),
        (200, b"GET /d [] "),
        (200, b"GET /last [] "),
    ]
    for cut in range(len(asked)):
        assert answers(answer_to(asked[:cut], asked[cut:])) == expected, cut
    assert answers(answer_to(*(bytes([byte]) for byte in asked))) == expected


def test_each_of_many_requests_in_a_packet_may_ask_for_an_upgrade() -> None:
    asked = post(b"/", UPGRADES["h2c"], b"{}") * 2000
    assert len(answers(answer_to(asked + LAST))) == 2001


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(b"POST / HTTP/1.0\r\nContent-Length: 3\r\n%s\r\nabc", id="HTTP/1.0"),
        pytest.param(
            b"POST / HTTP/1.1\r\nConnection: close\r\nContent-Length: 3\r\n%s\r\nabc", id="close"
        ),
    ],
)
def test_nothing_is_read_behind_the_last_request_of_a_connection(asked: bytes) -> None:
    for upgrade in (b"", *UPGRADES.values()):
        assert answers(answer_to(asked % upgrade + INNER)) == [(200, b"POST / [] abc")]


@pytest.mark.parametrize("upgrade", [b"", *UPGRADES.values()], ids=["none", *UPGRADES])
def test_a_body_that_is_held_back_is_asked_for(upgrade: bytes) -> None:
    head = b"POST / HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n" + upgrade + b"\r\n"
    received = answer_to(head, b"abc" + LAST)
    assert received.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 ")
    assert received.count(b"100 Continue") == 1
    assert received.count(b"HTTP/1.1 200 ") == 2


def test_a_tunnel_is_refused_and_nothing_of_it_read() -> None:
    for packets in (
        (b"CONNECT a:80 HTTP/1.1\r\n\r\n" + INNER,),
        (b"CONNECT /a HTTP/1.1\r\n\r\n", INNER),
    ):
        ((status, _),) = answers(answer_to(*packets))
        assert status == 400


@pytest.mark.parametrize("upgrade", [b"", *UPGRADES.values()], ids=["none", *UPGRADES])
def test_headers_over_the_limit(upgrade: bytes) -> None:
    head = b"GET / HTTP/1.1\r\n" + upgrade + b"X-A: "
    long = b"a" * MAX_HEADER_BYTES
    for packets in ((head + long + b"\r\n\r\n",), (head, long, b"\r\n\r\n"), (head + long,)):
        assert [status for status, _ in answers(answer_to(*packets))] == [431]
    fits = head + b"a" * (MAX_HEADER_BYTES - 1000) + b"\r\n\r\n"
    for packets in ((fits + LAST,), (head, fits.removeprefix(head), LAST)):
        assert [status for status, _ in answers(answer_to(*packets))] == [200, 200]


@pytest.mark.parametrize("upgrade", [b"", *UPGRADES.values()], ids=["none", *UPGRADES])
@pytest.mark.parametrize("part", [b"Content-Length: 3\r\n%s\r\na", b"%s", b"%sX-A: "])
def test_slow_requests_are_left(upgrade: bytes, part: bytes) -> None:
    assert answer_to(b"POST / HTTP/1.1\r\n" + part % upgrade) == answer_to()


GOOD = [post(b"/a", b"", b"1"), post(b"/b", b"", b"2")]
GOOD_ANSWERS = [(200, b"POST /a ['x-a', 'x-b'] 1"), (200, b"POST /b ['x-a', 'x-b'] 2")]
BAD_CHUNK = b"POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\naxx"


@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize(
    ("bad", "refused"),
    [
        pytest.param(b"no request\r\n\r\n", 400, id="garbage"),
        pytest.param(b"GET /%s HTTP/1.1\r\n\r\n" % (b"a" * 5000), 431, id="long header"),
        pytest.param(b"GET // HTTP/1.1\r\nHost: a:b:c\r\nA b\r\n\r\n", 400, id="bad header"),
        pytest.param(b"GET a:b HTTP/1.1\r\n\r\n", 400, id="bad URL"),
        pytest.param(b"CONNECT a:80 HTTP/1.1\r\n\r\n", 400, id="tunnel"),
        pytest.param(BAD_CHUNK, 400, id="bad chunk"),
        pytest.param(
            b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 400, id="unknown framing"
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n%s\r\n" % UPGRADES["h2c"],
            400,
            id="unknown framing of an upgrade",
        ),
    ],
)
def test_a_refusal_waits_for_the_answers_before_it(count: int, bad: bytes, refused: int) -> None:
    for packets in _packets([*GOOD[:count], bad]):
        *before, last = answers(answer_to(*packets, LAST))
        assert before == GOOD_ANSWERS[:count]
        assert last[0] == refused


def test_a_refusal_of_a_header_without_end_waits_too() -> None:
    long = b"GET /" + b"a" * 5000
    *before, last = answers(answer_to(b"".join(GOOD), long, long, LAST))
    assert before == GOOD_ANSWERS
    assert last[0] == 431


def test_an_answer_begun_before_the_body_that_cannot_be_read_is_followed_by_no_other() -> None:
    async def early(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await Request(scope, receive).body()

    received = answer_to(BAD_CHUNK[:-2], b"xx", app=early)
    assert received.count(b"HTTP/1.1 ") == 1


def _packets(requests: Sequence[bytes]) -> list[list[bytes]]:
    """All in one packet, one in each, the last in two; also with its begin behind those before it."""
    *before, last = requests
    one, each, two = [b"".join(requests)], [*requests], [*before, last[:-4], last[-4:]]
    return [one, each, two, [b"".join(before) + last[:4], last[4:]]]
