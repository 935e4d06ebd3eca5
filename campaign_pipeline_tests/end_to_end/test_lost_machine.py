"""Runs that are gone with the machine that they ran on."""

import os
import signal

from campaign_pipeline_tests.end_to_end.conftest import InstallationMaker
from campaign_pipeline_tests.end_to_end.installation import today
from campaign_pipeline_tests.end_to_end.mid_batch import PEOPLE, everyone_once, held_in_mid_batch
from campaign_pipeline_tests.end_to_end.servers import dagster_dev
from campaign_pipeline_tests.support.waiting import wait_until


def test_the_runs_of_a_lost_machine_are_ended_and_the_date_is_gone_on_with(new_installation: InstallationMaker) -> None:
    """The machine is gone in mid-batch, with daemon and web server. Started again, two people backfill the same date.

    Dagster would leave the run started for 26 hours, and the place in the pool with it.
    """
    installation = new_installation()
    installation.campaign(range(PEOPLE), daily_limit=PEOPLE)
    date = today().date().isoformat()
    with dagster_dev(installation.folder, installation.environment) as web_ui:
        lost = held_in_mid_batch(installation, web_ui, date)
        os.killpg(web_ui.process_group, signal.SIGKILL)
    installation.simulator.release()
    with dagster_dev(installation.folder, installation.environment) as web_ui:
        assert web_ui.status_of(lost) == "STARTED"
        backfills = [web_ui.launch_backfill([date]) for _ in range(2)]
        assert web_ui.wait_for(lost) == "FAILURE"
        assert [web_ui.wait_for_backfill(each) for each in backfills] == ["COMPLETED_SUCCESS", "COMPLETED_SUCCESS"]
        wait_until(lambda: installation.people().count("read") == PEOPLE, "the statuses to settle every doubt")
    everyone_once(installation)
