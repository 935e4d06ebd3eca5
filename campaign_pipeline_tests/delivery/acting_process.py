"""Acts on what people have said in a process of its own that stops in the middle, so that a test can kill it there.

Keep out expectations: those belong to the tests.
"""

import subprocess
import sys
import time
from datetime import UTC, datetime

from campaign_pipeline.delivery import inbound_store
from campaign_pipeline.ledger.engine import open_ledger

WORDS_AT_ONCE = 2


def start_acting(ledger_url: str) -> "subprocess.Popen[str]":
    """Starts a process that acts on two portions, says so within the third, and then waits to be killed."""
    return subprocess.Popen([sys.executable, "-m", __name__, ledger_url], stdout=subprocess.PIPE, text=True)


def _clock_that_stops() -> datetime:
    _readings.append(0)
    if len(_readings) == 3:
        sys.stdout.write("two portions are done\n")
        sys.stdout.flush()
        time.sleep(60)
    return datetime.now(UTC)


_readings: list[int] = []

if __name__ == "__main__":
    inbound_store._AT_ONCE = WORDS_AT_ONCE  # ty: ignore[invalid-assignment]
    inbound_store.act_on_inbound(open_ledger(sys.argv[1]), _clock_that_stops)
