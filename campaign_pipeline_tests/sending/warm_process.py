"""Sends dates in processes that are forked from a warm one: starting Python anew takes longer than sending.

Add here what such a process needs to be told or asked. Keep out expectations: those belong to the tests.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from types import TracebackType
from typing import Any, Self

from campaign_pipeline.ledger.engine import Ledger, connect
from campaign_pipeline.sending.errors import CannotSendError
from campaign_pipeline_tests.sending.boundaries import Boundaries
from campaign_pipeline_tests.sending.sending_process import SendingOrder, sender_of


@dataclass(frozen=True, slots=True)
class Ended:
    """What one process left behind.

    Attributes:
        signal: What killed it; 0 when it came to its own end.
        places: The boundaries that it came to, the last one being where it died if it was killed at one.
        sentence: What its report or its error said; empty when it was killed.
    """

    signal: int
    places: tuple[str, ...]
    sentence: str

    @property
    def was_killed(self) -> bool:
        """Whether it was killed before it had come to its end."""
        return self.signal == signal.SIGKILL


class WarmProcess:
    """A process that has everything loaded and no connection, and forks itself for each order.

    Its children keep what SQLAlchemy has compiled for the ledger, so one such process serves one ledger.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.communicate()

    def rehearse(self, order: SendingOrder) -> None:
        """Sends a date in the warm process itself, so that its children find every statement compiled."""
        self._ask(do="rehearse", order=asdict(order))

    def start(self, order: SendingOrder, kill_at: int | None = None) -> int:
        """Forks a process that sends a date; gives its id.

        Args:
            order: What it sends.
            kill_at: At which boundary it kills itself, from 1.
        """
        return self._ask(do="start", order=asdict(order), kill_at=kill_at)

    def wait(self, process_id: int) -> Ended:
        """Waits for the end of a process."""
        status, told = self._ask(do="wait", process_id=process_id)
        places = tuple(line.removeprefix("at ") for line in told if line.startswith("at "))
        sentence = " ".join(line.removeprefix("said ") for line in told if line.startswith("said "))
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, sentence
        return Ended(os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, places, sentence)

    def send(self, order: SendingOrder, kill_at: int | None = None) -> Ended:
        """Sends a date and waits for its end."""
        return self.wait(self.start(order, kill_at))

    def _ask(self, **question: object) -> Any:  # noqa: ANN401 - whatever JSON it answers
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(question) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())


class _Forking:
    """The work of the warm process."""

    def __init__(self) -> None:
        self._ledgers: dict[str, Ledger] = {}
        self._ends: dict[int, int] = {}

    def rehearse(self, order: SendingOrder) -> None:
        """Sends a date, and leaves no connection behind."""
        ledger = self._ledger(order)
        sender_of(order, ledger).send(date.fromisoformat(order.send_date), "rehearsal")
        ledger.close()

    def start(self, order: SendingOrder, kill_at: int | None) -> int:
        """Forks a process that sends a date, and tells on a pipe how far it came."""
        ledger = self._ledger(order)
        reading, writing = os.pipe()
        child = os.fork()
        if child:
            os.close(writing)
            self._ends[child] = reading
            return child
        status = 1
        try:
            _send(order, ledger, kill_at, lambda line: os.write(writing, f"{line}\n".encode()))
            status = 0
        finally:
            # Nothing of what the warm process has to do at its end is the child's to do.
            os._exit(status)

    def wait(self, process_id: int) -> tuple[int, list[str]]:
        """Waits for a process; gives its wait status, and what it has told."""
        with os.fdopen(self._ends.pop(process_id)) as told:
            lines = told.read().splitlines()
        return os.waitpid(process_id, 0)[1], lines

    def _ledger(self, order: SendingOrder) -> Ledger:
        return self._ledgers.setdefault(order.ledger_url, connect(order.ledger_url))


def _send(order: SendingOrder, ledger: Ledger, kill_at: int | None, tell: Callable[[str], object]) -> None:
    boundaries = Boundaries(kill_at, lambda place: tell(f"at {place}"))
    boundaries.watch_commits(ledger.engine)
    boundaries.watch_sockets(int(order.base_url.rpartition(":")[2]))
    try:
        report = sender_of(order, ledger).send(date.fromisoformat(order.send_date), f"process {os.getpid()}")
        tell(f"said {report.sentence}")
    except BaseException as error:
        tell(f"said {type(error).__name__}: {error}")
        if not isinstance(error, CannotSendError):
            raise


def _serve() -> None:
    forking = _Forking()
    for line in sys.stdin:
        question = json.loads(line)
        do = getattr(forking, question.pop("do"))
        if "order" in question:
            question["order"] = SendingOrder(**question["order"])
        sys.stdout.write(json.dumps(do(**question)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
