"""The routes by which an account is read, and /simulator/account to change it.

Add here a route about the account. Keep out what it answers (account.py).
"""

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import JSONResponse, Response

from campaign_pipeline.whatsapp.simulator.account import Account
from campaign_pipeline.whatsapp.simulator.graph_errors import GraphError


class AccountOrder(BaseModel):
    """The body of `POST /simulator/account`: what is to change; the rest stays as it is.

    Attributes:
        quality_rating: GREEN, YELLOW, RED or UNKNOWN.
        tier: TIER_250, TIER_2K, TIER_UNLIMITED and so on.
        status: CONNECTED, FLAGGED, RESTRICTED and so on.
        throughput: STANDARD or HIGH.
        token: whether the token is still let in.
        scopes: the token's permissions.
        subscribed: whether an app gets the webhooks.
    """

    model_config = ConfigDict(extra="forbid")

    quality_rating: str | None = None
    tier: str | None = None
    status: str | None = None
    throughput: str | None = None
    token: Literal["valid", "expired"] | None = None
    scopes: list[str] | None = None
    subscribed: bool | None = None


def account_router(account: Account) -> APIRouter:
    """Builds the routes around one account.

    Args:
        account: what answers.

    Returns:
        The routes, to be put behind those with a fixed path.
    """
    router = APIRouter()

    @router.post("/simulator/account")
    async def change(order: AccountOrder) -> dict[str, object]:
        changes = order.model_dump(exclude_none=True, exclude={"token"})
        if order.token is not None:
            changes["expired"] = order.token == "expired"  # noqa: S105 - a word, and no secret
        state = account.change(**changes)
        return {"quality_rating": state.quality_rating, "tier": state.tier, "status": state.status}

    @router.get("/{version}/debug_token")
    async def debug_token(request: Request, input_token: str = "") -> Response:
        return _answer(account.let_in(request.headers.get("authorization")) or account.token(input_token))

    @router.get("/{version}/{node_id}")
    async def node(request: Request, node_id: str, fields: str = "") -> Response:
        refusal = account.let_in(request.headers.get("authorization"))
        return _answer(refusal or account.node(node_id, [name for name in fields.split(",") if name]))

    @router.get("/{version}/{business_account_id}/subscribed_apps")
    async def subscribed_apps(request: Request, business_account_id: str) -> Response:
        refusal = account.let_in(request.headers.get("authorization"))
        return _answer(refusal or account.subscribed_apps(business_account_id))

    return router


def _answer(answer: dict[str, object] | GraphError) -> Response:
    if isinstance(answer, GraphError):
        return JSONResponse(answer.envelope(answer.message), status_code=answer.http_status)
    return JSONResponse(answer)
