"""What is broken now: people who should have been settled long ago, doubts by their age, statuses that stay away.

Add here a question about the present state that somebody should be told of without asking.
Keep out what happened in one run: that run tells it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, func, select

from campaign_pipeline.ledger.conditions import CALL_IN_DOUBT
from campaign_pipeline.ledger.schema import batches, campaign_recipients, delivery_events, send_attempts
from campaign_pipeline.ledger.states import AttemptOutcome, RecipientState

SILENCE_IS_STRANGE_AFTER: Final = timedelta(hours=1)
"""Meta tells `sent` within seconds of accepting; an hour without a word about any message is a broken receiver."""

LEFT_BEHIND_AFTER: Final = timedelta(hours=24)
"""A batch is gone on with on its date or closed by the next day's; people in it longer than that were left behind."""


@dataclass(frozen=True, slots=True)
class DoubtsByAge:
    """People in doubt: all of them, and those for longer than a day and a week."""

    people: int
    over_a_day: int
    over_a_week: int


@dataclass(frozen=True, slots=True)
class Silence:
    """Whether statuses come in while messages are out.

    Attributes:
        out: Messages accepted in the last day of which nothing was heard yet.
        oldest_accepted_at: When the oldest of these was accepted, UTC.
        last_heard_at: When the newest status event came in, UTC.
    """

    out: int
    oldest_accepted_at: datetime | None
    last_heard_at: datetime | None

    def is_strange(self, now: datetime) -> bool:
        """Whether there are messages of which nothing was heard for long, and nothing at all has come in lately."""
        if self.oldest_accepted_at is None or now - self.oldest_accepted_at < SILENCE_IS_STRANGE_AFTER:
            return False
        return self.last_heard_at is None or now - self.last_heard_at >= SILENCE_IS_STRANGE_AFTER


def left_behind(connection: Connection, now: datetime) -> int:
    """How many people are still claimed or being attempted in a batch that was taken more than a day ago."""
    # Counted batch by batch: one day's people are found at once, those of all days are most of the ledger.
    left = (
        select(func.count())
        .where(
            campaign_recipients.c.batch_id == batches.c.id,
            campaign_recipients.c.state.in_((RecipientState.CLAIMED, RecipientState.ATTEMPTING)),
        )
        .correlate(batches)
        .scalar_subquery()
    )
    of_each = select(left.label("people")).where(batches.c.taken_at < now - LEFT_BEHIND_AFTER).subquery()
    return connection.execute(select(func.coalesce(func.sum(of_each.c.people), 0))).scalar_one()


def doubts_by_age(connection: Connection, now: datetime) -> DoubtsByAge:
    """How many people are in doubt, and for how long."""
    since = send_attempts.c.started_at
    row = connection.execute(
        select(
            func.count().label("people"),
            func.count().filter(since < now - timedelta(days=1)).label("day"),
            func.count().filter(since < now - timedelta(days=7)).label("week"),
        ).where(CALL_IN_DOUBT)
    ).one()
    return DoubtsByAge(row.people, row.day, row.week)


def unmatched_events(connection: Connection) -> int:
    """How many status events there are that nobody here knows the message of."""
    return connection.execute(select(func.count()).where(delivery_events.c.attempt_id.is_(None))).scalar_one()


def silence(connection: Connection, now: datetime) -> Silence:
    """What was heard of the messages that WhatsApp accepted in the last day."""
    row = connection.execute(
        select(func.count().label("out"), func.min(send_attempts.c.answered_at).label("oldest")).where(
            send_attempts.c.outcome == AttemptOutcome.ACCEPTED,
            send_attempts.c.answered_at > now - timedelta(days=1),
            send_attempts.c.sent_at.is_(None),
            send_attempts.c.delivered_at.is_(None),
            send_attempts.c.failed_at.is_(None),
        )
    ).one()
    newest = select(delivery_events.c.received_at).where(
        delivery_events.c.id == select(func.max(delivery_events.c.id)).scalar_subquery()
    )
    return Silence(row.out, row.oldest, connection.execute(newest).scalar_one_or_none())
