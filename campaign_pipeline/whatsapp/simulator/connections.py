"""Ends connections without an answer, which no HTTP framework offers and every sender must survive.

Add here another way for a connection to break. Keep out which requests it happens to (faults.py).
"""

import asyncio
import socket
import struct

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

_CLOSE_WITH_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, for 0 seconds: the kernel sends RST instead of FIN


class BreakableConnection(H11Protocol):
    """uvicorn's HTTP connection, with its transport handed to the app in the request's state."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Keeps the transport where a response can find it.

        Args:
            transport: the connection to the client.
        """
        super().connection_made(transport)
        # asyncio leaves this out for a socket that we bound; headers and body then wait 40 ms for each other's ACK.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.app_state = {**self.app_state, "transport": transport}


class NoAnswer(Response):
    """A response that is none: the connection ends, and the client cannot know what became of its request."""

    def __init__(self, *, reset: bool = False) -> None:
        """Chooses how the connection ends.

        Args:
            reset: True breaks it off (the client sees a connection reset); False closes it in good order (the client
                sees the end of the stream where an answer should stand).
        """
        super().__init__()
        self._reset = reset

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ends the connection in place of an answer.

        Args:
            scope: the request, with the transport in its state.
            receive: waits for the disconnect.
            send: not used; that is the point.
        """
        transport: asyncio.Transport = scope["state"]["transport"]
        if self._reset:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _CLOSE_WITH_RESET)
        transport.abort()
        # uvicorn answers 500 for an app that returns silently, unless it has seen the connection go.
        await receive()
