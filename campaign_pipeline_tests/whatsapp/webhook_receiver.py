"""A webhook receiver for tests: a real HTTP server that keeps what comes and answers as it is told.

Add here what a test needs to know of a call. Keep out expectations: those belong to the tests.
"""

import json
import sys
import threading
from collections import deque
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True)
class ReceivedCall:
    """One call as it came.

    Attributes:
        headers: its headers.
        body: its raw body.
        path: what was asked for, with the query.
    """

    headers: Message
    body: bytes
    path: str

    @property
    def statuses(self) -> list[tuple[str, str]]:
        """Wamid and status of each status in it."""
        value: dict[str, Any] = json.loads(self.body)["entry"][0]["changes"][0]["value"]
        return [(status["id"], status["status"]) for status in value.get("statuses", [])]


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing of a caller that was killed."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # ty: ignore[invalid-argument-type]


class WebhookReceiver:
    """A receiver that listens while the `with` block does.

    Attributes:
        calls: every call, in the order of arrival.
        answers: HTTP statuses of the next answers; when there are none left it is 200.
        seconds: how long each answer takes.
        extra_headers: are in each answer.
    """

    def __init__(self, port: int = 0) -> None:
        """Binds its port.

        Args:
            port: where it listens; 0 takes any that is free.
        """
        self.calls: list[ReceivedCall] = []
        self.answers: deque[int] = deque()
        self.seconds = 0.0
        self.extra_headers: dict[str, str] = {}
        self._stopping = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.calls.append(ReceivedCall(self.headers, body, self.path))
                receiver._stopping.wait(receiver.seconds)
                self.send_response(receiver.answers.popleft() if receiver.answers else 200)
                self.send_header("Content-Length", "0")
                for name, value in receiver.extra_headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing on stderr."""

        self._server = _Server(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/webhook"

    @property
    def statuses(self) -> list[tuple[str, str]]:
        """Wamid and status of each status that came, in the order of arrival."""
        return [status for call in self.calls for status in call.statuses]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
