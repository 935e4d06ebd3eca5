"""The rebuild, as an operator orders it: derive everything again and say whether it came out the same.

Add here another source that a rebuild can start from, or what its report tells.
Keep out the deriving (`derivation`), the archive (`archive`) and what is compared (`digest`).
"""

import sqlite3
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from sqlalchemy import Connection, func, select

from campaign_pipeline.campaigns.journal import announce, audit
from campaign_pipeline.delivery.archive import ArchiveReport, put_back_from_archive
from campaign_pipeline.delivery.derivation import Derived, Transactions, derive_everything
from campaign_pipeline.delivery.digest import Digest, digest_of
from campaign_pipeline.ledger.engine import Ledger, connect
from campaign_pipeline.ledger.schema import audit_log, delivery_events, send_attempts
from campaign_pipeline.ledger.states import AttemptOutcome

DELIVERY_REBUILT: Final = "delivery_rebuilt"
"""The kind of the rows in audit log and outbox that tell of it."""

OnProgress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is in all."""


@dataclass(frozen=True, slots=True)
class RebuildReport:
    """What a rebuild has come to.

    Attributes:
        before: What was learnt, as it stood.
        after: What was learnt, as it was derived again.
        derived: What was gone through.
        archive: What was put back from the archive; None if that was not read.
        disturbed: Whether something else came in meanwhile, so that the two need not be the same.
    """

    before: Digest
    after: Digest
    derived: Derived
    archive: ArchiveReport | None
    disturbed: bool

    @property
    def agrees(self) -> bool:
        """Whether it came out the same."""
        return self.before.whole == self.after.whole

    @property
    def differs_in(self) -> list[str]:
        """The parts that did not come out the same."""
        return self.before.differing(self.after)

    def as_details(self) -> dict[str, Any]:
        """The report in short, for whoever hears of it later."""
        archive = self.archive
        return {
            "digest_before": self.before.whole,
            "digest_after": self.after.whole,
            "agrees": self.agrees,
            "differs_in": self.differs_in,
            "disturbed": self.disturbed,
            "events": self.derived.events,
            "attempts": self.derived.attempts,
            "dates": [each.isoformat() for each in self.derived.dates],
            "archived_files": archive.files if archive is not None else None,
            "put_back": archive.put_back if archive is not None else None,
            "unreadable": list(archive.unreadable) if archive is not None else [],
        }


def rebuild(
    ledger: Ledger, archive: Path | None, clock: Callable[[], datetime], *, actor: str, on_progress: OnProgress
) -> RebuildReport:
    """Throws away what was derived from status events, derives it again, and compares.

    Args:
        ledger: The ledger.
        archive: The folder of files that were taken in, to put back what the store lacks of them; None for the stored
            events alone.
        clock: Gives the moment, UTC.
        actor: Who ordered it, for the audit log.
        on_progress: Told how far it is.
    """
    report = _derive(ledger.write, ledger.read, archive, clock, on_progress)
    with ledger.write() as connection:
        details = report.as_details()
        audit(connection, DELIVERY_REBUILT, "deliveries", actor=actor, now=clock(), details=details)
        announce(connection, DELIVERY_REBUILT, now=clock(), details=details)
    return report


def check(
    ledger: Ledger, archive: Path | None, clock: Callable[[], datetime], *, on_progress: OnProgress
) -> RebuildReport:
    """Derives everything again without changing anything, and compares.

    On SQLite in a copy, since its one writer would keep everybody waiting; on PostgreSQL in one transaction that is
    rolled back, for whose duration answers and status files wait to be written down.

    Args:
        ledger: The ledger.
        archive: As of `rebuild`.
        clock: Gives the moment, UTC.
        on_progress: Told how far it is.
    """
    if ledger.engine.dialect.name == "sqlite":
        with _copied(ledger) as copy:
            return _derive(copy.write, copy.read, archive, clock, on_progress)
    with ledger.engine.connect() as connection, connection.begin() as everything:

        @contextmanager
        def within() -> Generator[Connection]:
            yield connection

        try:
            return _derive(within, within, archive, clock, on_progress)
        finally:
            everything.rollback()


def _derive(
    transactions: Transactions,
    looks: Transactions,
    archive: Path | None,
    clock: Callable[[], datetime],
    on_progress: OnProgress,
) -> RebuildReport:
    """Derives everything, with a look before and after: these write nothing, and must keep no writer waiting."""

    def telling(what: str) -> Callable[[int, int], None]:
        return lambda done, in_all: on_progress(what, done, in_all)

    before, marks = _look(looks)
    put_back = None
    if archive is not None:
        put_back = put_back_from_archive(transactions, archive, clock, telling("archived files"))
        marks = _look(looks)[1] if put_back.put_back else marks
    derived = derive_everything(transactions, clock, telling("rows"))
    after, marks_after = _look(looks)
    return RebuildReport(before, after, derived, put_back, disturbed=marks != marks_after)


def _look(transactions: Transactions) -> tuple[Digest, Mapping[str, object]]:
    """What was learnt, and marks that tell whether somebody else has changed something since."""
    calling = send_attempts.c.outcome == AttemptOutcome.CALLING
    with transactions() as connection:
        marks = {
            "newest event": connection.execute(select(func.max(delivery_events.c.id))).scalar_one(),
            "attempts": connection.execute(select(func.count()).select_from(send_attempts)).scalar_one(),
            "calls": connection.execute(select(func.count()).where(calling)).scalar_one(),
            "journal": connection.execute(select(func.max(audit_log.c.id))).scalar_one(),
        }
        return digest_of(connection), marks


@contextmanager
def _copied(ledger: Ledger) -> Generator[Ledger]:
    """A copy of an SQLite ledger as it stands, for as long as the body runs."""
    with TemporaryDirectory(prefix="campaign-check-", dir=Path(ledger.engine.url.database or "").parent) as folder:
        path = Path(folder) / "ledger.sqlite3"
        target = sqlite3.connect(path)
        source = sqlite3.connect(str(ledger.engine.url.database))
        try:
            source.backup(target)
        finally:
            source.close()
            target.close()
        copy = connect(f"sqlite:///{path}")
        try:
            yield copy
        finally:
            copy.close()
