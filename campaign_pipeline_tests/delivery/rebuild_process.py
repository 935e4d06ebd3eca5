"""Takes in status files, or rebuilds, in a process of its own that dies before or after one of its commits.

Keep out expectations: those belong to the tests.
"""

import subprocess
import sys
from datetime import datetime
from pathlib import Path

from campaign_pipeline.delivery import derivation, rebuild, status_lines
from campaign_pipeline.delivery.status_files import ingest_waiting
from campaign_pipeline.ledger.engine import open_ledger
from campaign_pipeline_tests.delivery.ingest_process import folders_in
from campaign_pipeline_tests.sending.boundaries import Boundaries

NOW = datetime.fromisoformat("2026-03-02T11:00:00+00:00")
ROWS = 3
KILLED = -9


def run_until(boundary: int, what: str, ledger_url: str, root: Path) -> int:
    """Runs `ingest` or `rebuild` and kills it at one of its boundaries; gives the exit status."""
    words = [sys.executable, "-m", __name__, str(boundary), what, ledger_url, str(root)]
    return subprocess.run(words, check=False, timeout=300).returncode


if __name__ == "__main__":
    status_lines.LINES_PER_TRANSACTION = ROWS  # ty: ignore[invalid-assignment]
    derivation.ROWS_PER_TRANSACTION = ROWS  # ty: ignore[invalid-assignment]
    made = open_ledger(sys.argv[3])
    Boundaries(int(sys.argv[1]), lambda _place: None).watch_commits(made.engine)
    folders = folders_in(Path(sys.argv[4]))
    if sys.argv[2] == "ingest":
        ingest_waiting(made, folders, lambda: NOW)
    else:
        rebuild.rebuild(made, folders.archive, lambda: NOW, actor="test", on_progress=lambda _what, _done, _all: None)
