"""uvicorn's HTTP protocol with what it lacks: limits, word of departures, no upgrades.

A client that sends a request too slowly, or never to its end, would keep its connection for ever,
and there are only so many of them; one that does not read its answer would keep that. ASGI tells
that a client left only to who asks for the next message, which takes a task for each request; here
it is a call. A header Upgrade, which may be ignored (RFC 9110, 7.8), would be the end of HTTP in the
connection to the parser: what follows, the request's own body too, would be read as a new request.
"""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

import httptools
import orjson
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_NO_REQUEST: Final = "Invalid HTTP request received."

_BESIDE: Final = 4
"""Bytes of a header beside its name and value."""


_EXTENSION: Final = "aperture"
_DEPARTURES: Final = "departures"


def departures_of(scope: Scope) -> set[Callable[[], None]]:
    """What is called when the client of a request closes its connection; may be added to.

    Nothing is called where another server than this one answers.
    """
    extension = scope.get("extensions", {}).get(_EXTENSION, {})
    found: set[Callable[[], None]] = extension.get(_DEPARTURES, set())
    return found


class GuardedHttp(HttpToolsProtocol):
    """Ends connections whose requests are too large of header or too slow, or answers not read.

    A request that asks for an upgrade is answered as one that does not.

    Attributes:
        max_header_bytes: Largest request line and headers together.
        read_timeout_s: How long the header may take altogether, and each pause in a body, and in
            the reading of an answer.
    """

    max_header_bytes: int
    read_timeout_s: float

    _header_bytes = 0
    _chunk_bytes = 0
    _begun = 0
    _reading = False
    _in_body = False
    _body_came = False
    _refusal: bytes | None = None
    _slow: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect a request."""
        super().connection_made(transport)
        self._departures: set[Callable[[], None]] = set()
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing any more, and tell whoever still answers."""
        self._stop_expecting()
        self._stop_watching()
        super().connection_lost(exc)
        for leave in tuple(self._departures):
            leave()

    def pause_writing(self) -> None:
        """Watch whether the client reads its answer, of which much is left."""
        super().pause_writing()
        self._watch(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """Watch no more: it has read."""
        self._stop_watching()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Take a part of a request, or of several; none behind what is refused."""
        if self._refusal is not None:
            return
        self._chunk_bytes = len(data)
        begins_with = self._begun + (not self._reading)
        self._unset_keepalive_if_required()
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self.logger.warning(_NO_REQUEST)
            self.send_400_response(_NO_REQUEST)
            return
        if not self._reading or self.transport.is_closing():
            return
        if self._in_body:
            self._expect()
            return
        if self._slow is None:
            self._expect()
        if self._begun == begins_with:  # not behind another request in these data
            self._header_bytes += len(data)  # the parser tells no header before its end
        if self._header_bytes > self.max_header_bytes:
            self.send_400_response("")

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._begun += 1
        self._header_bytes = 0
        self._reading, self._in_body = True, False
        super().on_message_begin()
        self.scope["extensions"] = {_EXTENSION: {_DEPARTURES: self._departures}}

    def on_headers_complete(self) -> None:
        """Begin the request's body, or refuse it for its headers."""
        if self._header_bytes + self._chunk_bytes > self.max_header_bytes:  # perhaps of the body
            headers = sum(len(name) + len(value) + _BESIDE for name, value in self.headers)
            self._header_bytes = headers + len(self.url)
            if self._header_bytes > self.max_header_bytes:
                raise ValueError("too large a header")  # data_received refuses it
        super().on_headers_complete()
        self._in_body, self._body_came = True, False

    def on_body(self, body: bytes) -> None:
        """Take a part of a request's body."""
        self._body_came = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self._reading = False
        self._stop_expecting()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with the connection, unless the request's body was held back for the answer.

        Its client may then send the body or leave it out, so that what comes next cannot be told
        (RFC 9110, 10.1.1).
        """
        held_back = self.expect_100_continue and self._reading and not self._body_came
        if held_back and self.cycle.response_complete:  # not one before it
            self.transport.close()
        if self._refusal is not None and not self.pipeline and not self.transport.is_closing():
            self._refuse(self._refusal)
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be read as a request, behind the answers before, and close the connection."""
        status, error = HTTPStatus.BAD_REQUEST, msg
        if self._header_bytes > self.max_header_bytes:
            status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            error = (
                f"request line and headers are over {self.max_header_bytes} bytes, the limit of "
                "this server (--http_max_header_size)"
            )
        body = orjson.dumps({"error": error})
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self._stop_expecting()
        self._refusal = head.encode() + body
        of_a_body = self._reading and self._in_body
        if of_a_body and self.pipeline:  # its request is the last there, and not begun
            self.pipeline.popleft()
        elif of_a_body and self.cycle.response_started:
            self.transport.close()
        elif of_a_body or self.cycle is None or self.cycle.response_complete:
            self._refuse(self._refusal)

    def _refuse(self, refusal: bytes) -> None:
        self.transport.write(refusal)
        self.transport.close()

    def _should_upgrade(self) -> bool:
        """Whether uvicorn leaves a request alone that asks for an upgrade: it is begun again."""
        return True

    def _parse(self, data: bytes) -> None:
        """Parse `data`; begin a request with an Upgrade again, in a new parser without that header.

        The old parser has passed its body over. It takes no header of more than one line, so that the
        headers it told are the same when written as lines again.
        """
        rest: bytes | memoryview = data
        while True:
            try:
                self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                rest = memoryview(rest)[upgrade.args[0] :]
            else:
                return
            head = self._head_without_upgrade()
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
            self.parser.feed_data(head)

    def _head_without_upgrade(self) -> bytes:
        """The request line and headers that were read, but for Upgrade."""
        method, version = self.scope["method"], self.scope["http_version"]
        if method == "CONNECT":  # an upgrade by itself
            raise httptools.HttpParserError
        lines = [b"%s %s HTTP/%s" % (method.encode(), self.url, version.encode())]
        lines += [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def _expect(self) -> None:
        self._stop_expecting()
        self._slow = self.loop.call_later(self.read_timeout_s, self._give_up)

    def _stop_expecting(self) -> None:
        if self._slow is not None:
            self._slow.cancel()
            self._slow = None

    def _watch(self, unread: int) -> None:
        self._stop_watching()
        self._unread = self.loop.call_later(self.read_timeout_s, self._look, unread)

    def _stop_watching(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _look(self, before: int) -> None:
        """End a connection whose client has read nothing since `before` bytes were left."""
        unread = self.transport.get_write_buffer_size()
        if unread < before:
            self._watch(unread)
        else:
            self.transport.abort()

    def _give_up(self) -> None:
        """Close a connection whose client was too slow, unless it is this server that waits."""
        self._slow = None
        if self.flow.read_paused:
            self._expect()
        elif not self.transport.is_closing():
            self.transport.close()


def guarded(max_header_bytes: int, read_timeout_s: float) -> type[GuardedHttp]:
    """The protocol with these limits; uvicorn makes one of it for each connection."""
    limits = {"max_header_bytes": max_header_bytes, "read_timeout_s": read_timeout_s}
    return type("LimitedHttp", (GuardedHttp,), limits)
