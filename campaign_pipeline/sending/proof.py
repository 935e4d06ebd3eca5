"""The proof that the promises were kept: every promise asked of the stored rows, of one batch or of everything.

Add here how they are asked and what a report of it tells.
Keep out the questions (`promises`, `offences`, `window_proof`), and the guards, which keep the promises.
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from sqlalchemy import Connection, Select, func, select, text, true

from campaign_pipeline.campaigns.catalogue import find
from campaign_pipeline.campaigns.figures import batch_figures
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import batches, campaign_recipients, send_attempts
from campaign_pipeline.sending import offences
from campaign_pipeline.sending.promises import PROMISES, PartOf, Promise, Rows
from campaign_pipeline.sending.window_proof import admitted_over_limit

MOST_SHOWN: Final = 20
"""Ids of each kind in a report; the number of all is told with them."""


@dataclass(frozen=True, slots=True)
class Found:
    """Some rows: how many, and the ids of the first of them."""

    count: int
    ids: tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of asking one promise.

    Attributes:
        name: What programs call it.
        part_of: The promise that it is a part of.
        sentence: What should hold.
        rows: Whose ids those of the offenders are.
        of_all: Whether it is about what campaigns share, and is asked of all of them even in a report about one.
        offenders: The rows that break it.
    """

    name: str
    part_of: PartOf
    sentence: str
    rows: Rows
    of_all: bool
    offenders: Found

    @property
    def kept(self) -> bool:
        """Whether no row breaks it."""
        return not self.offenders.count


@dataclass(frozen=True, slots=True)
class DoubtsOfDate:
    """Attempts of one date's batch whose answer was lost, and when the oldest of them was made, UTC."""

    send_date: date
    attempts: int
    oldest_started_at: datetime


@dataclass(frozen=True, slots=True)
class Proof:
    """What the stored rows say about the promises.

    Attributes:
        campaign: The campaign that was asked about; None for all.
        recipients: How many were looked at.
        attempts: How many were looked at.
        findings: What came of each promise.
        ordered_repeats: Recipients who may have been reached again because a person had ordered it.
        known_too_late: Attempts past the limit only by what other systems had used and nobody had noted yet.
        unfinished: Attempts whose call is under way, or whose run ended before it could say what came of it.
        doubts: What is in doubt, by send date.
    """

    campaign: str | None
    recipients: int
    attempts: int
    findings: tuple[Finding, ...]
    ordered_repeats: Found
    known_too_late: Found
    unfinished: Found
    doubts: tuple[DoubtsOfDate, ...]

    @property
    def broken(self) -> tuple[Finding, ...]:
        """The promises that were not kept."""
        return tuple(each for each in self.findings if not each.kept)

    @property
    def kept(self) -> bool:
        """Whether all of them were."""
        return not self.broken

    @property
    def in_doubt(self) -> int:
        """How many attempts are in doubt."""
        return sum(each.attempts for each in self.doubts)


@dataclass(frozen=True, slots=True)
class BatchProof:
    """What the stored rows say about one date's batch.

    Attributes:
        people: Recipients in the batch.
        reached_twice: Recipients with more than one attempt that may have been accepted.
        size: How many the batch was taken with.
        moved_on: How many went back to the queue.
        beyond_limit: Attempts that were admitted past the limit stored on them.
        states_sum: People over all states.
    """

    people: int
    reached_twice: int
    size: int
    moved_on: int
    beyond_limit: int
    states_sum: int

    @property
    def nobody_twice(self) -> bool:
        """Whether nobody may have been reached twice."""
        return self.reached_twice == 0

    @property
    def within_limits(self) -> bool:
        """Whether the batch holds no more than was taken, and each attempt was admitted within its limit."""
        return self.people <= self.size and self.beyond_limit == 0

    @property
    def sums(self) -> bool:
        """Whether everyone who was taken is in a state, or has moved on."""
        return self.states_sum == self.people and self.people + self.moved_on == self.size


def prove(ledger: Ledger, campaign: str | None = None) -> Proof:
    """Asks every promise of the rows as they are stored at one moment; may be done while a run sends.

    Args:
        ledger: Where they are.
        campaign: A slug, name or id; None for all campaigns. What campaigns share, the window above all, is always
            asked of all.

    Raises:
        CampaignNotFoundError: There is no such campaign.
    """
    with _at_one_moment(ledger) as connection:
        chosen = find(connection, campaign) if campaign is not None else None
        campaign_id = chosen.id if chosen is not None else None
        in_window, known_too_late = _count_anew(connection)
        window = Finding(
            "window_within_limit",
            PartOf.NEVER_OVER_THE_LIMIT,
            "Counted anew, nobody was admitted while more people than the limit were in the moving 24 hours.",
            Rows.ATTEMPTS,
            of_all=True,
            offenders=in_window,
        )
        findings = [*(_ask(connection, promise, campaign_id) for promise in PROMISES), window]
        attempt = send_attempts.c
        of_campaign = campaign_recipients.c.campaign_id == campaign_id if chosen is not None else true()
        return Proof(
            campaign=chosen.slug if chosen is not None else None,
            recipients=_count(connection, select(campaign_recipients.c.id).where(of_campaign)),
            attempts=_count(
                connection,
                select(attempt.id)
                .outerjoin(campaign_recipients, campaign_recipients.c.id == attempt.recipient_id)
                .where(of_campaign),
            ),
            findings=tuple(sorted(findings, key=lambda finding: list(PartOf).index(finding.part_of))),
            ordered_repeats=_look_for(connection, offences.repeated_by_order(campaign_id)),
            known_too_late=known_too_late,
            unfinished=_look_for(connection, offences.calls_under_way(campaign_id)),
            doubts=tuple(
                DoubtsOfDate(row.send_date, row.attempts, row.oldest_started_at)
                for row in connection.execute(offences.calls_in_doubt(campaign_id))
            ),
        )


def reached_twice(connection: Connection, batch_id: int | None = None) -> list[int]:
    """The recipients, of one batch or of all, who have more than one attempt that may have been accepted."""
    query = offences.reached_twice(None)
    if batch_id is not None:
        query = query.where(campaign_recipients.c.batch_id == batch_id)
    return list(connection.execute(query).scalars())


def prove_batch(connection: Connection, send_date: date) -> BatchProof | None:
    """Checks one date's batch; None when none was taken."""
    batch = connection.execute(select(batches).where(batches.c.send_date == send_date)).one_or_none()
    if batch is None:
        return None
    of_batch = send_attempts.c.batch_id == batch.id
    return BatchProof(
        people=_count(connection, select(campaign_recipients.c.id).where(campaign_recipients.c.batch_id == batch.id)),
        reached_twice=len(reached_twice(connection, batch.id)),
        size=batch.size,
        moved_on=batch.moved_on,
        beyond_limit=_count(connection, offences.beyond_stored_limit(None).where(of_batch)),
        states_sum=sum(batch_figures(connection, send_date).states.values()),
    )


@contextmanager
def _at_one_moment(ledger: Ledger) -> Generator[Connection]:
    """A transaction whose statements all see the same rows, as SQLite's do in any case.

    Else a run that sends meanwhile would have changed the one half of a sum.
    """
    with ledger.read() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        yield connection


def _ask(connection: Connection, promise: Promise, campaign_id: int | None) -> Finding:
    return Finding(
        promise.name,
        promise.part_of,
        promise.sentence,
        promise.rows,
        promise.of_all,
        _look_for(connection, promise.offences(None if promise.of_all else campaign_id)),
    )


def _look_for(connection: Connection, query: Select) -> Found:
    rows = query.subquery("found")
    of_all = func.count().over().label("of_all")
    first = connection.execute(select(rows.c.id, of_all).order_by(rows.c.id).limit(MOST_SHOWN)).all()
    return Found(first[0].of_all if first else 0, tuple(row.id for row in first))


def _count_anew(connection: Connection) -> tuple[Found, Found]:
    """The attempts past the limit: those of which that was known, and those of which it was not yet."""
    counts = {True: 0, False: 0}
    ids: dict[bool, list[int | str]] = {True: [], False: []}
    for each in admitted_over_limit(connection):
        counts[each.was_known] += 1
        if len(ids[each.was_known]) < MOST_SHOWN:
            ids[each.was_known].append(each.attempt_id)
    return Found(counts[True], tuple(ids[True])), Found(counts[False], tuple(ids[False]))


def _count(connection: Connection, query: Select) -> int:
    return connection.execute(select(func.count()).select_from(query.subquery("counted"))).scalar_one()
