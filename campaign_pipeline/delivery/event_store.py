"""The store of status events: each once, and of two wordings of one event always the same one, whichever came first.

Add here what is kept of an event.
Keep out how it came (`status_file`, `archive`), whose it is (`matching`) and what follows from it (`folding`).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Table, and_, case, func, literal, or_, select, true
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from campaign_pipeline.delivery.account_words import subject_of
from campaign_pipeline.delivery.matching import attempt_of_event, match_anew
from campaign_pipeline.delivery.webhooks import AccountEvent, StatusEvent
from campaign_pipeline.ledger.bulk import in_portions, stage
from campaign_pipeline.ledger.schema import delivery_events
from campaign_pipeline.ledger.upsert import insert_into, rows_inserted
from campaign_pipeline.recipients.subscriptions import believable

_event = delivery_events.c

_KEY: Final = ("wamid", "status", "occurred_at", "error_code")
_SAID_IN_RAW: Final = ("error_text", "callback_data", "recipient_alias", "recipient_user_id", "raw")
_TELLING: Final = ("callback_data", "recipient_alias", "recipient_user_id")
_COLUMNS: Final = (*_KEY, *_SAID_IN_RAW, "line_number")


@dataclass(frozen=True, slots=True)
class Stored:
    """What some lines have brought.

    Attributes:
        new: How many events nobody had told before.
        retold: The attempts of events that were known, and of which more is known now; as a rule none.
    """

    new: int
    retold: Sequence[str]


def store_events(
    connection: Connection,
    file_id: int,
    events: Iterable[tuple[int, StatusEvent]],
    now: datetime,
    meanwhile: Callable[[], None] = lambda: None,
) -> Stored:
    """Keeps the events that are new; of one that is there in other words, the wording that tells more.

    What was done about a failure stays marked as done.

    Args:
        connection: A transaction that writes and folds alone, so that events are numbered in the order of commits.
        file_id: Which file they are from.
        events: Each with the number of its line.
        now: The moment, UTC.
        meanwhile: Begins what may be done while the database, which has all of them by then, is busy with them.
    """
    chosen = telling_most(events)
    if not chosen:
        return Stored(0, ())
    newest_before = newest_event(connection)
    staged = stage(connection, delivery_events, _COLUMNS, _rows(chosen))
    meanwhile()
    # The same for all of them.
    given = {"file_id": literal(file_id, _event.file_id.type), "received_at": literal(now, _event.received_at.type)}
    # SQLite would read ON CONFLICT as a part of a join, were there no condition (https://sqlite.org/lang_upsert.html).
    columns = (staged.c[name] for name in _COLUMNS)
    matched = select(*columns, *given.values(), attempt_of_event(staged.c)).where(true())
    statement = insert_into(connection, delivery_events).from_select([*_COLUMNS, *given, "attempt_id"], matched)
    written = rows_inserted(
        connection,
        statement.on_conflict_do_update(
            index_elements=list(_KEY),
            set_={name: statement.excluded[name] for name in (*_SAID_IN_RAW, "file_id", "line_number")},
            where=_tells_more(statement.excluded, _event),
        ),
    )
    is_new = _event.id > newest_before
    new = connection.execute(select(func.count()).select_from(delivery_events).where(is_new)).scalar_one()
    return Stored(new, _retold(connection, staged, newest_before) if written > new else ())


def newest_event(connection: Connection) -> int:
    """The number of the event that was stored last; 0 before the first."""
    return connection.execute(select(func.coalesce(func.max(_event.id), 0))).scalar_one()


def _retold(connection: Connection, staged: Table, newest_before: int) -> Sequence[str]:
    """The attempts of those staged events that were known before, matched by what is told of them now."""
    is_known = and_(*(_event[name] == staged.c[name] for name in _KEY))
    ids = (
        connection.execute(
            select(_event.id).join(staged, is_known).where(_event.id <= newest_before).order_by(_event.id)
        )
        .scalars()
        .all()
    )
    attempt_ids: set[str] = set()
    for some in in_portions(ids):
        attempt_ids |= set(match_anew(connection, _event.id.in_(some)))
        attempt_ids |= set(
            connection.execute(
                select(_event.attempt_id).where(_event.id.in_(some), _event.attempt_id.is_not(None)).distinct()
            ).scalars()
        )
    return sorted(attempt_ids)


def telling_most(events: Iterable[tuple[int, StatusEvent]]) -> list[tuple[int, StatusEvent]]:
    """Each event once, in the order in which they first come: in the wording that tells the most."""
    chosen: dict[tuple[Any, ...], tuple[int, StatusEvent]] = {}
    for line_number, event in events:
        key = (event.wamid, event.status, event.occurred_at, event.error_code)
        kept = chosen.setdefault(key, (line_number, event))
        if kept[1] is not event and _weight(event) > _weight(kept[1]):
            chosen[key] = (line_number, event)
    return list(chosen.values())


def _rows(chosen: Iterable[tuple[int, StatusEvent]]) -> Iterator[Sequence[Any]]:
    """The values of `_COLUMNS`."""
    for line_number, event in chosen:
        yield (
            event.wamid,
            event.status,
            event.occurred_at,
            event.error_code,
            event.error_text,
            event.callback_data,
            event.recipient_id,
            event.recipient_user_id,
            event.raw,
            line_number,
        )


def _weight(event: StatusEvent) -> tuple[Any, ...]:
    """What of two wordings of one event decides: who it names, then its bytes. Any order would do, if it is one."""
    named = (event.callback_data, event.recipient_id, event.recipient_user_id)
    return (*(each is not None for each in named), event.raw.encode())


def _tells_more(
    new: ReadOnlyColumnCollection[str, Any], stored: ReadOnlyColumnCollection[str, Any]
) -> ColumnElement[bool]:
    """`_weight`, compared by the database."""
    weights: list[tuple[ColumnElement[Any], ColumnElement[Any]]] = [
        *((case((new[name].is_(None), 0), else_=1), case((stored[name].is_(None), 0), else_=1)) for name in _TELLING),
        (new["raw"], stored["raw"]),
    ]
    return or_(
        *(
            and_(*(one == other for one, other in weights[:place]), weights[place][0] > weights[place][1])
            for place in range(len(weights))
        )
    )


def row_of_account_event(event: AccountEvent, file_id: int, line_number: int, now: datetime) -> dict[str, Any]:
    """Word about the account as a row of `account_events`."""
    return {
        "sha256": event.sha256,
        "field": event.field,
        "subject": subject_of(event.business_account_id, event.field, event.value),
        # A word from the future would overtake every later one for ever.
        "occurred_at": believable(event.occurred_at, now),
        "file_id": file_id,
        "line_number": line_number,
        "raw": event.raw,
        "received_at": now,
    }
