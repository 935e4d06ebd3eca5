"""Waiting for what another process does.

Add here how a test waits. Keep out what it waits for.
"""

import time
from collections.abc import Callable
from typing import Final

PATIENCE: Final = 300.0
"""Seconds after which something hangs; on a busy machine a command that starts Dagster needs ten."""

SHORTEST_PAUSE: Final = 0.02
"""Seconds between two looks at first; later a tenth of what was waited: to look costs the time that is waited for."""


def wait_until(reached: Callable[[], bool], what: str, timeout: float = PATIENCE, longest_pause: float = 2.0) -> None:
    """Looks again and again.

    Args:
        reached: Whether it has come about.
        what: Told when it does not.
        timeout: Seconds to wait at most.
        longest_pause: Seconds between two looks at most; less for a moment that passes.

    Raises:
        TimeoutError: It has not come about.
    """
    began = time.monotonic()
    while not reached():
        waited = time.monotonic() - began
        if waited > timeout:
            msg = f"Waited {timeout} seconds for {what}."
            raise TimeoutError(msg)
        time.sleep(min(longest_pause, max(SHORTEST_PAUSE, waited / 10)))
