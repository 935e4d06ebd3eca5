"""Capacity: how many more people the sender may reach now, over the moving 24 hours and over all campaigns.

Add here what counts against the limit.
Keep out the limit itself with its history (`limits`), the pace of calls (`pace`) and the taking of batches (`batches`).

Meta's rule is a moving 24-hour window over the different people whom the business portfolio reaches, not a calendar
day (developers.facebook.com/documentation/business-messaging/whatsapp/messaging-limits, read 2026-09-11). Counted is
everyone from the moment of the attempt, until 24 hours after its answer, unless it was certainly not accepted.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, Subquery, func, literal, select, update

from campaign_pipeline.delivery.folding import CAPACITY_WINDOW, FAR_AWAY
from campaign_pipeline.ledger.schema import external_usage, send_attempts, senders
from campaign_pipeline.ledger.upsert import insert_new

SENDER: Final = "default"
"""The one sender of this installation: limit, lease and window are those of its business portfolio."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """The window at one moment."""

    limit: int
    used: int

    @property
    def free(self) -> int:
        """How many more people may be reached."""
        return max(0, self.limit - self.used)


@dataclass(frozen=True, slots=True)
class Freed:
    """How many more people have left the window by a moment, UTC, than by the one told before."""

    at: datetime
    people: int


def sender_id(connection: Connection) -> int:
    """The sender's row, which is made at first use."""
    found = sender_id_or_none(connection)
    if found is not None:
        return found
    insert_new(connection, senders, [{"name": SENDER}])
    return sender_id(connection)


def sender_id_or_none(connection: Connection) -> int | None:
    """The sender's row; None while nothing was ever sent."""
    return connection.execute(select(senders.c.id).where(senders.c.name == SENDER)).scalar_one_or_none()


def stop_of(connection: Connection, sender: int) -> str | None:
    """Why the sender is stopped; None while it is not."""
    row = connection.execute(select(*senders.c["stopped_at", "stop_reason"]).where(senders.c.id == sender)).one()
    return None if row.stopped_at is None else row.stop_reason or "no reason was given."


def bind(connection: Connection, sender: int, cloud_api: str) -> str | None:
    """Binds the sender to a Cloud API at its first use; gives the one it is bound to if that is another."""
    connection.execute(
        update(senders).where(senders.c.id == sender, senders.c.cloud_api.is_(None)).values(cloud_api=cloud_api)
    )
    bound_to = connection.execute(select(senders.c.cloud_api).where(senders.c.id == sender)).scalar_one()
    return None if bound_to == cloud_api else bound_to


def capacity_at(connection: Connection, sender: int, limit: int, moment: datetime) -> Capacity:
    """The window as it will be at a moment, if nobody is attempted until then."""
    return Capacity(limit, _people_counted(connection, sender, moment) + _used_elsewhere(connection, sender, moment))


def already_counted(
    connection: Connection, sender: int, person_keys: Sequence[str], moment: datetime
) -> frozenset[str]:
    """Those of some people who are in the window already: reaching them again costs nothing more."""
    rows = connection.execute(
        select(send_attempts.c.person_key)
        .where(
            send_attempts.c.sender_id == sender,
            send_attempts.c.counts_until > moment,
            send_attempts.c.person_key.in_(person_keys),
        )
        .distinct()
    )
    return frozenset(rows.scalars())


def next_freed(connection: Connection, sender: int, moment: datetime) -> datetime | None:
    """When the first of those counted now leaves the window; None when nobody is counted or only calls under way."""
    last_count = _last_counts(sender, moment)
    attempt_leaves = connection.execute(select(func.min(last_count.c.until))).scalar_one()
    oldest_use = connection.execute(
        select(func.min(external_usage.c.used_at)).where(
            external_usage.c.sender_id == sender, external_usage.c.used_at > moment - CAPACITY_WINDOW
        )
    ).scalar_one()
    moments = [attempt_leaves, oldest_use + CAPACITY_WINDOW if oldest_use else None]
    return min((each for each in moments if each is not None), default=None)


def freed_by_hour(connection: Connection, sender: int, moment: datetime) -> list[Freed]:
    """How many of those counted now have left the window by the end of each of the next hours that somebody leaves in.

    Of a call that is under way nobody knows yet.
    """
    last_count = _last_counts(sender, moment)
    leaving = connection.execute(select(last_count.c.until, func.count()).group_by(last_count.c.until))
    elsewhere = connection.execute(
        select(external_usage.c.used_at, external_usage.c.people).where(
            external_usage.c.sender_id == sender, external_usage.c.used_at > moment - CAPACITY_WINDOW
        )
    )
    people: Counter[datetime] = Counter()
    for until, number in leaving:
        people[_end_of_hour(until)] += number
    for used_at, number in elsewhere:
        people[_end_of_hour(used_at + CAPACITY_WINDOW)] += number
    return [Freed(at, number) for at, number in sorted(people.items())]


def _end_of_hour(moment: datetime) -> datetime:
    begun = moment.replace(minute=0, second=0, microsecond=0)
    return moment if begun == moment else begun + timedelta(hours=1)


def admissible(people: Sequence[str], counted: frozenset[str], free: int) -> list[bool]:
    """Which of some people, in their order, fit into the window: whoever is counted already costs nothing."""
    known = set(counted)
    fits: list[bool] = []
    for person in people:
        is_new = person not in known
        fits.append(not is_new or free > 0)
        if is_new and free > 0:
            known.add(person)
            free -= 1
    return fits


def _last_counts(sender: int, moment: datetime) -> Subquery:
    """When each of those counted at a moment leaves the window."""
    until = func.max(send_attempts.c.counts_until)
    return (
        select(until.label("until"))
        .where(send_attempts.c.sender_id == sender, send_attempts.c.counts_until > moment)
        .group_by(send_attempts.c.person_key)
        # Of a call that is under way nobody knows yet when it leaves.
        .having(until < literal(FAR_AWAY, send_attempts.c.counts_until.type))
        .subquery()
    )


def _people_counted(connection: Connection, sender: int, moment: datetime) -> int:
    query = select(func.count(send_attempts.c.person_key.distinct())).where(
        send_attempts.c.sender_id == sender, send_attempts.c.counts_until > moment
    )
    return connection.execute(query).scalar_one()


def _used_elsewhere(connection: Connection, sender: int, moment: datetime) -> int:
    query = select(func.coalesce(func.sum(external_usage.c.people), 0)).where(
        external_usage.c.sender_id == sender, external_usage.c.used_at > moment - CAPACITY_WINDOW
    )
    return connection.execute(query).scalar_one()
