"""Status files: taking in the webhook payloads that wait in the inbox, each event once, whatever file it comes in.

Add here what concerns files as a whole.
Keep out their lines (`status_lines`), what a payload means (`webhooks`) and what an event does (`folding`).

A file is NDJSON, one payload a line, or a single JSON document. It is known by its bytes: the same ones under another
name are taken in once. A line that cannot be read never holds up the others, and neither does a file.

A file is first set aside in the inbox under a name of its own, so that another one put in its place is not mistaken for
it. It leaves the inbox when everything that follows from it is written down; a killed ingest leaves such files behind,
and the next one takes them up. So does one whose file was written to after it was hashed. Two ingests may read one file
at once: its events count once, and one of them moves it.
"""

import errno
import hashlib
import json
import os
from collections.abc import Callable, Container, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Final
from uuid import uuid4

from sqlalchemy import Connection, func, select, update
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFreeError

from campaign_pipeline.campaigns.journal import announce
from campaign_pipeline.campaigns.lifecycle import complete_settled
from campaign_pipeline.delivery.account_words import subject_of
from campaign_pipeline.delivery.analytics import DateAnalytics, dates_touched, refresh_date
from campaign_pipeline.delivery.consequences import act_on_webhooks
from campaign_pipeline.delivery.folders import StatusFolders
from campaign_pipeline.delivery.folding import CAPACITY_WINDOW, apply_evidence, match_events
from campaign_pipeline.delivery.status_lines import StatusLines, chunks_of
from campaign_pipeline.delivery.stop_rule import DEFAULT_RULE, StopRule
from campaign_pipeline.delivery.webhooks import AccountEvent, StatusEvent
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.locks import fold_alone
from campaign_pipeline.ledger.schema import account_events, delivery_events, delivery_files
from campaign_pipeline.ledger.states import DeliveryFileState
from campaign_pipeline.ledger.upsert import insert_new
from campaign_pipeline.recipients.folders import shortened

STATUSES_INGESTED: Final = "statuses_ingested"
"""The kind of the outbox row that tells Dagster of it."""

_FILES_TOLD: Final = 100
"""Of how many files the outbox row tells one by one."""

_TAKING: Final = ".taking-"
_TAKEN_IN_BEFORE: Final = "its content was taken in before"
_CHANGED: Final = "it changed while it was taken in: it stays in the inbox for the next ingest"
_FAULTS_OF_THE_LEDGER: Final = (OperationalError, InterfaceError, NoConnectionFreeError)
_FAULTS_OF_THE_MACHINE: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.EIO)


@dataclass(frozen=True, slots=True)
class FileReport:
    """What became of one status file.

    Attributes:
        name: Its name in the inbox.
        state: done or rejected.
        events: Status events in it, `new_events` those that no file had brought before.
        rejected_lines: Lines that cannot be read, kept in the rejected folder.
        reason: Why it was rejected, or that it had been taken in before.
    """

    name: str
    state: str
    events: int = 0
    new_events: int = 0
    rejected_lines: int = 0
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What became of the files that waited.

    Attributes:
        files: One report a file, in the order of their names.
        analytics: The analytics, brought up to date, of each send date whose people the events are about.
        unmatched: Events in the ledger that nobody here knows the message of.
    """

    files: list[FileReport]
    analytics: dict[date, list[DateAnalytics]]
    unmatched: int

    @property
    def dates(self) -> list[date]:
        """The send dates whose people the events are about."""
        return list(self.analytics)

    @property
    def events(self) -> int:
        """Status events in the files."""
        return sum(file.events for file in self.files)

    @property
    def new_events(self) -> int:
        """Those that no file had brought before."""
        return sum(file.new_events for file in self.files)

    def as_details(self) -> dict[str, object]:
        """The report in short, for whoever hears of it later."""
        return {
            "files": len(self.files),
            "events": self.events,
            "new_events": self.new_events,
            "dates": [each.isoformat() for each in self.dates],
            "not_ours": self.unmatched,
            "by_file": [asdict(file) for file in worst_first(self.files)[:_FILES_TOLD]],
        }


def worst_first(files: Sequence[FileReport]) -> list[FileReport]:
    """The reports with those on top that somebody has to look at: rejected files, then those with rejected lines."""
    return sorted(files, key=lambda file: (file.state != DeliveryFileState.REJECTED, not file.rejected_lines))


def waiting_files(folders: StatusFolders) -> list[Path]:
    """The files of the inbox, by name, and those that an ingest has set aside and not finished.

    Others whose name begins with a dot are still being written.
    """
    if not folders.inbox.is_dir():
        return []
    return sorted(
        path
        for path in folders.inbox.iterdir()
        if path.is_file() and (path.name.startswith(_TAKING) or not path.name.startswith("."))
    )


def ingest_waiting(
    ledger: Ledger,
    folders: StatusFolders,
    clock: Callable[[], datetime],
    on_progress: Callable[[int, int], None] = lambda _done, _in_all: None,
    names: Container[str] | None = None,
    rule: StopRule = DEFAULT_RULE,
) -> IngestReport:
    """Takes in every file that waits, brings the analytics of the dates that they touch up to date, and leaves word.

    Killed at any moment, it is simply run again: events count once, and a file leaves the inbox only when it is done.

    Args:
        ledger: Where events, attempts and recipients are.
        folders: Inbox, archive and rejected.
        clock: Gives the moment, UTC.
        on_progress: Told the files done and the files in all.
        names: Which of them to take in, so that others may go on growing; None is whatever waits.
        rule: When the failures of a campaign's last messages pause it.
    """
    ingests = [
        _FileIngest(ledger, folders, path, clock, rule)
        for path in waiting_files(folders)
        if names is None or path.name in names
    ]
    for number, ingest in enumerate(ingests):
        on_progress(number, len(ingests))
        ingest.run()
    on_progress(len(ingests), len(ingests))
    with ledger.write() as connection:
        dates = dates_touched(connection, [each.file_id for each in ingests if each.file_id is not None])
        analytics = {each: refresh_date(connection, each, clock()) for each in dates}
        unmatched = connection.execute(select(func.count()).where(delivery_events.c.attempt_id.is_(None))).scalar_one()
        report = IngestReport([each.report for each in ingests if each.report is not None], analytics, unmatched)
        if report.files:
            announce(connection, STATUSES_INGESTED, now=clock(), details=report.as_details())
    # Only now: files that are still there make the next ingest bring up to date what a killed one could not.
    for ingest in ingests:
        ingest.put_away()
    return replace(report, files=[each.report for each in ingests if each.report is not None])


class _FileIngest:
    """The taking in of one file.

    Attributes:
        file_id: Its row in the ledger, once there is one.
        report: What became of it; None when somebody else was faster.
    """

    def __init__(
        self, ledger: Ledger, folders: StatusFolders, path: Path, clock: Callable[[], datetime], rule: StopRule
    ) -> None:
        self.file_id: int | None = None
        self.report: FileReport | None = None
        self._ledger = ledger
        self._folders = folders
        self._path = path
        self._file_name = _name_in_inbox(path)
        # As text that a database takes, whatever bytes the name is made of.
        self._name = os.fsencode(self._file_name).decode("utf-8", "replace")
        self._digest = ""
        self._as_hashed: tuple[int, int] | None = None
        self._clock = clock
        self._rule = rule

    def run(self) -> None:
        """Sets it aside and takes it in; what is wrong with this file alone is a reason to reject it."""
        try:
            self._path = _set_aside(self._path)
        except FileNotFoundError:
            return
        try:
            self._as_hashed = _version(self._path)
            self._digest = _digest(self._path)
            self.report = self._take_in()
        except FileNotFoundError:
            return
        except Exception as error:
            if isinstance(error, _FAULTS_OF_THE_LEDGER) or getattr(error, "errno", None) in _FAULTS_OF_THE_MACHINE:
                raise
            self.report = self._end(FileReport(self._name, DeliveryFileState.REJECTED, reason=_reason_of(error)))

    def put_away(self) -> None:
        """Moves it out of the inbox, unless somebody else has done so, or it has changed since it was hashed."""
        if self.report is None:
            return
        try:
            changed = _version(self._path) != self._as_hashed
        except FileNotFoundError:
            return
        if changed:
            self.report = replace(self.report, reason="; ".join(filter(None, (self.report.reason, _CHANGED))))
            return
        is_done = self.report.state == DeliveryFileState.DONE
        folder = self._folders.archive if is_done else self._folders.rejected
        folder.mkdir(parents=True, exist_ok=True)
        try:
            moved_to = self._path.replace(folder / self._kept_name)
        except FileNotFoundError:
            return
        if not is_done:
            moved_to.with_name(f"{moved_to.name}.reason.txt").write_text(f"{self.report.reason}\n", encoding="utf-8")

    @property
    def _kept_name(self) -> str:
        return f"{(self._digest or uuid4().hex)[:12]}-{shortened(self._file_name)}"

    def _take_in(self) -> FileReport:
        with self._ledger.write() as connection:
            self.file_id, done = _begin_file(connection, self._name, self._digest, self._clock())
        if done:
            return FileReport(self._name, DeliveryFileState.DONE, reason=_TAKEN_IN_BEFORE)
        return self._end(self._read_all())

    def _end(self, report: FileReport) -> FileReport:
        if self.file_id is None:
            return report
        with self._ledger.write() as connection:
            ended = _end_file(connection, self.file_id, report, self._clock())
        return ended or FileReport(self._name, DeliveryFileState.DONE, reason=_TAKEN_IN_BEFORE)

    def _read_all(self) -> FileReport:
        events = lines = readable = 0
        problems: list[tuple[int, str, str]] = []
        for chunk in chunks_of(self._path):
            lines += chunk.count
            readable += chunk.readable_payloads
            events += len(chunk.events)
            self._store(chunk)
            problems += chunk.problems
        if problems and not readable:
            reason = f"nothing in it can be read; line {problems[0][0]}: {problems[0][1]}"
            return FileReport(self._name, DeliveryFileState.REJECTED, rejected_lines=len(problems), reason=reason)
        if lines == 0:
            return FileReport(self._name, DeliveryFileState.REJECTED, reason="the file is empty")
        if problems:
            self._keep_rejected_lines(problems)
        return FileReport(self._name, DeliveryFileState.DONE, events, rejected_lines=len(problems))

    def _store(self, chunk: StatusLines) -> None:
        if chunk.account_events:
            rows = [self._account_row(each, self._clock()) for each in chunk.account_events]
            with self._ledger.write() as connection:
                insert_new(connection, account_events, rows)
        if chunk.events:
            self._store_statuses(chunk)

    def _store_statuses(self, chunk: StatusLines) -> None:
        now = self._clock()
        first_line, last_line = chunk.events[0][0], chunk.events[-1][0]
        of_chunk = (delivery_events.c.file_id == self.file_id) & delivery_events.c.line_number.between(
            first_line, last_line
        )
        with self._ledger.write() as connection:
            fold_alone(connection)
            insert_new(connection, delivery_events, [self._row(each, now) for each in chunk.events])
            match_events(connection, of_chunk)
            apply_evidence(connection, select(delivery_events.c.attempt_id).where(of_chunk), now, now + CAPACITY_WINDOW)
            complete_settled(connection, now)
        act_on_webhooks(self._ledger, self._rule, self._clock)

    def _row(self, numbered: tuple[int, StatusEvent], now: datetime) -> dict[str, object]:
        line_number, event = numbered
        return {
            "wamid": event.wamid,
            "status": event.status,
            "occurred_at": event.occurred_at,
            "error_code": event.error_code,
            "error_text": event.error_text,
            "callback_data": event.callback_data,
            "recipient_alias": event.recipient_id,
            "recipient_user_id": event.recipient_user_id,
            "file_id": self.file_id,
            "line_number": line_number,
            "raw": event.raw,
            "received_at": now,
        }

    def _account_row(self, numbered: tuple[int, AccountEvent], now: datetime) -> dict[str, object]:
        line_number, event = numbered
        return {
            "sha256": event.sha256,
            "field": event.field,
            "subject": subject_of(event.business_account_id, event.field, event.value),
            "occurred_at": event.occurred_at,
            "file_id": self.file_id,
            "line_number": line_number,
            "raw": event.raw,
            "received_at": now,
        }

    def _keep_rejected_lines(self, problems: Sequence[tuple[int, str, str]]) -> None:
        self._folders.rejected.mkdir(parents=True, exist_ok=True)
        path = self._folders.rejected / f"{self._kept_name}.lines.ndjson"
        with path.open("w", encoding="utf-8") as file:
            for line_number, reason, text in problems:
                json.dump({"line_number": line_number, "reason": reason, "text": text}, file, ensure_ascii=False)
                file.write("\n")


def _set_aside(path: Path) -> Path:
    """Gives a file a name of its own in the inbox, if it has none yet."""
    if path.name.startswith(_TAKING):
        return path
    return path.rename(path.with_name(f"{_TAKING}{uuid4().hex}-{shortened(path.name)}"))


def _name_in_inbox(path: Path) -> str:
    if not path.name.startswith(_TAKING):
        return path.name
    return path.name.removeprefix(_TAKING).partition("-")[2] or path.name


def _reason_of(error: Exception) -> str:
    """Why a file cannot be taken in, as text that can be kept; without the values of a statement."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    words = " ".join(f"it cannot be taken in: {type(cause).__name__}: {cause}".replace("\0", " ").split())
    return words.encode("utf-8", "replace").decode()[:300]


def _version(path: Path) -> tuple[int, int]:
    """What is another one after a file was written to: its size in bytes and its time of change."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _begin_file(connection: Connection, name: str, digest: str, now: datetime) -> tuple[int, bool]:
    """The file's row, and whether its content was taken in before; one that was interrupted is read again."""
    row = {"name": name, "sha256": digest, "state": DeliveryFileState.READING, "received_at": now}
    insert_new(connection, delivery_files, [row])
    found = connection.execute(
        select(delivery_files.c.id, delivery_files.c.state).where(delivery_files.c.sha256 == digest)
    ).one()
    return found.id, found.state == DeliveryFileState.DONE


def _end_file(connection: Connection, file_id: int, report: FileReport, now: datetime) -> FileReport | None:
    """Writes down what became of a file; gives the report, or None when another ingest has finished it before."""
    new_events = connection.execute(select(func.count()).where(delivery_events.c.file_id == file_id)).scalar_one()
    # An ingest that was killed has left some of them behind: all of them are what this file has brought.
    ended = replace(report, new_events=new_events)
    result = connection.execute(
        update(delivery_files)
        .where(delivery_files.c.id == file_id, delivery_files.c.state != DeliveryFileState.DONE)
        .values(
            state=ended.state,
            reason=ended.reason,
            rejected_lines=ended.rejected_lines,
            events=ended.events,
            new_events=ended.new_events,
            finished_at=now,
        )
    )
    return ended if result.rowcount else None
