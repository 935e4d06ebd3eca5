"""Files of opt-outs: everybody in them is unsubscribed, as of the time that the file gives or of now.

Add here another usual name of a column. The formats are those of recipient lists.
Keep out lists of people to be sent to, in which a column says no (`intake`), and what counts (`subscription_rule`).

A file in which a column of consent says that somebody does want messages, as exports of whole address books have it,
opts out only those who do not.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from campaign_pipeline.campaigns.journal import audit
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.states import RejectionReason, SubscriptionStatus, Voice
from campaign_pipeline.recipients.column_names import bare_name
from campaign_pipeline.recipients.consent import ConsentColumns
from campaign_pipeline.recipients.folders import ListFolders, shortened
from campaign_pipeline.recipients.list_files import BadRow, ListReader, ListRow, open_list
from campaign_pipeline.recipients.phone_numbers import InvalidPhone, PhoneNumber, check_default_region, parse_phone
from campaign_pipeline.recipients.rejections import RejectionsFile
from campaign_pipeline.recipients.said_times import read_said_time
from campaign_pipeline.recipients.sorting import Rejection
from campaign_pipeline.recipients.subscription_rule import Word
from campaign_pipeline.recipients.subscriptions import SaidWord, believable, note, unsubscribed_among

ROWS_PER_TRANSACTION: Final = 2_000

_TIMES: Final = frozenset(
    {"time", "date", "at", "timestamp", "datetime", "when", "optouttime", "optoutat", "optoutdate", "optedoutat"}
    | {"unsubscribedat", "unsubscribedon", "unsubscribetime", "unsubscribedate", "stoppedat"}
)
_SOURCES: Final = frozenset({"source", "reason", "channel", "via", "optoutsource", "optoutreason", "unsubscribesource"})
_LONGEST_SOURCE: Final = 200
_TO_ITS_END: Final = timedelta(days=1, seconds=-1)


@dataclass(frozen=True, slots=True)
class OptOutCounts:
    """Where the rows of a file of opt-outs ended; `read` is the sum of the others.

    Attributes:
        unsubscribed: People who are unsubscribed now and were not before.
        already: Those who were.
        overtaken: Those who have said since then that they want messages.
        wants_messages: Rows that say of somebody that they do.
        duplicate_in_file: Rows of a person who stands in an earlier one.
        invalid: Rows without a number that can be read.
    """

    read: int = 0
    unsubscribed: int = 0
    already: int = 0
    overtaken: int = 0
    wants_messages: int = 0
    duplicate_in_file: int = 0
    invalid: int = 0

    def as_dict(self) -> dict[str, int]:
        """The counts by name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class OptOutReport:
    """What became of one file of opt-outs.

    Attributes:
        name: The file's.
        counts: Where its rows ended.
        rejections_file: The rows that could not be read; None when all could.
    """

    name: str
    counts: OptOutCounts
    rejections_file: Path | None


@dataclass(frozen=True, slots=True)
class _OptOut:
    """One row that says no."""

    who: PhoneNumber
    at: datetime | None
    source: str


def take_in_opt_outs(
    ledger: Ledger,
    path: Path,
    *,
    folders: ListFolders,
    region: str | None,
    phone_column: str | None,
    actor: str,
    clock: Callable[[], datetime],
) -> OptOutReport:
    """Unsubscribes everybody in a file; the same file again unsubscribes nobody anew.

    Rows are taken in by the thousand. After a crash the same file is simply taken in again.

    Args:
        ledger: Where people's words are.
        path: A file as lists are, with one column of phone numbers and, if it has them, of times and sources.
        folders: Where the rejections go.
        region: The country of numbers without a country code.
        phone_column: The column of phone numbers, where its name is not a usual one.
        actor: Who takes it in.
        clock: Gives the moment, UTC.

    Raises:
        ListFileError: The file cannot be read as a list of people.
    """
    checked_region = check_default_region(region)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    rejected = folders.rejected / f"opt-outs-{digest[:12]}-{shortened(path.name)}.csv"
    with open_list(path, phone_column=phone_column) as reader, RejectionsFile(rejected) as rejections:
        reading = _OptOutFile(ledger, reader, path.name, digest, checked_region, clock)
        for rows in reader.in_chunks(ROWS_PER_TRANSACTION):
            rejections.write(reading.take_in(rows))
        has_rejections = rejections.written
    with ledger.write() as connection:
        audit(connection, "opt_outs_taken_in", path.name, actor=actor, now=clock(), details=reading.counts.as_dict())
    return OptOutReport(path.name, reading.counts, rejected if has_rejections else None)


class _OptOutFile:
    """The reading of one file.

    Attributes:
        counts: Where its rows have ended so far.
    """

    def __init__(
        self,
        ledger: Ledger,
        reader: ListReader,
        name: str,
        digest: str,
        region: str | None,
        clock: Callable[[], datetime],
    ) -> None:
        self.counts = OptOutCounts()
        self._ledger = ledger
        self._name = name
        self._digest = digest
        self._region = region
        self._clock = clock
        self._consent = ConsentColumns.from_header(reader.header)
        self._times = [column for column in reader.header if bare_name(column) in _TIMES]
        self._sources = [column for column in reader.header if bare_name(column) in _SOURCES]
        self._seen: set[str] = set()

    def take_in(self, rows: Sequence[ListRow | BadRow]) -> list[Rejection]:
        """Takes in some rows; gives those that could not be read."""
        read = [self._read(row) for row in rows]
        opt_outs = [each for each in read if isinstance(each, _OptOut)]
        rejections = [each for each in read if isinstance(each, Rejection)]
        people = {each.who.person_key for each in opt_outs}
        new = people - self._seen
        self._seen |= people
        with self._ledger.write() as connection:
            changed = self._note(connection, opt_outs) & new
            unsubscribed = unsubscribed_among(connection, new)
        before = self.counts
        self.counts = OptOutCounts(
            read=before.read + len(rows),
            unsubscribed=before.unsubscribed + len(changed),
            already=before.already + len(unsubscribed - changed),
            overtaken=before.overtaken + len(new - unsubscribed),
            wants_messages=before.wants_messages + read.count(None),
            duplicate_in_file=before.duplicate_in_file + len(opt_outs) - len(new),
            invalid=before.invalid + len(rejections),
        )
        return rejections

    def _read(self, row: ListRow | BadRow) -> _OptOut | Rejection | None:
        if isinstance(row, BadRow):
            return Rejection(row.line_number, row.value, RejectionReason.INVALID, row.reason)
        try:
            who = parse_phone(row.phone, self._region)
        except InvalidPhone as error:
            return Rejection(row.line_number, row.phone, RejectionReason.INVALID, f"{error.code}: {error}")
        if self._consent.clearly_agrees(row.columns):
            return None
        source = next((text for column in self._sources if (text := row.columns[column])), "")
        said = f"file {self._name}" + (f": {source[:_LONGEST_SOURCE]}" if source else "")
        times = (read_said_time(row.columns[column]) for column in self._times)
        return _OptOut(who, next((at for at in times if at is not None), None), said)

    def _note(self, connection: Connection, opt_outs: Sequence[_OptOut]) -> set[str]:
        now = self._clock()
        return note(
            connection,
            [
                SaidWord(
                    each.who,
                    Word(SubscriptionStatus.UNSUBSCRIBED, Voice.FILE, each.source, _said_at(each.at, now)),
                    # Without a time of its own it is of when this file first came.
                    f"file:{self._digest[:32]}:{each.at.isoformat() if each.at else ''}",
                )
                for each in opt_outs
            ],
            now,
        )


def _said_at(at: datetime | None, now: datetime) -> datetime:
    """When a row's stop was said; of a day without an hour at its end: a START of its morning must not outlive it."""
    is_day = at is not None and at.time() == time.min and at <= now
    return believable(min(at + _TO_ITS_END, now) if is_day else at, now)
