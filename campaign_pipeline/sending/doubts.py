"""Doubts: the calls whose answer was lost, what is known of each, and what a person says became of it.

Add here what people ask or say about an attempt in doubt.
Keep out how a doubt arises (`outcomes`, `batches`) and how evidence settles it by itself (`delivery.folding`).

A person's word is final for the attempt's outcome, not for the person's state: evidence that comes later still counts.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, or_, select, update

from campaign_pipeline.campaigns.journal import announce, audit
from campaign_pipeline.campaigns.lifecycle import complete_settled
from campaign_pipeline.delivery.analytics import refresh_date
from campaign_pipeline.delivery.folding import apply_to_attempts, refold
from campaign_pipeline.delivery.new_evidence import heard_of
from campaign_pipeline.ledger.bulk import in_portions
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.locks import fold_alone, hold_senders
from campaign_pipeline.ledger.schema import batches, campaign_recipients, marketing_campaigns, send_attempts
from campaign_pipeline.ledger.states import AttemptOutcome, RecipientState
from campaign_pipeline.recipients.phone_numbers import mask_phone
from campaign_pipeline.sending.clock import Clock
from campaign_pipeline.sending.lease import LeaseTerms
from campaign_pipeline.sending.lease_watch import Sighting, sight, stays_silent

DOUBTS_RESOLVED: Final = "doubts_resolved"
"""The kind of the outbox row that tells Dagster of it."""

_NAMED_IN_AN_ERROR: Final = 5

_attempt = send_attempts.c
_recipient = campaign_recipients.c

_IS_DOUBT: Final = and_(_attempt.outcome == AttemptOutcome.IN_DOUBT, _recipient.state == RecipientState.IN_DOUBT)


class DoubtError(RuntimeError):
    """What a person said about some attempts was not taken; nothing was changed, and the message says why."""


class DoubtVerdict(StrEnum):
    """What a person says became of a call."""

    REACHED = "reached"
    NOT_REACHED = "not_reached"


@dataclass(frozen=True, slots=True)
class TheseAttempts:
    """Attempts by their ids; each of them has to be in doubt."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AllOfDate:
    """Every attempt of one date's batch that is in doubt; the others of that batch are left alone."""

    send_date: date


Choice = TheseAttempts | AllOfDate


@dataclass(frozen=True, slots=True)
class Doubt:
    """One call whose answer was lost, with what is known of it. Nothing was heard of it: a status would settle it.

    Attributes:
        attempt_id: What `resolve` takes, and what the call carried to WhatsApp.
        campaign: The campaign's slug.
        phone: Masked.
        send_date: The date of its batch.
        since: When the call began, UTC.
        http_status: Of the answer, if there was one.
        error_code: Meta's, if the answer had one.
        error_text: What is known of how the answer was lost.
        run_id: The run that made the call.
        accepted_of_batch: Messages of its batch that WhatsApp certainly has.
        heard_of_batch: How many of these a status was heard of: if it was nearly all, silence here means something.
        counts_until: Until when the person uses capacity, UTC, whatever is said of it.
    """

    attempt_id: str
    campaign: str
    phone: str
    send_date: date
    since: datetime
    http_status: int | None
    error_code: int | None
    error_text: str | None
    run_id: str
    accepted_of_batch: int
    heard_of_batch: int
    counts_until: datetime | None

    def as_dict(self, now: datetime) -> dict[str, object]:
        """As programs read it, with its age."""
        return {**asdict(self), "age_seconds": int(self.age(now).total_seconds())}

    def age(self, now: datetime) -> timedelta:
        """How long ago the call began."""
        return now - self.since


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a person's word came to.

    Attributes:
        attempt_ids: The attempts that were settled.
        states: How many of their people are in which state now.
        dates: The send dates whose figures have changed.
        completed: Campaigns that this has completed.
    """

    attempt_ids: tuple[str, ...]
    states: Mapping[str, int]
    dates: tuple[date, ...]
    completed: tuple[str, ...]


def list_doubts(
    connection: Connection,
    send_date: date | None = None,
    campaign_id: int | None = None,
    *,
    after: str | None = None,
    size: int | None = None,
) -> list[Doubt]:
    """Every attempt in doubt, the oldest first.

    A call that is still out is none, even if its run is gone: that is known only once another run takes over.

    Args:
        connection: A transaction.
        send_date: Only those of this date's batch.
        campaign_id: Only those of this campaign.
        after: Only those behind the attempt with this id.
        size: So many of them at most.
    """
    query = _attempts().where(_IS_DOUBT).order_by(_attempt.started_at, _attempt.id)
    if send_date is not None:
        query = query.where(batches.c.send_date == send_date)
    if campaign_id is not None:
        query = query.where(_recipient.campaign_id == campaign_id)
    if after is not None:
        passed = send_attempts.alias("passed")
        since = select(passed.c.started_at).where(passed.c.id == after).scalar_subquery()
        query = query.where(or_(_attempt.started_at > since, and_(_attempt.started_at == since, _attempt.id > after)))
    rows = connection.execute(query.limit(size)).all()
    heard = _heard_by_batch(connection, {row.batch_id for row in rows})
    return [
        Doubt(
            attempt_id=row.id,
            campaign=row.slug,
            phone=mask_phone(row.phone),
            send_date=row.send_date,
            since=row.started_at,
            http_status=row.http_status,
            error_code=row.error_code,
            error_text=row.error_text,
            run_id=row.run_id,
            accepted_of_batch=heard[row.batch_id][0],
            heard_of_batch=heard[row.batch_id][1],
            counts_until=row.counts_until,
        )
        for row in rows
    ]


def count_chosen(connection: Connection, choice: Choice) -> int:
    """How many people a choice is about.

    Raises:
        DoubtError: Not all that was chosen is in doubt.
    """
    return len(_chosen(connection, choice))


def watch_callers(
    ledger: Ledger, choice: Choice, terms: LeaseTerms, clock: Clock, on_watching: Callable[[str], None]
) -> Sighting | None:
    """Looks whether the run that made the chosen calls is gone, as long as it takes; for `resolve` as not reached.

    Args:
        ledger: Where the attempts are.
        choice: Which attempts.
        terms: How long a run that is gone has to be silent, in seconds.
        clock: For measuring silence.
        on_watching: Told once which run is watched, if one has to be.

    Returns:
        The holder that was silent all the time; None when there is none to wait for, or it is alive.

    Raises:
        DoubtError: Not all that was chosen is in doubt.
    """
    with ledger.read() as connection:
        holder = _holder_of(connection, _chosen(connection, choice))
    if holder is None:
        return None
    on_watching(holder.holder)
    return holder if stays_silent(ledger, holder, terms, clock) else None


def resolve(
    connection: Connection,
    choice: Choice,
    verdict: DoubtVerdict,
    *,
    by: str,
    now: datetime,
    reason: str = "",
    silent: Sighting | None = None,
) -> Resolution:
    """Settles attempts in doubt by a person's word, all of them or none.

    Reached: the person counts as sent to. Not reached: the person goes back into the queue at the old place (or is
    skipped, if the campaign was cancelled) and will be sent to again. Either way the attempt uses capacity as before,
    since a person's word does not make it certain that WhatsApp did not reach anyone.

    Args:
        connection: A transaction that writes, and has done nothing yet.
        choice: Which attempts.
        verdict: What became of them.
        by: Who says so, for the audit log.
        now: When it is said, UTC.
        reason: How they know, for the audit log.
        silent: A run that was watched and found silent for as long as a dead one (`watch_callers`).

    Raises:
        DoubtError: Not all that was chosen is in doubt, or the run that made the calls could still be alive.
    """
    actor = by.strip()
    if not actor:
        msg = "Say who settles it, by a person's name."
        raise DoubtError(msg)
    # The sender first and the fold second, as a run does that takes over: the other way round would be a deadlock.
    hold_senders(connection)
    fold_alone(connection)
    chosen = _chosen(connection, choice)
    if _fold_what_is_stored(connection, chosen, now):
        chosen = _chosen(connection, choice)
    if verdict is DoubtVerdict.NOT_REACHED:
        _refuse_living_callers(connection, chosen, silent)
    outcome = AttemptOutcome.ACCEPTED if verdict is DoubtVerdict.REACHED else AttemptOutcome.VOIDED
    for some in in_portions(chosen):
        these = _attempt.id.in_([row.id for row in some])
        connection.execute(update(send_attempts).where(these).values(outcome=outcome))
        refold(connection, select(_attempt.recipient_id).where(these), now)
    completed = complete_settled(connection, now)
    dates = tuple(sorted({row.send_date for row in chosen}))
    for each in dates:
        refresh_date(connection, each, now)
    _write_down(connection, chosen, verdict, actor, reason, now)
    ids = tuple(row.id for row in chosen)
    return Resolution(ids, _states_of(connection, chosen), dates, tuple(completed))


def _fold_what_is_stored(connection: Connection, chosen: Sequence[Row], now: datetime) -> bool:
    """Folds what an ingest has stored of some attempts and not folded yet; whether there was anything."""
    heard = [each for some in in_portions(chosen) for each in heard_of(connection, [row.id for row in some])]
    for some in in_portions(sorted(heard)):
        apply_to_attempts(connection, some, now)
    return bool(heard)


def _attempts() -> Select:
    return select(
        send_attempts,
        _recipient.phone,
        _recipient.state,
        marketing_campaigns.c.slug,
        batches.c.send_date,
    ).select_from(
        send_attempts.join(campaign_recipients, _recipient.id == _attempt.recipient_id)
        .join(marketing_campaigns, marketing_campaigns.c.id == _recipient.campaign_id)
        .join(batches, batches.c.id == _attempt.batch_id)
    )


def _chosen(connection: Connection, choice: Choice) -> Sequence[Row]:
    if isinstance(choice, AllOfDate):
        rows = connection.execute(
            _attempts().where(_IS_DOUBT, batches.c.send_date == choice.send_date).order_by(_attempt.id)
        ).all()
        if not rows:
            msg = f"Nobody of {choice.send_date} is in doubt; nothing was changed."
            raise DoubtError(msg)
        return rows
    ids = sorted(set(choice.ids))
    if not ids:
        msg = "Name at least one attempt: `campaign doubts` lists those in doubt."
        raise DoubtError(msg)
    found: dict[str, Row] = {}
    for some in in_portions(ids):
        found |= {row.id: row for row in connection.execute(_attempts().where(_attempt.id.in_(some)))}
    wrong = [said for each in ids if (said := _what_else_it_is(each, found.get(each))) is not None]
    if wrong:
        more = f"; and {len(wrong) - _NAMED_IN_AN_ERROR} more" if len(wrong) > _NAMED_IN_AN_ERROR else ""
        said = "; ".join(wrong[:_NAMED_IN_AN_ERROR])
        msg = f"Nothing was changed, since only attempts in doubt can be settled: {said}{more}."
        raise DoubtError(msg)
    return [found[each] for each in ids]


def _what_else_it_is(attempt_id: str, row: Row | None) -> str | None:
    """Why an attempt cannot be settled by a person, in words; None for one in doubt."""
    if row is None:
        return f"{attempt_id} is no attempt that is known here"
    if row.outcome == AttemptOutcome.IN_DOUBT:
        state = row.state.replace("_", " ")
        return None if row.state == RecipientState.IN_DOUBT else f"the person of {attempt_id} is {state} by another one"
    said = {
        AttemptOutcome.CALLING: "is still being made, as far as is known",
        AttemptOutcome.ACCEPTED: f"is settled: {row.state}",
        AttemptOutcome.REFUSED: "was refused by WhatsApp",
        AttemptOutcome.NOT_SENT: "was never sent",
        AttemptOutcome.VOIDED: f"was said to have reached nobody; the person is {row.state}",
    }
    return f"{attempt_id} {said[AttemptOutcome(row.outcome)]}"


def _holder_of(connection: Connection, chosen: Sequence[Row]) -> Sighting | None:
    """Who holds the sender, if that is who made one of these calls."""
    holder = sight(connection, chosen[0].sender_id)
    return holder if holder is not None and any(row.lease_fence == holder.fence for row in chosen) else None


def _refuse_living_callers(connection: Connection, chosen: Sequence[Row], silent: Sighting | None) -> None:
    """Refuses while the run that made one of these calls could still be alive.

    Once another run holds the sender, or nobody does, whoever made the call has ended or may start nothing more. While
    its own run holds it the call has usually ended too, as the run itself has said that the answer is lost; but only
    a run that is over cannot surprise anyone, and to wait for that costs nothing: the people are not sent to before.
    """
    holder = _holder_of(connection, chosen)
    if holder is not None and holder != silent:
        msg = (
            f"Nothing was changed: the run that made the call ({holder.holder}) still holds the sender and could still "
            "be at it. Say so again once it has ended; one that is gone is known by its silence within a minute."
        )
        raise DoubtError(msg)


def _write_down(
    connection: Connection, chosen: Sequence[Row], verdict: DoubtVerdict, actor: str, reason: str, now: datetime
) -> None:
    """For each campaign, who said what of how many and why (audit log), and which figures changed (outbox)."""
    for slug in sorted({row.slug for row in chosen}):
        rows = [row for row in chosen if row.slug == slug]
        dates = sorted({row.send_date.isoformat() for row in rows})
        facts = {"verdict": verdict.value, "people": len(rows), "dates": dates}
        told = {**facts, "reason": reason, "attempts": [row.id for row in rows]}
        audit(connection, DOUBTS_RESOLVED, slug, actor=actor, now=now, details=told)
        announce(connection, DOUBTS_RESOLVED, now=now, campaign=slug, details=facts)


def _states_of(connection: Connection, chosen: Sequence[Row]) -> dict[str, int]:
    counted: Counter[str] = Counter()
    for some in in_portions(chosen):
        ids = [row.recipient_id for row in some]
        counted.update(connection.execute(select(_recipient.state).where(_recipient.id.in_(ids))).scalars())
    return dict(sorted(counted.items()))


def _heard_by_batch(connection: Connection, batch_ids: set[int]) -> dict[int, tuple[int, int]]:
    """For each batch, how many of its messages were accepted, and of how many of these a status was heard."""
    heard: ColumnElement[bool] = or_(
        _attempt.sent_at.is_not(None), _attempt.delivered_at.is_not(None), _attempt.failed_at.is_not(None)
    )
    accepted = _attempt.outcome == AttemptOutcome.ACCEPTED
    rows = connection.execute(
        select(
            _attempt.batch_id,
            func.count().filter(accepted).label("accepted"),
            func.count().filter(accepted, heard).label("heard"),
        )
        .where(_attempt.batch_id.in_(batch_ids))
        .group_by(_attempt.batch_id)
    )
    return {row.batch_id: (row.accepted, row.heard) for row in rows}
