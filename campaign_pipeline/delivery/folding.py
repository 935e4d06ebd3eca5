"""The fold: a recipient's state is what its attempts and their events amount to, in whatever order they were learnt.

Add here a kind of evidence, with its rank. This is the only place that decides a state from evidence.
Keep out how evidence arrives (`status_files`, `sending.attempts`).

An attempt moves forward only: it says the strongest thing that is known of it, and the recipient the strongest of its
attempts. `read` implies delivered; `delivered` wins over `failed` (Meta has been seen to send both).
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Select,
    Table,
    and_,
    case,
    func,
    literal,
    null,
    or_,
    select,
    update,
)

from campaign_pipeline.delivery.evidence import (
    gather_evidence,
    new_names,
    not_answered_yet,
    people_told_of,
    told_other_wamids,
)
from campaign_pipeline.delivery.matching import attempt_of_event, contested, match_anew
from campaign_pipeline.delivery.replies import count_late_replies, has_unnamed_replies
from campaign_pipeline.ledger.bulk import among, in_portions
from campaign_pipeline.ledger.schema import (
    batches,
    campaign_recipients,
    delivery_events,
    marketing_campaigns,
    send_attempts,
    senders,
)
from campaign_pipeline.ledger.states import (
    AttemptOutcome,
    BatchState,
    CampaignStatus,
    RecipientState,
    SkipReason,
)
from campaign_pipeline.recipients.identity import learn_names

FAR_AWAY: Final = datetime.fromisoformat("9999-01-01T00:00:00+00:00")
"""Until when a call counts whose end is not known yet."""

CAPACITY_WINDOW: Final = timedelta(hours=24)
"""How long after its end a call counts: Meta's moving window."""

RANKS: Final = (
    RecipientState.FAILED,
    RecipientState.IN_DOUBT,
    RecipientState.ATTEMPTING,
    RecipientState.ACCEPTED,
    RecipientState.SENT,
    RecipientState.DELIVERED,
    RecipientState.READ,
)
"""The states that evidence can give, the weakest first. Without any, a recipient is where the queue has it."""

_attempt = send_attempts.c
_VOIDED: Final = _attempt.outcome == AttemptOutcome.VOIDED

# The first that holds says what the attempt amounts to. A person's "reached nobody" (voided) is overruled by evidence
# that WhatsApp had the message: also by a failure, which is final for its campaign like any other. Were it to put the
# person back into the queue, a campaign that "sent" had completed in the meantime would keep somebody waiting for ever.
_EVIDENCE: Final[tuple[tuple[ColumnElement[bool], RecipientState], ...]] = (
    (_attempt.read_at.is_not(None), RecipientState.READ),
    (_attempt.delivered_at.is_not(None), RecipientState.DELIVERED),
    (_attempt.failed_at.is_not(None), RecipientState.FAILED),
    (_attempt.sent_at.is_not(None), RecipientState.SENT),
    (_attempt.outcome == AttemptOutcome.ACCEPTED, RecipientState.ACCEPTED),
    (and_(_VOIDED, _attempt.wamid.is_not(None)), RecipientState.ACCEPTED),
    (_attempt.outcome == AttemptOutcome.IN_DOUBT, RecipientState.IN_DOUBT),
    (_attempt.outcome == AttemptOutcome.CALLING, RecipientState.ATTEMPTING),
    (_attempt.refused_person == 1, RecipientState.FAILED),
)


def rank_of(state: RecipientState) -> int:
    """How strong a state is as evidence; 0 stands for no evidence at all."""
    return RANKS.index(state) + 1


def attempt_rank() -> ColumnElement[int]:
    """The rank of what one row of `send_attempts` amounts to."""
    return case(*((condition, literal(rank_of(state), Integer)) for condition, state in _EVIDENCE), else_=0)


def refold(connection: Connection, recipient_ids: Select, now: datetime) -> None:
    """Brings the state of some recipients up to what their attempts amount to.

    Args:
        connection: A transaction that writes.
        recipient_ids: A query for the ids.
        now: Noted as the time of the change.
    """
    for some in _in_groups(connection, recipient_ids):
        _fold(connection, some, now)
        _return_unproven(connection, some, now)
        _recount_moved_on(connection, some)


def derive_anew(connection: Connection, attempt_ids: Sequence[str], now: datetime) -> None:
    """Throws away what webhooks have said about some attempts, and brings it onto them again from the stored events.

    Nobody goes back to the queue: where evidence is gone that was once there, the person stays where it had led.

    Args:
        connection: A transaction that writes, and folds alone.
        attempt_ids: At most as many as a statement takes.
        now: Noted as the time of the change.
    """
    if not attempt_ids:
        return
    _forget_statuses(connection, attempt_ids)
    evidence = gather_evidence(connection, attempt_ids)
    _learn_statuses(connection, evidence, newest_time(connection, now))
    people = select(_attempt.recipient_id).where(_attempt.id.in_(attempt_ids))
    for some in _in_groups(connection, people):
        _fold(connection, some, now)
        _recount_moved_on(connection, some)
    learn_names(connection, new_names(connection, evidence), now)


def newest_time(connection: Connection, now: datetime) -> datetime:
    """The later of the machine's time and the newest stamp of any attempt, which a clock set back cannot undo."""
    newest = connection.execute(select(func.max(senders.c.newest_stamp))).scalar_one()
    return max(now, newest or now)


def _in_groups(connection: Connection, ids: Select) -> Iterator[Sequence[Any]]:
    """The different ids that a query gives, some thousand at a time; nulls are left out.

    Looked up once and then written into each statement: a query inside of it is guessed by PostgreSQL to give many
    rows whenever its statistics are old, and answered by reading whole tables.
    """
    found = [each for each in connection.execute(ids.distinct()).scalars() if each is not None]
    yield from in_portions(found)


def _fold(connection: Connection, recipient_ids: Sequence[int], now: datetime) -> None:
    amount = (
        select(
            _attempt.recipient_id,
            func.max(attempt_rank()).label("rank"),
            func.min(case((_was_accepted(), _attempt.answered_at))).label("accepted_at"),
            func.max(_attempt.batch_id).label("batch_id"),
            func.max(
                func.coalesce(_attempt.failure_text, case((_attempt.refused_person == 1, _attempt.error_text)))
            ).label("failure"),
        )
        .where(among(connection, _attempt.recipient_id, recipient_ids))
        .group_by(_attempt.recipient_id)
        .subquery("amount")
    )
    recipient = campaign_recipients.c
    proven = case({rank_of(state): state.value for state in RANKS}, value=amount.c.rank)
    reason = case((amount.c.rank == rank_of(RecipientState.FAILED), amount.c.failure), else_=null())
    connection.execute(
        update(campaign_recipients)
        .where(
            among(connection, recipient.id, recipient_ids),
            recipient.id == amount.c.recipient_id,
            amount.c.rank > 0,
            or_(
                recipient.state != proven,
                recipient.accepted_at.is_distinct_from(amount.c.accepted_at),
                recipient.reason.is_distinct_from(reason),
            ),
        )
        .values(
            state=proven,
            accepted_at=amount.c.accepted_at,
            batch_id=func.coalesce(recipient.batch_id, amount.c.batch_id),
            reason=reason,
            changed_at=now,
        )
    )


def _was_accepted() -> ColumnElement[bool]:
    return or_(_attempt.outcome == AttemptOutcome.ACCEPTED, attempt_rank() >= rank_of(RecipientState.ACCEPTED))


def _return_unproven(connection: Connection, recipient_ids: Sequence[int], now: datetime) -> None:
    """Gives back to the queue who was attempted, when every attempt turned out to have reached nobody.

    Into the batch while that is open, else to the old place in the queue; nowhere when the campaign was cancelled.
    """
    recipient = campaign_recipients.c
    proof = (
        select(_attempt.id)
        .where(_attempt.recipient_id == recipient.id, attempt_rank() > 0)
        .correlate(campaign_recipients)
        .exists()
    )
    cancelled = (
        select(marketing_campaigns.c.id)
        .where(
            marketing_campaigns.c.id == recipient.campaign_id,
            marketing_campaigns.c.status == CampaignStatus.CANCELLED,
        )
        .correlate(campaign_recipients)
        .exists()
    )
    in_open_batch = (
        select(batches.c.id)
        .where(batches.c.id == recipient.batch_id, batches.c.state == BatchState.OPEN)
        .correlate(campaign_recipients)
        .exists()
    )
    connection.execute(
        update(campaign_recipients)
        .where(
            recipient.id.in_(recipient_ids),
            recipient.state.not_in((RecipientState.PENDING, RecipientState.CLAIMED, RecipientState.SKIPPED)),
            ~proof,
        )
        .values(
            state=case(
                (cancelled, RecipientState.SKIPPED.value),
                (in_open_batch, RecipientState.CLAIMED.value),
                else_=RecipientState.PENDING.value,
            ),
            reason=case((cancelled, SkipReason.CANCELLED.value), else_=null()),
            batch_id=case((or_(cancelled, in_open_batch), recipient.batch_id), else_=null()),
            accepted_at=null(),
            changed_at=now,
        )
    )


def _recount_moved_on(connection: Connection, recipient_ids: Sequence[int]) -> None:
    """Keeps a batch's account: whoever was taken is in it still, or has moved on."""
    of_these = select(_attempt.batch_id).where(_attempt.recipient_id.in_(recipient_ids)).distinct()
    batch_ids = connection.execute(of_these).scalars().all()
    still_in = (
        select(func.count()).where(campaign_recipients.c.batch_id == batches.c.id).correlate(batches).scalar_subquery()
    )
    connection.execute(update(batches).where(batches.c.id.in_(batch_ids)).values(moved_on=batches.c.size - still_in))


def match_events(connection: Connection, events: ColumnElement[bool]) -> None:
    """Finds the attempts that some unmatched events belong to: by the attempt's id, else by wamid."""
    event = delivery_events.c
    # Not `IS NULL`, for which there is an index: while its statistics say that there are none, PostgreSQL would rather
    # go through all of that one, in which the events of strangers' messages pile up.
    is_unmatched = func.coalesce(event.attempt_id, "") == ""
    connection.execute(update(delivery_events).where(is_unmatched, events).values(attempt_id=attempt_of_event()))


def apply_evidence(connection: Connection, attempt_ids: Select, now: datetime) -> None:
    """Does what `apply_to_attempts` does, for the attempts that a query gives; nulls among them are left out."""
    for some in _in_groups(connection, attempt_ids):
        apply_to_attempts(connection, some, now)


def apply_to_attempts(connection: Connection, attempt_ids: Sequence[str], now: datetime) -> None:
    """Brings what the stored events say onto their attempts, folds the recipients of these, and learns their aliases.

    Args:
        connection: A transaction that writes, and folds alone.
        attempt_ids: Attempts that have events, at most as many as a statement takes.
        now: Noted as the time of the change.
    """
    evidence = gather_evidence(connection, attempt_ids)
    moved: Sequence[str] = ()
    if told_other := told_other_wamids(connection, evidence):
        moved = learn_wamids(connection, told_other)
        # Statuses that came without our attempt's id are among them now.
        evidence = gather_evidence(connection, attempt_ids)
    answered = not_answered_yet(connection, evidence) if has_unnamed_replies(connection) else ()
    _learn_statuses(connection, evidence, newest_time(connection, now))
    _fold_people(connection, people_told_of(connection, evidence), now)
    learnt = learn_names(connection, new_names(connection, evidence), now)
    if answered or told_other or learnt:
        count_late_replies(connection, sorted({*answered, *told_other}), learnt)
    for some in in_portions(moved):
        derive_anew(connection, some, now)
        for people in _in_groups(connection, select(_attempt.recipient_id).where(_attempt.id.in_(some))):
            _fold_people(connection, people, now)


def _fold_people(connection: Connection, recipient_ids: Sequence[int], now: datetime) -> None:
    """Folds recipients of whom something was heard, so that nobody of them goes back to the queue.

    The analytics of their dates are due then.
    """
    recipient = campaign_recipients.c
    of_these = among(connection, recipient.id, recipient_ids)
    batch_ids = set(connection.execute(select(recipient.batch_id).where(of_these).distinct()).scalars())
    back_in_queue: Sequence[int] = []
    if None in batch_ids:
        waiting = select(recipient.id).where(of_these, recipient.batch_id.is_(None))
        back_in_queue = connection.execute(waiting).scalars().all()
    _fold(connection, recipient_ids, now)
    if back_in_queue:
        _recount_moved_on(connection, back_in_queue)
        batch_ids |= set(connection.execute(select(recipient.batch_id).where(of_these).distinct()).scalars())
    connection.execute(
        update(batches)
        .where(batches.c.analytics_due == 0, batches.c.id.in_(batch_ids - {None}))
        .values(analytics_due=1)
    )


def learn_wamids(connection: Connection, attempt_ids: Sequence[str]) -> list[str]:
    """Takes Meta's id of a message from its statuses, and with it those statuses that came without our attempt's id.

    Where several wamids are told for one attempt, it shows that of the answer to its call if no status has told that
    one, else the least: whatever came first.

    Returns:
        Attempts that have lost or won an event which had been another one's; none, unless messages share a wamid.
    """
    event = delivery_events.c
    with_id = and_(event.attempt_id.in_(attempt_ids), event.callback_data == event.attempt_id)
    told = (
        select(event.attempt_id, func.min(event.wamid).label("wamid"))
        .where(with_id)
        .group_by(event.attempt_id)
        .subquery("told")
    )
    is_told = (
        select(event.id)
        .where(event.wamid == _attempt.wamid, event.attempt_id == _attempt.id, event.callback_data == _attempt.id)
        .correlate(send_attempts)
        .exists()
    )
    connection.execute(
        update(send_attempts)
        .where(
            _attempt.id.in_(attempt_ids),
            _attempt.id == told.c.attempt_id,
            or_(_attempt.wamid.is_(None), and_(_attempt.wamid != told.c.wamid, is_told)),
        )
        .values(wamid=told.c.wamid)
    )
    known = select(_attempt.wamid).where(_attempt.id.in_(attempt_ids), _attempt.wamid.is_not(None))
    wamids = connection.execute(known.union(select(event.wamid).where(with_id))).scalars().all()
    moved: set[str] = set()
    # One attempt may have been told any number of wamids.
    for some in in_portions(wamids):
        match_events(connection, event.wamid.in_(some))
        if shared := contested(connection, some):
            moved |= set(match_anew(connection, event.wamid.in_(shared)))
    return sorted(moved)


def _forget_statuses(connection: Connection, attempt_ids: Sequence[str]) -> None:
    """Takes away what is said to have been heard of some attempts of which there are no events."""
    learnt = _attempt["sent_at", "delivered_at", "read_at", "failed_at", "failure_code", "failure_text"]
    heard_of = (
        select(delivery_events.c.id)
        .where(delivery_events.c.attempt_id == _attempt.id)
        .correlate(send_attempts)
        .exists()
    )
    connection.execute(
        update(send_attempts)
        .where(_attempt.id.in_(attempt_ids), or_(*(each.is_not(None) for each in learnt)), ~heard_of)
        .values({each: null() for each in learnt})
    )


def _learn_statuses(connection: Connection, evidence: Table, stamp: datetime) -> None:
    """Brings the earliest time of each status onto its attempt; `stamp` is `newest_time`.

    A call that this is the answer to counts for 24 h from then.
    """
    event, learnt = delivery_events.c, evidence.c
    open_ended = _attempt.outcome.in_((AttemptOutcome.CALLING, AttemptOutcome.IN_DOUBT))
    # Meta's clock is not ours, by which answers are put into their order.
    latest = literal(stamp, _attempt.answered_at.type)
    first_heard = case(
        (learnt.first_at < _attempt.started_at, _attempt.started_at),
        (learnt.first_at > latest, latest),
        else_=learnt.first_at,
    )
    # A time that an event tells is no time of an answer: an earlier event may have come since.
    # Looked up by itself: as an EXISTS, PostgreSQL may prepare for it by reading all events.
    answered_by_event = (
        select(func.min(event.id))
        .where(event.attempt_id == _attempt.id, event.occurred_at == _attempt.answered_at)
        .group_by(event.attempt_id)
        .correlate(send_attempts)
        .scalar_subquery()
    )
    connection.execute(
        update(send_attempts)
        .where(_attempt.id == learnt.attempt_id)
        .values(
            sent_at=learnt.sent_at,
            delivered_at=func.coalesce(learnt.delivered_at, learnt.read_at),
            read_at=learnt.read_at,
            failed_at=learnt.failed_at,
            failure_code=learnt.failure_code,
            failure_text=learnt.failure_text,
            # A webhook that names the attempt is WhatsApp's word that it has the message.
            outcome=case((open_ended, AttemptOutcome.ACCEPTED.value), else_=_attempt.outcome),
            answered_at=case(
                (_attempt.answered_at.is_(None), first_heard),
                (and_(_attempt.http_status.is_(None), answered_by_event.is_not(None)), first_heard),
                else_=_attempt.answered_at,
            ),
            counts_until=case(
                (
                    _attempt.outcome == AttemptOutcome.CALLING,
                    literal(stamp + CAPACITY_WINDOW, _attempt.counts_until.type),
                ),
                else_=_attempt.counts_until,
            ),
        )
    )
