"""Takes in status files in a process of its own that stops in the middle, so that a test can kill it there.

Keep out expectations: those belong to the tests.
"""

import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from campaign_pipeline.delivery import status_files, status_lines
from campaign_pipeline.delivery.folders import StatusFolders
from campaign_pipeline.ledger.engine import open_ledger

LINES_A_CHUNK = 5
READINGS_OF_THE_CLOCK = 4
"""One when the file begins, one for each chunk: it stands still before the third."""


def start_ingest(ledger_url: str, root: Path) -> "subprocess.Popen[str]":
    """Starts a process that takes in two chunks of the first file, says so, and then waits to be killed."""
    words = [sys.executable, "-m", __name__, ledger_url, str(root)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def folders_in(root: Path) -> StatusFolders:
    """The folders of a test."""
    return StatusFolders(root / "inbox", root / "archive", root / "rejected")


def _clock_that_stops() -> datetime:
    _readings.append(0)
    if len(_readings) == READINGS_OF_THE_CLOCK:
        sys.stdout.write("two chunks are in\n")
        sys.stdout.flush()
        time.sleep(60)
    return datetime.now(UTC)


_readings: list[int] = []

if __name__ == "__main__":
    status_lines.LINES_PER_TRANSACTION = LINES_A_CHUNK  # ty: ignore[invalid-assignment]
    status_files.ingest_waiting(open_ledger(sys.argv[1]), folders_in(Path(sys.argv[2])), _clock_that_stops)
