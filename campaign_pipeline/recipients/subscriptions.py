"""Who wants messages: what people have said of it, kept word by word, and what that amounts to for each person.

Add here a way in which a person says yes or no; it becomes a word like every other.
Keep out what the words amount to (`subscription_rule`) and what an upload makes of people who have said nothing
(`loading`): that stands until their first word.

A word is kept for every person of the WhatsApp account (`accounts`), so that a state holds for all its numbers. Rows
are locked in one order before the words are read: two words that are heard at the same moment both count.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Connection, Row, func, insert, select

from campaign_pipeline.ledger.bulk import load_new
from campaign_pipeline.ledger.schema import audit_log, subscription_events, subscriptions
from campaign_pipeline.ledger.states import SubscriptionStatus, Voice
from campaign_pipeline.ledger.upsert import insert_new, upsert_rows
from campaign_pipeline.recipients.accounts import accounts_of, numbers_of, sorted_portions
from campaign_pipeline.recipients.opt_ins import OptIn, keep_opt_ins
from campaign_pipeline.recipients.phone_numbers import PhoneNumber, mask_phone
from campaign_pipeline.recipients.subscription_rule import Word, standing_after

CLOCKS_APART: Final = timedelta(days=1)
"""So far ahead of ours may the time of a word be, so that a clock that is wrong changes no order; a time further in the
future is none, and what was said then could never be taken back."""

_WHATSAPP_BEGAN: Final = datetime(2009, 1, 1, tzinfo=UTC)
"""Earlier times are what programs write for none (0001, 1900, 1970): a stop of then would lose to any old START."""


@dataclass(frozen=True, slots=True)
class SaidWord:
    """A person's word on messages.

    Attributes:
        who: The person.
        word: What was said.
        key: Tells it from the person's other words; the same one is kept once. At most 80 characters.
    """

    who: PhoneNumber
    word: Word
    key: str


@dataclass(frozen=True, slots=True)
class KeptWord:
    """A word as it is shown to people.

    Attributes:
        word: What was said.
        received_at: When it was heard, UTC.
    """

    word: Word
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Subscription:
    """Where a person stands: subscribed or not, by which word, and since when, UTC."""

    status: SubscriptionStatus
    source: str
    changed_at: datetime


def find_subscription(connection: Connection, phone: PhoneNumber) -> Subscription | None:
    """Where a person stands; None for somebody of whom nothing is known."""
    row = connection.execute(
        select(*subscriptions.c["status", "source", "changed_at"]).where(subscriptions.c.person_key == phone.person_key)
    ).one_or_none()
    return None if row is None else Subscription(SubscriptionStatus(row.status), row.source, row.changed_at)


def subscribe(connection: Connection, phone: PhoneNumber, *, source: str, now: datetime) -> bool:
    """Notes that a person wants messages; whether that is news.

    It counts for campaigns and batches to come: who was skipped stays skipped.
    """
    # Whoever notes it answers for it: evidence where that is asked for.
    keep_opt_ins(connection, [OptIn(phone.person_key, source, now)], now)
    return _note_now(connection, phone, SubscriptionStatus.SUBSCRIBED, source, now)


def unsubscribe(connection: Connection, phone: PhoneNumber, *, source: str, now: datetime) -> bool:
    """Notes that a person wants no messages; in force before the next attempt. Whether that is news."""
    return _note_now(connection, phone, SubscriptionStatus.UNSUBSCRIBED, source, now)


def believable(said_at: datetime | None, now: datetime) -> datetime:
    """When something was said, as far as that can be: in the present, if nobody knows, or it says what cannot be."""
    return said_at if said_at is not None and _WHATSAPP_BEGAN <= said_at <= now + CLOCKS_APART else now


def note(connection: Connection, said: Sequence[SaidWord], now: datetime) -> set[str]:
    """Keeps what people have said, and brings their state up to it.

    Args:
        connection: A transaction that writes.
        said: In any order, and of words that were heard before too.
        now: When it was heard, UTC.

    Returns:
        The keys of the people whose state it has changed.
    """
    if not said:
        return set()
    words = {(each.who.person_key, each.key): each for each in _for_whole_accounts(connection, said)}
    # In one order for everybody: two that tell of the same people would lock each other out on PostgreSQL.
    load_new(connection, subscription_events, [_row(words[place], now) for place in sorted(words)])
    return _bring_up_to_date(connection, {key for key, _ in words}, now)


def share_words(connection: Connection, person_keys: Collection[str], now: datetime) -> None:
    """Lets the words of some people hold for everybody who turned out to be one account with them."""
    accounts = accounts_of(connection, person_keys)
    members = set().union(*accounts)
    if not members:
        return
    words = _words_by_person(connection, members)
    if not words:
        return
    numbers = numbers_of(connection, members, {})
    said = [
        SaidWord(numbers[key], _word(row), row.word_key)
        for account in accounts
        for row in {row.word_key: row for each in account for row in words.get(each, ())}.values()
        for key in account
    ]
    note(connection, said, now)


def unsubscribed_among(connection: Connection, person_keys: Collection[str]) -> set[str]:
    """Those of some people who do not want messages."""
    found: set[str] = set()
    for some in sorted_portions(person_keys):
        rows = connection.execute(
            select(subscriptions.c.person_key).where(
                subscriptions.c.person_key.in_(some), subscriptions.c.status == SubscriptionStatus.UNSUBSCRIBED
            )
        )
        found |= set(rows.scalars())
    return found


def history_of(connection: Connection, person_keys: Collection[str]) -> list[KeptWord]:
    """What some people have said, the oldest first."""
    event = subscription_events.c
    rows = connection.execute(
        select(subscription_events).where(event.person_key.in_(list(person_keys))).order_by(event.occurred_at, event.id)
    )
    found = {row.word_key: KeptWord(_word(row), row.received_at) for row in rows}
    return list(found.values())


def _note_now(
    connection: Connection, phone: PhoneNumber, status: SubscriptionStatus, source: str, now: datetime
) -> bool:
    """Notes a word that is said here and now: it comes after everything that was heard before it."""
    event = subscription_events.c
    newest = connection.execute(
        select(func.max(event.occurred_at)).where(event.person_key == phone.person_key)
    ).scalar_one()
    at = now if newest is None or newest < now else newest + timedelta(microseconds=1)
    word = Word(status, Voice.OPERATOR, source, at)
    return phone.person_key in note(connection, [SaidWord(phone, word, f"{status}:{at.isoformat()}")], now)


def _for_whole_accounts(connection: Connection, said: Sequence[SaidWord]) -> Iterator[SaidWord]:
    """Some words, and each once more for everybody who is one account with its person."""
    known = {each.who.person_key: each.who for each in said}
    accounts = accounts_of(connection, known)
    others = set().union(*accounts) - known.keys()
    numbers = known | (numbers_of(connection, others, {}) if others else {})
    account_of = {key: account for account in accounts for key in account}
    for each in said:
        yield each
        for key in account_of.get(each.who.person_key, ()):
            if key != each.who.person_key:
                yield replace(each, who=numbers[key])


def _row(said: SaidWord, now: datetime) -> dict[str, object]:
    return {
        "person_key": said.who.person_key,
        "word_key": said.key,
        "phone": said.who.e164,
        "status": said.word.status.value,
        "voice": said.word.voice.value,
        "source": said.word.source,
        "occurred_at": said.word.at,
        "received_at": now,
    }


def _bring_up_to_date(connection: Connection, person_keys: Collection[str], now: datetime) -> set[str]:
    before = {row.person_key for row in _states(connection, person_keys)}
    first = _words_by_person(connection, person_keys)
    made = {key: _state_row(first[key]) for key in sorted(first) if key not in before}
    insert_new(connection, subscriptions, list(made.values()))
    # Locked, and then read anew: another word may have been committed since.
    states = {row.person_key: row for row in _states(connection, person_keys, lock=True)}
    words = _words_by_person(connection, person_keys)
    # The number that is there was written by a list or a person, and not spelled by WhatsApp.
    rows = {key: {**_state_row(words[key]), "phone": states[key].phone} for key in sorted(words)}
    stale = {key: row for key, row in rows.items() if _is_stale(states[key], row, words[key])}
    upsert_rows(connection, subscriptions, ["person_key"], list(stale.values()))
    changed = {key for key in rows if key in made or states[key].status != rows[key]["status"]}
    _audit(connection, [rows[key] for key in sorted(changed)], now)
    return changed


def _states(connection: Connection, person_keys: Collection[str], *, lock: bool = False) -> list[Row]:
    found: list[Row] = []
    for some in sorted_portions(person_keys):
        query = select(subscriptions).where(subscriptions.c.person_key.in_(some)).order_by(subscriptions.c.person_key)
        found += connection.execute(query.with_for_update() if lock else query).all()
    return found


def _words_by_person(connection: Connection, person_keys: Collection[str]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for some in sorted_portions(person_keys):
        for row in connection.execute(select(subscription_events).where(subscription_events.c.person_key.in_(some))):
            found[row.person_key].append(row)
    return found


def _word(row: Row) -> Word:
    return Word(SubscriptionStatus(row.status), Voice(row.voice), row.source, row.occurred_at)


def _state_row(words: Sequence[Row]) -> dict[str, object]:
    """The state that some words of one person amount to, as a row of `subscriptions`."""
    standing = standing_after(map(_word, words))
    if standing is None:
        msg = "nobody's state is derived without a word of theirs"
        raise ValueError(msg)
    newest = max(words, key=lambda row: row.id)
    return {
        "person_key": newest.person_key,
        "phone": newest.phone,
        "status": standing.status.value,
        "source": standing.source,
        "changed_at": standing.since,
    }


def _is_stale(state: Row, row: Mapping[str, object], words: Sequence[Row]) -> bool:
    """Whether a state is to be written anew; of who has never said no the first proof is kept, such as an upload's."""
    has_said_no = any(word.status == SubscriptionStatus.UNSUBSCRIBED for word in words)
    if not has_said_no and state.status == row["status"] and state.changed_at <= row["changed_at"]:
        return False
    return any(getattr(state, name) != row[name] for name in ("status", "source", "changed_at"))


def _audit(connection: Connection, rows: Sequence[Mapping[str, object]], now: datetime) -> None:
    if rows:
        connection.execute(
            insert(audit_log),
            [
                {
                    "at": now,
                    "actor": row["source"],
                    "action": row["status"],
                    "subject": mask_phone(str(row["phone"])),
                    "details": {},
                }
                for row in rows
            ],
        )
