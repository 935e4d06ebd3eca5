"""An HTTP connection that knows whether a byte of the request has left this machine.

`requests` raises the same exceptions before and after that moment, and the whole difference between "certainly not
accepted" and "in doubt" lies in it. So the connection itself takes note when it first writes.
Keep out what Meta's answers mean.
"""

import threading
import time
from typing import Any, Final

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection

IDLE_SECONDS: Final = 15.0
"""Connections idle for longer are dropped: the other side may have closed them, which shows only on writing."""


class WriteNote(threading.local):
    """Whether the request of the present thread has written anything yet."""

    wrote = False


_note: Final = WriteNote()


def forget_writes() -> None:
    """Begins a new request in this thread."""
    _note.wrote = False


def has_written() -> bool:
    """Whether a byte of this thread's present request was handed to the network."""
    return _note.wrote


class _NotingHTTPConnection(HTTPConnection):
    def send(self, data: Any) -> None:  # noqa: ANN401 - the type of http.client's own parameter
        if self.sock is None:
            self.connect()
        _note.wrote = True
        super().send(data)


class _NotingHTTPSConnection(HTTPSConnection):
    def send(self, data: Any) -> None:  # noqa: ANN401 - the type of http.client's own parameter
        if self.sock is None:
            self.connect()
        _note.wrote = True
        super().send(data)


# urllib3 declares these two attributes by protocols that its own connection classes do not meet to the letter.
class _NotingHTTPPool(HTTPConnectionPool):
    ConnectionCls = _NotingHTTPConnection  # ty: ignore[invalid-assignment]


class _NotingHTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _NotingHTTPSConnection  # ty: ignore[invalid-assignment]


class NotingAdapter(HTTPAdapter):
    """A transport without retries, redirects or stale connections, whose connections take note of what they write."""

    def __init__(self, connections: int) -> None:
        self._last_used = time.monotonic()
        super().__init__(pool_connections=1, pool_maxsize=connections, max_retries=0, pool_block=True)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any) -> None:  # noqa: ANN401 - the signature of requests
        """Makes the pool manager with our own connections."""
        self.poolmanager = PoolManager(num_pools=connections, maxsize=maxsize, block=block, **pool_kwargs)
        pools: dict[str, Any] = {"http": _NotingHTTPPool, "https": _NotingHTTPSPool}
        self.poolmanager.pool_classes_by_scheme = pools

    def drop_idle(self) -> None:
        """Closes the pooled connections when none was used for `IDLE_SECONDS`."""
        now = time.monotonic()
        if now - self._last_used > IDLE_SECONDS:
            self.poolmanager.clear()
        self._last_used = now
