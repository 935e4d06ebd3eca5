"""Runs of the daemon that end in the middle: killed, terminated, or gone with the machine that they ran on."""

import os
import signal
from typing import Final

from campaign_pipeline_tests.end_to_end.conftest import InstallationMaker
from campaign_pipeline_tests.end_to_end.installation import Installation, today, wait_until
from campaign_pipeline_tests.end_to_end.servers import dagster_dev
from campaign_pipeline_tests.end_to_end.web_ui import WebUi

PEOPLE: Final = 60


def test_a_killed_worker_and_a_terminated_run_are_gone_on_with_and_nobody_is_reached_twice(
    new_installation: InstallationMaker,
) -> None:
    """A worker is killed with calls in flight, the next run is terminated from the page, the third one finishes.

    WhatsApp has taken the calls in flight of the killed one: those people are in doubt until their statuses come.
    """
    installation = new_installation()
    installation.campaign(range(PEOPLE), daily_limit=PEOPLE)
    date = today().date().isoformat()
    with dagster_dev(installation.folder, installation.environment) as web_ui:
        killed = _held_in_mid_batch(installation, web_ui, date)
        os.kill(web_ui.worker_of(killed), signal.SIGKILL)
        installation.simulator.release()
        assert web_ui.wait_for(killed) == "FAILURE"
        assert web_ui.colours_of("daily_batch", [date]) == {date: "FAILED"}

        terminated = _held_in_mid_batch(installation, web_ui, date)
        web_ui.terminate(terminated)
        installation.simulator.release()
        assert web_ui.wait_for(terminated) == "CANCELED"
        answered = installation.figures()
        assert answered["states"]["attempting"] == 0, "a call in flight was not waited for and recorded"
        assert answered["states"]["claimed"] > 0

        assert web_ui.wait_for(web_ui.launch("daily_send", date)) == "SUCCESS"
        assert web_ui.colours_of("daily_batch", [date]) == {date: "MATERIALIZED"}
        wait_until(lambda: installation.figures()["read"] == PEOPLE, "the statuses to settle every doubt", timeout=120)
    _everyone_once(installation)


def test_the_runs_of_a_lost_machine_are_ended_and_the_date_is_gone_on_with(new_installation: InstallationMaker) -> None:
    """The machine is gone in mid-batch, with daemon and web server. Started again, two people backfill the same date.

    Dagster would leave the run started for 26 hours, and the place in the pool with it.
    """
    installation = new_installation()
    installation.campaign(range(PEOPLE), daily_limit=PEOPLE)
    date = today().date().isoformat()
    with dagster_dev(installation.folder, installation.environment) as web_ui:
        lost = _held_in_mid_batch(installation, web_ui, date)
        os.killpg(web_ui.process_group, signal.SIGKILL)
    installation.simulator.release()
    with dagster_dev(installation.folder, installation.environment) as web_ui:
        assert web_ui.status_of(lost) == "STARTED"
        backfills = [web_ui.launch_backfill([date]) for _ in range(2)]
        assert web_ui.wait_for(lost) == "FAILURE"
        assert [web_ui.wait_for_backfill(each) for each in backfills] == ["COMPLETED_SUCCESS", "COMPLETED_SUCCESS"]
        wait_until(lambda: installation.figures()["read"] == PEOPLE, "the statuses to settle every doubt", timeout=120)
    _everyone_once(installation)


def _held_in_mid_batch(installation: Installation, web_ui: WebUi, date: str) -> str:
    """Launches a run that has calls in flight whose answers do not come; gives its id."""
    installation.simulator.hold()
    run_id = web_ui.launch("daily_send", date)
    installation.simulator.wait_for_unanswered(4, timeout=120)
    return run_id


def _everyone_once(installation: Installation) -> None:
    reached = installation.reached()
    assert len(reached) == len(set(reached)) == PEOPLE
    assert installation.must("prove", "--json").json["kept"]
