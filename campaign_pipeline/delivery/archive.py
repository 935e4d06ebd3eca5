"""The archive, read again: what is missing in the store of events is put back from the files as they came.

Add here another place where files lie that were taken in.
Keep out files that were never taken in: those wait in the inbox, and `status_files` does what follows from them.

Whatever follows from an archived file was done before it was moved there. So an event that is put back is marked as
acted on: an account fault of long ago stops no sender again.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, func, select, update

from campaign_pipeline.delivery.derivation import Transactions
from campaign_pipeline.delivery.event_store import newest_event, row_of_account_event, store_events
from campaign_pipeline.delivery.faults import is_no_files_fault, reason_of
from campaign_pipeline.delivery.status_lines import Place, StatusLines, chunks_of
from campaign_pipeline.ledger.locks import fold_alone
from campaign_pipeline.ledger.schema import account_events, delivery_events, delivery_files
from campaign_pipeline.ledger.states import DeliveryFileState
from campaign_pipeline.ledger.upsert import insert_new
from campaign_pipeline.recipients.stop_words import vocabulary


@dataclass(frozen=True, slots=True)
class ArchiveReport:
    """What reading the archive again has come to.

    Attributes:
        files: Files that were read.
        events: Status events in them, without those of refused lines.
        put_back: Those that the store did not have.
        unreadable: Names of files that cannot be read, or not all of them, with the reason.
    """

    files: int
    events: int
    put_back: int
    unreadable: tuple[str, ...]


def put_back_from_archive(
    transactions: Transactions, archive: Path, clock: Callable[[], datetime], on_progress: Callable[[int, int], None]
) -> ArchiveReport:
    """Puts back into the store whatever it lacks of the archived files; nothing is moved, and nothing rejected again.

    Args:
        transactions: Each portion's.
        archive: The folder.
        clock: Gives the moment, UTC.
        on_progress: Told the files done and the files in all.
    """
    paths = sorted(_files_in(archive)) if archive.is_dir() else []
    before = _events_stored(transactions)
    events = 0
    unreadable: list[str] = []
    for number, path in enumerate(paths):
        on_progress(number, len(paths))
        reading = _Reading(transactions, path, clock)
        try:
            reading.run()
        except OSError as error:
            unreadable.append(f"{path.name}: {error.strerror}")
        if reading.refused:
            unreadable.append(f"{path.name}: lines refused: {reading.refused:,}, the first {reading.first_refusal}")
        events += reading.events
    on_progress(len(paths), len(paths))
    return ArchiveReport(len(paths), events, _events_stored(transactions) - before, tuple(unreadable))


def _files_in(archive: Path) -> list[Path]:
    """The files that were taken in; what begins with a dot is somebody's own, as on a file server."""
    return [path for path in archive.iterdir() if path.is_file() and not path.name.startswith(".")]


class _Reading:
    """The reading of one archived file.

    Attributes:
        events: How many status events it has, without refused lines.
        refused: How many of its lines cannot be put back.
        first_refusal: Which was the first of them, and why.
    """

    def __init__(self, transactions: Transactions, path: Path, clock: Callable[[], datetime]) -> None:
        self.events = 0
        self.refused = 0
        self.first_refusal = ""
        self._transactions = transactions
        self._path = path
        self._clock = clock
        # What people said was acted on when it came, and is not put back.
        self._words = vocabulary()

    def run(self) -> None:
        """Puts back what the store lacks; where some lines fail, each by itself, as when they were taken in."""
        with self._path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        with self._transactions() as connection:
            file_id = _file_row(connection, self._path.name, digest, self._clock())
        start = Place()
        for chunk in chunks_of(self._path, self._words):
            if self._failure(chunk, file_id) is not None:
                self._one_by_one(start, chunk.end, file_id)
            start = chunk.end

    def _one_by_one(self, start: Place, end: Place, file_id: int) -> None:
        for line in chunks_of(self._path, self._words, start, at_once=1):
            error = self._failure(line, file_id)
            if error is not None:
                self.first_refusal = self.first_refusal or f"in line {line.end.lines_read:,}: {reason_of(error)}"
                self.refused += 1
            if line.end.bytes_read >= end.bytes_read:
                return

    def _failure(self, lines: StatusLines, file_id: int) -> Exception | None:
        """Puts some lines back, all or nothing; what speaks against them is given, anything else raised."""
        try:
            with self._transactions() as connection:
                fold_alone(connection)
                # The transaction may be one for everything: what failed has to be undone in it, and nothing else.
                with connection.begin_nested():
                    _put_back(connection, lines, file_id, self._clock())
        except Exception as error:
            if is_no_files_fault(error):
                raise
            return error
        self.events += len(lines.events)
        return None


def _put_back(connection: Connection, chunk: StatusLines, file_id: int, now: datetime) -> None:
    event = delivery_events.c
    newest_before = newest_event(connection)
    store_events(connection, file_id, chunk.events, now)
    connection.execute(
        update(delivery_events).where(event.id > newest_before, event.status == "failed").values(acted_at=now)
    )
    told = [row_of_account_event(each, file_id, line, now) for line, each in chunk.account_events]
    insert_new(connection, account_events, [{**row, "acted_at": now} for row in told])


def _file_row(connection: Connection, name: str, digest: str, now: datetime) -> int:
    """The file's row; one that the ledger has forgotten gets another, as of a file of which nothing is taken in yet.

    So it can still go through the inbox, for what people have said in it.
    """
    row = {"name": name, "sha256": digest, "state": DeliveryFileState.READING, "received_at": now}
    insert_new(connection, delivery_files, [row])
    return connection.execute(select(delivery_files.c.id).where(delivery_files.c.sha256 == digest)).scalar_one()


def _events_stored(transactions: Transactions) -> int:
    with transactions() as connection:
        return connection.execute(select(func.count()).select_from(delivery_events)).scalar_one()
