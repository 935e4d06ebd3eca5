"""Consequences: what a failure means beyond its own message, for a campaign, a country, the sender or a subscription.

Add here what is done when a class of failure is met; answers and status webhooks come here alike.
Keep out the classes (`whatsapp.errors`), the states of people (`folding`) and what the batch does (`sending.outcomes`).

Each failure has its consequences once: an answer as it is recorded, a webhook when it is first matched to an attempt,
with a mark on the event. Locks are taken in one order: the sender first, by whoever may stop or pause, then the fold.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, case, func, or_, select, update

from campaign_pipeline.campaigns.held_countries import hold_country
from campaign_pipeline.campaigns.journal import audit
from campaign_pipeline.campaigns.lifecycle import pause_for, with_reason
from campaign_pipeline.delivery.new_evidence import folded_to
from campaign_pipeline.delivery.stop_rule import IN_A_ROW, MessageEnd, StopRule
from campaign_pipeline.ledger.conditions import FAILURE_TO_ACT_ON
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.locks import fold_alone, hold_senders
from campaign_pipeline.ledger.schema import (
    campaign_recipients,
    delivery_events,
    held_countries,
    marketing_campaigns,
    send_attempts,
    senders,
)
from campaign_pipeline.ledger.states import AttemptOutcome, CampaignStatus, PauseCause, SubscriptionStatus, Voice
from campaign_pipeline.recipients.phone_numbers import PhoneNumber
from campaign_pipeline.recipients.subscription_rule import Word
from campaign_pipeline.recipients.subscriptions import SaidWord, believable, note
from campaign_pipeline.whatsapp.errors import Arrival, ErrorClass, KnownError, look_up

WHATSAPP: Final = "WhatsApp"
"""Who is named in the audit log for what an answer or a webhook has brought about."""

PAUSED_TEMPLATE: Final = 132015
"""Once Meta has unpaused the template, its campaigns go on by themselves."""

_Key = TypeVar("_Key", str, int, tuple[int, int])

LOOKED_BACK: Final = timedelta(days=2)
"""How far back the last messages of a campaign are looked for; later failures of older ones pause nothing any more."""

_EVENTS_AT_ONCE: Final = 2_000


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed message.

    Attributes:
        attempt_id: Whose.
        error: What is known of its code.
        error_class: Whose fault it is, told in this way.
        text: What Meta says of it.
        at: When it happened, UTC.
    """

    attempt_id: str
    error: KnownError
    error_class: ErrorClass
    text: str
    at: datetime

    def in_words(self) -> str:
        """The failure and what can be done about it, as a sentence or two."""
        said = f" (Meta says: {self.text})" if self.text else ""
        advice = f" {self.error.advice}" if self.error.advice else ""
        return f"error {self.error.code}, {self.error.meaning}{said}.{advice}"


@dataclass(frozen=True, slots=True)
class _Known:
    """A failure, with what it is about."""

    failure: Failure
    about: Row

    @property
    def is_settled_before(self) -> bool:
        """Whether a person has seen to it since the message was sent, and so knows of it."""
        resumed_at = {
            ErrorClass.CAMPAIGN: self.about.campaign_resumed_at,
            ErrorClass.ACCOUNT: self.about.sender_resumed_at,
            # Of a number of no country the sender is stopped.
            ErrorClass.COUNTRY: self.about.released_at if self.about.region else self.about.sender_resumed_at,
        }.get(self.failure.error_class)
        return resumed_at is not None and self.about.started_at < resumed_at


def act_on_answers(connection: Connection, failures: Sequence[Failure], rule: StopRule, now: datetime) -> None:
    """Does what the refusals of some calls mean at large, in the transaction that records them.

    Args:
        connection: A transaction that writes, holds the senders, and folds alone.
        failures: What the calls were refused with.
        rule: When failures pause a campaign.
        now: The moment, UTC.
    """
    if failures:
        _act(connection, _with_attempts(connection, failures), rule, now)


def act_on_webhooks(ledger: Ledger, rule: StopRule, clock: Callable[[], datetime]) -> None:
    """Does what failed webhooks mean at large that were matched to attempts and not acted on yet; often nothing.

    Those that an ingest has stored and not folded yet are left to it: until then the rule sees neither them nor what
    went well beside them. Killed in the middle, the next one goes on with the rest.
    """
    while True:
        with ledger.read() as connection:
            if connection.execute(select(delivery_events.c.id).where(*_to_act_on(connection)).limit(1)).first() is None:
                return
        with ledger.write() as connection:
            hold_senders(connection)
            fold_alone(connection)
            _act_on_some_webhooks(connection, rule, clock())


def stop_sender(connection: Connection, reason: str, *, actor: str, now: datetime) -> None:
    """Lets no attempt begin, of any campaign, until a person resumes the sender; one that is stopped learns the reason.

    Args:
        connection: A transaction that writes and holds the senders.
        reason: One sentence or two, with what to do.
        actor: Who stopped it.
        now: The moment, UTC.
    """
    for row in connection.execute(select(*senders.c["id", "name", "stop_reason"]).order_by(senders.c.id)).all():
        if reason in (row.stop_reason or ""):
            continue
        told = with_reason(row.stop_reason, reason)
        connection.execute(
            update(senders)
            .where(senders.c.id == row.id)
            .values(stopped_at=func.coalesce(senders.c.stopped_at, now), stop_reason=told)
        )
        audit(connection, "sender_stopped", row.name, actor=actor, now=now, details={"reason": reason})


def resume_sender(connection: Connection, *, actor: str, now: datetime) -> str | None:
    """Lets the sender go on; gives what it was stopped for, None when it was not stopped."""
    hold_senders(connection)
    stopped = connection.execute(
        select(*senders.c["id", "name", "stop_reason"]).where(senders.c.stopped_at.is_not(None))
    ).first()
    if stopped is None:
        return None
    connection.execute(
        update(senders).where(senders.c.id == stopped.id).values(stopped_at=None, stop_reason=None, resumed_at=now)
    )
    details = {"was_stopped_for": stopped.stop_reason}
    audit(connection, "sender_resumed", stopped.name, actor=actor, now=now, details=details)
    return stopped.stop_reason or "no reason was given"


def stop_sender_for(connection: Connection, failure: Failure, now: datetime) -> str:
    """Stops the sender since a message failed by a fault of the account; gives the reason in words."""
    reason = f"{failure.in_words()} Then `campaign sender resume`."
    stop_sender(connection, reason, actor=WHATSAPP, now=now)
    return reason


def hold_country_for(
    connection: Connection, sender_id: int, region: str | None, failure: Failure, now: datetime
) -> str:
    """Holds the country in which a message failed; of a number of no country, the sender. Gives what was done."""
    if region is None:
        return f"The sender is stopped: {stop_sender_for(connection, failure, now)}"
    hold_country(connection, sender_id, region, failure.in_words(), actor=WHATSAPP, now=now)
    return f"Nobody in {region} is sent to now: {failure.in_words()}"


def unsubscribe_for(connection: Connection, told: Iterable[tuple[PhoneNumber, Failure]], now: datetime) -> None:
    """Notes that people want no messages, as failures say: by their own setting in WhatsApp."""
    note(
        connection,
        [
            SaidWord(
                who,
                Word(
                    SubscriptionStatus.UNSUBSCRIBED,
                    Voice.META,
                    f"{WHATSAPP}, error {failure.error.code}",
                    believable(failure.at, now),
                ),
                # An answer and a webhook may tell of one message both.
                f"attempt:{failure.attempt_id}",
            )
            for who, failure in told
        ],
        now,
    )


def _act_on_some_webhooks(connection: Connection, rule: StopRule, now: datetime) -> None:
    event = delivery_events.c
    rows = connection.execute(
        select(*event["id", "attempt_id", "error_code", "error_text", "occurred_at"])
        .where(*_to_act_on(connection))
        # In the order of their index: by id SQLite goes through all events there are.
        .order_by(event.attempt_id, event.id)
        .limit(_EVENTS_AT_ONCE)
    ).all()
    failures = [_told_by_webhook(row) for row in rows]
    known = [each for each in _with_attempts(connection, failures) if not each.is_settled_before]
    _act(connection, known, rule, now)
    connection.execute(update(delivery_events).where(event.id.in_([row.id for row in rows])).values(acted_at=now))


def _to_act_on(connection: Connection) -> tuple[ColumnElement[bool], ...]:
    # Not the number itself, or SQLite would go through all events up to it.
    return FAILURE_TO_ACT_ON, delivery_events.c.id + 0 <= folded_to(connection)


def _told_by_webhook(row: Row) -> Failure:
    text = row.error_text or ""
    error = look_up(row.error_code, text)
    return Failure(row.attempt_id, error, error.class_in(Arrival.WEBHOOK), text, row.occurred_at)


def _with_attempts(connection: Connection, failures: Sequence[Failure]) -> list[_Known]:
    attempt, recipient, campaign = send_attempts.c, campaign_recipients.c, marketing_campaigns.c
    last_release = (
        select(func.max(held_countries.c.released_at))
        .where(held_countries.c.sender_id == attempt.sender_id, held_countries.c.region == recipient.region)
        .correlate(send_attempts, campaign_recipients)
        .scalar_subquery()
    )
    rows = connection.execute(
        select(
            *attempt["id", "sender_id", "started_at"],
            *recipient["campaign_id", "person_key", "phone", "region"],
            campaign.slug,
            campaign.resumed_at.label("campaign_resumed_at"),
            senders.c.resumed_at.label("sender_resumed_at"),
            last_release.label("released_at"),
        )
        .join(campaign_recipients, recipient.id == attempt.recipient_id)
        .join(marketing_campaigns, campaign.id == recipient.campaign_id)
        .join(senders, senders.c.id == attempt.sender_id)
        .where(attempt.id.in_([each.attempt_id for each in failures]))
    ).all()
    about = {row.id: row for row in rows}
    return [_Known(each, about[each.attempt_id]) for each in failures]


def _act(connection: Connection, known: Sequence[_Known], rule: StopRule, now: datetime) -> None:
    of_class = _by_class(known)
    unwilling = of_class.get(ErrorClass.UNSUBSCRIBED, ())
    unsubscribe_for(
        connection, [(PhoneNumber(one.about.phone, one.about.person_key), one.failure) for one in unwilling], now
    )
    _pause_campaigns(connection, of_class.get(ErrorClass.CAMPAIGN, ()), now)
    _pause_by_rule(connection, {each.about.campaign_id for each in known}, rule, now)
    for each in _first_by(of_class.get(ErrorClass.COUNTRY, ()), lambda one: one.about.region or ""):
        hold_country_for(connection, each.about.sender_id, each.about.region, each.failure, now)
    for each in _first_by(of_class.get(ErrorClass.ACCOUNT, ()), lambda one: one.failure.error.code):
        stop_sender_for(connection, each.failure, now)


def _by_class(known: Sequence[_Known]) -> Mapping[ErrorClass, list[_Known]]:
    grouped: dict[ErrorClass, list[_Known]] = {}
    for each in known:
        grouped.setdefault(each.failure.error_class, []).append(each)
    return grouped


def _first_by(known: Iterable[_Known], key: Callable[[_Known], _Key]) -> list[_Known]:
    """One failure of each kind, in the order of the kinds: that one stands for the others."""
    first: dict[_Key, _Known] = {}
    for each in known:
        first.setdefault(key(each), each)
    return [first[each] for each in sorted(first)]


def _pause_campaigns(connection: Connection, known: Iterable[_Known], now: datetime) -> None:
    for each in _first_by(known, lambda one: (one.about.campaign_id, one.failure.error.code)):
        cause = PauseCause.TEMPLATE if each.failure.error.code == PAUSED_TEMPLATE else PauseCause.FAULT
        reason = f"WhatsApp refuses its messages: {each.failure.in_words()} Then `campaign resume {each.about.slug}`."
        pause_for(connection, each.about.campaign_id, cause, reason, actor=WHATSAPP, now=now)


def _pause_by_rule(connection: Connection, campaign_ids: Collection[int], rule: StopRule, now: datetime) -> None:
    """Pauses those campaigns whose last messages say so; one that is paused already needs no second reason."""
    campaign = marketing_campaigns.c
    active = connection.execute(
        select(*campaign["id", "slug", "resumed_at"])
        .where(campaign.id.in_(campaign_ids), campaign.status == CampaignStatus.ACTIVE)
        .order_by(campaign.id)
    ).all()
    for each in active:
        since = max(now - LOOKED_BACK, each.resumed_at or now - LOOKED_BACK)
        reason = rule.reason_to_pause(
            _last_answers(connection, each.id, since), _last_ends(connection, each.id, since, rule)
        )
        if reason is not None:
            see = f"Look at `campaign recipients {each.slug} --status failed`, then `campaign resume {each.slug}`."
            pause_for(connection, each.id, PauseCause.FAILURES, f"{reason}. {see}", actor="stop rule", now=now)


def _last_answers(connection: Connection, campaign_id: int, since: datetime) -> list[MessageEnd]:
    attempt = send_attempts.c
    answered = or_(attempt.outcome == AttemptOutcome.ACCEPTED, attempt.refused_person == 1)
    rows = _last(connection, campaign_id, since, IN_A_ROW, answered, attempt.refused_person)
    return [_failed(row.error_code, row.error_text) if row.refused_person else MessageEnd(failed=False) for row in rows]


def _last_ends(connection: Connection, campaign_id: int, since: datetime, rule: StopRule) -> list[MessageEnd]:
    attempt = send_attempts.c
    heard_of = or_(
        attempt.refused_person == 1,
        attempt.failed_at.is_not(None),
        attempt.sent_at.is_not(None),
        attempt.delivered_at.is_not(None),
    )
    rows = _last(connection, campaign_id, since, rule.last, heard_of, case((attempt.failed_at.is_(None), 0), else_=1))
    return [_end_of(row) for row in rows]


def _last(
    connection: Connection,
    campaign_id: int,
    since: datetime,
    size: int,
    which: ColumnElement[bool],
    failed_last: ColumnElement[int],
) -> Sequence[Row]:
    """Some of a campaign's attempts, the newest first, and of one moment what went well first."""
    attempt = send_attempts.c
    query = (
        select(
            *attempt["refused_person", "error_code", "error_text"],
            *attempt["failed_at", "delivered_at", "failure_code", "failure_text"],
        )
        # An answer is never earlier than its call: the index bounds what is read, however old the statistics are.
        .where(attempt.campaign_id == campaign_id, attempt.answered_at >= since, attempt.started_at >= since, which)
        .order_by(attempt.answered_at.desc(), failed_last, attempt.id)
        .limit(size)
    )
    return connection.execute(query).all()


def _end_of(row: Row) -> MessageEnd:
    if row.failed_at is not None and row.delivered_at is None:
        return _failed(row.failure_code, row.failure_text)
    return _failed(row.error_code, row.error_text) if row.refused_person else MessageEnd(failed=False)


def _failed(code: int | None, text: str | None) -> MessageEnd:
    return MessageEnd(failed=True, code=code, only_here=look_up(code or 0, text or "").only_here)
