"""Who did what: the audit log, the newest first.

Add here another way to narrow it down.
Keep out what is written into it: each room records its own doings (`campaigns.journal`).
"""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from campaign_pipeline.campaigns.journal import AuditEntry, AuditPage, read_audit
from campaign_pipeline.interfaces.rest_api.callers import Place
from campaign_pipeline.interfaces.rest_api.endpoint import look
from campaign_pipeline.interfaces.rest_api.shapes import (
    NO_SUCH_PAGE,
    Asked,
    Cursor,
    Line,
    PageSize,
    RowId,
    Told,
    cursor_after,
    read_cursor,
    wrong_cursor,
)
from campaign_pipeline.ledger.states import ApiRole
from campaign_pipeline.recipients.phone_numbers import hide_phones

router = APIRouter(prefix="/marketing", tags=["audit log"])

_Exactly = Annotated[Line | None, Field(max_length=200)]


class AuditedAct(Told):
    """What somebody did."""

    id: int
    at: datetime
    actor: str
    """Who: somebody at a keyboard, a token, or the program itself."""
    action: str
    subject: str
    """The campaign, the date, the sender, the token or the masked phone number that it was about."""
    details: dict[str, Any]


class AuditLog(Told):
    """A page of the audit log."""

    entries: list[AuditedAct]
    next_cursor: str | None
    """For the next page; none when this is the last."""


class PageQuery(Asked):
    """What of it, page by page; each filter is the whole text, as it stands there."""

    subject: Annotated[_Exactly, Field(examples=["spring-sale"])] = None
    actor: Annotated[_Exactly, Field(examples=["web shop (API)"])] = None
    action: Annotated[_Exactly, Field(examples=["campaign_paused"])] = None
    limit: PageSize = 50
    cursor: Cursor = None


class _Mark(Asked):
    """Where a page ends."""

    subject: str | None
    actor: str | None
    action: str | None
    id: RowId


@look(router, "/audit-log", ApiRole.ADMIN, response_model=AuditLog, refusals={404: NO_SUCH_PAGE})
def show_audit_log(place: Place, query: Annotated[PageQuery, Query()]) -> dict[str, object]:
    """Show who did what, the newest first. Phone numbers are masked, also in what people have written."""
    asked = (query.subject, query.actor, query.action)
    before_id = None
    if query.cursor is not None:
        mark = read_cursor(query.cursor, _Mark)
        if (mark.subject, mark.actor, mark.action) != asked:
            raise wrong_cursor()
        before_id = mark.id
    wanted = AuditPage(query.limit + 1, before_id, subject=query.subject, actor=query.actor, action=query.action)
    with place.ledger.read() as connection:
        found = read_audit(connection, wanted)
    page, more = found[: query.limit], None
    if len(found) > len(page):
        more = cursor_after(_Mark(subject=query.subject, actor=query.actor, action=query.action, id=page[-1].id))
    return {"entries": [_told(each) for each in page], "next_cursor": more}


def _told(entry: AuditEntry) -> dict[str, object]:
    return {
        "id": entry.id,
        "at": entry.at,
        "action": entry.action,
        **{name: _masked(getattr(entry, name)) for name in ("actor", "subject", "details")},
    }


def _masked(value: object) -> object:
    if isinstance(value, str):
        return hide_phones(value)
    if isinstance(value, dict):
        return {name: _masked(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_masked(each) for each in value]
    return value
