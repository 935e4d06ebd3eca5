"""Questions to the stored rows that the promises answer with "none": each is a query for the ids that break one.

Add here such a query, and to `promises` what it is about. Each takes the id of a campaign; None asks of all.
Keep out the guards themselves (this room's other modules, and the constraints of the schema), and the moving window,
which is no single question (`window_proof`).
"""

from typing import Final

from sqlalchemy import ColumnElement, Integer, Select, Text, and_, case, cast, func, literal, or_, select, true

from campaign_pipeline.delivery.folding import RANKS, attempt_rank, rank_of
from campaign_pipeline.ledger.schema import (
    audit_log,
    batches,
    campaign_recipients,
    delivery_events,
    delivery_progress,
    marketing_campaigns,
    recipient_lists,
    send_attempts,
)
from campaign_pipeline.ledger.states import (
    MAY_BE_REPEATED,
    UNSETTLED,
    AttemptOutcome,
    BatchState,
    CampaignStatus,
    RecipientState,
)

_attempt = send_attempts.c
_recipient = campaign_recipients.c
_event = delivery_events.c
_FOLDED_TO: Final = select(func.coalesce(func.max(delivery_progress.c.folded_to), 0)).scalar_subquery()
_IS_FOLDED: Final = _event.id <= _FOLDED_TO
"""What was stored a moment ago is folded a moment later, and no fault until then."""

_UNPROVEN: Final = (RecipientState.PENDING, RecipientState.CLAIMED, RecipientState.SKIPPED)
_REACHED: Final = (RecipientState.ACCEPTED, RecipientState.SENT, RecipientState.DELIVERED, RecipientState.READ)

_IS_CALLING: Final = _attempt.outcome == AttemptOutcome.CALLING
_IS_VOIDED: Final = _attempt.outcome == AttemptOutcome.VOIDED

_REACHED_AFTER_ALL: Final = and_(
    _attempt.outcome.in_(MAY_BE_REPEATED),
    or_(
        _attempt.delivered_at.is_not(None),
        _attempt.read_at.is_not(None),
        # A failure confirms that nobody was reached, unless the message was delivered all the same.
        and_(
            _attempt.failed_at.is_(None),
            or_(_attempt.sent_at.is_not(None), _attempt.wamid.is_not(None), _attempt.message_status.is_not(None)),
        ),
    ),
)
_MAY_HAVE_REACHED: Final = or_(_attempt.outcome.not_in(MAY_BE_REPEATED), _REACHED_AFTER_ALL)


def reached_twice(campaign_id: int | None) -> Select:
    """Recipients with more than one attempt that may have reached them; a repeat that a person ordered is none."""
    query = _attempts_of(campaign_id, _attempt.recipient_id.label("id")).where(_MAY_HAVE_REACHED)
    return query.group_by(_attempt.recipient_id).having(_number_of(~_IS_VOIDED) > 1)


def repeated_by_order(campaign_id: int | None) -> Select:
    """Recipients who were sent to again since a person had said that nobody was reached, which turned out untrue."""
    query = _attempts_of(campaign_id, _attempt.recipient_id.label("id")).where(_MAY_HAVE_REACHED)
    return query.group_by(_attempt.recipient_id).having(func.count() > 1, _number_of(~_IS_VOIDED) <= 1)


def given_up_by_nobody(campaign_id: int | None) -> Select:
    """Attempts that count as having reached nobody by a person's word, which the audit log does not have."""
    details = cast(audit_log.c.details, Text)
    word = (
        select(audit_log.c.id)
        .where(
            audit_log.c.action == "doubts_resolved",
            details.contains('"not_reached"'),
            details.contains(_attempt.id),
        )
        .correlate(send_attempts)
        .exists()
    )
    return _attempts_of(campaign_id, _attempt.id).where(_IS_VOIDED, ~word)


def called_at_once(campaign_id: int | None) -> Select:
    """Recipients with more than one call under way."""
    query = _attempts_of(campaign_id, _attempt.recipient_id.label("id")).where(_IS_CALLING)
    return query.group_by(_attempt.recipient_id).having(func.count() > 1)


def calls_under_way(campaign_id: int | None) -> Select:
    """Attempts whose call is being made, or whose run ended before it could say what came of it."""
    return _attempts_of(campaign_id, _attempt.id).where(_IS_CALLING)


def several_messages(campaign_id: int | None) -> Select:
    """Attempts whose statuses are about another message than the one that they stand for."""
    query = _attempts_of(campaign_id, _attempt.id).join(delivery_events, _event.attempt_id == _attempt.id)
    return query.where(_IS_FOLDED, _event.wamid.is_distinct_from(_attempt.wamid)).distinct()


def in_campaign_twice(campaign_id: int | None) -> Select:
    """Recipients whose person is in their campaign more than once."""
    rows = func.count().over(partition_by=(_recipient.campaign_id, _recipient.person_key)).label("rows")
    each = select(_recipient.id, rows).where(_in(campaign_id)).subquery("each")
    return select(each.c.id).where(each.c.rows > 1)


def of_another_person(campaign_id: int | None) -> Select:
    """Attempts for another person than their recipient."""
    return _attempts_of(campaign_id, _attempt.id).where(_attempt.person_key.is_distinct_from(_recipient.person_key))


def beyond_stored_limit(campaign_id: int | None) -> Select:
    """Attempts that say themselves that they were admitted past their limit."""
    return _attempts_of(campaign_id, _attempt.id).where(
        _attempt.was_counted == 0, _attempt.admitted_count > _attempt.admitted_limit
    )


def not_the_fold(campaign_id: int | None) -> Select:
    """Recipients in another state than their attempts amount to."""
    amount = (
        select(_attempt.recipient_id, func.max(attempt_rank()).label("rank"))
        .group_by(_attempt.recipient_id)
        .subquery("amount")
    )
    rank = func.coalesce(amount.c.rank, literal(0, Integer))
    proven = case({rank_of(state): state.value for state in RANKS}, value=rank)
    return (
        select(_recipient.id)
        .select_from(campaign_recipients.outerjoin(amount, amount.c.recipient_id == _recipient.id))
        .where(
            _in(campaign_id),
            or_(and_(rank > 0, _recipient.state != proven), and_(rank == 0, _recipient.state.not_in(_UNPROVEN))),
        )
    )


def noted_otherwise(campaign_id: int | None) -> Select:
    """Attempts on which other times are noted than their statuses tell."""

    def earliest(status: str) -> ColumnElement:
        return func.min(case((_event.status == status, _event.occurred_at))).label(status)

    told = (
        select(
            _event.attempt_id,
            *map(earliest, ("sent", "delivered", "read", "failed")),
            func.max(_event.id).label("newest"),
        )
        .where(_event.attempt_id.is_not(None))
        .group_by(_event.attempt_id)
        .subquery("told")
    )
    query = _attempts_of(campaign_id, _attempt.id).outerjoin(told, told.c.attempt_id == _attempt.id)
    return query.where(
        # An answer may bring onto its attempt what is stored before the ingest does: either is right until that has.
        func.coalesce(told.c.newest, 0) <= _FOLDED_TO,
        or_(
            _attempt.sent_at.is_distinct_from(told.c.sent),
            _attempt.delivered_at.is_distinct_from(func.coalesce(told.c.delivered, told.c.read)),
            _attempt.read_at.is_distinct_from(told.c.read),
            _attempt.failed_at.is_distinct_from(told.c.failed),
        ),
    )


def unmatched_though_ours(campaign_id: int | None) -> Select:
    """Status events that name an attempt or a message of ours and were brought onto none."""

    def ours(match: ColumnElement[bool]) -> ColumnElement[bool]:
        return _attempts_of(campaign_id, literal(1)).where(match).correlate(delivery_events).exists()

    by_id, by_message = ours(_attempt.id == _event.callback_data), ours(_attempt.wamid == _event.wamid)
    return select(_event.id).where(_event.attempt_id.is_(None), or_(by_id, by_message))


def without_record(campaign_id: int | None) -> Select:
    """Recipients whose message was accepted, without a batch, a run, an attempt or the time of its acceptance."""
    is_accepted = or_(_attempt.outcome == AttemptOutcome.ACCEPTED, attempt_rank() >= rank_of(RecipientState.ACCEPTED))
    has_record = and_(batches.c.id.is_not(None), func.trim(_attempt.run_id) != "")
    record = (
        select(
            _attempt.recipient_id,
            func.min(_attempt.answered_at).label("accepted_at"),
            _number_of(~has_record).label("lacking"),
        )
        .select_from(send_attempts.outerjoin(batches, batches.c.id == _attempt.batch_id))
        .where(is_accepted)
        .group_by(_attempt.recipient_id)
        .subquery("record")
    )
    own_batch = batches.alias("own_batch")
    return (
        select(_recipient.id)
        .select_from(
            campaign_recipients.outerjoin(record, record.c.recipient_id == _recipient.id).outerjoin(
                own_batch, own_batch.c.id == _recipient.batch_id
            )
        )
        .where(
            _in(campaign_id),
            or_(
                _recipient.state.in_(_REACHED),
                _recipient.accepted_at.is_not(None),
                record.c.recipient_id.is_not(None),
            ),
            or_(
                record.c.recipient_id.is_(None),
                record.c.lacking > 0,
                own_batch.c.id.is_(None),
                _recipient.accepted_at.is_distinct_from(record.c.accepted_at),
            ),
        )
    )


def not_summing_to_audience(campaign_id: int | None) -> Select:
    """Campaigns whose states do not sum to the people that their lists have added.

    Only from a draft can people be taken away altogether; each time stands in the audit log.
    """
    campaign = marketing_campaigns.c
    added = (
        select(func.coalesce(func.sum(recipient_lists.c.added), 0))
        .where(recipient_lists.c.campaign_id == campaign.id)
        .correlate(marketing_campaigns)
        .scalar_subquery()
    )
    in_a_state = (
        select(func.count())
        .where(
            _recipient.campaign_id == campaign.id,
            _recipient.list_id.is_not(None),
            _recipient.state.in_(tuple(RecipientState)),
        )
        .correlate(marketing_campaigns)
        .scalar_subquery()
    )
    removed = (
        select(func.count())
        .where(
            audit_log.c.action == "person_removed",
            audit_log.c.at >= campaign.created_at,
            audit_log.c.at <= func.coalesce(campaign.activated_at, audit_log.c.at),
        )
        .correlate(marketing_campaigns)
        .scalar_subquery()
    )
    chosen = campaign.id == campaign_id if campaign_id is not None else true()
    return select(campaign.id).where(chosen, ~(added - in_a_state).between(0, removed))


def badly_summed_batches(_: int | None) -> Select:
    """Batches that are larger or smaller than the people in them and those who have moved on; always of all."""
    still_in = (
        select(_recipient.batch_id, func.count().label("people"))
        .where(_recipient.batch_id.is_not(None))
        .group_by(_recipient.batch_id)
        .subquery("still_in")
    )
    people = func.coalesce(still_in.c.people, literal(0, Integer))
    return (
        select(batches.c.id)
        .select_from(batches.outerjoin(still_in, still_in.c.batch_id == batches.c.id))
        .where(or_(batches.c.size != people + batches.c.moved_on, batches.c.moved_on < 0))
    )


def left_in_closed_batch(campaign_id: int | None) -> Select:
    """Recipients who wait in a batch that is closed."""
    held = (RecipientState.CLAIMED, RecipientState.ATTEMPTING)
    return (
        select(_recipient.id)
        .join(batches, batches.c.id == _recipient.batch_id)
        .where(_in(campaign_id), batches.c.state == BatchState.CLOSED, _recipient.state.in_(held))
    )


def left_in_ended_campaign(campaign_id: int | None) -> Select:
    """Recipients who are unsettled in a completed campaign, or wait in a cancelled one."""
    status = marketing_campaigns.c.status
    waiting = (RecipientState.PENDING, RecipientState.CLAIMED)
    return (
        select(_recipient.id)
        .join(marketing_campaigns, marketing_campaigns.c.id == _recipient.campaign_id)
        .where(
            _in(campaign_id),
            or_(
                and_(status == CampaignStatus.COMPLETED, _recipient.state.in_(UNSETTLED)),
                and_(status == CampaignStatus.CANCELLED, _recipient.state.in_(waiting)),
            ),
        )
    )


def calls_in_doubt(campaign_id: int | None) -> Select:
    """Attempts whose answer was lost: how many for each send date, and since when."""
    return (
        _attempts_of(
            campaign_id,
            batches.c.send_date,
            func.count().label("attempts"),
            func.min(_attempt.started_at).label("oldest_started_at"),
        )
        .join(batches, batches.c.id == _attempt.batch_id)
        .where(_attempt.outcome == AttemptOutcome.IN_DOUBT)
        .group_by(batches.c.send_date)
        .order_by(batches.c.send_date)
    )


def _in(campaign_id: int | None) -> ColumnElement[bool]:
    return _recipient.campaign_id == campaign_id if campaign_id is not None else true()


def _attempts_of(campaign_id: int | None, *columns: ColumnElement) -> Select:
    """Attempts with their recipients; one whose recipient is gone is of no campaign, and looked at with all of them."""
    with_recipients = send_attempts.outerjoin(campaign_recipients, _recipient.id == _attempt.recipient_id)
    return select(*columns).select_from(with_recipients).where(_in(campaign_id))


def _number_of(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.sum(case((condition, 1), else_=0))
