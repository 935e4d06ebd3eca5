"""From stored events to states and analytics: what was stored and not folded yet, up to a place that is written down.

Add here a step between an event's arrival and the figures. Keep out how evidence is folded (`folding`).

Storing and folding are different transactions, so that somebody of whom three statuses come in a row is changed once.
Whoever is killed between them leaves the place behind; the next one goes on from there. Whoever is about to send to
somebody again, or to settle a doubt, does not wait for that: what is stored counts.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import date, datetime
from typing import Final

from sqlalchemy import Connection, func, select, update

from campaign_pipeline.campaigns.lifecycle import complete_settled
from campaign_pipeline.delivery.analytics import DateAnalytics, dates_due, refresh_due
from campaign_pipeline.delivery.event_store import newest_event
from campaign_pipeline.delivery.folding import apply_to_attempts
from campaign_pipeline.ledger.bulk import among, by_index, in_portions
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.locks import fold_alone
from campaign_pipeline.ledger.schema import delivery_events, delivery_progress, send_attempts
from campaign_pipeline.ledger.states import MAY_BE_REPEATED
from campaign_pipeline.ledger.upsert import insert_new

EVENTS_AT_ONCE: Final = 1_000_000
"""So many are looked at together; the ids of their attempts are held in memory."""

ATTEMPTS_PER_TRANSACTION: Final = 10_000
"""For less than half a second nobody else folds; lists of them go over as one array, or as what SQLite still takes."""

_event = delivery_events.c
_attempt = send_attempts.c


def fold_new_events(ledger: Ledger, clock: Callable[[], datetime]) -> None:
    """Folds every event that was stored and not folded yet; often none.

    Killed in the middle, it is run again from its last place: to fold an event twice changes nothing.
    """
    while True:
        with ledger.read() as connection:
            start = folded_to(connection)
            end = _newest(connection, start)
            attempt_ids = _attempts_between(connection, start, end)
        if end <= start:
            return
        for some in in_portions(attempt_ids, ATTEMPTS_PER_TRANSACTION):
            now = clock()
            with ledger.write() as connection:
                fold_alone(connection)
                by_index(connection)
                apply_to_attempts(connection, some, now)
                complete_settled(connection, now)
        with ledger.write() as connection:
            _move(connection, end)


def fold_what_blocks(connection: Connection, now: datetime) -> None:
    """Folds what was stored, and not folded yet, of calls that may be repeated: nobody of these is to be taken again.

    Args:
        connection: A transaction that writes and folds alone.
        now: The moment, UTC.
    """
    newest = newest_event(connection)
    for heard in in_portions(_attempts_between(connection, folded_to(connection), newest)):
        may_be_repeated = select(_attempt.id).where(
            among(connection, _attempt.id, heard), _attempt.outcome.in_(MAY_BE_REPEATED)
        )
        if blocked := sorted(connection.execute(may_be_repeated).scalars()):
            apply_to_attempts(connection, blocked, now)


def heard_of(connection: Connection, attempt_ids: Collection[str]) -> list[str]:
    """Those of some attempts, at most as many as a statement takes, of which something is stored and not folded yet."""
    if not attempt_ids:
        return []
    # Compared here: with a condition on the number, PostgreSQL may go through all events behind it.
    place = folded_to(connection)
    newest = (
        select(_event.attempt_id, func.max(_event.id).label("newest"))
        .where(_event.attempt_id.in_(attempt_ids))
        .group_by(_event.attempt_id)
    )
    return [row.attempt_id for row in connection.execute(newest) if row.newest > place]


def refresh_touched(ledger: Ledger, clock: Callable[[], datetime]) -> dict[date, list[DateAnalytics]]:
    """Brings the analytics of the dates up to date of whose people something was heard; gives them.

    Killed in the middle, the next one goes on with the rest.
    """
    with ledger.read() as connection:
        dates = dates_due(connection)
    analytics = {}
    for each in dates:
        with ledger.write() as connection:
            fold_alone(connection)
            analytics[each] = refresh_due(connection, each, clock())
    return analytics


def folded_to(connection: Connection) -> int:
    """The number of the last event that is folded, with all before it."""
    return connection.execute(select(delivery_progress.c.folded_to)).scalar_one_or_none() or 0


def _newest(connection: Connection, start: int) -> int:
    """The last of the next events, at most as many as are looked at together; `start` if there are none."""
    return min(newest_event(connection), start + EVENTS_AT_ONCE)


def _attempts_between(connection: Connection, start: int, end: int) -> Sequence[str]:
    """The attempts of some events, neighbours in the queue next to each other, so that few pages are written to.

    It is also one order for all: two who fold at once would otherwise wait for each other's people.
    """
    of_events = (
        select(_event.attempt_id)
        .where(_event.id > start, _event.id <= end, _event.attempt_id.is_not(None))
        .distinct()
        .subquery("of_events")
    )
    place = select(_attempt.recipient_id).where(_attempt.id == of_events.c.attempt_id).scalar_subquery()
    ordered = select(of_events.c.attempt_id).order_by(place, of_events.c.attempt_id)
    return connection.execute(ordered).scalars().all()


def _move(connection: Connection, to: int) -> None:
    insert_new(connection, delivery_progress, [{"id": 1}])
    # Another one may have come further.
    connection.execute(update(delivery_progress).where(delivery_progress.c.folded_to < to).values(folded_to=to))
