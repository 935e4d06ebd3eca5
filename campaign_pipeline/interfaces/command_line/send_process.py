"""The process that sends a date: started, watched, stopped cleanly, and asked what became of it.

Add here what concerns the process. Dagster runs in it, so that the command line starts without Dagster.
Keep out what sending a date means, and what the command shows.
"""

import json
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from types import FrameType
from typing import Final

_LAST_LINES: Final = 15
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class SendFiles:
    """Where a sending process writes: what it says on its way, and its result."""

    log: Path
    result: Path


@dataclass(frozen=True, slots=True)
class SendEnd:
    """How a sending process ended.

    Attributes:
        ok: Whether the date's batch is finished.
        sentence: What happened.
        last_lines: The end of the log, when the process died without saying.
    """

    ok: bool
    sentence: str
    last_lines: tuple[str, ...] = ()


def files_for(logs: Path, send_date: date, started: datetime) -> SendFiles:
    """Names the files of one sending process by date and time; processes started together have their own."""
    logs.mkdir(parents=True, exist_ok=True)
    stem = f"send-{send_date}-{started:%Y%m%dT%H%M%S}-{os.getpid()}"
    return SendFiles(logs / f"{stem}.log", logs / f"{stem}.json")


def command_for(send_date: date, files: SendFiles) -> list[str]:
    """The command that materializes a date's partition through Dagster."""
    module = "campaign_pipeline.orchestration.send_date"
    return [sys.executable, "-m", module, send_date.isoformat(), "--result", str(files.result)]


def run(
    command: Sequence[str],
    files: SendFiles,
    *,
    look_every: float,
    on_look: Callable[[], None],
    on_stopping: Callable[[], None],
) -> SendEnd:
    """Runs a sending process to its end.

    The first SIGINT, SIGTERM or SIGHUP of this process is passed on, so that calls in flight are finished and
    recorded; the process is waited for whatever happens here.

    Args:
        command: What to run; it leaves its result in `files.result`.
        files: Its files.
        look_every: Seconds between two looks.
        on_look: Called while it runs.
        on_stopping: Called when a signal is passed on.
    """
    with files.log.open("ab") as log, _passed_on(on_stopping) as signals:
        # A session of its own: Ctrl-C at the terminal reaches it once, through us, not twice.
        process = subprocess.Popen(  # noqa: S603 - our own module, and a date
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        try:
            signals.attach(process)
            status = _watch(process, look_every, on_look)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait()
    return _read_end(files, status)


class _PassedOn:
    """Signals of this process, of which the first goes on to another one."""

    def __init__(self, on_stopping: Callable[[], None]) -> None:
        self._on_stopping = on_stopping
        self._process: subprocess.Popen[bytes] | None = None
        self._received: int | None = None
        self._is_passed_on = False

    def attach(self, process: subprocess.Popen[bytes]) -> None:
        """Says which process; a signal that came before it started is passed on now."""
        self._process = process
        self._pass_on()

    def receive(self, number: int, _frame: FrameType | None) -> None:
        """Takes a signal of this process."""
        if self._received is None:
            # A closed terminal asks for the same clean stop.
            self._received = signal.SIGTERM if number == signal.SIGHUP else number
            self._on_stopping()
            self._pass_on()

    def _pass_on(self) -> None:
        if self._process is not None and self._received is not None and not self._is_passed_on:
            self._is_passed_on = True
            self._process.send_signal(self._received)


@contextmanager
def _passed_on(on_stopping: Callable[[], None]) -> Generator[_PassedOn]:
    signals = _PassedOn(on_stopping)
    before = {number: signal.signal(number, signals.receive) for number in _SIGNALS}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _watch(process: subprocess.Popen[bytes], look_every: float, on_look: Callable[[], None]) -> int:
    while True:
        try:
            return process.wait(timeout=look_every)
        except subprocess.TimeoutExpired:
            on_look()


def _read_end(files: SendFiles, status: int) -> SendEnd:
    try:
        result = json.loads(files.result.read_text(encoding="utf-8"))
        end = SendEnd(bool(result["ok"]), str(result["sentence"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        died = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        sentence = (
            f"The sending process {died} and left no result; `campaign send` for the same date goes on from there."
        )
        return SendEnd(False, sentence, _tail(files.log))
    files.result.unlink()
    return end


def _tail(log: Path) -> tuple[str, ...]:
    with log.open(encoding="utf-8", errors="replace") as lines:
        return tuple(line.rstrip() for line in deque(lines, maxlen=_LAST_LINES))
