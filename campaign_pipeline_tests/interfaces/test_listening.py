"""What a client may cost a server of ours, and how it ends: real sockets, a real process."""

import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from campaign_pipeline.interfaces.listening import LONGEST_HEAD
from campaign_pipeline_tests.interfaces.listening_process import BODY_SECONDS, BYTES_A_SECOND
from campaign_pipeline_tests.support.ports import free_port
from campaign_pipeline_tests.support.waiting import PATIENCE

_COMMAND = (sys.executable, "-m", "campaign_pipeline_tests.interfaces.listening_process")


class Server:
    """The server of one test, or of several."""

    def __init__(self) -> None:
        self.process = subprocess.Popen([*_COMMAND, "0"], stdout=subprocess.PIPE, text=True)
        self.port = int(self.line().rpartition(":")[2])

    def line(self) -> str:
        """The next line that it says."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def connect(self) -> socket.socket:
        """A connection to it."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def close(self) -> None:
        """Ends it, if it still runs."""
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One for the tests that do not end it."""
    with contextlib.closing(Server()) as made:
        yield made


@pytest.fixture
def own_server() -> Iterator[Server]:
    """One for a test that ends it."""
    with contextlib.closing(Server()) as made:
        yield made


def _until(connection: socket.socket, end: bytes) -> bytes:
    """Everything up to these bytes, or until the server ends the connection."""
    told = b""
    while not told.endswith(end) and (piece := connection.recv(65_536)):
        told += piece
    return told


def _rest(connection: socket.socket) -> bytes:
    """Everything until the server ends the connection."""
    pieces = []
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65_536):
            pieces.append(piece)
    return b"".join(pieces)


@pytest.mark.parametrize("sent", [b"\r\n", b"POST / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nContent-Length: 3\r\n"])
def test_a_head_that_does_not_come_ends_the_connection(server: Server, sent: bytes) -> None:
    """Some thousand of them, which cost nothing to keep open, and nobody else gets in."""
    with server.connect() as connection:
        connection.sendall(sent)
        assert _rest(connection).startswith(b"HTTP/1.1 408 ")


def test_a_connection_on_which_nothing_is_asked_is_closed_without_a_word(server: Server) -> None:
    """A client that asks at that very moment would take it for its answer."""
    with server.connect() as connection:
        assert _rest(connection) == b""


def test_the_next_head_on_a_kept_connection_has_its_time_too(server: Server) -> None:
    """The bound of the first request is over by then."""
    with server.connect() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nfirst")
        assert _until(connection, b"first").endswith(b"first")
        connection.sendall(b"POST / HT")
        assert _rest(connection).startswith(b"HTTP/1.1 408 ")


def test_a_body_that_stops_ends_the_connection_and_the_app_hears_of_it(server: Server) -> None:
    """What was read of it would be held for ever."""
    with server.connect() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf")
        assert _rest(connection).startswith(b"HTTP/1.1 408 ")
    assert server.line() == "gone"


def test_a_long_body_that_keeps_coming_is_waited_for(server: Server) -> None:
    """A list of a million people takes its time on a slow line."""
    length = round(4 * BODY_SECONDS * BYTES_A_SECOND)
    with server.connect() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % length)
        for _ in range(20):
            connection.sendall(b"x" * (length // 20))
            time.sleep(BODY_SECONDS / 10)  # in all twice as long as a body that does not come may take
        answer = _rest(connection)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"x" * length)


def _pieces_until_refused(connection: socket.socket, piece: bytes, most: int) -> int:
    sent = 0
    with contextlib.suppress(ConnectionError):
        while sent < most:
            connection.sendall(piece)
            sent += len(piece)
    return sent


@pytest.mark.parametrize(
    "beginning",
    [
        b"GET / HTTP/1.1\r\nX-Long: ",
        b"GET /",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: ",
    ],
)
def test_a_head_without_end_is_cut_off(server: Server, beginning: bytes) -> None:
    """Its bytes are held before anybody looks at them; those behind a body, too."""
    most = 400 * LONGEST_HEAD
    with server.connect() as connection:
        connection.sendall(beginning)
        assert _pieces_until_refused(connection, b"x" * LONGEST_HEAD, most) < most


def test_an_answer_that_comes_before_the_body_leaves_the_connection_usable(server: Server) -> None:
    """A body that is refused by its length is not read into memory, and the answer is not lost by breaking it off."""
    with server.connect() as connection:
        connection.sendall(b"POST /early HTTP/1.1\r\nContent-Length: 200000\r\n\r\n" + b"x" * 1_000)
        assert _until(connection, b"early").endswith(b"early")
        connection.sendall(b"x" * 199_000 + b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nnext")
        assert _until(connection, b"next").endswith(b"next")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_answers_what_has_begun_and_ends_well(own_server: Server, number: signal.Signals) -> None:
    """Each upgrade would otherwise break off some requests, of which nobody knows whether they were done."""
    with own_server.connect() as connection, own_server.connect():
        connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nfirst")
        with own_server.connect() as other:
            other.sendall(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nother")
            assert _until(other, b"other").endswith(b"other")
        own_server.process.send_signal(number)
        connection.sendall(b" last")
        assert _rest(connection).endswith(b"first last")
    assert own_server.process.wait(PATIENCE) == 0
    assert own_server.line() == "ended"


def test_a_port_that_is_taken_is_said_in_a_sentence() -> None:
    """The one who starts it a second time wants to know that, not where in Python."""
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        port = taken.getsockname()[1]
        ended = subprocess.run([*_COMMAND, str(port)], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.strip() == (
        f"Nothing can listen on 127.0.0.1, port {port} (Address already in use): choose another --host or --port."
    )
