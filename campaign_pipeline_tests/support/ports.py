"""Ports for servers that are told theirs before they start.

Add nothing that a server which takes port 0 and says what it got can do without.
"""

import os
import socket
from itertools import count
from typing import Final

_FIRST: Final = 20_000
_PER_PROCESS: Final = 500
_LAST: Final = 32_000
"""Below what the kernel gives to whoever asks for any port: between the choice and the start nobody else gets it."""

_next = count()


def free_port() -> int:
    """A port that nobody listens on, and that no other test process is given."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    first = _FIRST + int(worker) * _PER_PROCESS
    while True:
        port = first + next(_next) % _PER_PROCESS
        assert port < _LAST, f"test process {worker} is beyond the ports that are set aside"
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
