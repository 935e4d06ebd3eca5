"""Runs of the daemon that end in the middle: killed, or terminated from the page."""

import os
import signal

from campaign_pipeline_tests.end_to_end.conftest import InstallationMaker
from campaign_pipeline_tests.end_to_end.installation import today
from campaign_pipeline_tests.end_to_end.mid_batch import PEOPLE, everyone_once, held_in_mid_batch
from campaign_pipeline_tests.end_to_end.servers import dagster_dev
from campaign_pipeline_tests.support.waiting import wait_until


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
        killed = held_in_mid_batch(installation, web_ui, date)
        os.kill(web_ui.worker_of(killed), signal.SIGKILL)
        installation.simulator.release()
        assert web_ui.wait_for(killed) == "FAILURE"
        assert web_ui.colours_of("daily_batch", [date]) == {date: "FAILED"}

        terminated = held_in_mid_batch(installation, web_ui, date)
        web_ui.terminate(terminated)
        installation.simulator.release()
        assert web_ui.wait_for(terminated) == "CANCELED"
        answered = installation.figures()
        assert answered["states"]["attempting"] == 0, "a call in flight was not waited for and recorded"
        assert answered["states"]["claimed"] > 0

        assert web_ui.wait_for(web_ui.launch("daily_send", date)) == "SUCCESS"
        assert web_ui.colours_of("daily_batch", [date]) == {date: "MATERIALIZED"}
        wait_until(lambda: installation.people().count("read") == PEOPLE, "the statuses to settle every doubt")
    everyone_once(installation)
