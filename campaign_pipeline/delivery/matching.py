"""Which attempt a status event belongs to, by all that is known, whatever was known first.

Add here another way in which an event can name its message.
Keep out what an event then says about its attempt: `folding`.

An attempt's names are its id, the wamid of the call's answer, and the wamids of events that carry its id. An event
belongs to the attempt whose id it carries; else to the first one, by id, that has its wamid for a name. Of Meta's
messages each has one wamid and each wamid one message: then there is nothing to choose. The rule holds for anything.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Connection, and_, case, func, select, union, update
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from campaign_pipeline.ledger.bulk import in_portions
from campaign_pipeline.ledger.schema import delivery_events, send_attempts

EventColumns = ReadOnlyColumnCollection[str, Column[Any]]

_event = delivery_events.c
_attempt = send_attempts.c

GAINED_AN_ID: Final = and_(_event.attempt_id.is_not(None), _event.callback_data != _event.attempt_id)
"""An event that was given to an attempt by its wamid and carries an id: another wording of it may have brought that."""

_with_id: Final = delivery_events.alias("with_id")


def attempt_it_names(event: EventColumns = delivery_events.c) -> ColumnElement[Any]:
    """The attempt whose id an event carries."""
    return select(_attempt.id).where(_attempt.id == event.callback_data).scalar_subquery()


def attempt_of_its_wamid(event: EventColumns = delivery_events.c) -> ColumnElement[Any]:
    """The first attempt, by id, that has an event's wamid for a name."""
    by_answer = (
        select(func.min(_attempt.id))
        .where(_attempt.wamid == event.wamid)
        # Without it PostgreSQL may look for the smallest id by going through the primary key from its beginning.
        .group_by(_attempt.wamid)
        .scalar_subquery()
    )
    by_events = (
        select(func.min(_with_id.c.attempt_id))
        .where(_with_id.c.wamid == event.wamid, _with_id.c.attempt_id == _with_id.c.callback_data)
        .group_by(_with_id.c.wamid)
        .scalar_subquery()
    )
    return _lesser(by_answer, by_events)


def attempt_of_event(event: EventColumns = delivery_events.c) -> ColumnElement[Any]:
    """The attempt that an event belongs to; null where nobody here knows its message.

    Args:
        event: The columns of the events, which are those of `delivery_events` or come from it.
    """
    return func.coalesce(attempt_it_names(event), attempt_of_its_wamid(event))


def match_anew(connection: Connection, events: ColumnElement[bool]) -> list[str]:
    """Gives each of some events to the attempt it belongs to by what is known now.

    Args:
        connection: A transaction that writes, and folds alone.
        events: Which events.

    Returns:
        The attempts that have lost or won one by it.
    """
    belongs_to = attempt_of_event()
    moved = connection.execute(
        select(_event.id, _event.attempt_id, belongs_to.label("belongs_to")).where(
            events, _event.attempt_id.is_distinct_from(belongs_to)
        )
    ).all()
    for some in in_portions(moved):
        connection.execute(
            update(delivery_events).where(_event.id.in_([row.id for row in some])).values(attempt_id=belongs_to)
        )
    return sorted({each for row in moved for each in (row.attempt_id, row.belongs_to) if each is not None})


def contested(connection: Connection, wamids: Sequence[str]) -> Collection[str]:
    """Those of some wamids that more than one attempt has for a name or has events of; none, as a rule."""
    named = union(
        select(_attempt.wamid, _attempt.id).where(_attempt.wamid.in_(wamids)),
        select(_event.wamid, _event.attempt_id).where(_event.wamid.in_(wamids), _event.attempt_id.is_not(None)),
    ).subquery("named")
    return connection.execute(select(named.c.wamid).group_by(named.c.wamid).having(func.count() > 1)).scalars().all()


def _lesser(one: ColumnElement[Any], other: ColumnElement[Any]) -> ColumnElement[Any]:
    """The lesser of two ids by their bytes; where one is null, the other."""
    return func.coalesce(case((one < other, one)), other, one)
