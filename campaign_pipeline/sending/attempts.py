"""Attempts: each call is admitted and written down before it is made, and settled by what is known after it.

Add here what is written about a single call.
Keep out what an answer means (`outcomes`), and batches as a whole (`batches`).
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import ColumnElement, Connection, Row, Update, case, func, insert, literal, select, update

from campaign_pipeline.campaigns.lifecycle import complete_settled
from campaign_pipeline.campaigns.message_pattern import pattern_of_row
from campaign_pipeline.campaigns.queue import CAMPAIGN_ORDER, in_no_held_country
from campaign_pipeline.delivery.consequences import Failure, act_on_answers
from campaign_pipeline.delivery.folding import (
    CAPACITY_WINDOW,
    FAR_AWAY,
    apply_evidence,
    match_events,
    newest_time,
    refold,
)
from campaign_pipeline.delivery.new_evidence import heard_of
from campaign_pipeline.delivery.replies import count_late_replies
from campaign_pipeline.delivery.stop_rule import DEFAULT_RULE, StopRule
from campaign_pipeline.ledger.locks import fold_alone, hold_senders
from campaign_pipeline.ledger.schema import (
    campaign_recipients,
    delivery_events,
    marketing_campaigns,
    send_attempts,
    senders,
)
from campaign_pipeline.ledger.states import (
    CERTAINLY_NOT_ACCEPTED,
    AttemptOutcome,
    CampaignStatus,
    RecipientState,
)
from campaign_pipeline.recipients.identity import learn_aliases, skip_known_doubles
from campaign_pipeline.recipients.subscriptions import unsubscribed_among
from campaign_pipeline.sending.batches import Batch, need_of_date, skip_unsubscribed
from campaign_pipeline.sending.capacity import (
    admissible,
    already_counted,
    capacity_at,
    next_freed,
)
from campaign_pipeline.sending.errors import CannotSendError, stopped_sender
from campaign_pipeline.sending.lease import Lease
from campaign_pipeline.sending.limits import limit_in_force
from campaign_pipeline.sending.outcomes import Verdict
from campaign_pipeline.whatsapp.client import Answer
from campaign_pipeline.whatsapp.errors import Arrival
from campaign_pipeline.whatsapp.messages import TemplateMessage


@dataclass(frozen=True, slots=True)
class AdmittedCall:
    """A call that is written down as an attempt and may now be made, once."""

    attempt_id: str
    message: TemplateMessage


@dataclass(frozen=True, slots=True)
class Admission:
    """What one group's admission came to.

    Attributes:
        calls: The calls that may be made.
        limit: People whom the sender may reach in 24 hours, as it is in force.
        full: Whether somebody was left out because the window is full.
        freed_at: When the first of those counted leaves the window, if it is full.
    """

    calls: tuple[AdmittedCall, ...]
    limit: int
    full: bool
    freed_at: datetime | None


@dataclass(frozen=True, slots=True)
class SettledCall:
    """The end of one call."""

    attempt_id: str
    answer: Answer
    verdict: Verdict


def admit(
    connection: Connection,
    lease: Lease,
    batch: Batch,
    *,
    size: int,
    limit_setting: int,
    keep_free_for: date | None,
    run_id: str,
    now: datetime,
) -> Admission:
    """Admits the next people of a batch to the moving 24 hours and writes down their attempts.

    The caller commits, and only then makes the calls. The sender's row is locked first and the window counted in a
    later statement, so that two workers at the last free place cannot both have it.

    Args:
        connection: A transaction that writes.
        lease: Held by the caller.
        batch: The batch that the people are of.
        size: How many calls could start at once.
        limit_setting: The settings' word on the limit; the one in force is looked up here, since a run can be long.
        keep_free_for: A date whose batch comes first: as much capacity as it needs is left alone.
        run_id: Who makes the calls.
        now: The machine's time; the stamp is never earlier than the one before it.

    Raises:
        LeaseLostError: Another run has taken the sender over.
        CannotSendError: The sender was stopped.
    """
    lease.require(connection)
    stamp = _stamp(connection, lease.sender_id, now)
    limit = limit_in_force(connection, limit_setting, stamp)
    people = _next_claimed(connection, batch, size, stamp)
    if not people:
        return Admission((), limit, full=False, freed_at=None)
    kept_free = need_of_date(connection, keep_free_for, limit) if keep_free_for is not None else 0
    capacity = capacity_at(connection, lease.sender_id, limit, stamp)
    counted = already_counted(connection, lease.sender_id, [person.person_key for person in people], stamp)
    fits = admissible([person.person_key for person in people], counted, capacity.free - kept_free)
    admitted = [person for person, fit in zip(people, fits, strict=True) if fit]
    places = _places(admitted, counted, capacity.used, limit)
    calls = _write_attempts(connection, lease, batch, admitted, places, run_id, stamp)
    full = len(admitted) < len(people)
    freed_at = next_freed(connection, lease.sender_id, stamp) if full else None
    return Admission(calls, limit, full, freed_at)


def settle(connection: Connection, calls: Sequence[SettledCall], now: datetime, rule: StopRule = DEFAULT_RULE) -> None:
    """Records what came of some calls, each on its own attempt, whoever holds the sender by now.

    An answer that comes after doubt, or after a webhook has told already, adds what it knows and takes nothing back.
    What a refusal means for a campaign, a country or the sender is done in the same transaction.
    """
    failures = [
        Failure(call.attempt_id, error, error.class_in(Arrival.ANSWER), call.answer.error_text or "", now)
        for call in calls
        if (error := call.verdict.error) is not None
    ]
    if failures:
        hold_senders(connection)
    fold_alone(connection)
    stamp = newest_time(connection, now)
    for call in calls:
        connection.execute(_settlement(call, stamp))
    attempt_ids = [call.attempt_id for call in calls]
    wamids = [call.answer.wamid for call in calls if call.answer.wamid]
    ours = send_attempts.c.id.in_(attempt_ids)
    if wamids:
        # Statuses that came before this answer, without our attempt's id, waited for the wamid.
        match_events(connection, delivery_events.c.wamid.in_(wamids))
        with_events = select(delivery_events.c.attempt_id).where(delivery_events.c.attempt_id.in_(attempt_ids))
        apply_evidence(connection, with_events, now)
    refold(connection, select(send_attempts.c.recipient_id).where(ours), now)
    act_on_answers(connection, failures, rule, now)
    learnt = learn_aliases(connection, [call.attempt_id for call in calls if call.answer.wa_id], now)
    count_late_replies(connection, [call.attempt_id for call in calls if call.answer.wamid], learnt)
    complete_settled(connection, now)


def _stamp(connection: Connection, sender_id: int, now: datetime) -> datetime:
    """The later of the clock and the newest stamp, so that a clock set back never opens the window early.

    Raises:
        CannotSendError: The sender was stopped.
    """
    row = connection.execute(
        select(senders.c.stopped_at, senders.c.stop_reason, senders.c.newest_stamp).where(senders.c.id == sender_id)
    ).one()
    if row.stopped_at is not None:
        raise stopped_sender(row.stop_reason or "no reason was given.")
    stamp = max(now, row.newest_stamp or now)
    connection.execute(update(senders).where(senders.c.id == sender_id).values(newest_stamp=stamp))
    return stamp


def _next_claimed(connection: Connection, batch: Batch, size: int, now: datetime) -> list[Row]:
    """The next people of a batch who may be sent to.

    Those who have unsubscribed since, or are one WhatsApp account with somebody else in their campaign, are skipped on
    the way. Those of whom an ingest has just stored something are left as they are, until that is folded.
    """
    query = (
        select(
            *campaign_recipients.c["id", "campaign_id", "person_key", "phone", "parameters"],
            *marketing_campaigns.c["template_name", "template_language", "template_parameters"],
            *marketing_campaigns.c["template", "template_version"],
        )
        .select_from(
            campaign_recipients.join(marketing_campaigns, marketing_campaigns.c.id == campaign_recipients.c.campaign_id)
        )
        .where(
            campaign_recipients.c.batch_id == batch.id,
            campaign_recipients.c.state == RecipientState.CLAIMED,
            marketing_campaigns.c.status == CampaignStatus.ACTIVE,
            *in_no_held_country(connection),
        )
        .order_by(*CAMPAIGN_ORDER, campaign_recipients.c.position)
        .limit(size)
        # Somebody may be skipped by an answer that comes in at this moment: waited for here, and not found out after
        # the attempts were written.
        .with_for_update(of=campaign_recipients, key_share=True)
    )
    while True:
        people = connection.execute(query).all()
        # Asked anew once the people are locked: while PostgreSQL waits for a lock, somebody may say stop.
        unwilling = unsubscribed_among(connection, {each.person_key for each in people})
        unsubscribed = [each.id for each in people if each.person_key in unwilling]
        if unsubscribed:
            skip_unsubscribed(connection, unsubscribed, now)
        elif not skip_known_doubles(connection, [(each.person_key, each.phone) for each in people], now):
            reached = _reached_after_all(connection, [each.id for each in people])
            if not reached:
                return list(people)
            query = query.where(campaign_recipients.c.id.not_in(reached))
        complete_settled(connection, now)


def _reached_after_all(connection: Connection, recipient_ids: Sequence[int]) -> list[int]:
    """Those of some people of whose earlier attempts something is stored that is not folded yet; none, as a rule."""
    attempt = send_attempts.c
    earlier = connection.execute(
        select(attempt.id, attempt.recipient_id).where(attempt.recipient_id.in_(recipient_ids))
    ).all()
    recipient_of = {row.id: row.recipient_id for row in earlier}
    return sorted({recipient_of[each] for each in heard_of(connection, recipient_of)})


@dataclass(frozen=True, slots=True)
class _Place:
    """The place in the window that one person is admitted to."""

    limit: int
    count: int
    was_counted: bool


def _places(people: Sequence[Row], counted: frozenset[str], used: int, limit: int) -> list[_Place]:
    """For each of some people in turn, the number of different people in the window once that one is admitted."""
    known = set(counted)
    places: list[_Place] = []
    for person in people:
        was_counted = person.person_key in known
        used += not was_counted
        known.add(person.person_key)
        places.append(_Place(limit, used, was_counted))
    return places


def _write_attempts(
    connection: Connection,
    lease: Lease,
    batch: Batch,
    people: Sequence[Row],
    places: Sequence[_Place],
    run_id: str,
    stamp: datetime,
) -> tuple[AdmittedCall, ...]:
    if not people:
        return ()
    ids = [person.id for person in people]
    numbers = _attempts_so_far(connection, ids)
    attempt_ids = [str(uuid.uuid4()) for _ in people]
    connection.execute(
        insert(send_attempts),
        [
            {
                "id": attempt_id,
                "recipient_id": person.id,
                "campaign_id": person.campaign_id,
                "attempt_number": numbers.get(person.id, 0) + 1,
                "batch_id": batch.id,
                "sender_id": lease.sender_id,
                "person_key": person.person_key,
                "run_id": run_id,
                "lease_fence": lease.fence,
                "admitted_limit": place.limit,
                "admitted_count": place.count,
                "was_counted": int(place.was_counted),
                "started_at": stamp,
                "counts_until": FAR_AWAY,
                "outcome": AttemptOutcome.CALLING,
                "template_version": person.template_version,
            }
            for attempt_id, person, place in zip(attempt_ids, people, places, strict=True)
        ],
    )
    changed = connection.execute(
        update(campaign_recipients)
        .where(campaign_recipients.c.id.in_(ids), campaign_recipients.c.state == RecipientState.CLAIMED)
        .values(state=RecipientState.ATTEMPTING, changed_at=stamp)
    ).rowcount
    if changed != len(ids):
        msg = (
            "People of this batch were changed while they were being admitted; nothing was sent to them. Run it again."
        )
        raise CannotSendError(msg)
    return tuple(
        AdmittedCall(attempt_id, pattern_of_row(person).message(person.phone, person.parameters, attempt_id))
        for attempt_id, person in zip(attempt_ids, people, strict=True)
    )


def _attempts_so_far(connection: Connection, recipient_ids: Sequence[int]) -> dict[int, int]:
    rows = connection.execute(
        select(send_attempts.c.recipient_id, func.max(send_attempts.c.attempt_number).label("number"))
        .where(send_attempts.c.recipient_id.in_(recipient_ids))
        .group_by(send_attempts.c.recipient_id)
    )
    return {row.recipient_id: row.number for row in rows}


def _settlement(call: SettledCall, stamp: datetime) -> Update:
    answer, verdict = call.answer, call.verdict
    attempt = send_attempts.c
    # Only a call whose end was unknown takes the outcome; what a webhook or a person has said since stands.
    still_open = attempt.outcome.in_((AttemptOutcome.CALLING, AttemptOutcome.IN_DOUBT))
    counts_until = None if verdict.outcome in CERTAINLY_NOT_ACCEPTED else stamp + CAPACITY_WINDOW

    def if_open(value: object, column: ColumnElement) -> ColumnElement:
        return case((still_open, literal(value, column.type)), else_=column)

    return (
        update(send_attempts)
        .where(attempt.id == call.attempt_id)
        .values(
            outcome=if_open(verdict.outcome.value, attempt.outcome),
            refused_person=if_open(int(verdict.refused_person), attempt.refused_person),
            counts_until=if_open(counts_until, attempt.counts_until),
            answered_at=if_open(stamp, attempt.answered_at),
            http_status=answer.http_status,
            error_code=answer.error_code,
            error_text=answer.error_text,
            # A wamid that a webhook has told before is found with its event; this one stands nowhere else.
            wamid=attempt.wamid if answer.wamid is None else answer.wamid,
            wa_id=func.coalesce(attempt.wa_id, answer.wa_id),
            message_status=answer.message_status,
        )
    )
