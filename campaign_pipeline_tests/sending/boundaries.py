"""The places at which a sending process can be killed: each commit, and each piece of a request or an answer.

They are found by watching the database's dialect and the process's sockets, so that none can be forgotten in a list.
Add here something else that leaves a trace outside of the process. Keep out expectations: those belong to the tests.
"""

import os
import signal
import socket
import threading
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine


class Boundaries:
    """Counts the places that this process passes, tells each as it comes to it, and dies at one of them.

    Attributes:
        passed: How many there were so far.
    """

    def __init__(self, kill_at: int | None, tell: Callable[[str], object]) -> None:
        self.passed = 0
        self._kill_at = kill_at
        self._tell = tell
        self._one_at_a_time = threading.Lock()

    def watch_commits(self, engine: Engine) -> None:
        """Stops before and after each commit of an engine."""
        commit = engine.dialect.do_commit

        def watched(connection: Any) -> None:  # noqa: ANN401 - whatever connection the driver has
            self._come_to("before a commit")
            commit(connection)
            self._come_to("after a commit")

        engine.dialect.do_commit = watched  # ty: ignore[invalid-assignment]

    def watch_sockets(self, port: int) -> None:
        """Stops around each piece that any socket of this process writes to a port or reads from it, and within it."""
        sendall, recv_into = socket.socket.sendall, socket.socket.recv_into

        def watched_sendall(self_: socket.socket, data: bytes, *flags: int) -> None:
            if self_.getpeername()[1] != port:
                return sendall(self_, data, *flags)
            half = len(data) // 2
            self._come_to("before writing")
            sendall(self_, data[:half], *flags)
            self._come_to("in the middle of writing")
            sendall(self_, data[half:], *flags)
            return self._come_to("after writing")

        def watched_recv_into(self_: socket.socket, *arguments: Any) -> int:  # noqa: ANN401 - a buffer, a size, flags
            if self_.getpeername()[1] != port:
                return recv_into(self_, *arguments)
            self._come_to("before reading")
            size = recv_into(self_, *arguments)
            self._come_to("after reading")
            return size

        socket.socket.sendall = watched_sendall  # ty: ignore[invalid-assignment]
        socket.socket.recv_into = watched_recv_into  # ty: ignore[invalid-assignment]

    def _come_to(self, place: str) -> None:
        with self._one_at_a_time:
            self.passed += 1
            self._tell(place)
            if self.passed == self._kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
