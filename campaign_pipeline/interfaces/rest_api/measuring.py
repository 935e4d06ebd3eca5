"""What the server counts of its own requests: how many, how they ended, how long they took.

Add here another thing to count of a request; its labels are few and known, whatever is asked.
Keep out what stands in the ledger: `metrics` reads that when it is asked.
"""

import time
from typing import TYPE_CHECKING, Final

from fastapi.routing import APIRoute
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_NO_ROUTE: Final = "none"
"""Refused before it was looked at what was asked for, or nothing stands there."""

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class RequestMeter:
    """Counts the requests of one app.

    Attributes:
        registry: Where the counts are read.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "campaign_http_requests",
            "Requests that were answered.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "campaign_http_request_duration_seconds",
            "From the head of a request to the end of its answer.",
            ("method", "route"),
            registry=self.registry,
            buckets=_SECONDS,
        )

    def note(self, method: str, route: str, status: str, seconds: float) -> None:
        """Counts a request."""
        self._requests.labels(method, route, status).inc()
        self._seconds.labels(method, route).observe(seconds)


class Measured:
    """Lets each request through and counts it when it is answered."""

    def __init__(self, app: "ASGIApp", meter: RequestMeter) -> None:
        self._app = app
        self._meter = meter

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = "none"

        async def send_and_look(message: "Message") -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, send_and_look)
        finally:
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._meter.note(method, _route_of(scope), status, time.perf_counter() - began)


def _route_of(scope: "Scope") -> str:
    """The address as the contract writes it: what was asked for itself has no end of different values."""
    route = scope.get("route")
    return route.path if isinstance(route, APIRoute) else _NO_ROUTE
