"""Status files: taking in the webhook payloads that wait in the inbox, each event once, whatever file it comes in.

Add here which files are taken in, and what follows when they are.
Keep out one file by itself (`status_file`), what a payload means (`webhooks`) and what an event does (`folding`).

A file is NDJSON, one payload a line, or a single JSON document, compressed with gzip or not. It is known by its bytes:
the same ones under another name are taken in once. A line that cannot be read never holds up the others, and neither
does a file.

A file is first set aside in the inbox under a name of its own, so that another one put in its place is not mistaken for
it. How far it was taken in is written down with its events: a killed ingest leaves it behind, and the next one goes on
in the middle. It leaves the inbox when everything that follows from it is written down. Two ingests may come upon one
file at once: one of them takes it in.
"""

import time
from collections.abc import Callable, Container, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Final

from campaign_pipeline.campaigns.journal import announce
from campaign_pipeline.delivery.analytics import DateAnalytics
from campaign_pipeline.delivery.consequences import act_on_webhooks
from campaign_pipeline.delivery.folders import StatusFolders
from campaign_pipeline.delivery.inbound_store import InboundTerms, act_on_inbound
from campaign_pipeline.delivery.new_evidence import fold_new_events, refresh_touched
from campaign_pipeline.delivery.standing import unmatched_events
from campaign_pipeline.delivery.status_file import TAKING, FileIngest, FileReport
from campaign_pipeline.delivery.status_lines import StatusLines
from campaign_pipeline.delivery.stop_rule import DEFAULT_RULE, StopRule
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.states import DeliveryFileState

STATUSES_INGESTED: Final = "statuses_ingested"
"""The kind of the outbox row that tells Dagster of it."""

_FILES_TOLD: Final = 100
"""Of how many files the outbox row tells one by one."""

_FOLD_AFTER: Final = 45.0
"""Seconds for which events may wait to be folded while more are stored."""

_FOLD_AFTER_EVENTS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class IngestBounds:
    """How much one ingest takes in at most; the next one goes on with the rest.

    Attributes:
        files: So many files; None is all that wait.
        seconds: No new transaction begins after so long, but for the first; None is however long it takes.
    """

    files: int | None = None
    seconds: float | None = None


NO_BOUNDS: Final = IngestBounds()


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What became of the files that waited.

    Attributes:
        files: One report a file, in the order of their names.
        analytics: The analytics, brought up to date, of each send date whose people the events are about.
        unmatched: Events in the ledger that nobody here knows the message of.
        left: Files that wait still, since there was no time for them.
    """

    files: list[FileReport]
    analytics: dict[date, list[DateAnalytics]]
    unmatched: int
    left: int = 0

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

    @property
    def words(self) -> int:
        """What people have said in the files."""
        return sum(file.words for file in self.files)

    def as_details(self) -> dict[str, object]:
        """The report in short, for whoever hears of it later."""
        return {
            "files": len(self.files),
            "events": self.events,
            "new_events": self.new_events,
            "words": self.words,
            "dates": [each.isoformat() for each in self.dates],
            "not_ours": self.unmatched,
            "left": self.left,
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
    return sorted(path for path in folders.inbox.iterdir() if may_be_taken_in(path.name) and path.is_file())


def may_be_taken_in(name: str) -> bool:
    """Whether a file of the inbox waits, by its name: nobody writes to it any more, or an ingest has set it aside."""
    return name.startswith(TAKING) or not name.startswith(".")


def ingest_waiting(
    ledger: Ledger,
    folders: StatusFolders,
    clock: Callable[[], datetime],
    on_progress: Callable[[int, int], None] = lambda _done, _in_all: None,
    names: Container[str] | None = None,
    rule: StopRule = DEFAULT_RULE,
    bounds: IngestBounds = NO_BOUNDS,
    inbound: InboundTerms | None = None,
) -> IngestReport:
    """Takes in what waits, brings the analytics of the dates that it touches up to date, and leaves word.

    Killed at any moment, it is simply run again: events count once, and a file leaves the inbox only when it is done.

    Args:
        ledger: Where events, attempts and recipients are.
        folders: Inbox, archive and rejected.
        clock: Gives the moment, UTC.
        on_progress: Told the files done and the files in all.
        names: Which of them to take in, so that others may go on growing; None is whatever waits.
        rule: When the failures of a campaign's last messages pause it.
        bounds: How much is taken in at most.
        inbound: How what people say is taken; without it, as the settings have it by default.
    """
    inbound = inbound or InboundTerms()
    waiting = [path for path in waiting_files(folders) if names is None or path.name in names]
    chosen = waiting[: bounds.files]
    course = _Course(ledger, clock, rule, bounds.seconds)
    ingests: list[FileIngest] = []
    for number, path in enumerate(chosen):
        on_progress(number, len(chosen))
        if ingests and not course.has_time():
            break
        ingests.append(FileIngest(ledger, folders, path, clock, inbound, course.go_on_after))
        ingests[-1].run()
    course.fold()
    # What a killed ingest has kept and not acted on is acted on by the next one, whatever that finds.
    act_on_inbound(ledger, clock)
    on_progress(len(ingests), len(chosen))
    analytics = refresh_touched(ledger, clock)
    reports = [each.report for each in ingests if each.report is not None]
    left = len(waiting) - len(ingests) + sum(each.state == DeliveryFileState.READING for each in reports)
    with ledger.write() as connection:
        report = IngestReport(reports, analytics, unmatched_events(connection), left)
        if report.files or report.analytics:
            announce(connection, STATUSES_INGESTED, now=clock(), details=report.as_details())
    # Only now: files that are still there make the next ingest bring up to date what a killed one could not.
    for ingest in ingests:
        ingest.put_away()
    return replace(report, files=[each.report for each in ingests if each.report is not None])


class _Course:
    """The course of one ingest: how long it has gone on, and when what was stored is folded."""

    def __init__(self, ledger: Ledger, clock: Callable[[], datetime], rule: StopRule, seconds: float | None) -> None:
        self._ledger = ledger
        self._clock = clock
        self._rule = rule
        self._ends_at = None if seconds is None else time.monotonic() + seconds
        self._folded_at = time.monotonic()
        self._not_folded = 0

    def has_time(self) -> bool:
        """Whether anything more may be begun."""
        return self._ends_at is None or time.monotonic() < self._ends_at

    def go_on_after(self, lines: StatusLines) -> bool:
        """Acts on what people said, and on statuses once they have waited long enough; tells whether there is time."""
        if lines.words:
            act_on_inbound(self._ledger, self._clock)
        self._not_folded += len(lines.events)
        if self._not_folded >= _FOLD_AFTER_EVENTS or time.monotonic() - self._folded_at >= _FOLD_AFTER:
            self.fold()
        return self.has_time()

    def fold(self) -> None:
        """Folds all that was stored, and does what it means at large."""
        fold_new_events(self._ledger, self._clock)
        act_on_webhooks(self._ledger, self._rule, self._clock)
        self._not_folded, self._folded_at = 0, time.monotonic()
