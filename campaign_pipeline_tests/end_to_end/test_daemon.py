"""The whole daemon: dates that were missed, launched from the web UI's own API and run by processes of Dagster."""

import os
from datetime import timedelta
from typing import Final

from campaign_pipeline_tests.end_to_end.conftest import InstallationMaker
from campaign_pipeline_tests.end_to_end.installation import Installation, today
from campaign_pipeline_tests.end_to_end.servers import dagster_dev
from campaign_pipeline_tests.end_to_end.web_ui import ENDED
from campaign_pipeline_tests.support.waiting import wait_until

BATCH: Final = 20
MISSED: Final = int(os.environ.get("MISSED_DATES", "2"))
"""How many dates are backfilled; the long form asks for 40."""
DATES_WITH_ROOM: Final = min(MISSED, 4)
"""How many batches fit into 24 hours, today's among them; at least one of the missed dates has no room."""


def dates_until_today(missed: int) -> list[str]:
    """The dates before today, the oldest first, and today at the end."""
    return [(today() - timedelta(days=days)).date().isoformat() for days in range(missed, -1, -1)]


def test_missed_dates_are_made_good_as_far_as_the_moving_limit_allows(new_installation: InstallationMaker) -> None:
    """Back from a holiday, somebody backfills everything: the limit is for 24 hours, whatever dates are on the batches.

    There is room for today and some of the dates. The others have to be refused, each with its reason, and nobody may
    be reached twice, although one run of today and a backfill go on at the same time.
    """
    room = DATES_WITH_ROOM * BATCH
    *backfilled, this_day = dates_until_today(MISSED)
    installation = new_installation(CAMPAIGN_SENDER_LIMIT=str(room), CAMPAIGN_START_DATE=backfilled[0])
    installation.campaign(range((MISSED + 5) * BATCH), daily_limit=BATCH)
    with dagster_dev(installation.folder, installation.environment) as web_ui:
        todays_run = web_ui.launch("daily_send", this_day)
        backfill = web_ui.launch_backfill(backfilled)

        def all_ended() -> bool:
            statuses = [run["status"] for run in web_ui.runs(dagster__backfill=backfill)]
            return len(statuses) == len(backfilled) and set(statuses) <= ENDED

        wait_until(all_ended, "the backfill's runs to end", timeout=300 + 30 * MISSED)
        assert web_ui.wait_for(todays_run) == "SUCCESS"
        ends = {run["partition"]: run for run in web_ui.runs(dagster__backfill=backfill)}
        sentences = {date: web_ui.sentence_of(run["runId"]) for date, run in ends.items() if run["status"] == "FAILURE"}
        colours = web_ui.colours_of("daily_batch", [*backfilled, this_day])
    assert set(ends) == set(backfilled)
    assert len(sentences) == MISSED - (DATES_WITH_ROOM - 1)
    for date, sentence in sentences.items():
        assert sentence.startswith(f"No capacity to spare for {date}: {room} people in 24 hours, today's batch first.")
        assert "It can go on at " in sentence
    assert colours == {date: "FAILED" if date in sentences else "MATERIALIZED" for date in [*backfilled, this_day]}, (
        "a date is green when its batch was sent and red when it should have been and could not"
    )
    _nobody_twice(installation, people=room)


def test_materialize_all_does_no_harm(new_installation: InstallationMaker) -> None:
    """Somebody presses the largest button of the page: every asset, every date, every campaign, in whatever order.

    Nobody is reached twice, nothing goes over the limit, and today's batch has the capacity that it needs.
    """
    *missed, this_day = dates_until_today(3)
    room = 2 * BATCH
    installation = new_installation(CAMPAIGN_SENDER_LIMIT=str(room), CAMPAIGN_START_DATE=missed[0])
    installation.campaign(range(10 * BATCH), daily_limit=BATCH)
    with dagster_dev(installation.folder, installation.environment) as web_ui:
        wait_until(lambda: web_ui.partitions_of("audience")["numPartitions"] == 1, "the campaign's partition")
        web_ui.wait_for_backfill(web_ui.materialize_all())
        colours = web_ui.colours_of("daily_batch", [*missed, this_day])
        assert web_ui.partitions_of("audience")["numMaterialized"] == 1
        assert web_ui.partitions_of("recipient_list")["numMaterialized"] == 1
    assert colours[this_day] == "MATERIALIZED", "today's batch has not had its capacity"
    assert sorted(colours[date] for date in missed if date in colours) == ["FAILED", "FAILED", "MATERIALIZED"]
    _nobody_twice(installation, people=room)


def _nobody_twice(installation: Installation, people: int) -> None:
    reached = installation.reached()
    assert len(reached) == len(set(reached)) == people
    assert installation.simulator.report()["reached_twice"] == []
    assert installation.figures()["sent"] == people
