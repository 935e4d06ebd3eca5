"""What the stored events of some attempts say together, one row an attempt: gathered once, and then looked at by all.

Add here what else the events of one attempt amount to.
Keep out what that changes: `folding`, `matching`.

The rows are in a temporary table of the transaction's connection. The events of an attempt came weeks apart and lie far
apart in their table: to read them is most of the work, so it is done once.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Integer,
    Table,
    case,
    func,
    or_,
    select,
    union,
)

from campaign_pipeline.ledger.bulk import among, in_portions, stage_query
from campaign_pipeline.ledger.schema import UtcDateTime, delivery_events, send_attempts
from campaign_pipeline.ledger.states import AttemptOutcome
from campaign_pipeline.recipients.identity import new_names_of, unknown_names

_event = delivery_events.c
_attempt = send_attempts.c

_KNOWN: Final[dict[str, ColumnElement[Any]]] = {
    "recipient_id": _attempt.recipient_id,
    "person_key": _attempt.person_key,
    "known_wamid": _attempt.wamid,
    "known_alias": _attempt.wa_id,
    "outcome": _attempt.outcome,
}
"""What is known of an attempt before its statuses are learnt."""

_ALIASES: Final = ("recipient_alias", "recipient_user_id")
_NAMES: Final = ("wamid", *_ALIASES)
"""What all events of an attempt say alike, as a rule: of each the least and the greatest are looked at."""


def gather_evidence(connection: Connection, attempt_ids: Sequence[str]) -> Table:
    """Gathers what is stored of some attempts; one without events has no row.

    Args:
        connection: A transaction that writes.
        attempt_ids: At most as many as a statement takes.

    Returns:
        A temporary table that holds until the next call. Told by the events are the earliest times ``sent_at``,
        ``delivered_at``, ``read_at``, ``failed_at`` and ``first_at`` of any, ``failure_code``, ``failure_text``, and
        ``least_`` and ``greatest_`` of ``wamid``, ``recipient_alias`` and ``recipient_user_id``. Known before are
        ``attempt_id``, ``recipient_id``, ``person_key``, ``known_wamid``, ``known_alias`` and ``outcome``.
    """
    columns: dict[str, ColumnElement[Any]] = {
        "attempt_id": _event.attempt_id,
        **{f"{word}_at": _earliest(word) for word in ("sent", "delivered", "read", "failed")},
        "first_at": func.min(_event.occurred_at),
        "failure_code": func.max(_if_failed(_event.error_code)),
        "failure_text": func.max(_if_failed(_event.error_text)),
        **{f"least_{name}": func.min(_event[name]) for name in _NAMES},
        **{f"greatest_{name}": func.max(_event[name]) for name in _NAMES},
    }
    told = (
        select(*(each.label(name) for name, each in columns.items()))
        .where(among(connection, _event.attempt_id, attempt_ids))
        .group_by(_event.attempt_id)
        .subquery("told")
    )
    query = (
        select(*told.c, *_KNOWN.values())
        .join_from(told, send_attempts, _attempt.id == told.c.attempt_id)
        .where(among(connection, _attempt.id, attempt_ids))
    )
    return stage_query(connection, "evidence", [Column(name, _type_of(name)) for name in (*columns, *_KNOWN)], query)


def told_other_wamids(connection: Connection, evidence: Table) -> Sequence[str]:
    """Those attempts of which a status tells another wamid than is known, or the first one; as a rule none."""
    told = evidence.c
    known = func.coalesce(told.known_wamid, "")
    others = select(told.attempt_id).where(or_(told.least_wamid != told.greatest_wamid, known != told.least_wamid))
    return connection.execute(others).scalars().all()


def not_answered_yet(connection: Connection, evidence: Table) -> Sequence[str]:
    """Those attempts of which it was not known that WhatsApp has accepted them, before their statuses said so."""
    told = evidence.c
    waits = select(told.attempt_id).where(told.outcome != AttemptOutcome.ACCEPTED)
    return connection.execute(waits).scalars().all()


def people_told_of(connection: Connection, evidence: Table) -> list[int]:
    """The recipients whose attempts have events, in the order of their ids."""
    return sorted(connection.execute(select(evidence.c.recipient_id).distinct()).scalars())


def new_names(connection: Connection, evidence: Table) -> list[tuple[str, str]]:
    """What stored statuses call the people of their attempts, and nobody knew: alias and person key, once, in order.

    A name from a wording that gave way to a fuller one of the same event stays with whom it was learnt for.
    """
    told = evidence.c
    # What the answer to the call has said is known; as a rule statuses say nothing else.
    known = func.coalesce(told.known_alias, "")
    columns = [told[f"least_{name}"] for name in _ALIASES]
    names = (select(each.label("alias"), told.person_key).where(each.is_not(None), each != known) for each in columns)
    found = set(unknown_names(connection, union(*names)))
    for some in in_portions(_told_several_names(connection, evidence)):
        found |= set(new_names_of(connection, some))
    return sorted(found)


def _told_several_names(connection: Connection, evidence: Table) -> Sequence[str]:
    """Those attempts whose statuses call their person by several names of a kind; as a rule none."""
    told = evidence.c
    differ = (told[f"least_{name}"] != told[f"greatest_{name}"] for name in _ALIASES)
    return connection.execute(select(told.attempt_id).where(or_(*differ)).order_by(told.attempt_id)).scalars().all()


def _earliest(word: str) -> ColumnElement[datetime | None]:
    return func.min(case((_event.status == word, _event.occurred_at)))


def _if_failed(column: ColumnElement[Any]) -> ColumnElement[Any]:
    return case((_event.status == "failed", column))


def _type_of(name: str) -> Any:  # noqa: ANN401 - a column's type
    if name.endswith("_at"):
        return UtcDateTime()
    if name == "recipient_id":
        return BigInteger()
    # Compared as in the ledger.
    return Integer() if name == "failure_code" else _event.raw.type
