"""The simulator's routes: Meta's messages endpoint, and /simulator/ to look at it and to order faults.

Add here a route. Keep out what happens behind it (messages.py, faults.py, record.py).
"""

import json
from dataclasses import asdict
from typing import Self

from fastapi import FastAPI, HTTPException, Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.requests import ClientDisconnect

from campaign_pipeline.whatsapp.simulator.faults import Fault, FaultKind
from campaign_pipeline.whatsapp.simulator.judge import SendRequest
from campaign_pipeline.whatsapp.simulator.messages import Simulator
from campaign_pipeline.whatsapp.simulator.record import report


class FaultOrder(BaseModel):
    """The body of `POST /simulator/faults`: a fault, and exactly one of `share`, `to` and `next`.

    Attributes:
        fault: what shall go wrong.
        share: for which share of all requests, 0 to 1.
        to: for every request to this number, E.164.
        next: for so many of the next requests.
        accepted: whether the message goes out anyway, where the fault leaves it open.
        seconds: how long a slow answer takes.
    """

    model_config = ConfigDict(extra="forbid")

    fault: FaultKind
    share: float | None = Field(default=None, ge=0, le=1)
    to: str | None = None
    next: int | None = Field(default=None, ge=1)
    accepted: bool | None = None
    seconds: float = 5.0

    @model_validator(mode="after")
    def _has_one_target(self) -> Self:
        given = [target for target in (self.share, self.to, self.next) if target is not None]
        if len(given) != 1:
            raise ValueError("Say whom the fault shall meet: exactly one of share, to and next.")
        return self


def create_app(simulator: Simulator) -> FastAPI:
    """Builds the routes around one simulator.

    Args:
        simulator: what answers.

    Returns:
        The app, which does nothing until it is served.
    """
    app = FastAPI(title="Local WhatsApp Cloud API", openapi_url=None)

    @app.get("/simulator/health")
    async def health() -> dict[str, object]:
        return {
            "status": "ok",
            "accepted": len(simulator.record.messages),
            "statuses_pending": simulator.statuses.pending,
            "holding": simulator.holding,
            "unanswered": simulator.unanswered,
        }

    @app.get("/simulator/messages")
    async def messages() -> Response:
        accepted = [asdict(message) for message in simulator.record.messages]
        return Response(json.dumps(accepted), media_type="application/json")

    @app.get("/simulator/report")
    async def reached() -> dict[str, object]:
        return report(simulator.record.messages)

    @app.post("/simulator/faults")
    async def order_fault(order: FaultOrder) -> dict[str, object]:
        try:
            _order(simulator, order)
        except ValueError as problem:
            raise HTTPException(status_code=422, detail=str(problem)) from problem
        return {"ordered": order.fault}

    @app.delete("/simulator/faults")
    async def clear_faults() -> dict[str, object]:
        simulator.faults.clear()
        return {"ordered": None}

    @app.post("/simulator/hold")
    async def hold() -> dict[str, object]:
        simulator.hold()
        return {"holding": True}

    @app.post("/simulator/release")
    async def release() -> dict[str, object]:
        simulator.release()
        return {"holding": False}

    @app.post("/{version}/{phone_number_id}/messages")
    async def send(version: str, phone_number_id: str, request: Request) -> Response:
        authorization = request.headers.get("authorization")
        sent = SendRequest(version, phone_number_id, authorization, await request.body())
        return await simulator.send(sent, str(request.url))

    app.add_exception_handler(ClientDisconnect, _broke_off)
    return app


async def _broke_off(_request: Request, _error: Exception) -> Response:
    """The sender was gone before it had sent all: there is no message, and nobody to answer."""
    return Response(status_code=400)


def _order(simulator: Simulator, order: FaultOrder) -> None:
    fault = Fault(order.fault, order.accepted, order.seconds)
    if order.share is not None:
        simulator.faults.order_share(fault, order.share)
    elif order.to is not None:
        simulator.faults.order_for(fault, order.to)
    elif order.next is not None:
        simulator.faults.order_next(fault, order.next)
