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
    and_,
    case,
    func,
    literal,
    null,
    or_,
    select,
    update,
)

from campaign_pipeline.ledger.bulk import in_portions
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
from campaign_pipeline.recipients.identity import learn_aliases

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
        .where(_attempt.recipient_id.in_(recipient_ids))
        .group_by(_attempt.recipient_id)
        .subquery("amount")
    )
    recipient = campaign_recipients.c
    proven = case({rank_of(state): state.value for state in RANKS}, value=amount.c.rank)
    connection.execute(
        update(campaign_recipients)
        .where(
            recipient.id.in_(recipient_ids),
            recipient.id == amount.c.recipient_id,
            amount.c.rank > 0,
            or_(
                recipient.state != proven,
                recipient.accepted_at.is_distinct_from(amount.c.accepted_at),
            ),
        )
        .values(
            state=proven,
            accepted_at=amount.c.accepted_at,
            batch_id=func.coalesce(recipient.batch_id, amount.c.batch_id),
            reason=case((amount.c.rank == rank_of(RecipientState.FAILED), amount.c.failure), else_=null()),
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
    by_id = select(_attempt.id).where(_attempt.id == event.callback_data).correlate(delivery_events).scalar_subquery()
    by_wamid = (
        select(func.min(_attempt.id))
        .where(_attempt.wamid == event.wamid)
        # Without it PostgreSQL may look for the smallest id by going through the primary key from its beginning.
        .group_by(_attempt.wamid)
        .correlate(delivery_events)
        .scalar_subquery()
    )
    # Not `IS NULL`, for which there is an index: while its statistics say that there are none, PostgreSQL would rather
    # go through all of that one, in which the events of strangers' messages pile up.
    is_unmatched = func.coalesce(event.attempt_id, "") == ""
    connection.execute(
        update(delivery_events).where(is_unmatched, events).values(attempt_id=func.coalesce(by_id, by_wamid))
    )


def apply_evidence(connection: Connection, attempt_ids: Select, now: datetime, window_end: datetime) -> None:
    """Brings what the stored events say onto their attempts, folds the recipients of these, and learns their aliases.

    Args:
        connection: A transaction that writes.
        attempt_ids: A query for the attempts that events were matched to; null for an event that was not.
        now: Noted as the time of the change.
        window_end: Until when a call counts whose answer is this evidence: 24 h from now.
    """
    groups = list(_in_groups(connection, attempt_ids))
    if not groups:
        return
    window_end = max(window_end, newest_time(connection, now) + CAPACITY_WINDOW)
    for some in groups:
        _learn_wamids(connection, some)
    for some in groups:
        _learn_statuses(connection, some, window_end)
    for some in groups:
        refold(connection, select(_attempt.recipient_id).where(_attempt.id.in_(some)), now)
    for some in groups:
        learn_aliases(connection, some, now)


def _learn_wamids(connection: Connection, attempt_ids: Sequence[str]) -> None:
    """Takes Meta's id of a message from its statuses, and with it those statuses that came without our attempt's id."""
    event = delivery_events.c
    told = (
        select(func.min(event.wamid))
        .where(event.attempt_id == _attempt.id)
        # As in `match_events`: the statuses of one attempt, not all that there are in the order of their wamids.
        .group_by(event.attempt_id)
        .correlate(send_attempts)
        .scalar_subquery()
    )
    connection.execute(
        update(send_attempts).where(_attempt.id.in_(attempt_ids), _attempt.wamid.is_(None)).values(wamid=told)
    )
    known = select(_attempt.wamid).where(_attempt.id.in_(attempt_ids), _attempt.wamid.is_not(None))
    match_events(connection, event.wamid.in_(connection.execute(known).scalars().all()))


def _learn_statuses(connection: Connection, attempt_ids: Sequence[str], window_end: datetime) -> None:
    """Brings the earliest time of each status onto its attempt."""
    event = delivery_events.c

    def earliest(status: str) -> ColumnElement[datetime | None]:
        return func.min(case((event.status == status, event.occurred_at)))

    learnt = (
        select(
            event.attempt_id,
            earliest("sent").label("sent_at"),
            earliest("delivered").label("delivered_at"),
            earliest("read").label("read_at"),
            earliest("failed").label("failed_at"),
            func.max(case((event.status == "failed", event.error_code))).label("failure_code"),
            func.max(case((event.status == "failed", event.error_text))).label("failure_text"),
            func.min(event.occurred_at).label("first_at"),
        )
        .where(event.attempt_id.in_(attempt_ids))
        .group_by(event.attempt_id)
        .subquery("learnt")
    )
    open_ended = _attempt.outcome.in_((AttemptOutcome.CALLING, AttemptOutcome.IN_DOUBT))
    connection.execute(
        update(send_attempts)
        .where(_attempt.id.in_(attempt_ids), _attempt.id == learnt.c.attempt_id)
        .values(
            sent_at=learnt.c.sent_at,
            delivered_at=func.coalesce(learnt.c.delivered_at, learnt.c.read_at),
            read_at=learnt.c.read_at,
            failed_at=learnt.c.failed_at,
            failure_code=learnt.c.failure_code,
            failure_text=learnt.c.failure_text,
            # A webhook that names the attempt is WhatsApp's word that it has the message.
            outcome=case((open_ended, AttemptOutcome.ACCEPTED.value), else_=_attempt.outcome),
            answered_at=func.coalesce(_attempt.answered_at, learnt.c.first_at),
            counts_until=case(
                (_attempt.outcome == AttemptOutcome.CALLING, literal(window_end, _attempt.counts_until.type)),
                else_=_attempt.counts_until,
            ),
        )
    )
