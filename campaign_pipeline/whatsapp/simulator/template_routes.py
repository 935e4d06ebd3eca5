"""The routes about templates: Meta's list of them, and /simulator/templates to create and change one.

Add here a route about templates. Keep out what they say and how messages are held against them (templates.py).
Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/template-management
"""

import asyncio
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import urlencode

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from campaign_pipeline.whatsapp.simulator import graph_errors
from campaign_pipeline.whatsapp.simulator.graph_errors import GraphError
from campaign_pipeline.whatsapp.simulator.judge import judge_caller
from campaign_pipeline.whatsapp.simulator.messages import Simulator
from campaign_pipeline.whatsapp.simulator.status_files import write_payloads
from campaign_pipeline.whatsapp.simulator.templates import RegisteredTemplate, quality_webhook, status_webhook


class TemplateOrder(BaseModel):
    """The body of `POST /simulator/templates`: one template in one language.

    Attributes:
        name: its name.
        language: its language, as `en_US`.
        category: `MARKETING`, `UTILITY` or `AUTHENTICATION`.
        parameter_format: `NAMED` or `POSITIONAL`.
        components: header, body, footer and buttons, as Meta shows them.
        status: how it stands.
        quality: what people think of it.
    """

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9_]{1,512}$")
    language: str = "en_US"
    category: str = "MARKETING"
    parameter_format: Literal["NAMED", "POSITIONAL"] = "POSITIONAL"
    components: list[dict[str, Any]]
    status: str = "APPROVED"
    quality: str = "UNKNOWN"


class StatusOrder(BaseModel):
    """The body of `POST /simulator/templates/{name}/status`.

    Attributes:
        status: `PAUSED`, `APPROVED`, `DISABLED`, …
        language: in which language; in all of them if it is left out.
        webhook: whether `message_template_status_update` is written to the inbox.
    """

    model_config = ConfigDict(extra="forbid")

    status: str
    language: str | None = None
    webhook: bool = True


class QualityOrder(BaseModel):
    """The body of `POST /simulator/templates/{name}/quality`.

    Attributes:
        quality: `GREEN`, `YELLOW`, `RED` or `UNKNOWN`.
        language: in which language; in all of them if it is left out.
        webhook: whether `message_template_quality_update` is written to the inbox.
    """

    model_config = ConfigDict(extra="forbid")

    quality: Literal["GREEN", "YELLOW", "RED", "UNKNOWN"]
    language: str | None = None
    webhook: bool = True


def add_template_routes(app: FastAPI, simulator: Simulator) -> None:
    """Adds the routes about templates.

    Args:
        app: gets them.
        simulator: what answers.
    """

    @app.post("/simulator/templates")
    async def create(order: TemplateOrder) -> dict[str, object]:
        made = simulator.templates.put(RegisteredTemplate(**order.model_dump()))
        return {"id": made.id, "status": made.status, "category": made.category}

    @app.delete("/simulator/templates")
    async def clear() -> dict[str, object]:
        simulator.templates.clear()
        return {"templates": 0}

    @app.post("/simulator/templates/{name}/status")
    async def set_status(name: str, order: StatusOrder) -> dict[str, object]:
        changed = _change(simulator, name, order.language, status=order.status.upper())
        if order.webhook:
            now = datetime.now(UTC)
            told = [status_webhook(each, simulator.options.business_account_id, now) for _, each in changed]
            await _tell(simulator, told, now)
        return {"changed": len(changed)}

    @app.post("/simulator/templates/{name}/quality")
    async def set_quality(name: str, order: QualityOrder) -> dict[str, object]:
        changed = _change(simulator, name, order.language, quality=order.quality)
        if order.webhook:
            now = datetime.now(UTC)
            account = simulator.options.business_account_id
            await _tell(simulator, [quality_webhook(before, each, account, now) for before, each in changed], now)
        return {"changed": len(changed)}

    @app.get("/{version}/{business_account_id}/message_templates")
    async def message_templates(
        version: str,
        business_account_id: str,
        request: Request,
        name: str | None = None,
        fields: str | None = None,
        limit: int = Query(default=25, ge=1, le=1000),
        after: str | None = None,
    ) -> Response:
        options = simulator.options
        refused = judge_caller(version, request.headers.get("authorization"), options.access_token)
        if refused is None and business_account_id != options.business_account_id:
            refused = graph_errors.unknown_business_account(business_account_id)
        answer = refused if refused is not None else simulator.templates.page(name, fields, limit, after)
        if isinstance(answer, GraphError):
            return simulator.refusal(answer)
        return JSONResponse(_with_link(answer, request))


def _change(
    simulator: Simulator, name: str, language: str | None, **changes: str
) -> list[tuple[RegisteredTemplate, RegisteredTemplate]]:
    try:
        return simulator.templates.change(name, language, **changes)
    except KeyError as problem:
        detail = f"There is no template {name}: create it first with POST /simulator/templates."
        raise HTTPException(status_code=404, detail=detail) from problem


async def _tell(simulator: Simulator, payloads: list[dict[str, Any]], now: datetime) -> None:
    """Writes webhooks to the inbox, in a file of their own."""
    path = simulator.options.inbox / f"templates-{now:%Y%m%dT%H%M%S.%fZ}.ndjson"
    await asyncio.to_thread(write_payloads, path, payloads)


def _with_link(page: dict[str, Any], request: Request) -> dict[str, Any]:
    """The page with Meta's link to the next one, which holds the access token as Meta's does."""
    paging = page.get("paging", {})
    if "next" in paging:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        query = {**request.query_params, "after": paging["cursors"]["after"], "access_token": token}
        paging["next"] = f"{request.url.replace(query='')}?{urlencode(query)}"
    return page
