"""Campaigns: made, listed, started, paused, resumed, cancelled, and their figures and plan.

Add here an endpoint about a campaign as a whole.
Keep out its people (`recipients`) and the day's run (`daily_run`).
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from functools import partial
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Response
from pydantic import Field, StringConstraints
from sqlalchemy import Connection

from campaign_pipeline.campaigns import catalogue, lifecycle, send_schedule, templates
from campaign_pipeline.campaigns.catalogue import Campaign, CampaignDraft, CampaignPage, CampaignSort
from campaign_pipeline.campaigns.errors import CampaignStateError
from campaign_pipeline.campaigns.figures import figures_of_campaigns
from campaign_pipeline.campaigns.templates import TemplateParameter
from campaign_pipeline.interfaces import activation
from campaign_pipeline.interfaces.documents import campaign_document, stats_document
from campaign_pipeline.interfaces.overview import schedule_of
from campaign_pipeline.interfaces.rest_api.callers import By, Caller, Place
from campaign_pipeline.interfaces.rest_api.endpoint import act, look
from campaign_pipeline.interfaces.rest_api.shapes import (
    LARGEST_NUMBER,
    MOST_PER_PAGE,
    NO_SUCH_PAGE,
    Asked,
    CampaignReference,
    Cursor,
    Line,
    Moment,
    RowId,
    Told,
    WholeNumber,
    cursor_after,
    read_cursor,
    without_numbers,
    wrong_cursor,
)
from campaign_pipeline.interfaces.workplace import Workplace
from campaign_pipeline.ledger.states import CampaignStatus, PauseCause

router = APIRouter(prefix="/marketing/campaigns", tags=["campaigns"])

_ParameterName = Annotated[str, StringConstraints(pattern=rf"^({templates.NAME.pattern})$", max_length=200)]
_NAME_PATTERN: Final = r"^[^\x00-\x1f\x7f]*[A-Za-z][^\x00-\x1f\x7f]*$"
_NO_PARAMETERS: Final[list[Any]] = []


class ColumnParameter(Asked):
    """A variable of the template that a column of the recipients fills."""

    name: _ParameterName
    column: Annotated[Line, Field(min_length=1, max_length=200)]


class FixedParameter(Asked):
    """A variable of the template that is the same for everybody."""

    name: _ParameterName
    fixed: Annotated[Line, Field(min_length=1, max_length=1024)]


class NewCampaign(Asked):
    """What a person chooses about a campaign."""

    name: Annotated[
        str, Field(pattern=_NAME_PATTERN, min_length=1, max_length=catalogue.LONGEST_NAME, examples=["Spring Sale"])
    ]
    """As people call it; its short name is made of it, so it has at least one letter from a to z."""
    template_name: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,512}$", examples=["spring_sale"])]
    template_language: Annotated[str, Field(pattern=r"^[a-z]{2,3}(_[A-Z]{2})?$")] = catalogue.DEFAULT_LANGUAGE
    daily_send_limit: Annotated[WholeNumber, Field(ge=1, le=LARGEST_NUMBER)] | Literal["sender"] = (
        catalogue.DEFAULT_DAILY_LIMIT
    )
    """People of it on one date; `sender` is as many as the sender may reach, also when that changes."""
    priority: Annotated[WholeNumber, Field(ge=-LARGEST_NUMBER, le=LARGEST_NUMBER)] = 0
    """Who goes first when campaigns share the sender; a higher number first."""
    parameters: Annotated[list[ColumnParameter | FixedParameter], Field(max_length=100)] = _NO_PARAMETERS


class ToActivate(Asked):
    """How a campaign is activated."""

    even_if_unreadable: bool = False
    """Go on although Meta does not show the template now."""


class ToPause(Asked):
    """Why a campaign is paused."""

    reason: Annotated[Line, Field(max_length=500, examples=["the offer has a mistake"])] = ""


class CampaignFigures(Told):
    """How far an audience has come; only `states` sum to `total`."""

    total: int
    pending: int
    sent: int
    delivered: int
    read: int
    replied: int
    failed: int
    skipped: int
    in_doubt: int
    progress_percentage: float
    delivery_rate: float
    read_rate: float
    states: dict[str, int]


class CampaignAnswer(Told):
    """A campaign."""

    id: int
    slug: str
    name: str
    template_name: str
    template_language: str
    parameters: list[dict[str, str]]
    daily_send_limit: int
    priority: int
    status: CampaignStatus
    status_reason: str | None
    """As somebody has written it; a viewer sees phone numbers in it masked."""
    paused_by: PauseCause | None
    paused_at: datetime | None
    created_at: datetime
    activated_at: datetime | None
    finished_at: datetime | None
    follows_sender_limit: bool
    template: dict[str, Any] | None
    """As Meta showed it at `template_checked_at`."""
    template_checked_at: datetime | None
    daily_limit: int | Literal["sender"]


class ListedCampaign(CampaignAnswer):
    """A campaign with its figures."""

    figures: CampaignFigures


class CampaignList(Told):
    """A page of campaigns."""

    campaigns: list[ListedCampaign]
    next_cursor: str | None
    """For the next page; none when this is the last."""


class CampaignStats(CampaignFigures):
    """The figures of a campaign, as `campaign stats --json` prints them."""

    campaign: str
    status: CampaignStatus
    estimated_completion_date: date | None
    """The last batch's date; none while it cannot be told."""


class ActivationAnswer(Told):
    """A campaign that is active, and the plan as it was made when it became so."""

    campaign: str
    status: CampaignStatus
    people: int
    estimated_days: int
    first_send_date: date
    estimated_completion_date: date | None
    warnings: list[str]


class PlannedDate(Told):
    """One date of a campaign: as planned at activation, as expected now, and as it was."""

    campaign: str
    send_date: date
    batch_number: int
    planned_size: int | None
    expected_size: int | None
    batch_size: int | None
    messages_sent: int | None
    messages_remaining: int | None


class Plan(Told):
    """The dates of a campaign."""

    campaign: str
    dates: list[PlannedDate]
    fault: str | None
    """Why no dates to come can be told, if so."""


class ListQuery(Asked):
    """Which campaigns, in which order."""

    status: Annotated[CampaignStatus | None, Field(strict=False)] = None
    sort: Literal["id", "name", "status", "priority", "created_at"] = "id"
    order: Literal["asc", "desc"] = "asc"
    limit: Annotated[int, Field(ge=1, le=MOST_PER_PAGE, strict=False)] = 50
    cursor: Cursor = None


class _Mark(Asked):
    """Where a page ends."""

    by: str
    order: str
    id: RowId
    value: Annotated[int, Field(ge=-LARGEST_NUMBER, lt=2**63)] | Moment | Line


_SORTED_BY: Final[Mapping[str, type]] = {
    "id": int,
    "priority": int,
    "name": str,
    "status": str,
    "created_at": datetime,
}


_TAKEN = "There is a campaign 'spring-sale' already: choose another name, or delete that one while it is a draft."
_CREATED = {"headers": {"Location": {"description": "The new campaign.", "schema": {"type": "string"}}}}


@act(router, "", status_code=201, response_model=CampaignAnswer, responses={201: _CREATED}, refusals={409: _TAKEN})
def create_campaign(place: Place, by: By, body: NewCampaign, response: Response) -> dict[str, object]:
    """Make a campaign, in draft."""
    follows = body.daily_send_limit == "sender"
    limit = catalogue.DEFAULT_DAILY_LIMIT if isinstance(body.daily_send_limit, str) else body.daily_send_limit
    draft = CampaignDraft(
        body.name,
        body.template_name,
        body.template_language,
        tuple(map(_parameter, body.parameters)),
        limit,
        body.priority,
        follows_sender_limit=follows,
    )
    with place.ledger.write() as connection:
        campaign = lifecycle.create(connection, draft, actor=by.actor, now=place.clock())
    response.headers["Location"] = f"{router.prefix}/{campaign.id}"
    return campaign_document(campaign)


@look(router, "", response_model=CampaignList, refusals={404: NO_SUCH_PAGE})
def list_campaigns(place: Place, by: By, query: Annotated[ListQuery, Query()]) -> dict[str, object]:
    """List campaigns with their figures, page by page."""
    sort = CampaignSort(query.sort)
    wanted = CampaignPage(
        query.limit + 1,
        sort,
        query.order == "desc",
        query.status,
        None if query.cursor is None else _position(query.cursor, query),
    )
    with place.ledger.read() as connection:
        found = catalogue.list_page(connection, wanted)
        page = found[: query.limit]
        figures = figures_of_campaigns(connection, [each.id for each in page])
    more = _cursor(page[-1], query) if len(found) > len(page) else None
    shown = [_as_seen_by(by, campaign_document(each, figures[each.id])) for each in page]
    return {"campaigns": shown, "next_cursor": more}


@look(router, "/{campaign}", response_model=ListedCampaign)
def show_campaign(place: Place, by: By, campaign: CampaignReference) -> dict[str, object]:
    """Show one campaign with its figures."""
    with place.ledger.read() as connection:
        found = catalogue.find(connection, campaign)
        figures = figures_of_campaigns(connection, [found.id])
    return _as_seen_by(by, campaign_document(found, figures[found.id]))


@look(router, "/{campaign}/stats", response_model=CampaignStats)
def campaign_stats(place: Place, campaign: CampaignReference) -> dict[str, object]:
    """Show how far a campaign has come, and when it is expected to be through."""
    with place.ledger.read() as connection:
        document, _ = stats_document(place, connection, catalogue.find(connection, campaign))
    return document


@look(router, "/{campaign}/plan", response_model=Plan)
def campaign_plan(place: Place, campaign: CampaignReference) -> dict[str, object]:
    """Show the dates of a campaign: as planned, as expected now, and as they were."""
    with place.ledger.read() as connection:
        found = catalogue.find(connection, campaign)
        first_date, limit = place.first_open_date(connection), place.sender_limit(connection)
        dates, fault = schedule_of(connection, found.id, first_date, limit)
    return {"campaign": found.slug, "dates": [PlannedDate(**_fields(each)) for each in dates], "fault": fault}


_NOBODY = "spring-sale has nobody in it: `campaign add spring-sale FILE` first."


@act(router, "/{campaign}/activate", response_model=ActivationAnswer, refusals={409: _NOBODY})
def activate_campaign(
    place: Place, by: By, campaign: CampaignReference, body: ToActivate | None = None
) -> dict[str, object]:
    """Start a draft, after its preflight. A campaign that is active already is told with the plan it has."""
    active = _already_active(place, campaign)
    if active is not None:
        return active
    unreadable = body is not None and body.even_if_unreadable
    try:
        return activation.activate(place, campaign, even_if_unreadable=unreadable, actor=by.actor).as_dict()
    except CampaignStateError:
        # Perhaps the same request at the same moment was quicker.
        active = _already_active(place, campaign)
        if active is None:
            raise
        return active


@act(router, "/{campaign}/pause", response_model=CampaignAnswer, refusals={409: _TAKEN})
def pause_campaign(place: Place, by: By, campaign: CampaignReference, body: ToPause | None = None) -> dict[str, object]:
    """Stop a campaign before its next message; calls already in flight go out."""
    reason = "" if body is None else body.reason
    return _brought_to(
        place,
        campaign,
        lambda found: found.status == CampaignStatus.PAUSED and found.paused_by == PauseCause.PERSON,
        partial(lifecycle.pause, actor=by.actor, now=place.clock(), reason=reason),
    )


@act(router, "/{campaign}/resume", response_model=CampaignAnswer, refusals={409: _TAKEN})
def resume_campaign(place: Place, by: By, campaign: CampaignReference) -> dict[str, object]:
    """Take a paused campaign up again; its people are still in their places."""
    return _brought_to(
        place,
        campaign,
        lambda found: found.status == CampaignStatus.ACTIVE,
        partial(lifecycle.resume, actor=by.actor, now=place.clock()),
    )


@act(router, "/{campaign}/cancel", response_model=CampaignAnswer, refusals={409: _TAKEN})
def cancel_campaign(place: Place, by: By, campaign: CampaignReference) -> dict[str, object]:
    """End a campaign for good: whoever was not sent to is skipped."""
    return _brought_to(
        place,
        campaign,
        lambda found: found.status == CampaignStatus.CANCELLED,
        partial(lifecycle.cancel, actor=by.actor, now=place.clock()),
    )


def _brought_to(
    place: Workplace, campaign: str, is_there: Callable[[Campaign], bool], bring: Callable[[Connection, int], Campaign]
) -> dict[str, object]:
    """The campaign where it was asked to be, brought there unless it is."""
    try:
        with place.ledger.write() as connection:
            found = catalogue.find(connection, campaign)
            if not is_there(found):
                found = bring(connection, found.id)
    except CampaignStateError:
        # Perhaps the same request was quicker: on PostgreSQL it comes between the look and the row.
        with place.ledger.read() as connection:
            found = catalogue.find(connection, campaign)
        if not is_there(found):
            raise
    return campaign_document(found)


def _as_seen_by(by: Caller, document: dict[str, Any]) -> dict[str, object]:
    return document if by.sees_numbers else {**document, "status_reason": without_numbers(document["status_reason"])}


def _parameter(given: ColumnParameter | FixedParameter) -> TemplateParameter:
    if isinstance(given, FixedParameter):
        return TemplateParameter.parse(f"{given.name}:={given.fixed}")
    return TemplateParameter.parse(f"{given.name}={given.column}")


def _already_active(place: Workplace, campaign: str) -> dict[str, object] | None:
    with place.ledger.read() as connection:
        found = catalogue.find(connection, campaign)
        if found.status != CampaignStatus.ACTIVE:
            return None
        schedule = send_schedule.read_schedule_of(connection, found.id, [])
        waiting = figures_of_campaigns(connection, [found.id])[found.id].pending
        first_open_date = place.first_open_date(connection)
    planned = [each.send_date for each in schedule if each.planned_size is not None]
    estimate = send_schedule.Estimate(len(planned), planned[-1] if planned else None)
    first_date = planned[0] if planned else first_open_date
    return activation.Activation(found, waiting, estimate, first_date, []).as_dict()


def _fields(scheduled: send_schedule.ScheduledDate) -> dict[str, Any]:
    return {name: getattr(scheduled, name) for name in PlannedDate.model_fields}


def _cursor(last: Campaign, query: ListQuery) -> str:
    return cursor_after(_Mark(by=query.sort, order=query.order, id=last.id, value=getattr(last, query.sort)))


def _position(cursor: str, query: ListQuery) -> tuple[int, int | str | datetime]:
    mark = read_cursor(cursor, _Mark)
    is_of_the_order = isinstance(mark.value, _SORTED_BY[query.sort])
    if (mark.by, mark.order) != (query.sort, query.order) or not is_of_the_order:
        raise wrong_cursor()
    return mark.id, mark.value
