"""The moving 24 hours, counted anew from the stored attempts: was anybody admitted while too many people counted?

Add here what the stored rows show about the limit, without a look at the counts that admission has stored.
Keep out the window as admission counts it: `capacity`.

Shown is, for each moment at which somebody was admitted: the different people whose calls had started in the 24 hours
before it, or whose answers had come in them, and what was known of other systems, were no more than the limit stored on
the attempts admitted then. A person who was in the window already costs nothing more. A call that was certainly not
accepted counts for nothing here, though it used capacity until its answer: so this count is the least that it can have
been, and what it finds is a broken promise in every case.

Not shown is a limit that was stored wrongly, usage of other systems that nobody has noted, and a message that was
delivered although it had been refused.
"""

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count, groupby
from operator import attrgetter
from typing import Any, Final

from sqlalchemy import Connection, Row, select

from campaign_pipeline.delivery.folding import CAPACITY_WINDOW
from campaign_pipeline.ledger.schema import audit_log, external_usage, send_attempts
from campaign_pipeline.ledger.states import CERTAINLY_NOT_ACCEPTED

NOTING_TAKES: Final = timedelta(minutes=2)
"""From when a person has said what others used to when every admission counts it: longer than any wait to write."""

USAGE_NOTED: Final = "used_elsewhere_noted"
"""The audit log's word for it: see `limits`."""

_A_MOMENT: Final = timedelta(microseconds=1)

_ROWS_AT_ONCE: Final = 5_000


@dataclass(frozen=True, slots=True)
class TooMany:
    """An attempt that was admitted while more people counted than the limit that is stored on it.

    Attributes:
        attempt_id: Which.
        people: How many counted once it was admitted, at the least.
        limit: How many might have.
        was_known: Whether that was known then; else somebody noted later what other systems had used before.
    """

    attempt_id: str
    people: int
    limit: int
    was_known: bool


def admitted_over_limit(connection: Connection) -> Iterator[TooMany]:
    """Every attempt, over all campaigns, that was admitted while too many people counted, in the order of time.

    Reads the attempts once, a few thousand at a time, and keeps in mind only who counts at the moment: n attempts take
    n log n steps.
    """
    usage = _usage_by_sender(connection)
    for sender_id, attempts in groupby(_in_order_of_time(connection), key=attrgetter("sender_id")):
        window = _Window(usage.get(sender_id, ()))
        for moment, admitted in groupby(attempts, key=attrgetter("started_at")):
            yield from window.admit(moment, admitted)


@dataclass(frozen=True, slots=True)
class _Usage:
    """What other systems have used, and from when on every admission knew of it."""

    people: int
    used_at: datetime
    known_from: datetime


class _Present:
    """How many different people are present, each for as long as one of their stays lasts."""

    def __init__(self) -> None:
        self._stays: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._stays)

    def __contains__(self, person: str) -> bool:
        return person in self._stays

    def enter(self, person: str) -> None:
        self._stays[person] = self._stays.get(person, 0) + 1

    def leave(self, person: str) -> None:
        self._stays[person] -= 1
        if not self._stays[person]:
            del self._stays[person]


class _Window:
    """One sender's window, moved on from each moment of admission to the next."""

    def __init__(self, usage: Sequence[_Usage]) -> None:
        self._to_come: list[tuple[datetime, int, Callable[[Any], None], Any]] = []
        self._numbers = count()
        # Who counts for certain; and who counted for the admission at the time, for all that is known.
        self._counting = _Present()
        self._counted_then = _Present()
        self._used_elsewhere = 0
        self._known_of_that = 0
        for each in usage:
            ends = each.used_at + CAPACITY_WINDOW
            self._at(each.used_at, self._use_elsewhere, each.people)
            self._at(ends, self._use_elsewhere, -each.people)
            if each.known_from < ends:
                self._at(each.known_from, self._know_of, each.people)
                self._at(ends, self._know_of, -each.people)

    def admit(self, moment: datetime, attempts: Iterator[Row]) -> list[TooMany]:
        """Lets everyone in who was admitted at a moment; gives those who were one too many.

        They are looked at together: at one moment, the last of them says how many there were.
        """
        self._move_on_to(moment)
        new: list[Row] = []
        for attempt in attempts:
            reached = attempt.outcome not in CERTAINLY_NOT_ACCEPTED
            if reached and attempt.person_key not in self._counted_then:
                new.append(attempt)
            self._let_in(attempt, reached=reached)
        if not new:
            return []
        limit = max(attempt.admitted_limit for attempt in new)
        known = len(self._counting) + self._known_of_that
        in_all = len(self._counting) + self._used_elsewhere
        if max(known, in_all) <= limit:
            return []
        was_known = known > limit
        people = known if was_known else in_all
        return [TooMany(attempt.id, people, attempt.admitted_limit, was_known) for attempt in new]

    def _let_in(self, attempt: Row, *, reached: bool) -> None:
        person, started_at, answered_at = attempt.person_key, attempt.started_at, attempt.answered_at
        self._counted_then.enter(person)
        if not reached:
            self._at((answered_at or started_at) + _A_MOMENT, self._counted_then.leave, person)
            return
        # The first 24 hours count whatever the row says of its end; what comes after them counts from the answer on. In
        # between, a call whose answer was lost may have counted no longer, until that answer was found after all.
        first_day_ends = started_at + CAPACITY_WINDOW
        counts_until = attempt.counts_until or first_day_ends
        self._at(max(counts_until, first_day_ends), self._counted_then.leave, person)
        self._counting.enter(person)
        if counts_until > first_day_ends and (answered_at is None or answered_at <= first_day_ends):
            self._at(counts_until, self._counting.leave, person)
            return
        self._at(first_day_ends, self._counting.leave, person)
        if answered_at is not None and first_day_ends < answered_at < counts_until:
            self._at(answered_at, self._counting.enter, person)
            self._at(counts_until, self._counting.leave, person)

    def _move_on_to(self, moment: datetime) -> None:
        while self._to_come and self._to_come[0][0] <= moment:
            _, _, change, what = heapq.heappop(self._to_come)
            change(what)

    def _at(self, moment: datetime, change: Callable[[Any], None], what: object) -> None:
        heapq.heappush(self._to_come, (moment, next(self._numbers), change, what))

    def _use_elsewhere(self, people: int) -> None:
        self._used_elsewhere += people

    def _know_of(self, people: int) -> None:
        self._known_of_that += people


def _in_order_of_time(connection: Connection) -> Iterator[Row]:
    attempt = send_attempts.c
    query = select(
        attempt.id,
        attempt.sender_id,
        attempt.person_key,
        attempt.started_at,
        attempt.answered_at,
        attempt.counts_until,
        attempt.admitted_limit,
        attempt.outcome,
    ).order_by(attempt.sender_id, attempt.started_at, attempt.id)
    yield from connection.execute(query, execution_options={"yield_per": _ROWS_AT_ONCE})


def _usage_by_sender(connection: Connection) -> dict[int, list[_Usage]]:
    """What others have used; who has noted it, and when, stands in the audit log. Without that it was known at once."""
    noted = connection.execute(
        select(audit_log.c.at, audit_log.c.details).where(audit_log.c.action == USAGE_NOTED).order_by(audit_log.c.id)
    )
    said_at: dict[tuple[int, datetime], list[datetime]] = {}
    for row in noted:
        said = (row.details["people"], datetime.fromisoformat(row.details["used_at"]))
        said_at.setdefault(said, []).append(row.at)
    usage: dict[int, list[_Usage]] = {}
    for row in connection.execute(select(external_usage).order_by(external_usage.c.id)):
        moments = said_at.get((row.people, row.used_at))
        known_from = max(row.used_at, moments.pop(0) + NOTING_TAKES) if moments else row.used_at
        usage.setdefault(row.sender_id, []).append(_Usage(row.people, row.used_at, known_from))
    return usage
