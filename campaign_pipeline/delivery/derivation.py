"""Everything that follows from the stored events, thrown away and derived again, some thousand rows at a time.

Add here something derived that has to be derived again, in its place of the order.
Keep out the deriving itself: `folding`, `matching`, `analytics`; and what an operator is told: `rebuild`.

Each portion is a transaction of its own that folds alone; people change only in the portion that has all that is known
of them, and with it are wholly where the evidence puts them. So it may be killed at any moment and run again, and
sends and ingests go on beside it. What the calls and people have said stays: an attempt that was accepted stays
accepted even if its evidence is lost, nobody goes back to the queue, and no consequence is drawn again.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, func, or_, select, update

from campaign_pipeline.campaigns.lifecycle import complete_settled
from campaign_pipeline.delivery.analytics import refresh_date
from campaign_pipeline.delivery.folding import derive_anew, learn_wamids
from campaign_pipeline.delivery.matching import attempt_it_names, match_anew
from campaign_pipeline.delivery.webhooks import PayloadError, StatusEvent, read_payload
from campaign_pipeline.ledger.locks import fold_alone
from campaign_pipeline.ledger.schema import (
    batches,
    campaign_analytics,
    campaign_recipients,
    delivery_events,
    send_attempts,
)

ROWS_PER_TRANSACTION: Final = 2_000

Transactions = Callable[[], AbstractContextManager[Connection]]
"""Begins one transaction after the other."""

_event = delivery_events.c
_attempt = send_attempts.c


@dataclass(frozen=True, slots=True)
class Derived:
    """What was derived again: how many events and attempts were gone through, and the dates of the analytics."""

    events: int
    attempts: int
    dates: tuple[date, ...]


def derive_everything(
    transactions: Transactions, clock: Callable[[], datetime], on_progress: Callable[[int, int], None]
) -> Derived:
    """Derives all that follows from the stored events again.

    The names of messages first, from the events that carry an attempt's id; then the events that carry none find their
    attempts; then each attempt learns from its events, and its person's state with it; the analytics last.

    Args:
        transactions: Each portion's.
        clock: Gives the moment, UTC.
        on_progress: Told the rows done and the rows in all.
    """
    with transactions() as connection:
        events = connection.execute(select(func.count()).select_from(delivery_events)).scalar_one()
        attempts = connection.execute(select(func.count()).select_from(send_attempts)).scalar_one()
    progress = _Progress(on_progress, 2 * (events + attempts))
    _in_portions(transactions, select(delivery_events), _event.id, progress, _read_again)
    _in_portions(transactions, select(_attempt.id), _attempt.id, progress, _learn_names)
    _in_portions(transactions, select(_event.id), _event.id, progress, _match_again)

    def derive(connection: Connection, rows: Sequence[Row]) -> None:
        derive_anew(connection, [row.id for row in rows], clock())

    _in_portions(transactions, select(_attempt.id), _attempt.id, progress, derive)
    dates = _derive_analytics(transactions, clock)
    return Derived(events, attempts, dates)


@dataclass(slots=True)
class _Progress:
    tell: Callable[[int, int], None]
    in_all: int
    done: int = 0

    def add(self, rows: int) -> None:
        self.done += rows
        # What comes in meanwhile was not counted.
        self.tell(self.done, max(self.done, self.in_all))


def _in_portions(
    transactions: Transactions,
    query: Select,
    key: ColumnElement[Any],
    progress: _Progress,
    step: Callable[[Connection, Sequence[Row]], None],
) -> None:
    """Does one step to the rows of a query along its key, each portion in a transaction."""
    last: object = None
    while True:
        following = query if last is None else query.where(key > last)
        with transactions() as connection:
            fold_alone(connection)
            rows = connection.execute(following.order_by(key).limit(ROWS_PER_TRANSACTION)).all()
            if not rows:
                return
            step(connection, rows)
        last = rows[-1].id
        progress.add(len(rows))


def _read_again(connection: Connection, rows: Sequence[Row]) -> None:
    """Takes what events say from how they came, and gives them to the attempts whose ids they carry.

    One of which that cannot be read stays as it is.
    """
    for row in rows:
        told = _told_by(row.raw)
        if told is None:
            continue
        values = {
            "error_text": told.error_text,
            "callback_data": told.callback_data,
            "recipient_alias": told.recipient_id,
            "recipient_user_id": told.recipient_user_id,
        }
        if any(getattr(row, name) != value for name, value in values.items()):
            connection.execute(update(delivery_events).where(_event.id == row.id).values(values))
    named = attempt_it_names()
    connection.execute(
        update(delivery_events)
        .where(
            _event.id.between(rows[0].id, rows[-1].id), named.is_not(None), _event.attempt_id.is_distinct_from(named)
        )
        .values(attempt_id=named)
    )


def _learn_names(connection: Connection, rows: Sequence[Row]) -> None:
    learn_wamids(connection, [row.id for row in rows])


def _match_again(connection: Connection, rows: Sequence[Row]) -> None:
    match_anew(connection, _event.id.between(rows[0].id, rows[-1].id))


def _told_by(raw: str) -> StatusEvent | None:
    try:
        read = read_payload({"entry": [{"changes": [{"value": {"statuses": [json.loads(raw)]}}]}]})
    except (ValueError, RecursionError, PayloadError):
        return None
    return read.events[0] if read.events else None


def _derive_analytics(transactions: Transactions, clock: Callable[[], datetime]) -> tuple[date, ...]:
    """Derives the figures of each date that has any, or about whose people something was heard."""
    heard = or_(*(each.is_not(None) for each in _attempt["sent_at", "delivered_at", "failed_at"]))
    of_people = (
        select(batches.c.send_date)
        .join(campaign_recipients, campaign_recipients.c.batch_id == batches.c.id)
        .join(send_attempts, _attempt.recipient_id == campaign_recipients.c.id)
        .where(heard)
    )
    with transactions() as connection:
        dates = sorted(connection.execute(of_people.union(select(campaign_analytics.c.send_date))).scalars())
    for each in dates:
        with transactions() as connection:
            fold_alone(connection)
            refresh_date(connection, each, clock())
    with transactions() as connection:
        fold_alone(connection)
        complete_settled(connection, clock())
    return tuple(dates)
