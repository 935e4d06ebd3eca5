"""Files that somebody puts into their folders, while the daemon is busy with something else."""

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Final

from campaign_pipeline_tests.end_to_end.conftest import InstallationMaker
from campaign_pipeline_tests.end_to_end.installation import Installation, today
from campaign_pipeline_tests.end_to_end.servers import dagster_dev
from campaign_pipeline_tests.end_to_end.web_ui import WebUi
from campaign_pipeline_tests.support.campaigns import write_list
from campaign_pipeline_tests.support.waiting import wait_until

MISSED: Final = 40
BATCH: Final = 20


def test_a_list_and_a_status_file_are_taken_in_while_forty_dates_are_being_backfilled(
    new_installation: InstallationMaker,
) -> None:
    """Sends that wait for capacity or for each other hold every place, and the marketer's list lies there all day.

    No one does anything but put files into folders: the audience, the statuses and the date's analytics change.
    """
    dates = [(today() - timedelta(days=days)).date().isoformat() for days in range(MISSED, -1, -1)]
    # The simulator writes its statuses elsewhere, so that they lie in the inbox when the test says so.
    installation = new_installation(
        CAMPAIGN_DATA_DIR="desk", CAMPAIGN_SENDER_LIMIT=str(BATCH), CAMPAIGN_START_DATE=dates[0]
    )
    installation.campaign(range(3 * BATCH), daily_limit=BATCH)
    with dagster_dev(installation.folder, installation.environment) as web_ui:
        assert web_ui.wait_for(web_ui.launch("daily_send", dates[-1])) == "SUCCESS"
        backfill = web_ui.launch_backfill(dates[:-1])
        wait_until(lambda: _under_way(web_ui, backfill), "the backfill to begin")

        _drop_a_list(installation)
        _drop_the_statuses(installation)
        wait_until(lambda: len(installation.people()) == 4 * BATCH, "the list to be taken in")
        wait_until(lambda: installation.people().count("read") == BATCH, "the statuses to be taken in")
        assert _under_way(web_ui, backfill), "the backfill was over before the files were taken in: it proves nothing"

        def shown() -> bool:
            analytics = web_ui.shown_of("campaign_analytics", dates[-1])
            audience = web_ui.shown_of("audience", "spring-sale")
            return analytics["read"] == BATCH and audience["total"] == 4 * BATCH

        wait_until(shown, "Dagster to show what was taken in")


def _under_way(web_ui: WebUi, backfill: str) -> bool:
    runs = web_ui.runs(dagster__backfill=backfill)
    return any(run["status"] in {"QUEUED", "STARTING", "STARTED"} for run in runs)


def _drop_a_list(installation: Installation) -> None:
    folder = installation.folder / "desk" / "lists" / "spring-sale"
    folder.mkdir(parents=True, exist_ok=True)
    write_list(folder / "late.csv", range(3 * BATCH, 4 * BATCH))


def _drop_the_statuses(installation: Installation) -> None:
    installation.simulator.wait_for_statuses()
    inbox = installation.folder / "desk" / "inbox"
    inbox.mkdir(parents=True, exist_ok=True)
    for file in sorted(Path(installation.simulator.options.inbox).glob("*.ndjson")):
        shutil.move(file, inbox / file.name)
