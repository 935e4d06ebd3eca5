"""Calls whose answer was lost: what is known of each, and a person's word about what became of it.

Add here what programs ask or say about an attempt in doubt.
Keep out what a word does to the ledger: `sending.doubts`.
"""

from dataclasses import asdict, replace
from datetime import date, datetime
from typing import Annotated, Final, Literal, Self

from fastapi import APIRouter, Query
from pydantic import ConfigDict, Field, model_validator

from campaign_pipeline.campaigns.catalogue import find
from campaign_pipeline.interfaces.rest_api.callers import By, Caller, Place
from campaign_pipeline.interfaces.rest_api.endpoint import act, look
from campaign_pipeline.interfaces.rest_api.problems import Problem
from campaign_pipeline.interfaces.rest_api.shapes import (
    CAMPAIGN_PATTERN,
    NO_SUCH_PAGE,
    Asked,
    Cursor,
    Date,
    Line,
    PageSize,
    Told,
    cursor_after,
    read_cursor,
    without_numbers,
    wrong_cursor,
)
from campaign_pipeline.interfaces.workplace import Workplace
from campaign_pipeline.sending.clock import SystemClock
from campaign_pipeline.sending.doubts import (
    AllOfDate,
    Choice,
    Doubt,
    DoubtVerdict,
    TheseAttempts,
    list_doubts,
    resolve,
    watch_callers,
)
from campaign_pipeline.sending.lease import LeaseTerms
from campaign_pipeline.sending.lease_watch import Sighting

router = APIRouter(prefix="/marketing/doubts", tags=["doubts"])

MOST_ATTEMPTS: Final = 1_000
"""Named one by one in one request; a date's are settled together."""

AttemptId = Annotated[str, Field(pattern=r"^[0-9A-Za-z-]{1,36}$", examples=["0197d9a2-5f3e-7c41-9d2b-0a6c5b1f2e34"])]

AT_ONCE: Final = 4
"""Each may watch a run for half a minute."""


class DoubtAnswer(Told):
    """One call whose answer was lost, as `campaign doubts --json` prints it."""

    attempt_id: str
    campaign: str
    phone: str
    """Masked for everybody: the attempt's id is what it is settled by."""
    send_date: date
    since: datetime
    http_status: int | None
    error_code: int | None
    error_text: str | None
    run_id: str
    accepted_of_batch: int
    """Messages of its batch that WhatsApp certainly has."""
    heard_of_batch: int
    """How many of these a status was heard of: if it was nearly all, silence here means something."""
    counts_until: datetime | None
    """Until when the person uses capacity, whatever is said."""
    age_seconds: int


class DoubtList(Told):
    """A page of doubts, the oldest first."""

    doubts: list[DoubtAnswer]
    next_cursor: str | None
    """For the next page; none when this is the last."""


class PageQuery(Asked):
    """Which doubts, page by page."""

    campaign: Annotated[str | None, Field(pattern=CAMPAIGN_PATTERN, examples=["spring-sale"])] = None
    """Only those of this campaign, by its id or short name."""
    send_date: Date | None = None
    """Only those of this date's batch."""
    limit: PageSize = 50
    cursor: Cursor = None


class _Mark(Asked):
    """Where a page ends."""

    campaign: str | None
    send_date: str | None
    attempt_id: AttemptId


class ToResolve(Asked):
    """What a person says became of some calls: of those that are named, or of everyone in doubt of one date."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": ["attempts"]}, {"required": ["all_of"]}],
            "examples": [
                {
                    "verdict": "reached",
                    "attempts": ["0197d9a2-5f3e-7c41-9d2b-0a6c5b1f2e34"],
                    "by": "Ada",
                    "reason": "they wrote back",
                },
                {"verdict": "not_reached", "all_of": "2026-03-02", "by": "Ada", "yes": True},
            ],
        }
    )

    verdict: Literal["reached", "not_reached"]
    """Counted as sent, or sent to again."""
    attempts: Annotated[list[AttemptId], Field(min_length=1, max_length=MOST_ATTEMPTS, default_factory=list)]
    all_of: Date | None = None
    """Everyone in doubt of this date's batch."""
    by: Annotated[Line | None, Field(min_length=1, max_length=100)] = None
    """Who says so; kept in the audit log beside the token's name."""
    reason: Annotated[Line, Field(max_length=500)] = ""
    """How they know; kept in the audit log."""
    yes: bool = False
    """With `not_reached`: they may have got it, and will be sent to again. Say that you know."""

    @model_validator(mode="after")
    def _either(self) -> Self:
        if bool(self.attempts) == (self.all_of is not None):
            msg = "give either attempts or all_of"
            raise ValueError(msg)
        return self

    @property
    def choice(self) -> Choice:
        """Which attempts it is about."""
        return TheseAttempts(tuple(self.attempts)) if self.all_of is None else AllOfDate(self.all_of)


class ResolutionAnswer(Told):
    """What a person's word came to, as `campaign resolve --json` prints it."""

    verdict: DoubtVerdict
    attempt_ids: list[str]
    states: dict[str, int]
    """How many of their people are in which state now."""
    dates: list[date]
    """The send dates whose figures have changed."""
    completed: list[str]
    """Campaigns that this has completed."""


@look(router, "", response_model=DoubtList, refusals={404: NO_SUCH_PAGE})
def show_doubts(place: Place, by: By, query: Annotated[PageQuery, Query()]) -> dict[str, object]:
    """Show the calls whose answer was lost, with what is known of each, the oldest first. A status settles one."""
    send_date = None if query.send_date is None else query.send_date.isoformat()
    after = None
    if query.cursor is not None:
        mark = read_cursor(query.cursor, _Mark)
        if (mark.campaign, mark.send_date) != (query.campaign, send_date):
            raise wrong_cursor()
        after = mark.attempt_id
    with place.ledger.read() as connection:
        campaign_id = None if query.campaign is None else find(connection, query.campaign).id
        found = list_doubts(connection, query.send_date, campaign_id, after=after, size=query.limit + 1)
    page, more = found[: query.limit], None
    if len(found) > len(page):
        more = cursor_after(_Mark(campaign=query.campaign, send_date=send_date, attempt_id=page[-1].attempt_id))
    now = place.clock()
    return {"doubts": [_as_seen_by(by, each).as_dict(now) for each in page], "next_cursor": more}


_NOT_IN_DOUBT: Final = (
    "Nothing was changed, since only attempts in doubt can be settled: 0197d9a2 is no attempt that is known here."
)
_SAY_YES: Final = (
    "body: they may have got it, and will be sent to again: say `yes` if you are sure that nobody was reached."
)


@act(router, "/resolve", at_once=AT_ONCE, response_model=ResolutionAnswer, refusals={409: _NOT_IN_DOUBT, 422: _SAY_YES})
def resolve_doubts(place: Place, by: By, body: ToResolve) -> dict[str, object]:
    """Say what became of calls whose answer was lost: all that are named, or none.

    While the run that made the calls still holds the sender, `not_reached` waits for half a minute to see whether it
    is alive.
    """
    verdict = DoubtVerdict(body.verdict)
    silent = None
    if verdict is DoubtVerdict.NOT_REACHED:
        if not body.yes:
            raise Problem(422, _SAY_YES)
        silent = _silent_caller(place, body.choice)
    with place.ledger.write() as connection:
        resolution = resolve(
            connection,
            body.choice,
            verdict,
            by=by.said_by(body.by),
            now=place.clock(),
            reason=body.reason,
            silent=silent,
        )
    return {"verdict": verdict, **asdict(resolution)}


def _as_seen_by(by: Caller, doubt: Doubt) -> Doubt:
    return doubt if by.sees_numbers else replace(doubt, error_text=without_numbers(doubt.error_text))


def _silent_caller(place: Workplace, choice: Choice) -> Sighting | None:
    return watch_callers(place.ledger, choice, LeaseTerms(), SystemClock(), lambda _: None)
