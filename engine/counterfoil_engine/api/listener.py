"""HTTP/1.1 for requests that may wait long for their answer: thousands of lines at once, none of which costs a thread.

asyncio moves the bytes, h11 says what they mean; here stand the bounds. A request has to be there whole within a time,
and is bounded in size, alone and with all others; an answer has to be taken within a time; there is a number of lines.
What is no HTTP request is answered 4xx and never repeated.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from typing import NamedTuple

import h11
from loguru import logger

from counterfoil_engine.api.problems import MEDIA_TYPE, Told, told_of
from counterfoil_engine.domain.errors import Unavailable
from counterfoil_engine.ports import Rejected

_NO_REQUEST = ("It can't be read as a request.", "Send a request as HTTP/1.1 describes it (RFC 9112).")


@dataclass(frozen=True)
class Bounds:
    """request_s: from the first byte of a request to its last. idle_s: between two requests of a line. send_s: for the
    other side to take an answer. linger_s: to read the answer to what was refused unread. body_bytes: of one request;
    held_bytes: of all that are not yet whole together, and as much of what came ahead of its turn."""

    lines: int = 20_000
    request_s: float = 10.0
    idle_s: float = 75.0
    send_s: float = 30.0
    linger_s: float = 2.0
    head_bytes: int = 16_384
    body_bytes: int = 2_097_152
    held_bytes: int = 67_108_864


class Request(NamedTuple):
    """headers: by their usual names (`Content-Type`)."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Reply(NamedTuple):
    """An answer; JSON unless `kind` says otherwise. done: called once it is on its way, or nobody takes it."""

    body: bytes
    status: int = 200
    kind: str = "application/json"
    headers: Mapping[str, str] = {}
    done: Callable[[], None] = lambda: None


def refusal(error: Exception, request: Request, route: str) -> Reply:
    """An error as problem details, as the API tells them."""
    told, headers = told_of(error, request.method, route)
    return Reply(told.body, told.status, MEDIA_TYPE, headers)


@dataclass
class Listener:
    """Answers what comes in on the address by `handle`; one for each event loop. now: for the Date of answers."""

    handle: Callable[[Request], Awaitable[Reply]]
    now: Callable[[], datetime]
    bounds: Bounds = field(default_factory=Bounds)
    held_bytes: int = 0
    lines: set[Line] = field(default_factory=set)
    is_closing: bool = False
    _server: asyncio.Server | None = None

    async def start(self, host: str, port: int, share: bool = False) -> int:
        """Begin to listen; the port (0 asks for a free one). share: with other processes of this host."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Line(self), host, port, backlog=1024, reuse_port=share or None)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self, within_s: float) -> None:
        """Take no line any more; let those be answered that asked, for so long."""
        self.is_closing = True
        if self._server is not None:
            self._server.close()
        for line in list(self.lines):
            line.close_if_idle()
        ends = asyncio.get_running_loop().time() + within_s
        while self.lines and asyncio.get_running_loop().time() < ends:
            await asyncio.sleep(0.02)
        for line in list(self.lines):
            line.abort()


class Line(asyncio.Protocol):
    """One connection: a request is read whole, answered, and then the next one."""

    __slots__ = (
        "_body",
        "_came",
        "_held",
        "_http",
        "_listener",
        "_rests",
        "_task",
        "_timer",
        "_transport",
        "_writable",
    )

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=listener.bounds.head_bytes)
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._writable: asyncio.Event | None = None
        self._body = bytearray()
        self._came: h11.Request | None = None
        self._rests = False  # between two requests
        self._held = 0  # bytes of this line that count among those of all

    # What the transport says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        listener = self._listener
        if listener.is_closing or len(listener.lines) >= listener.bounds.lines:
            crowded = Unavailable("The feed has as many connections as it takes.", "It is asked again by itself.")
            self._refuse(crowded)
            return
        listener.lines.add(self)
        self._within(listener.bounds.request_s, self._is_late)

    def data_received(self, data: bytes) -> None:
        if self._is_over():
            return  # refused already; it is read so that the sender sees the answer
        listener = self._listener
        if self._rests:
            self._rests = False
            self._within(listener.bounds.request_s, self._is_late)
        self._held += len(data)
        listener.held_bytes += len(data)
        if listener.held_bytes > listener.bounds.held_bytes:
            self._refuse(Unavailable("The feed holds too much at this moment.", "It is asked again by itself."))
            return
        if self._task is not None and self._held > listener.bounds.head_bytes:
            self.abort()  # who sends that much ahead of its turn doesn't wait for answers
            return
        try:
            self._http.receive_data(data)
            self._read()
        except h11.RemoteProtocolError as error:
            self._refuse_unreadable(error.error_status_hint)

    def eof_received(self) -> bool:
        """The other side has gone, or will say nothing more: nobody is waited for."""
        if self._task is not None:
            self._task.cancel()
        elif self._held and not self._is_over():
            self._refuse_unreadable(400)
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._listener.lines.discard(self)
        self._let_go()
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
        if self._writable is not None:
            self._writable.set()

    def pause_writing(self) -> None:
        self._writable = asyncio.Event()

    def resume_writing(self) -> None:
        if self._writable is not None:
            self._writable.set()
        self._writable = None

    # Reading

    def _read(self) -> None:
        """Take what h11 has understood so far, until a request is whole."""
        while self._task is None:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                if self._http.they_are_waiting_for_100_continue and self._came is not None:
                    self._write(self._http.send(h11.InformationalResponse(status_code=100, headers=[])))
                return
            if isinstance(event, h11.Request):
                self._came = event
                if sum(len(name) + len(value) for name, value in event.headers) > self._listener.bounds.head_bytes:
                    self._refuse_unreadable(431)  # h11 bounds only what isn't whole yet
                    return
                if self._announced() > self._listener.bounds.body_bytes:
                    self._refuse(_too_large(self._listener.bounds.body_bytes))
                    return
            elif isinstance(event, h11.Data):
                self._body += event.data
                if len(self._body) > self._listener.bounds.body_bytes:
                    self._refuse(_too_large(self._listener.bounds.body_bytes))
                    return
            elif isinstance(event, h11.EndOfMessage) and self._came is not None:
                self._begin(self._came)
            else:  # PAUSED, ConnectionClosed
                return

    def _announced(self) -> int:
        assert self._came is not None
        for name, value in self._came.headers:
            if name == b"content-length":
                return int(value)
        return 0

    def _begin(self, came: h11.Request) -> None:
        """A request is whole: answer it."""
        self._stop_timer()
        headers = {name.decode("latin-1").title(): value.decode("latin-1") for name, value in came.headers}
        path = came.target.decode("latin-1").partition("?")[0]
        request = Request(came.method.decode("latin-1"), path, headers, bytes(self._body))
        self._body = bytearray()
        self._let_go()
        self._task = asyncio.get_running_loop().create_task(self._answer(request))

    async def _answer(self, request: Request) -> None:
        reply = None
        try:
            reply = await self._listener.handle(request)
            await self._send(reply)
        except asyncio.CancelledError:
            self.abort()
            raise
        except TimeoutError:
            self.abort()  # it isn't taken
            return
        except Exception as error:
            logger.bind(error=type(error).__name__, path=request.path[:100]).error("failed")
            self.abort()
            return
        finally:
            if reply is not None:
                reply.done()
        self._task = None
        self._next()

    def _next(self) -> None:
        if self._is_over() or self._listener.is_closing:
            self._finish()
            return
        self._came = None
        self._rests = not self._held  # what came ahead of its turn is a request begun
        if self._rests:
            self._within(self._listener.bounds.idle_s, self._finish)
        else:
            self._within(self._listener.bounds.request_s, self._is_late)
        try:
            self._http.start_next_cycle()
            self._read()
        except h11.RemoteProtocolError as error:
            self._refuse_unreadable(error.error_status_hint)
        except h11.LocalProtocolError:
            self._finish()

    # Writing

    async def _send(self, reply: Reply) -> None:
        self._write(self._bytes_of(reply))
        if self._writable is not None:
            await asyncio.wait_for(self._writable.wait(), self._listener.bounds.send_s)

    def _bytes_of(self, reply: Reply, close: bool = False) -> bytes:
        headers = [
            ("Date", format_datetime(self._listener.now(), usegmt=True)),
            ("Content-Type", reply.kind),
            ("Content-Length", str(len(reply.body))),
            ("Cache-Control", "no-store"),
            *reply.headers.items(),
        ]
        if close or self._listener.is_closing:
            headers.append(("Connection", "close"))
        response = h11.Response(status_code=reply.status, headers=headers)
        parts = [self._http.send(response), self._http.send(h11.Data(data=reply.body))]
        return b"".join(part for part in [*parts, self._http.send(h11.EndOfMessage())] if part)

    def _write(self, data: bytes | None) -> None:
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _refuse_unreadable(self, status: int) -> None:
        told = Told.of("request", *_NO_REQUEST, "", "", status)
        self._refuse_with(Reply(told.body, told.status, MEDIA_TYPE))

    def _refuse(self, error: Exception) -> None:
        told, headers = told_of(error, "", "")
        self._refuse_with(Reply(told.body, told.status, MEDIA_TYPE, headers))

    def _refuse_with(self, reply: Reply) -> None:
        """Answer what isn't read on, and leave the sender some time to see it."""
        self._let_go()
        self._body = bytearray()
        with contextlib.suppress(h11.LocalProtocolError):
            self._write(self._bytes_of(reply, close=True))
        if not self._is_over():
            self._http.send_failed()
        self._within(self._listener.bounds.linger_s, self._finish)

    # Ending

    def close_if_idle(self) -> None:
        if self._task is None:
            self._finish()

    def abort(self) -> None:
        self._listener.lines.discard(self)
        if self._transport is not None:
            self._transport.abort()

    def _finish(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _is_late(self) -> None:
        if self._came is None and not self._held:
            self._finish()  # it has said nothing
        else:
            self._refuse_unreadable(408)

    def _is_over(self) -> bool:
        return self._http.our_state in (h11.MUST_CLOSE, h11.ERROR, h11.CLOSED)

    def _within(self, seconds: float, call: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(seconds, call)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _let_go(self) -> None:
        self._listener.held_bytes -= self._held
        self._held = 0


def _too_large(most_bytes: int) -> Rejected:
    return Rejected(f"The body is larger than {most_bytes} bytes.", "Send it in smaller parts.", slug="too-large")
