"""Inbound words in the ledger: kept once each, and acted on once each, in the order in which they were said.

Add here what a kind of word brings about.
Keep out how webhooks are read (`inbound`), what words amount to (`recipients.subscription_rule`), whose reply it is
(`replies`).
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, Row, select, update

from campaign_pipeline.campaigns.lifecycle import complete_settled
from campaign_pipeline.delivery.inbound import InboundWord
from campaign_pipeline.delivery.replies import count_replies
from campaign_pipeline.ledger.bulk import in_portions, load_new
from campaign_pipeline.ledger.conditions import INBOUND_TO_ACT_ON
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.locks import fold_alone
from campaign_pipeline.ledger.schema import inbound_words
from campaign_pipeline.ledger.states import InboundKind
from campaign_pipeline.recipients.accounts import number_spelled, people_called
from campaign_pipeline.recipients.heard_words import ABOUT_MESSAGES, aliases_in, names_since, note_heard
from campaign_pipeline.recipients.identity import join_people, learn_names
from campaign_pipeline.recipients.phone_numbers import PhoneNumber
from campaign_pipeline.recipients.stop_words import Vocabulary, vocabulary
from campaign_pipeline.recipients.subscriptions import believable

_AT_ONCE: Final = 2_000


@dataclass(frozen=True, slots=True)
class InboundTerms:
    """How inbound messages are taken.

    Attributes:
        vocabulary: Which words say stop or start.
        reply_window: How long after a message of a campaign an inbound one counts as a reply to it.
    """

    vocabulary: Vocabulary = field(default_factory=vocabulary)
    reply_window: timedelta = timedelta(hours=72)


def keep_words(
    connection: Connection, file_id: int, words: Sequence[InboundWord], terms: InboundTerms, now: datetime
) -> None:
    """Keeps what people have said, each word once, whatever files it comes in.

    Args:
        connection: A transaction that writes.
        file_id: The status file that has brought it.
        words: In any order.
        terms: How long a message can be replied to.
        now: When it was heard, UTC; what claims to be from the far future was said then.
    """
    by_key = {each.key: each for each in words}
    # In one order for every ingest: two that take in the same webhooks would lock each other out on PostgreSQL.
    load_new(connection, inbound_words, [_row(file_id, by_key[key], terms, now) for key in sorted(by_key)])


def act_on_inbound(ledger: Ledger, clock: Callable[[], datetime]) -> None:
    """Does what people's words mean that nothing was done about yet; often nothing.

    Killed in the middle, the next one goes on with the rest.
    """
    while True:
        with ledger.read() as connection:
            if connection.execute(select(inbound_words.c.id).where(INBOUND_TO_ACT_ON).limit(1)).first() is None:
                return
        with ledger.write() as connection:
            fold_alone(connection)
            _act_on_some(connection, clock())


def _row(file_id: int, word: InboundWord, terms: InboundTerms, now: datetime) -> dict[str, object]:
    said_at = believable(word.said_at, now)
    return {
        "word_key": word.key,
        "kind": word.kind.value,
        "wa_id": word.wa_id,
        "user_id": word.user_id,
        "new_wa_id": word.new_wa_id,
        "new_user_id": word.new_user_id,
        "said": word.said,
        "context_wamid": word.context,
        "occurred_at": said_at,
        "replies_since": said_at - terms.reply_window,
        "file_id": file_id,
        "received_at": now,
    }


def _act_on_some(connection: Connection, now: datetime) -> None:
    word = inbound_words.c
    rows = connection.execute(
        select(inbound_words).where(INBOUND_TO_ACT_ON).order_by(word.occurred_at, word.id).limit(_AT_ONCE)
    ).all()
    changes = [row for row in rows if row.kind == InboundKind.CHANGED]
    if changes:
        _learn_changes(connection, changes, now)
    about_messages = [row for row in rows if row.kind in ABOUT_MESSAGES]
    if about_messages:
        people = people_called(connection, aliases_in(about_messages))
        _learn_second_names(connection, about_messages, people, now)
    # Recipients before subscriptions, as an admission locks them.
    count_replies(connection, rows)
    if about_messages:
        note_heard(connection, about_messages, people_called(connection, aliases_in(about_messages)), now)
    for some in in_portions([row.id for row in rows]):
        connection.execute(update(inbound_words).where(word.id.in_(some)).values(acted_at=now))
    if changes or about_messages:
        complete_settled(connection, now)


def _learn_changes(connection: Connection, changes: Collection[Row], now: datetime) -> None:
    """Gives people the names that WhatsApp has for them now; the old number and the new one are one account."""
    people = people_called(connection, aliases_in(changes))
    keys_of = {alias: [who.person_key for who in each] for alias, each in people.items()}
    names = names_since(changes, keys_of)
    learn_names(connection, names, now)
    joined = {(alias, key, who.person_key) for alias, key in names if (who := number_spelled(alias)) is not None}
    join_people(connection, sorted(joined), now)


def _learn_second_names(
    connection: Connection, rows: Collection[Row], people: dict[str, list[PhoneNumber]], now: datetime
) -> None:
    """Whoever is known by one of the two names of a word has the other one too, and is heard under it later."""
    told = {
        (other, who.person_key)
        for row in rows
        for alias, other in ((row.wa_id, row.user_id), (row.user_id, row.wa_id))
        if alias and other
        for who in people.get(alias, ())
    }
    learn_names(connection, sorted(told), now)
