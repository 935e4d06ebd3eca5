"""The control API under /simulator: what the simulator received, and orders to misbehave.

Add here a route to look at the simulator or to steer it. Keep out Meta's own routes (app.py) and the bodies of orders
(orders.py).
"""

import json
import time
from dataclasses import asdict
from datetime import UTC, datetime

from fastapi import APIRouter, HTTPException, Request, Response
from starlette.responses import HTMLResponse

from campaign_pipeline.whatsapp.simulator.account_webhooks import account_payload
from campaign_pipeline.whatsapp.simulator.inbound import inbound_payload
from campaign_pipeline.whatsapp.simulator.messages import Simulator
from campaign_pipeline.whatsapp.simulator.orders import DropOrder, FaultOrder, FaultSequence, InboundOrder, WebhookOrder
from campaign_pipeline.whatsapp.simulator.page import page_of
from campaign_pipeline.whatsapp.simulator.record import report


def routes_to_look(simulator: Simulator) -> APIRouter:
    """Builds the routes that tell what the simulator received and what is to come.

    Args:
        simulator: what is looked at.

    Returns:
        The routes.
    """
    router = APIRouter(prefix="/simulator")

    @router.get("")
    async def page(request: Request) -> HTMLResponse:
        return HTMLResponse(page_of(simulator, str(request.base_url).rstrip("/"), time.time()))

    @router.get("/health")
    async def health() -> dict[str, object]:
        return {
            "status": "ok",
            "accepted": len(simulator.record.messages),
            "statuses_pending": simulator.statuses.pending,
            "holding": simulator.holding,
            "unanswered": simulator.unanswered,
            "held": len(simulator.held),
            "people_in_24_hours": simulator.limits.people_reached(time.time()),
            "webhooks_waiting": simulator.delivery.waiting,
            "webhooks_delivered": simulator.delivery.delivered,
            "webhooks_refused": simulator.delivery.refused,
            "webhooks_given_up": simulator.delivery.given_up,
        }

    @router.get("/messages")
    async def messages() -> Response:
        accepted = [asdict(message) for message in simulator.record.messages]
        return Response(json.dumps(accepted), media_type="application/json")

    @router.get("/report")
    async def reached() -> dict[str, object]:
        return report(simulator.record.messages)

    return router


def routes_to_steer(simulator: Simulator) -> APIRouter:
    """Builds the routes that order faults, hold answers back and end a quality assessment.

    Args:
        simulator: what is steered.

    Returns:
        The routes.
    """
    router = APIRouter(prefix="/simulator")

    @router.post("/faults")
    async def order_fault(order: FaultOrder | FaultSequence) -> dict[str, object]:
        try:
            order.enter(simulator.faults)
        except ValueError as problem:
            raise HTTPException(status_code=422, detail=str(problem)) from problem
        return {"ordered": order.model_dump(exclude_defaults=True)}

    @router.delete("/faults")
    async def clear_faults() -> dict[str, object]:
        simulator.faults.clear()
        return {"ordered": None}

    @router.post("/hold")
    async def hold() -> dict[str, object]:
        simulator.hold()
        return {"holding": True}

    @router.post("/release")
    async def release() -> dict[str, object]:
        simulator.release()
        return {"holding": False}

    @router.post("/held/release")
    async def release_held() -> dict[str, object]:
        return {"released": simulator.release_held()}

    @router.post("/held/drop")
    async def drop_held(order: DropOrder) -> dict[str, object]:
        return {"dropped": simulator.drop_held(order.meant())}

    return router


def routes_to_call_webhooks(simulator: Simulator) -> APIRouter:
    """Builds the routes that order webhooks which no message of ours brings about.

    Args:
        simulator: what delivers them.

    Returns:
        The routes.
    """
    router = APIRouter(prefix="/simulator")

    @router.post("/webhooks")
    async def order_webhook(order: WebhookOrder) -> dict[str, object]:
        now = datetime.now(UTC)
        payload = account_payload(order.field, order.value, now.timestamp(), simulator.options)
        simulator.statuses.add(payload, now)
        return payload

    @router.post("/inbound")
    async def order_inbound(order: InboundOrder) -> dict[str, object]:
        now = datetime.now(UTC)
        payload = inbound_payload(order.meant(), now.timestamp(), simulator.options)
        simulator.statuses.add(payload, now)
        return payload

    return router
