"""The sender's limit as data with a history, and what other systems that share the portfolio have used of it.

Add here what a person or the settings can say about the limit.
Keep out the moving window, which counts who was reached: `capacity`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, func, insert, select, update

from campaign_pipeline.campaigns.journal import announce, audit
from campaign_pipeline.delivery.folding import CAPACITY_WINDOW, newest_time
from campaign_pipeline.ledger.locks import hold_senders
from campaign_pipeline.ledger.schema import external_usage, sender_limits, senders
from campaign_pipeline.sending.capacity import SENDER, sender_id
from campaign_pipeline.whatsapp.account_reading import MessagingLimit

FROM_SETTINGS: Final = "CAMPAIGN_SENDER_LIMIT"

FROM_META: Final = "meta: "
"""How the source of a limit begins that Meta has told."""

FROM_TEST_SENDS: Final = "test-send"
"""What `external_usage` says of the places that test sends use; nobody else is named so."""

LIMIT_SET: Final = "limit_set"
"""The kind of the outbox row that tells Dagster of another limit."""

MOST_PEOPLE: Final = 1_000_000_000
"""More than WhatsApp has any use for; an unlimited tier can be written so."""


class LimitError(ValueError):
    """What was said about the limit cannot be used; the message says what can."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One word on the limit.

    Attributes:
        people: Whom the sender may reach in 24 hours.
        effective_from: From when on, UTC; None for settings that no run has noted yet.
        source: The setting's name, or who said it.
    """

    people: int
    effective_from: datetime | None
    source: str


@dataclass(frozen=True, slots=True)
class _Word:
    """A row of the history; a higher id was said later."""

    id: int
    people: int
    effective_from: datetime
    source: str

    @property
    def is_metas(self) -> bool:
        return self.source.startswith(FROM_META)

    @property
    def tier(self) -> int:
        """People whom Meta allows by a word of its own, of which a ceiling may have left less."""
        told = MessagingLimit.read(self.source.removeprefix(FROM_META))
        return self.people if told is None or told.people is None else told.people


@dataclass(frozen=True, slots=True)
class UsedElsewhere:
    """People whom another system of the same portfolio has reached, all noted as at one moment, UTC."""

    people: int
    used_at: datetime
    source: str


def limit_in_force(connection: Connection, setting: int, now: datetime) -> int:
    """People whom the sender may reach in 24 hours: the latest word of the settings or of a person.

    A word that was in force once stays so, also when the clock is set back behind it.
    """
    return latest_word(connection, setting, now).people


def latest_word(connection: Connection, setting: int, now: datetime) -> Limit:
    """The limit in force with its source.

    The settings speak anew when their value differs from the one they last said; until then a person's later word
    holds, from the moment for which it was said. What was said before Meta's last word and takes effect after it goes
    no higher than Meta's tier; whoever speaks after Meta knows of it.
    """
    words = _words(connection)
    last = _last_setting(words)
    if last is None or last.people != setting:
        return Limit(setting, None, FROM_SETTINGS)
    return _in_force(_held_to_tier(words), newest_time(connection, now)) or _limit(last)


def history(connection: Connection) -> list[Limit]:
    """Every word on the limit, those to come included, in the order in which they take effect."""
    return [_limit(word) for word in _words(connection)]


def note_setting(connection: Connection, sender: int, setting: int, now: datetime) -> None:
    """Writes the settings' limit into the history when it is news."""
    last_said = connection.execute(
        select(sender_limits.c.people_per_24_hours)
        .where(sender_limits.c.sender_id == sender, sender_limits.c.source == FROM_SETTINGS)
        .order_by(sender_limits.c.id.desc())
        .limit(1)
    ).scalar_one_or_none()
    if last_said != setting:
        connection.execute(
            insert(sender_limits).values(
                sender_id=sender,
                people_per_24_hours=setting,
                effective_from=newest_time(connection, now),
                source=FROM_SETTINGS,
            )
        )


def set_limit(
    connection: Connection, people: int, effective_from: datetime, *, by: str, setting: int, now: datetime
) -> Limit:
    """Writes down a person's word on the limit; it holds until the settings' value changes, or a later word.

    Args:
        connection: A transaction that writes.
        people: Whom the sender may reach in 24 hours; 0 stops all sending.
        effective_from: From when on, UTC; not in the past, where others were admitted under another limit.
        by: Who says so.
        setting: The settings' limit, which is noted first: the person speaks knowing it.
        now: When it is said, UTC.

    Raises:
        LimitError: It cannot be meant so.
    """
    source = _named(by)
    if not 0 <= people <= MOST_PEOPLE:
        msg = f"A limit is a number of people from 0 to {MOST_PEOPLE:,}, not {people:,}."
        raise LimitError(msg)
    if effective_from < now:
        msg = "A limit cannot be set for the past: leave the date out to set it from now on."
        raise LimitError(msg)
    sender = _held_sender(connection)
    before = limit_in_force(connection, setting, now)
    note_setting(connection, sender, setting, now)
    effective_from = max(effective_from, stamped(connection, sender, now))
    connection.execute(
        insert(sender_limits).values(
            sender_id=sender, people_per_24_hours=people, effective_from=effective_from, source=source
        )
    )
    details = {"people": people, "effective_from": effective_from.isoformat(), "in_force_before": before}
    audit(connection, LIMIT_SET, SENDER, actor=source, now=now, details=details)
    announce(connection, LIMIT_SET, now=now, details=details)
    return Limit(people, effective_from, source)


def take_over_limit(
    connection: Connection,
    sender: int,
    told: int | None,
    ceiling: int | None,
    now: datetime,
    source: str,
    setting: int | None = None,
) -> Limit | None:
    """Takes over the limit that Meta says is in force; lowered at once, raised no further than the user allows.

    Args:
        connection: A transaction that writes.
        sender: The sender's row.
        told: People in 24 hours, as Meta says; None when that is not known.
        ceiling: The most that may be taken over; None is what the settings or a person have set last.
        now: When it was told, UTC.
        source: Who says so, as in "meta: TIER_2K".
        setting: The settings' limit, which is noted first when it is news. Without it, they have spoken before.

    Returns:
        The new limit, from now on; None when nothing changes, neither now nor of what was said for later.
    """
    if told is None:
        return None
    hold_senders(connection)
    if setting is not None:
        note_setting(connection, sender, setting, now)
    words = _words(connection)
    moment = newest_time(connection, now)
    before = _in_force(_held_to_tier(words), moment)
    set_by_user = _in_force([word for word in words if not word.is_metas], moment)
    most = ceiling if ceiling is not None else (set_by_user.people if set_by_user is not None else None)
    if set_by_user is not None and set_by_user.people == 0:
        # Somebody has stopped all sending, and only a person takes that back.
        most = 0
    people = min(told, MOST_PEOPLE if most is None else most)
    said_now = _Word(max((word.id for word in words), default=0) + 1, people, moment, source)
    if (
        before is not None
        and before.people == people
        and _to_come(words, moment) == _to_come([*words, said_now], moment)
    ):
        return None
    effective_from = stamped(connection, sender, now)
    connection.execute(
        insert(sender_limits).values(
            sender_id=sender, people_per_24_hours=people, effective_from=effective_from, source=source
        )
    )
    details = {
        "people": people,
        "told": told,
        "effective_from": effective_from.isoformat(),
        "in_force_before": before.people if before is not None else None,
    }
    audit(connection, LIMIT_SET, SENDER, actor=source, now=now, details=details)
    announce(connection, LIMIT_SET, now=now, details=details)
    return Limit(people, effective_from, source)


def note_used_elsewhere(
    connection: Connection, people: int, used_at: datetime, *, by: str, now: datetime
) -> UsedElsewhere:
    """Writes down that another system has reached people, who use capacity for 24 hours from then on.

    Args:
        connection: A transaction that writes.
        people: How many.
        used_at: When the last of them was reached, UTC.
        by: Who says so.
        now: When it is said, UTC.

    Raises:
        LimitError: It is of the future, or would count nothing any more.
    """
    source = _named(by)
    if not 1 <= people <= MOST_PEOPLE:
        msg = f"Used elsewhere can be 1 to {MOST_PEOPLE:,} people, not {people:,}."
        raise LimitError(msg)
    if used_at > now:
        msg = f"{used_at:%Y-%m-%d %H:%M} UTC is still to come: give the moment at which they were reached."
        raise LimitError(msg)
    if used_at <= now - CAPACITY_WINDOW:
        msg = f"{used_at:%Y-%m-%d %H:%M} UTC is 24 hours ago or more: these people use no capacity any more."
        raise LimitError(msg)
    sender = _held_sender(connection)
    # By a clock that was set back they would leave the window early, and seem to have been noted before whom they met.
    behind = stamped(connection, sender, now) - now
    used_at, now = used_at + behind, now + behind
    connection.execute(insert(external_usage).values(sender_id=sender, people=people, used_at=used_at, source=source))
    details = {"people": people, "used_at": used_at.isoformat()}
    audit(connection, "used_elsewhere_noted", SENDER, actor=source, now=now, details=details)
    return UsedElsewhere(people, used_at, source)


def used_elsewhere(connection: Connection, now: datetime) -> list[UsedElsewhere]:
    """What was noted of other systems and still counts, the oldest first."""
    rows = connection.execute(
        select(*external_usage.c["people", "used_at", "source"])
        .join(senders, senders.c.id == external_usage.c.sender_id)
        .where(
            senders.c.name == SENDER,
            external_usage.c.used_at > now - CAPACITY_WINDOW,
            external_usage.c.source != FROM_TEST_SENDS,
        )
        .order_by(external_usage.c.used_at, external_usage.c.id)
    )
    return [UsedElsewhere(row.people, row.used_at, row.source) for row in rows]


def used_by_tests(connection: Connection, now: datetime) -> int:
    """How many places test sends use that still count."""
    query = (
        select(func.count())
        .select_from(external_usage.join(senders, senders.c.id == external_usage.c.sender_id))
        .where(
            senders.c.name == SENDER,
            external_usage.c.used_at > now - CAPACITY_WINDOW,
            external_usage.c.source == FROM_TEST_SENDS,
        )
    )
    return connection.execute(query).scalar_one()


def _words(connection: Connection) -> list[_Word]:
    rows = connection.execute(
        select(*sender_limits.c["id", "people_per_24_hours", "effective_from", "source"])
        .join(senders, senders.c.id == sender_limits.c.sender_id)
        .where(senders.c.name == SENDER)
        .order_by(sender_limits.c.effective_from, sender_limits.c.id)
    )
    return [_Word(row.id, row.people_per_24_hours, row.effective_from, row.source) for row in rows]


def _held_to_tier(words: Sequence[_Word]) -> list[_Word]:
    """The words as they hold: what was said before Meta's last and takes effect after it is held to its tier."""
    last = max((word for word in words if word.is_metas), key=lambda word: word.id, default=None)
    if last is None:
        return list(words)
    return [
        replace(word, people=min(word.people, last.tier))
        if word.id < last.id and word.effective_from > last.effective_from
        else word
        for word in words
    ]


def _to_come(words: Sequence[_Word], moment: datetime) -> list[int]:
    """Of how many people the words will be that take effect after a moment."""
    return [word.people for word in _held_to_tier(words) if word.effective_from > moment]


def _last_setting(words: Sequence[_Word]) -> _Word | None:
    return max((word for word in words if word.source == FROM_SETTINGS), key=lambda word: word.id, default=None)


def _in_force(words: Sequence[_Word], moment: datetime) -> Limit | None:
    """The word that holds at a moment, as far as anybody has spoken."""
    last = _last_setting(words)
    # Later in the book or for a later moment: two machines whose clocks differ do not make a new word an old one.
    later = [
        word
        for word in words
        if word.source != FROM_SETTINGS
        and word.effective_from <= moment
        and (last is None or word.id > last.id or word.effective_from > last.effective_from)
    ]
    if later:
        return _limit(later[-1])
    return _limit(last) if last is not None else None


def _limit(word: _Word) -> Limit:
    return Limit(word.people, word.effective_from, word.source)


def _held_sender(connection: Connection) -> int:
    """The sender's row, locked: of two people who speak at once, the second speaks after the first."""
    sender = sender_id(connection)
    hold_senders(connection)
    return sender


def stamped(connection: Connection, sender: int, now: datetime) -> datetime:
    """The moment of what is done now, as `attempts` stamps calls: a clock set back neither undoes nor outdates it.

    The caller holds the sender.
    """
    stamp = newest_time(connection, now)
    connection.execute(update(senders).where(senders.c.id == sender).values(newest_stamp=stamp))
    return stamp


def _named(by: str) -> str:
    name = by.strip()
    if not name or name in (FROM_SETTINGS, FROM_TEST_SENDS) or name.startswith(FROM_META.strip()):
        msg = "Say who sets it, by a person's name."
        raise LimitError(msg)
    return name
