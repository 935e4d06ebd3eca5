"""Replies: whose message somebody answers, counted once for each person of a campaign.

Add here another sign that a message is an answer.
Keep out what it says: that is read by whoever answers it, and not here.

A message that names one of ours answers that. One that names none answers the newest message that its sender had from
us within the reply window. One that names a message of somebody else's is no reply to a campaign, unless it turns out
that the message was ours.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, Row, bindparam, or_, select, update

from campaign_pipeline.ledger.schema import (
    batches,
    campaign_recipients,
    inbound_words,
    marketing_campaigns,
    send_attempts,
)
from campaign_pipeline.ledger.states import InboundKind
from campaign_pipeline.recipients.accounts import people_called, sorted_portions
from campaign_pipeline.recipients.heard_words import aliases_in

REPLIES: Final = (InboundKind.STOP, InboundKind.START, InboundKind.REPLY)
"""The kinds that are messages of a person; whoever answers with STOP has answered."""

_CLOCKS_APART: Final = timedelta(seconds=10)
"""Meta's times are whole seconds of its own clock: a quick answer may seem to come before its message."""


def count_replies(connection: Connection, rows: Iterable[Row]) -> None:
    """Finds out whose replies some inbound words are, and notes on each person when they first replied.

    Args:
        connection: A transaction that writes, and holds `fold_alone`.
        rows: Inbound words.
    """
    replies = [row for row in rows if row.kind in REPLIES and row.recipient_id is None]
    if not replies:
        return
    reached = {
        **_of_named_messages(connection, [row for row in replies if row.context_wamid is not None]),
        **_of_newest_messages(connection, [row for row in replies if row.context_wamid is None]),
    }
    found = [(row.id, reached[row.id], row.occurred_at) for row in replies if row.id in reached]
    _note_replies(connection, found)


def has_unnamed_replies(connection: Connection) -> bool:
    """Whether somebody has answered a message of which nobody here knows yet that it is ours."""
    word = inbound_words.c
    waits = select(word.id).where(word.context_wamid.is_not(None), word.recipient_id.is_(None))
    return connection.execute(waits.limit(1)).first() is not None


def count_late_replies(connection: Connection, attempt_ids: Collection[str], new_aliases: Collection[str]) -> None:
    """Counts the replies that came before it was known that a message was ours, or who their sender is.

    Args:
        connection: A transaction that writes, and holds `fold_alone`.
        attempt_ids: Of which something has been learnt; at most as many as a statement takes.
        new_aliases: Names of people that were learnt with it.
    """
    word, attempt = inbound_words.c, send_attempts.c
    named = select(attempt.wamid).where(attempt.id.in_(list(attempt_ids)), attempt.wamid.is_not(None))
    wamids = connection.execute(named).scalars().all()
    late = select(inbound_words).where(word.recipient_id.is_(None), word.acted_at.is_not(None))
    rows = list(connection.execute(late.where(word.context_wamid.in_(wamids)))) if wamids else []
    for some in sorted_portions(set(new_aliases)):
        for column in (word.wa_id, word.user_id):
            rows += connection.execute(late.where(column.in_(some), word.context_wamid.is_(None)))
    count_replies(connection, {row.id: row for row in rows}.values())


def _of_named_messages(connection: Connection, rows: Sequence[Row]) -> dict[int, int]:
    """The recipients of the messages that some words name, by the word's id."""
    attempt, recipient = send_attempts.c, campaign_recipients.c
    reached: dict[str, Row] = {}
    for some in sorted_portions({row.context_wamid for row in rows}):
        query = (
            select(attempt.wamid, recipient.id, recipient.accepted_at)
            .join(campaign_recipients, recipient.id == attempt.recipient_id)
            .where(attempt.wamid.in_(some), recipient.accepted_at.is_not(None))
        )
        reached |= {row.wamid: row for row in connection.execute(query)}
    return {
        row.id: sent.id
        for row in rows
        if (sent := reached.get(row.context_wamid)) is not None and sent.accepted_at >= row.replies_since
    }


def _of_newest_messages(connection: Connection, rows: Sequence[Row]) -> dict[int, int]:
    """The recipients of the newest messages that the senders of some words had before them, by the word's id."""
    people = people_called(connection, aliases_in(rows))
    keys_of = {
        row.id: {who.person_key for alias in (row.wa_id, row.user_id) for who in people.get(alias or "", ())}
        for row in rows
    }
    sent_to = _messages_of(connection, set().union(*keys_of.values()))
    newest = {row.id: _newest_before(row, keys_of[row.id], sent_to) for row in rows}
    return {word_id: sent.id for word_id, sent in newest.items() if sent is not None}


def _messages_of(connection: Connection, person_keys: Collection[str]) -> Mapping[str, list[Row]]:
    recipient = campaign_recipients.c
    campaign_ids = list(connection.execute(select(marketing_campaigns.c.id)).scalars())
    found: dict[str, list[Row]] = {}
    for some in sorted_portions(person_keys):
        query = select(recipient.id, recipient.person_key, recipient.accepted_at).where(
            recipient.campaign_id.in_(campaign_ids), recipient.person_key.in_(some), recipient.accepted_at.is_not(None)
        )
        for row in connection.execute(query):
            found.setdefault(row.person_key, []).append(row)
    return found


def _newest_before(word: Row, person_keys: Iterable[str], sent_to: Mapping[str, list[Row]]) -> Row | None:
    in_window = [
        sent
        for key in person_keys
        for sent in sent_to.get(key, ())
        if word.replies_since <= sent.accepted_at <= word.occurred_at + _CLOCKS_APART
    ]
    return max(in_window, key=lambda sent: (sent.accepted_at, sent.id), default=None)


def _note_replies(connection: Connection, found: Sequence[tuple[int, int, datetime]]) -> None:
    if not found:
        return
    recipient = campaign_recipients.c
    first: dict[int, datetime] = {}
    for _, recipient_id, at in found:
        first[recipient_id] = min(at, first.get(recipient_id, at))
    connection.execute(
        update(campaign_recipients)
        .where(
            recipient.id == bindparam("person"),
            or_(
                recipient.replied_at.is_(None), recipient.replied_at > bindparam("at", type_=recipient.replied_at.type)
            ),
        )
        .values(replied_at=bindparam("at")),
        [{"person": recipient_id, "at": first[recipient_id]} for recipient_id in sorted(first)],
    )
    of_people = select(recipient.batch_id).where(recipient.id.in_(list(first))).distinct()
    batch_ids = set(connection.execute(of_people).scalars()) - {None}
    connection.execute(
        update(batches).where(batches.c.id.in_(batch_ids), batches.c.analytics_due == 0).values(analytics_due=1)
    )
    connection.execute(
        update(inbound_words).where(inbound_words.c.id == bindparam("word")).values(recipient_id=bindparam("person")),
        [{"word": word_id, "person": recipient_id} for word_id, recipient_id, _ in sorted(found)],
    )
