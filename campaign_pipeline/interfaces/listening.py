"""Listening for HTTP: uvicorn with bounds on what a client may cost, an end in good order, and a line that says where.

Add here what is true of every server of this project: sockets, signals, times, sizes of headers.
Keep out what is answered: that is the app's, which also bounds the bodies that it takes.

uvicorn waits as long as a client likes for the rest of a request, and takes headers of any length. Whoever opens the
port to the internet needs both bounded; a proxy in front may do it too, but nobody should have to rely on that.
"""

import asyncio
import contextlib
import resource
import signal
import socket
from asyncio import TimerHandle, Transport
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from campaign_pipeline.settings import SettingsError

MOST_CONNECTIONS: Final = 2_000
"""More of them at once are answered 503."""

LONGEST_HEAD: Final = 64 * 1024
"""Bytes of request line and headers; what is read at once may go beyond it by some."""

_SPARE_BYTES_PER_BODY_BYTE: Final = 16
"""Chunked bodies are framed; a byte of body never needs more than this."""

_BACKLOG: Final = 2_048
_KEEP_ALIVE_SECONDS: Final = 75
_GRACEFUL_STOP_SECONDS: Final = 20
_NODELAY: Final = 1


class ListeningError(SettingsError):
    """Nothing can listen there; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long a client may take, in seconds.

    Attributes:
        head: From the first byte of a request, or from the connection's beginning, to the end of its headers.
        body: From there to the end of its body, as long as it comes more slowly than `bytes_a_second`; a long body that
            comes faster has as long as it takes.
        bytes_a_second: The slowest body that is waited for.
    """

    head: float = 10.0
    body: float = 30.0
    bytes_a_second: int = 50_000


def listen(
    app: ASGIApp, *, host: str, port: int, announce: Callable[[str], None], bounds: Bounds | None = None
) -> None:
    """Serves until SIGTERM or SIGINT, in the main thread; then finishes the requests that are under way and returns.

    A second SIGINT does not wait for them. The app's lifespan is run when it has one. There is no access log: an
    address can hold a verify token or a phone number.

    Args:
        app: What answers.
        host: An address or a name of this machine.
        port: 0 takes any that is free.
        announce: Told the URL once requests are taken.
        bounds: How long a client may take; None is the usual.

    Raises:
        ListeningError: The address is taken, is not this machine's, or may not be used.
    """
    _allow_open_files()
    with _listener(host, port) as listener:
        config = _config(app, bounds or Bounds())
        asyncio.run(_Server(config, announce).serve(sockets=[listener]))


def _allow_open_files() -> None:
    """Lets the process hold as many connections as it takes, and its files; shells often allow 1,024 in all."""
    wanted = 2 * MOST_CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _listener(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        why = str(getattr(error, "strerror", None) or error).partition(" (")[0]
        msg = f"Nothing can listen on {host}, port {port} ({why}): choose another --host or --port."
        raise ListeningError(msg) from error


def _config(app: ASGIApp, bounds: Bounds) -> uvicorn.Config:
    class Connection(_BoundedConnection):
        allowed = bounds

    return uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GRACEFUL_STOP_SECONDS,
    )


class _Server(uvicorn.Server):
    """uvicorn, ending with status 0 when it is told to stop, and saying where it listens."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[str], None]) -> None:
        super().__init__(config)
        self._announce = announce

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        # uvicorn's own version raises the signal again when it is done, which would end the process by that signal
        # before whoever called `listen` has put away what it holds.
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGINT, signal.SIGTERM)
        for number in numbers:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield
        for number in numbers:
            loop.remove_signal_handler(number)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if not self.started:
            return
        for listener in sockets or []:
            host, port = listener.getsockname()[:2]
            self._announce(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")


class _BoundedConnection(HttpToolsProtocol):
    """uvicorn's HTTP connection, ended when a request comes too slowly or with too much around its body.

    A timer runs while a request is being read; between two requests uvicorn's own bounds the silence.
    """

    allowed: Bounds

    _timer: TimerHandle | None = None
    _has_asked = False
    _is_reading_body = False
    _received = 0
    _received_of_body = 0
    _body_began = 0.0

    def connection_made(self, transport: Transport) -> None:
        super().connection_made(transport)
        # asyncio leaves this out for a socket that we bound; headers and body then wait 40 ms for each other's ACK.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, _NODELAY)
        self._allow(self.allowed.head, self._end_as_too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._timer is None:
            self._allow(self.allowed.head, self._end_as_too_slow)
        self._has_asked = True
        self._received += len(data)
        super().data_received(data)
        most = LONGEST_HEAD + _SPARE_BYTES_PER_BODY_BYTE * self._received_of_body
        if self._received > most and not self.transport.is_closing():
            self._end(413 if self._is_reading_body else 431)

    def on_message_begin(self) -> None:
        self._start_counting()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._is_reading_body = True
        self._body_began = self.loop.time()
        self._allow(self.allowed.body, self._look_at_body)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._received_of_body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._stop_timer()
        self._start_counting()
        super().on_message_complete()

    def _start_counting(self) -> None:
        self._is_reading_body = False
        self._received = self._received_of_body = 0

    def _allow(self, seconds: float, at_the_end: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, at_the_end)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_at_body(self) -> None:
        seconds = self.allowed.body + self._received_of_body / self.allowed.bytes_a_second
        left = self._body_began + seconds - self.loop.time()
        if left > 0:
            self._allow(left, self._look_at_body)
        else:
            self._end_as_too_slow()

    def _end_as_too_slow(self) -> None:
        self._end(408)

    def _end(self, status: int) -> None:
        """Ends the connection, with an answer if none was begun."""
        self._stop_timer()
        cycle: Any = self.cycle
        is_answering = cycle is not None and cycle.response_started and not cycle.response_complete
        is_answered = self._is_reading_body and cycle is not None and cycle.response_complete
        # Whoever has asked nothing could take it for the answer to what they are about to ask.
        if self._has_asked and not self.transport.is_closing() and not is_answering and not is_answered:
            self.transport.write(b"HTTP/1.1 %d \r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % status)
        self.transport.close()
