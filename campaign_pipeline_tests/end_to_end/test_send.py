"""`campaign send` in processes of its own: twice, three times at once, killed, and stopped."""

import os
import signal
import subprocess

import pytest
from dagster import DagsterRunStatus

from campaign_pipeline.orchestration.instance import open_instance
from campaign_pipeline_tests.end_to_end.conftest import InstallationMaker
from campaign_pipeline_tests.end_to_end.installation import Installation, children_of, ended
from campaign_pipeline_tests.end_to_end.mid_batch import CONCURRENCY
from campaign_pipeline_tests.support.waiting import wait_until

AUDIENCE = range(400)
BATCH = 250


def runs_of(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> list[DagsterRunStatus]:
    """How the runs of the folder's instance stand, oldest first."""
    monkeypatch.chdir(installation.folder)
    with open_instance() as instance:
        return [run.status for run in reversed(instance.get_runs())]


def in_the_middle(installation: Installation) -> "subprocess.Popen[str]":
    """Starts a send; gives it when some messages are out, and most are not."""
    sending = installation.start("send")
    simulator = installation.simulator
    wait_until(
        lambda: sending.poll() is not None or simulator.health()["accepted"] >= 40,
        "messages in mid-batch",
        longest_pause=0.02,
    )
    assert sending.poll() is None, "it was over before it could be disturbed"
    return sending


def test_a_date_sent_three_times_at_once_and_once_more_reaches_nobody_twice(
    new_installation: InstallationMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cron job, an impatient marketer and a colleague in the same second, on an installation that is new.

    Later somebody types it again to be sure: 250 people get the same message a minute later.
    """
    installation = new_installation(latency=0.02)
    installation.campaign(AUDIENCE)
    together = [ended(process) for process in [installation.start("send") for _ in range(3)]]
    assert [each.status for each in together] == [0, 0, 0], [each.stderr for each in together]
    reached = installation.reached()
    assert len(reached) == len(set(reached)) == BATCH
    (sent,) = [each for each in together if "nothing sent now" not in each.stdout]
    assert "250 of 250 accepted by WhatsApp" in sent.stdout

    again = installation.must("send")
    assert "finished before; nothing sent now" in again.stdout
    assert installation.reached() == reached
    assert (installation.figures()["sent"], installation.figures()["pending"]) == (BATCH, len(AUDIENCE) - BATCH)
    assert runs_of(installation, monkeypatch) == [DagsterRunStatus.SUCCESS] * 4


def test_a_send_that_is_killed_is_gone_on_with_and_reaches_nobody_twice(
    new_installation: InstallationMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut with calls on the wire: nobody knows which of them arrived, and none may be made again."""
    installation = new_installation(latency=0.05)
    installation.campaign(AUDIENCE)
    sending = in_the_middle(installation)
    simulator = installation.simulator
    simulator.hold()
    simulator.wait_for_unanswered(CONCURRENCY)
    for pid in [*children_of(sending.pid), sending.pid]:
        os.kill(pid, signal.SIGKILL)
    ended(sending)
    on_the_wire = simulator.health()["accepted"]
    assert 0 < on_the_wire < BATCH
    simulator.release()

    again = installation.must("send")
    assert "in doubt" in again.stdout
    reached = installation.reached()
    assert len(reached) == len(set(reached)) == BATCH
    assert runs_of(installation, monkeypatch) == [DagsterRunStatus.FAILURE, DagsterRunStatus.SUCCESS]

    simulator.wait_for_statuses()
    installation.must("ingest")
    figures = installation.figures()
    assert (figures["sent"], figures["in_doubt"]) == (BATCH, 0), "the statuses settle every doubt"
    assert "nothing sent now" in installation.must("send").stdout


def test_a_send_that_is_stopped_finishes_its_calls_and_is_gone_on_with(
    new_installation: InstallationMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that shuts down asks first; with a clean stop there is nothing to be in doubt about."""
    installation = new_installation(latency=0.2)
    installation.campaign(AUDIENCE)
    sending = in_the_middle(installation)
    sending.send_signal(signal.SIGTERM)
    stopped = ended(sending)
    assert stopped.status == 1
    assert "Stopping" in stopped.stderr
    assert "run the date again" in stopped.stderr
    before = installation.reached()
    assert 0 < len(before) < BATCH
    figures = installation.figures()
    assert (figures["sent"], figures["in_doubt"], figures["states"]["attempting"]) == (len(before), 0, 0)
    assert figures["states"]["claimed"] == BATCH - len(before)

    installation.must("send")
    reached = installation.reached()
    assert len(reached) == len(set(reached)) == BATCH
    assert installation.figures()["in_doubt"] == 0
    assert runs_of(installation, monkeypatch)[-1] is DagsterRunStatus.SUCCESS
