"""Stopping cleanly: SIGTERM and Dagster's Terminate end a run between two calls, not in the middle of one.

Keep out what is done on the way to the end: `sending.dispatch`.
"""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stop_requests() -> Generator[threading.Event]:
    """An event that is set once the run is asked to stop, in place of Dagster's interruption.

    Dagster's own handler raises wherever the code happens to be, which could be between an answer and its recording.
    When the body has ended, the handler that was there before hears of the signal, so that the run ends as cancelled.
    Outside the main thread, where Python delivers no signals, the event is simply never set.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    received: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        stop.set()

    before = {number: signal.signal(number, note) for number in _SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if received:
            handler = before[signal.Signals(received[0])]
            if callable(handler):
                handler(received[0], None)
