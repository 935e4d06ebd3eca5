"""Three `campaign send` of one date at once, one of them killed, with answers lost: many dates, one after the other.

THREE_AT_ONCE says how many dates; SEED repeats the moments, as a failure says.
"""

import os
import random
import signal
import subprocess
import sys
import time
from datetime import timedelta
from typing import Final

import pytest

from campaign_pipeline_tests.end_to_end.conftest import InstallationMaker
from campaign_pipeline_tests.end_to_end.installation import Installation, children_of, ended, today

DATES: Final = int(os.environ.get("THREE_AT_ONCE", "1"))
SEED: Final = int(os.environ.get("SEED") or random.SystemRandom().randrange(10**9))
BATCH: Final = 40

TAKEOVER: Final = 300.0
"""Seconds; a run that waits takes over from a silent one after 30, and starting three on a busy machine takes long."""


def test_three_processes_on_each_date_one_of_them_killed_reach_nobody_twice(
    new_installation: InstallationMaker, capfd: pytest.CaptureFixture[str]
) -> None:
    """A cron job, an impatient marketer and a colleague in the same second, and a machine that dies under one of them.

    WhatsApp loses a tenth of its answers on top, so that a sender that tries again would be found out at once.
    """
    chance = random.Random(SEED)  # noqa: S311 - a test that can be repeated
    installation = new_installation(
        latency=0.02,
        CAMPAIGN_SENDER_LIMIT="10000",
        CAMPAIGN_SENDER_RATE="20",
        CAMPAIGN_START_DATE=(today() - timedelta(days=DATES)).date().isoformat(),
    )
    installation.campaign(range(BATCH * DATES), daily_limit=BATCH)
    installation.simulator.fault("lost_answer", share=0.1)
    kills = 0
    for done in range(DATES):
        date = (today() - timedelta(days=DATES - done)).date().isoformat()
        kills += _send_three_times_and_kill_one(installation, date, chance)
        _send_to_its_end(installation, date)
        if done % 10 == 9:
            with capfd.disabled():
                sys.stderr.write(f"  three at once: {done + 1} of {DATES} dates, {kills} killed\n")
    assert kills >= DATES // 2, "most were over before they could be killed"
    installation.simulator.wait_for_statuses()
    installation.must("ingest")
    reached = installation.reached()
    figures = installation.figures()
    repeats = f"SEED={SEED} repeats it"
    assert installation.simulator.report()["reached_twice"] == [], repeats
    assert len(reached) == len(set(reached)) == figures["read"], repeats
    assert figures["read"] + figures["in_doubt"] == figures["total"] == BATCH * DATES, repeats
    assert installation.promises_are_kept(), repeats


def _send_three_times_and_kill_one(installation: Installation, date: str, chance: random.Random) -> bool:
    """Gives whether the one that was chosen was still at work."""
    accepted_before = installation.simulator.health()["accepted"]
    sending = [installation.start("send", "--date", date) for _ in range(3)]
    unlucky = chance.choice(sending)
    if chance.random() < 0.25:
        time.sleep(chance.uniform(0, 5))
    else:
        _wait_for_messages(installation, accepted_before + chance.randrange(BATCH), sending)
    was_at_work = unlucky.poll() is None
    for process in [*children_of(unlucky.pid), unlucky.pid] if was_at_work else []:
        os.kill(process, signal.SIGKILL)
    for each in sending:
        ended(each, timeout=TAKEOVER)
    return was_at_work


def _wait_for_messages(installation: Installation, accepted: int, sending: "list[subprocess.Popen[str]]") -> None:
    while installation.simulator.health()["accepted"] < accepted and any(each.poll() is None for each in sending):
        time.sleep(0.03)


def _send_to_its_end(installation: Installation, date: str) -> None:
    """Runs a date until it needs nothing more; three answers lost in a row stop a run, and it says so."""
    for _ in range(5):
        result = ended(installation.start("send", "--date", date), timeout=TAKEOVER)
        if result.status == 0:
            return
    pytest.fail(f"SEED={SEED}: {date} does not come to its end: {result.stderr}")
