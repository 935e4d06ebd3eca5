"""Taking in one status file: set aside, known by its bytes, read from where the last one has stopped, put away.

Add here what concerns one file as a whole.
Keep out its lines (`status_lines`), what is kept of an event (`event_store`), and which files are taken in
(`status_files`).
"""

import errno
import fcntl
import hashlib
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import uuid4

from sqlalchemy import Connection, Row, select, update

from campaign_pipeline.delivery.event_store import row_of_account_event, store_events
from campaign_pipeline.delivery.faults import is_no_files_fault, reason_of
from campaign_pipeline.delivery.folders import StatusFolders
from campaign_pipeline.delivery.folding import apply_to_attempts, derive_anew
from campaign_pipeline.delivery.inbound_store import InboundTerms, keep_words
from campaign_pipeline.delivery.read_ahead import ReadAhead
from campaign_pipeline.delivery.rejected_lines import RejectedLines
from campaign_pipeline.delivery.status_lines import Place, StatusLines, chunks_of, text_between
from campaign_pipeline.ledger.bulk import in_portions
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.locks import fold_alone
from campaign_pipeline.ledger.schema import account_events, delivery_files
from campaign_pipeline.ledger.states import DeliveryFileState
from campaign_pipeline.ledger.upsert import insert_new
from campaign_pipeline.recipients.folders import shortened

TAKING: Final = ".taking-"
"""With this begins the name of a file that an ingest has set aside."""

_TAKEN_IN_BEFORE: Final = "its content was taken in before"
_CHANGED: Final = "it changed while it was taken in: it stays in the inbox for the next ingest"
_NO_LOCKS_HERE: Final = (errno.EBADF, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@dataclass(frozen=True, slots=True)
class FileReport:
    """What became of one status file.

    Attributes:
        name: Its name in the inbox.
        state: done or rejected; reading if there was no time for all of it.
        events: Status events in it, `new_events` those that no file had brought before.
        rejected_lines: Lines that cannot be read, kept in the rejected folder.
        words: What people have said in it: stop, start, preferences, new numbers, replies.
        reason: Why it was rejected, or that it had been taken in before.
    """

    name: str
    state: str
    events: int = 0
    new_events: int = 0
    rejected_lines: int = 0
    words: int = 0
    reason: str | None = None


class _OvertakenError(Exception):
    """Another ingest takes the same content in at this moment, and has come further, or has begun with the file."""


class FileIngest:
    """The taking in of one file.

    Attributes:
        report: What became of it; None when somebody else was faster.
    """

    def __init__(
        self,
        ledger: Ledger,
        folders: StatusFolders,
        path: Path,
        clock: Callable[[], datetime],
        inbound: InboundTerms,
        may_go_on: Callable[[StatusLines], bool],
    ) -> None:
        """Prepares it.

        Args:
            ledger: Where events are stored.
            folders: Inbox, archive and rejected.
            path: The file.
            clock: Gives the moment, UTC.
            inbound: How what people say is taken.
            may_go_on: Asked after each transaction, with its lines, whether there is time for another.
        """
        self.report: FileReport | None = None
        self._ledger = ledger
        self._folders = folders
        self._path = path
        self._file_name = _name_in_inbox(path)
        # As text that a database takes, whatever bytes the name is made of.
        self._name = os.fsencode(self._file_name).decode("utf-8", "replace")
        self._digest = ""
        self._is_begun = False
        self._as_hashed: tuple[int, int] | None = None
        self._clock = clock
        self._inbound = inbound
        self._may_go_on = may_go_on

    def run(self) -> None:
        """Sets it aside and takes it in; what is wrong with this file alone is a reason to reject it."""
        try:
            self._path = _set_aside(self._path)
            self._as_hashed = _version(self._path)
            with _held(self._path):
                self._digest = _digest(self._path)
                self.report = self._take_in()
        except (FileNotFoundError, _OvertakenError):
            return
        except Exception as error:
            if is_no_files_fault(error):
                raise
            self.report = self._reject(reason_of(error))

    def put_away(self) -> None:
        """Moves it out of the inbox, unless somebody else has done so, or it has changed since it was hashed."""
        if self.report is None or self.report.state == DeliveryFileState.READING:
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
            row = _begin_file(connection, self._name, self._digest, self._clock())
        self._is_begun = True
        if row.state == DeliveryFileState.DONE:
            return FileReport(self._name, DeliveryFileState.DONE, reason=_TAKEN_IN_BEFORE)
        rejected = RejectedLines(self._folders.rejected / f"{self._kept_name}.lines.ndjson")
        rejected.cut_back_to(row.lines_read)
        place, is_cut_off = Place(row.bytes_read, row.lines_read), False
        with ReadAhead(chunks_of(self._path, self._inbound.vocabulary, place)) as chunks:
            for chunk in chunks:
                self._take_chunk(row.id, place, chunk, rejected, chunks.begin)
                place, is_cut_off = chunk.end, chunk.is_cut_off
                # Where a file breaks off, nothing is left to go on with.
                if not self._may_go_on(chunk) and not is_cut_off:
                    return self._so_far(place)
        return self._end(rejected, is_cut_off)

    def _take_chunk(
        self, file_id: int, start: Place, chunk: StatusLines, rejected: RejectedLines, meanwhile: Callable[[], None]
    ) -> None:
        """Stores some lines; where that fails, each by itself, so that one which nobody foresaw rejects only itself."""
        rejected.add(chunk.problems)
        try:
            self._store(file_id, start, chunk, meanwhile)
        except Exception as error:
            if isinstance(error, _OvertakenError) or is_no_files_fault(error):
                raise
            rejected.cut_back_to(start.lines_read)
            self._take_one_by_one(file_id, start, chunk, rejected)

    def _take_one_by_one(self, file_id: int, start: Place, chunk: StatusLines, rejected: RejectedLines) -> None:
        for line in chunks_of(self._path, self._inbound.vocabulary, start, at_once=1):
            rejected.add(line.problems)
            try:
                self._store(file_id, start, line)
            except Exception as error:
                if isinstance(error, _OvertakenError) or is_no_files_fault(error):
                    raise
                self._set_line_aside(file_id, start, line, error, rejected)
            start = line.end
            if start.bytes_read >= chunk.end.bytes_read and line.is_cut_off == chunk.is_cut_off:
                return

    def _set_line_aside(
        self, file_id: int, start: Place, line: StatusLines, error: Exception, rejected: RejectedLines
    ) -> None:
        problem = (line.end.lines_read, reason_of(error), text_between(self._path, start, line.end))
        rejected.add([problem])
        aside = StatusLines(line.vocabulary, line.end, problems=[*line.problems, problem])
        self._store(file_id, start, aside)

    def _store(
        self, file_id: int, start: Place, chunk: StatusLines, meanwhile: Callable[[], None] = lambda: None
    ) -> None:
        now = self._clock()
        with self._ledger.write() as connection:
            fold_alone(connection)
            stored = store_events(connection, file_id, chunk.events, now, meanwhile)
            for some in in_portions(stored.retold):
                apply_to_attempts(connection, some, now)
                # An event may have turned out to be another one's.
                derive_anew(connection, some, now)
            rows = [row_of_account_event(event, file_id, number, now) for number, event in chunk.account_events]
            insert_new(connection, account_events, rows)
            keep_words(connection, file_id, chunk.words, self._inbound, now)
            _move_on(connection, file_id, start, chunk, stored.new)

    def _so_far(self, place: Place) -> FileReport:
        reason = f"taken in up to line {place.lines_read:,}; the next ingest goes on"
        with self._ledger.read() as connection:
            return _report(self._name, _row_of(connection, self._digest), DeliveryFileState.READING, reason)

    def _end(self, rejected: RejectedLines, is_cut_off: bool) -> FileReport:
        with self._ledger.read() as connection:
            row = _row_of(connection, self._digest)
        if row.rejected_lines and not row.readable_payloads:
            number, first = rejected.first()
            rejected.discard()
            return self._reject(f"nothing in it can be read; line {number}: {first}")
        if not row.readable_payloads:
            return self._reject("the file is empty")
        if is_cut_off:
            return self._reject("it breaks off: what comes before is taken in. Send it again, whole")
        return self._finish(DeliveryFileState.DONE, None)

    def _reject(self, reason: str) -> FileReport:
        return self._finish(DeliveryFileState.REJECTED, reason)

    def _finish(self, state: DeliveryFileState, reason: str | None) -> FileReport:
        if not self._is_begun:
            return FileReport(self._name, state, reason=reason)
        with self._ledger.write() as connection:
            has_ended = _end_file(connection, self._digest, state, reason, self._clock())
            row = _row_of(connection, self._digest)
        if not has_ended:
            return FileReport(self._name, DeliveryFileState.DONE, reason=_TAKEN_IN_BEFORE)
        return _report(self._name, row, state, reason)


def _report(name: str, row: Row, state: DeliveryFileState, reason: str | None) -> FileReport:
    return FileReport(name, state, row.events, row.new_events, row.rejected_lines, row.words, reason)


def _set_aside(path: Path) -> Path:
    """Gives a file a name of its own in the inbox, if it has none yet."""
    if path.name.startswith(TAKING):
        return path
    return path.rename(path.with_name(f"{TAKING}{uuid4().hex}-{shortened(path.name)}"))


@contextmanager
def _held(path: Path) -> Generator[None]:
    """Keeps other ingests from a file as long as this one is at it; whoever is killed lets go of it.

    Two at one file would both read it from its beginning to know it, and each take out of the rejected lines what the
    other has only just kept. Where a folder's file system knows no such locks, the ledger decides.

    Raises:
        _OvertakenError: Another one is at it.
    """
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _OvertakenError from error
        except OSError as error:
            if error.errno not in _NO_LOCKS_HERE:
                raise
        yield


def _name_in_inbox(path: Path) -> str:
    if not path.name.startswith(TAKING):
        return path.name
    return path.name.removeprefix(TAKING).partition("-")[2] or path.name


def _version(path: Path) -> tuple[int, int]:
    """What is another one after a file was written to: its size in bytes and its time of change."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _begin_file(connection: Connection, name: str, digest: str, now: datetime) -> Row:
    """The file's row; one that was interrupted goes on, one that was rejected begins again."""
    begun = {"name": name, "sha256": digest, "state": DeliveryFileState.READING, "received_at": now}
    insert_new(connection, delivery_files, [begun])
    nothing = dict.fromkeys(
        ("bytes_read", "lines_read", "readable_payloads", "rejected_lines", "events", "new_events", "words"), 0
    )
    connection.execute(
        update(delivery_files)
        .where(delivery_files.c.sha256 == digest, delivery_files.c.state == DeliveryFileState.REJECTED)
        .values(state=DeliveryFileState.READING, **nothing)
    )
    return _row_of(connection, digest)


def _row_of(connection: Connection, digest: str) -> Row:
    return connection.execute(select(delivery_files).where(delivery_files.c.sha256 == digest)).one()


def _move_on(connection: Connection, file_id: int, start: Place, chunk: StatusLines, new_events: int) -> None:
    """Writes down how far the file is taken in.

    Raises:
        _OvertakenError: Another ingest has taken it further from the same place.
    """
    file = delivery_files.c
    moved = connection.execute(
        update(delivery_files)
        .where(
            file.id == file_id,
            file.state == DeliveryFileState.READING,
            file.bytes_read == start.bytes_read,
            file.lines_read == start.lines_read,
        )
        .values(
            bytes_read=chunk.end.bytes_read,
            lines_read=chunk.end.lines_read,
            readable_payloads=file.readable_payloads + chunk.readable_payloads,
            rejected_lines=file.rejected_lines + len(chunk.problems),
            events=file.events + len(chunk.events),
            new_events=file.new_events + new_events,
            words=file.words + len(chunk.words),
        )
    )
    if not moved.rowcount:
        raise _OvertakenError


def _end_file(connection: Connection, digest: str, state: DeliveryFileState, reason: str | None, now: datetime) -> bool:
    """Writes down what became of a file; False when another ingest has finished it before."""
    file = delivery_files.c
    ended = connection.execute(
        update(delivery_files)
        .where(file.sha256 == digest, file.state != DeliveryFileState.DONE)
        .values(state=state, reason=reason, finished_at=now)
    )
    return bool(ended.rowcount)
