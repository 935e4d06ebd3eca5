"""Random kills: up to four processes on one date and the date before, killed at any moment, while much else goes wrong.

RANDOM_KILLS says how many rounds, half of them on each database; SEED repeats some, as a failure says.
"""

import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from campaign_pipeline.delivery.status_files import ingest_waiting
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.sending.proof import prove
from campaign_pipeline_tests.sending.sending_process import SendingOrder, order_for
from campaign_pipeline_tests.sending.warm_process import WarmProcess
from campaign_pipeline_tests.support.campaigns import phone
from campaign_pipeline_tests.support.clock import HandClock
from campaign_pipeline_tests.support.ledgers import empty
from campaign_pipeline_tests.support.sending import (
    SendingDesk,
    attempts,
    batch_rows,
    campaign_status,
    most_in_any_day,
    outcomes,
    states,
)
from campaign_pipeline_tests.whatsapp.simulator_process import SimulatorProcess, simulator_options

ROUNDS: Final = max(1, int(os.environ.get("RANDOM_KILLS", "8")) // 2)
SEED: Final = int(os.environ.get("SEED") or random.SystemRandom().randrange(10**9))

AUDIENCE: Final = 14
BATCH: Final = 8
LIMIT: Final = 12
"""Fewer than two batches, so that the two dates compete for the window."""

NUMBERS: Final = 299_999
"""The last number that is one; each round has others, so that the simulator can tell its people apart."""

AT_ONCE: Final = 4
LAST_KILL: Final = 1.5
"""Seconds after which nobody who still works is left alive."""

PATIENCE: Final = 300.0
"""Seconds for one date to come to its end when nothing goes wrong any more."""

FAULTS: Final = {
    "lost_answer": 0.08,
    "server_error": 0.06,
    "throttle": 0.03,
    "reset_before": 0.05,
    "refused": 0.04,
    "slow": 0.05,
    "no_wamid": 0.03,
    "html": 0.03,
}
"""For which share of the calls; which calls these are is drawn from the numbers, and so from the seed."""


@dataclass
class Tally:
    """What all rounds came to."""

    rounds: int = 0
    processes: int = 0
    kills: int = 0
    accepted: int = 0
    doubts: int = 0
    never_reached: int = 0
    began: float = field(default_factory=time.monotonic)

    def __str__(self) -> str:
        """One line for whoever waits."""
        return (
            f"{self.rounds} of {ROUNDS} rounds, {self.kills} of {self.processes} processes killed, {self.accepted} "
            f"messages accepted, {self.doubts} in doubt before their statuses came and {self.never_reached} after, "
            f"{time.monotonic() - self.began:.0f} s"
        )


@pytest.fixture
def unwell_desk(ledger: Ledger, clock: HandClock, tmp_path: Path) -> Iterator[SendingDesk]:
    """A desk whose simulator is slow, and can be made to fail."""
    with SimulatorProcess(simulator_options(tmp_path, latency=0.01)) as simulator:
        yield SendingDesk(ledger, simulator, clock, tmp_path)


def test_whoever_is_killed_whenever_nobody_is_reached_twice_or_lost_and_the_limit_holds(
    unwell_desk: SendingDesk, capfd: pytest.CaptureFixture[str]
) -> None:
    """What nobody has thought of: each round is another order of deaths, lost answers and takeovers."""
    tally = Tally()
    with WarmProcess() as warm:
        _rehearse(unwell_desk, warm)
        for seed in range(SEED, SEED + ROUNDS):
            with _repeatable(seed):
                assert _Round(unwell_desk, warm, seed, tally).play() == []
            if tally.rounds % 25 == 0:
                with capfd.disabled():
                    sys.stderr.write(f"  {unwell_desk.ledger.engine.dialect.name}: {tally}\n")
    sys.stderr.write(f"{tally}\n")
    assert tally.kills >= tally.rounds // 2, f"{tally}: too few were killed while they worked"


@contextmanager
def _repeatable(seed: int) -> Generator[None]:
    """Lets every failure, whatever it is, say how to have its round again."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"SEED={seed} RANDOM_KILLS=2 repeats this round, the first one on each database.")
        raise


def _rehearse(desk: SendingDesk, warm: WarmProcess) -> None:
    desk.clock.set(datetime.now(UTC).isoformat())
    desk.campaign([NUMBERS])
    warm.rehearse(order_for(desk))


class _Round:
    """One campaign, from its start to the settling of everyone in it."""

    def __init__(self, desk: SendingDesk, warm: WarmProcess, seed: int, tally: Tally) -> None:
        self._desk = desk
        self._warm = warm
        self._random = random.Random(seed)  # noqa: S311 - a test that can be repeated
        first = seed * AUDIENCE % (NUMBERS - AUDIENCE)
        self._people = [*range(first, first + AUDIENCE)]
        self._tally = tally
        self._today = _today_for_a_while()

    def play(self) -> list[str]:
        """Lets everything go wrong, then nothing any more; gives what is not as it should be."""
        desk = self._desk
        empty(desk.ledger)
        desk.clock.set(datetime.now(UTC).isoformat())
        desk.campaign(self._people, daily_send_limit=BATCH)
        self._order_faults()
        self._let_them_work()
        desk.simulator.clear_faults()
        wrong = [f"{finding.name} is broken in mid-round" for finding in prove(desk.ledger).broken]
        if (most := most_in_any_day(desk.ledger)) > LIMIT:
            wrong.append(f"{most} people in 24 hours")
        self._finish()
        self._tally.doubts += outcomes(desk.ledger).count("in_doubt")
        desk.clock.set(datetime.now(UTC).isoformat())
        desk.ingest()
        self._tally.rounds += 1
        return wrong + self._what_is_wrong()

    def _order_faults(self) -> None:
        # Whether the message goes out although the answer is a 500 is another thing that nobody knows.
        for kind, share in FAULTS.items():
            is_open = kind in ("server_error", "html", "no_wamid")
            accepted = self._random.random() < 0.5 if is_open else None
            self._desk.simulator.fault(kind, share=share, accepted=accepted, seconds=0.4)

    def _let_them_work(self) -> None:
        """Starts processes and kills them, at most four at once, and takes in statuses meanwhile."""
        began = time.monotonic()
        working: dict[int, int] = {}
        for moment, lane, what in sorted(self._events()):
            time.sleep(max(0.0, began + moment - time.monotonic()))
            if what == "start":
                working[lane] = self._warm.start(self._order())
                self._tally.processes += 1
            elif what == "kill":
                process = working.pop(lane)
                os.kill(process, signal.SIGKILL)
                self._tally.kills += self._warm.wait(process).was_killed
            else:
                ingest_waiting(self._desk.ledger, self._desk.status_folders, lambda: datetime.now(UTC))
        assert not working

    def _events(self) -> Iterator[tuple[float, int, str]]:
        """When a process of which lane is started and killed; some are left alone until they are done."""
        for lane in range(self._random.randint(2, AT_ONCE)):
            moment = self._random.uniform(0, 0.3)
            for _ in range(self._random.randint(1, 2)):
                yield moment, lane, "start"
                lives_on = self._random.random() < 0.2
                moment += LAST_KILL - moment if lives_on else self._random.uniform(0.03, 0.7)
                yield moment, lane, "kill"
                if lives_on:
                    break
                moment += self._random.uniform(0, 0.2)
        if self._random.random() < 0.5:
            yield self._random.uniform(0.3, 1.0), AT_ONCE, "ingest"

    def _order(self) -> SendingOrder:
        send_date = self._today - timedelta(days=self._random.random() < 0.3)
        return self._on(send_date, limit=LIMIT, concurrency=self._random.randint(1, 4), rate=40.0)

    def _on(self, send_date: date, **terms: float) -> SendingOrder:
        return order_for(self._desk, send_date, moment="now", lease="brisk", **terms)

    def _finish(self) -> None:
        """Runs today again, then the dates before it, until everyone is settled."""
        said: list[str] = []
        for days in range(5):
            said += self._send_to_its_end(self._today - timedelta(days=days))
            if not {"pending", "claimed", "attempting"} & set(states(self._desk.ledger)):
                return
        found = [campaign_status(self._desk.ledger), states(self._desk.ledger), batch_rows(self._desk.ledger)]
        msg = f"Somebody is still unsettled. The runs said {said}; the ledger has {found}."
        raise AssertionError(msg)

    def _send_to_its_end(self, send_date: date) -> list[str]:
        """On a busy machine a run may lose so short a lease, and says so; it is simply run again."""
        give_up = time.monotonic() + PATIENCE
        said = [self._warm.send(self._on(send_date)).sentence]
        while not ("finished" in said[-1] or "nobody waits" in said[-1]):
            assert time.monotonic() < give_up, said
            said.append(self._warm.send(self._on(send_date)).sentence)
        return said

    def _what_is_wrong(self) -> list[str]:
        desk = self._desk
        accepted = Counter(desk.reached(self._people))
        self._tally.accepted += accepted.total()
        who = [phone(number) for number in self._people]
        now_in = states(desk.ledger)
        self._tally.never_reached += now_in.count("in_doubt")
        refused = {attempt.phone for attempt in attempts(desk.ledger) if attempt.refused_person}
        wrong = [f"{finding.name} is broken" for finding in prove(desk.ledger).broken]
        if len(now_in) != AUDIENCE:
            wrong.append(f"{len(now_in)} people of {AUDIENCE} are in a state")
        for each, state in zip(who, now_in, strict=False):
            expected = {0: "failed" if each in refused else "in_doubt", 1: "read"}.get(accepted[each], "never twice")
            if state != expected:
                wrong.append(f"…{each[-2:]} is {state}, accepted {accepted[each]} times, not {expected}")
        return wrong


def _today_for_a_while() -> date:
    """Today, and not within its last seconds: a round has no days to spare."""
    now = datetime.now(UTC)
    left = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), UTC) - now
    if left < timedelta(seconds=30):
        time.sleep(left.total_seconds())
    return datetime.now(UTC).date()
