"""What people have said to WhatsApp, turned into words of our people: at once, or when it becomes known who they are.

Add here another kind of inbound word that says whether somebody wants messages.
Keep out reading webhooks (`delivery.inbound`) and keeping what they say (`delivery.inbound_store`).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Row, select

from campaign_pipeline.ledger.schema import inbound_words
from campaign_pipeline.ledger.states import InboundKind, SubscriptionStatus, Voice
from campaign_pipeline.recipients.accounts import sorted_portions
from campaign_pipeline.recipients.opt_ins import OptIn, keep_opt_ins
from campaign_pipeline.recipients.phone_numbers import PhoneNumber
from campaign_pipeline.recipients.subscription_rule import Word
from campaign_pipeline.recipients.subscriptions import SaidWord, note

_MEANINGS: Final = {
    InboundKind.STOP: (SubscriptionStatus.UNSUBSCRIBED, Voice.PERSON, "wrote"),
    InboundKind.START: (SubscriptionStatus.SUBSCRIBED, Voice.PERSON, "wrote"),
    InboundKind.PREFERENCE_STOP: (SubscriptionStatus.UNSUBSCRIBED, Voice.META, "WhatsApp's own setting:"),
    InboundKind.PREFERENCE_RESUME: (SubscriptionStatus.SUBSCRIBED, Voice.META, "WhatsApp's own setting:"),
}

ABOUT_MESSAGES: Final = tuple(_MEANINGS)
"""The kinds that say whether somebody wants messages."""


def note_heard(
    connection: Connection, rows: Iterable[Row], people: Mapping[str, Sequence[PhoneNumber]], now: datetime
) -> None:
    """Brings the state of people up to what they have said; whom nobody knows yet is left for `heard_from`.

    Args:
        connection: A transaction that writes.
        rows: Inbound words of the kinds `ABOUT_MESSAGES`.
        people: Who is meant by each alias that is known.
        now: When it was heard, UTC.
    """
    said = {(who.person_key, row.word_key): _said(row, who) for row in rows for who in _speakers(row, people)}
    note(connection, list(said.values()), now)
    # Only their own wish is evidence that they have agreed, and not what somebody else says of them.
    wishes = [each for each in said.values() if each.word.voice is Voice.PERSON and not each.word.is_stop]
    keep_opt_ins(connection, [OptIn(each.who.person_key, each.word.source, each.word.at, None) for each in wishes], now)


def heard_from(connection: Connection, aliases: Collection[str]) -> list[Row]:
    """What was heard, by then of nobody whom we knew, from those who are called so; replies are left out."""
    word = inbound_words.c
    found: dict[int, Row] = {}
    for some in sorted_portions(aliases):
        for column in (word.wa_id, word.user_id):
            rows = connection.execute(select(inbound_words).where(column.in_(some), word.kind != InboundKind.REPLY))
            found |= {row.id: row for row in rows}
    return [found[number] for number in sorted(found)]


def aliases_in(rows: Iterable[Row]) -> set[str]:
    """What WhatsApp calls whoever has said these words."""
    return {alias for row in rows for alias in (row.wa_id, row.user_id) if alias}


def names_since(rows: Iterable[Row], keys_of: Mapping[str, Collection[str]]) -> list[tuple[str, str]]:
    """What people are called since WhatsApp has told of a change: alias and person key, each once.

    Args:
        rows: Inbound words of the kind `CHANGED`.
        keys_of: The keys of whoever was called by an alias before.
    """
    return sorted(
        {
            (alias, key)
            for row in rows
            for before in (row.wa_id, row.user_id)
            for key in keys_of.get(before or "", ())
            for alias in (row.new_wa_id, row.new_user_id)
            if alias
        }
    )


def _speakers(row: Row, people: Mapping[str, Sequence[PhoneNumber]]) -> list[PhoneNumber]:
    found = {who.person_key: who for alias in (row.wa_id, row.user_id) for who in people.get(alias or "", ())}
    return list(found.values())


def _said(row: Row, who: PhoneNumber) -> SaidWord:
    status, voice, how = _MEANINGS[InboundKind(row.kind)]
    return SaidWord(who, Word(status, voice, f"{how} {row.said}", row.occurred_at), row.word_key)
