"""Whether a byte of the request has left this machine: the whole difference between "not accepted" and "in doubt"."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

import pytest

from campaign_pipeline.whatsapp import client as client_module
from campaign_pipeline.whatsapp import connection as connection_module
from campaign_pipeline.whatsapp.account import CloudApiAccount
from campaign_pipeline.whatsapp.client import AnswerKind, CloudApiClient
from campaign_pipeline.whatsapp.messages import TemplateMessage

Behaviour = Callable[[socket.socket, "Wire"], None]


@dataclass
class Wire:
    """What came over the wire to a bare socket, which cuts off, delays or withholds answers as no HTTP server does.

    Attributes:
        port: Where it listens.
        connections: How many connections were made.
        requests: Every request that was read whole, headers and body.
        go_on: For a behaviour that waits until the test says so.
    """

    port: int
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    go_on: threading.Event = field(default_factory=threading.Event)

    @property
    def base_url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def wire(behave: Behaviour) -> Generator[Wire]:
    """Serves each connection in a thread until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Wire(listener.getsockname()[1])

        def serve(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                behave(connection, server)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    server.connections += 1
                    threading.Thread(target=serve, args=[connection], daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield server
        finally:
            server.go_on.set()
            # Closing alone does not wake a thread that waits in accept.
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)


def read_request(connection: socket.socket, server: Wire) -> bytes:
    """Reads one request whole; empty when the client has gone."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return b""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    length = next((int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65536)
    request = head + b"\r\n\r\n" + body
    server.requests.append(request)
    return request


def http(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """An HTTP answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Content-Type: application/json", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def reset(connection: socket.socket) -> None:
    """Breaks a connection off: the client sees a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def answering(status: str, content: str, *headers: str) -> AbstractContextManager[Wire]:
    """A server that gives every question the same answer."""

    def behave(connection: socket.socket, server: Wire) -> None:
        if read_request(connection, server):
            connection.sendall(http(content.encode(), status, "Connection: close", *headers))

    return wire(behave)


MESSAGE = TemplateMessage("+447911000001", "spring_sale", "en_US", {}, "attempt-1")
YES = http(b'{"messages": [{"id": "wamid.1"}]}')


@contextmanager
def client_of(base_url: str, connections: int = 2) -> Generator[CloudApiClient]:
    client = CloudApiClient(CloudApiAccount(base_url, "v25.0", "1", "token"), connections)
    try:
        yield client
    finally:
        client.close()


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def answer_all(connection: socket.socket, server: Wire) -> None:
    while read_request(connection, server):
        connection.sendall(YES)


def test_a_refused_connection_wrote_nothing() -> None:
    """In doubt for a simulator that was not started, the whole audience would wait for a person."""
    with client_of(f"http://127.0.0.1:{closed_port()}") as client:
        answer = client.send(MESSAGE)
    assert answer.kind is AnswerKind.NOT_SENT
    assert "ConnectionRefused" in str(answer.error_text)


def test_a_name_that_nobody_knows_wrote_nothing() -> None:
    """DNS fails first of all when a network goes."""
    with client_of("http://no.such.host.invalid") as client:
        assert client.send(MESSAGE).kind is AnswerKind.NOT_SENT


def test_a_connection_that_is_never_made_wrote_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A firewall that drops packets: the timeout of connecting is not the timeout of an answer."""
    monkeypatch.setattr(client_module, "CONNECT_TIMEOUT", 0.3)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        with client_of(f"http://127.0.0.1:{address[1]}") as client:
            answer = client.send(MESSAGE)
        for filler in fillers:
            filler.close()
    assert answer.kind is AnswerKind.NOT_SENT
    assert "Timeout" in str(answer.error_text)


def test_a_tls_handshake_that_fails_wrote_nothing() -> None:
    """An https address in front of a plain server, or a certificate that ran out."""
    plain: list[bytes] = []

    def behave(connection: socket.socket, server: Wire) -> None:
        plain.append(connection.recv(65536))
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with wire(behave) as server, client_of(server.base_url.replace("http:", "https:")) as client:
        answer = client.send(MESSAGE)
    assert answer.kind is AnswerKind.NOT_SENT
    assert "SSL" in str(answer.error_text)
    assert b"POST" not in b"".join(plain)


def test_a_connection_that_is_reset_after_the_request_may_have_sent_it() -> None:
    """The other side had the whole message; whether it kept it, nobody here can know."""

    def behave(connection: socket.socket, server: Wire) -> None:
        read_request(connection, server)
        reset(connection)

    with wire(behave) as server, client_of(server.base_url) as client:
        answer = client.send(MESSAGE)
        assert answer.kind is AnswerKind.UNKNOWN
        assert "ConnectionReset" in str(answer.error_text)
        assert (len(server.requests), server.connections) == (1, 1)


def test_a_connection_that_is_closed_without_an_answer_may_have_sent_it() -> None:
    """A load balancer that restarts; urllib3's own retry of this case is how messages come twice."""

    def behave(connection: socket.socket, server: Wire) -> None:
        read_request(connection, server)

    with wire(behave) as server, client_of(server.base_url) as client:
        assert client.send(MESSAGE).kind is AnswerKind.UNKNOWN
        assert (len(server.requests), server.connections) == (1, 1)


def test_an_answer_that_does_not_come_in_time_may_have_sent_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Meta was slow, and has sent it all the same."""
    monkeypatch.setattr(client_module, "READ_TIMEOUT", 0.3)

    def behave(connection: socket.socket, server: Wire) -> None:
        read_request(connection, server)
        server.go_on.wait(300)

    with wire(behave) as server, client_of(server.base_url) as client:
        answer = client.send(MESSAGE)
        assert answer.kind is AnswerKind.UNKNOWN
        assert "Timeout" in str(answer.error_text)
        assert (len(server.requests), server.connections) == (1, 1)


def test_an_answer_that_stops_in_the_middle_may_have_sent_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The head says 200, the body never ends: no wamid, no yes."""
    monkeypatch.setattr(client_module, "READ_TIMEOUT", 0.3)

    def behave(connection: socket.socket, server: Wire) -> None:
        read_request(connection, server)
        connection.sendall(YES[:-5])
        server.go_on.wait(300)

    with wire(behave) as server, client_of(server.base_url) as client:
        assert client.send(MESSAGE).kind is AnswerKind.UNKNOWN
        assert len(server.requests) == 1


def test_a_pooled_connection_is_used_again() -> None:
    """A handshake for each of 250 messages triples the time of a batch."""
    with wire(answer_all) as server, client_of(server.base_url) as client:
        assert [client.send(MESSAGE).kind for _ in range(3)] == [AnswerKind.ACCEPTED] * 3
        assert (server.connections, len(server.requests)) == (1, 3)


def test_a_kept_connection_that_the_server_closes_under_the_next_request_is_not_tried_again() -> None:
    """The request was written into a connection that was going away: it may have arrived."""
    first = threading.Event()

    def behave(connection: socket.socket, server: Wire) -> None:
        read_request(connection, server)
        connection.sendall(YES)
        first.set()
        read_request(connection, server)
        reset(connection)

    with wire(behave) as server, client_of(server.base_url) as client:
        assert client.send(MESSAGE).kind is AnswerKind.ACCEPTED
        assert first.wait(300)
        assert client.send(MESSAGE).kind is AnswerKind.UNKNOWN
        assert (server.connections, len(server.requests)) == (1, 2)


def test_a_kept_connection_that_was_closed_meanwhile_never_makes_a_request_arrive_twice() -> None:
    """Servers close idle connections; whichever side notices first, one message is one request."""

    def behave(connection: socket.socket, server: Wire) -> None:
        if read_request(connection, server):
            connection.sendall(YES)
        server.go_on.set()

    with wire(behave) as server, client_of(server.base_url) as client:
        kinds = []
        for _ in range(20):
            kinds.append(client.send(MESSAGE).kind)
            server.go_on.wait(5)
            server.go_on.clear()
        accepted = kinds.count(AnswerKind.ACCEPTED)
        assert set(kinds) <= {AnswerKind.ACCEPTED, AnswerKind.UNKNOWN, AnswerKind.NOT_SENT}
        assert accepted == len(server.requests)
        assert accepted >= 10


def test_connections_that_were_idle_for_long_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a night's pause the first call of the day would go into a dead connection, and be in doubt for nothing."""
    with wire(answer_all) as server, client_of(server.base_url) as client:
        assert client.send(MESSAGE).kind is AnswerKind.ACCEPTED
        later = time.monotonic() + connection_module.IDLE_SECONDS + 1
        monkeypatch.setattr(connection_module.time, "monotonic", lambda: later)
        assert client.send(MESSAGE).kind is AnswerKind.ACCEPTED
        assert (server.connections, len(server.requests)) == (2, 2)


def test_what_one_thread_wrote_says_nothing_about_the_call_of_another() -> None:
    """With one note for all, a refused connection beside a good call would be a doubt, or a doubt be "not sent"."""

    def behave(connection: socket.socket, server: Wire) -> None:
        read_request(connection, server)
        server.go_on.wait(300)

    with wire(behave) as server, client_of(server.base_url) as slow, ThreadPoolExecutor(1) as pool:
        lost = pool.submit(slow.send, MESSAGE)
        while not server.requests:
            time.sleep(0.005)
        with client_of(f"http://127.0.0.1:{closed_port()}") as refused:
            assert refused.send(MESSAGE).kind is AnswerKind.NOT_SENT
        server.go_on.set()
        assert lost.result().kind is AnswerKind.UNKNOWN


def test_a_doubt_before_does_not_make_a_refused_connection_a_doubt() -> None:
    """The note of the last request must not be read as that of the next."""

    def behave(connection: socket.socket, server: Wire) -> None:
        read_request(connection, server)

    with wire(behave) as server:
        with client_of(server.base_url) as client:
            assert client.send(MESSAGE).kind is AnswerKind.UNKNOWN
        with client_of(f"http://127.0.0.1:{closed_port()}") as client:
            assert client.send(MESSAGE).kind is AnswerKind.NOT_SENT


def test_no_more_connections_are_made_than_calls_may_be_in_flight() -> None:
    """A pool that overflows makes a handshake for each call and leaves sockets behind."""

    def behave(connection: socket.socket, server: Wire) -> None:
        while read_request(connection, server):
            time.sleep(0.02)
            connection.sendall(YES)

    with wire(behave) as server, client_of(server.base_url, 3) as client, ThreadPoolExecutor(3) as pool:
        kinds = [answer.kind for answer in pool.map(client.send, [MESSAGE] * 12)]
        assert set(kinds) == {AnswerKind.ACCEPTED}
        assert (server.connections <= 3, len(server.requests)) == (True, 12)
