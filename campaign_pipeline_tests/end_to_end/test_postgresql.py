"""A day with the ledger and Dagster's own state in PostgreSQL, as a server runs it, and what a person sees of it."""

import shutil
import warnings
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from campaign_pipeline_tests.end_to_end.browser import Browser, find_programs, open_browser
from campaign_pipeline_tests.end_to_end.conftest import InstallationMaker
from campaign_pipeline_tests.end_to_end.installation import PROJECT, Installation, today
from campaign_pipeline_tests.end_to_end.servers import servers
from campaign_pipeline_tests.end_to_end.web_ui import WebUi
from campaign_pipeline_tests.support.postgres import HOST, PostgresServer
from campaign_pipeline_tests.support.waiting import wait_until

PNG: Final = b"\x89PNG\r\n\x1a\n"

ASSETS: Final = (
    *("uploaded_lists", "recipient_list", "audience", "daily_batch", "send_plan", "proof"),
    *("whatsapp_cloud_api", "webhook_inbox", "delivery_statuses", "campaign_analytics", "campaign_progress"),
)


def test_a_day_goes_through_daemon_and_webserver_with_everything_in_postgresql_and_a_browser_shows_it(
    new_installation: InstallationMaker, postgres: PostgresServer
) -> None:
    """The deployment that the Dockerfile describes was never started, and fails on the server on the first morning.

    Or everything is right in the event log, and the person who opens the page sees an error or an empty box: lineage, a
    date with its picture, plots, checks, schedules and sensors are looked at in a real browser.
    """
    installation = new_installation(CAMPAIGN_DATABASE_URL=postgres.new_database())
    _keep_dagsters_state_in(installation, urlsplit(postgres.new_database()).path.strip("/"), postgres)
    refused = installation.run("list")
    assert refused.status == 1
    assert "campaign init" in refused.stderr

    installation.must("init")
    installation.campaign(range(30), daily_limit=10)
    date = today().date().isoformat()
    with servers(installation.folder, installation.environment) as desk:
        assert desk.wait_for(desk.launch("daily_send", date)) == "SUCCESS"
        assert len(installation.reached()) == 10
        # The statuses are taken in by the sensor, with no one doing anything.
        wait_until(lambda: installation.people().count("read") == 10, "the statuses to be taken in")
        wait_until(lambda: desk.shown_of("campaign_analytics", date).get("read") == 10, "the statuses to be shown")
        assert desk.partitions_of("daily_batch")["numMaterialized"] == 1
        assert desk.partitions_of("campaign_analytics")["numMaterialized"] == 1
        programs = find_programs()
        if programs is None:
            warnings.warn("There is no Chromium on this machine: the desk was asked, but not looked at.", stacklevel=1)
        else:
            with open_browser(programs) as browser:
                _look_at(browser, desk, date, installation.folder)
        assert desk.wait_for(desk.launch("daily_send", date)) == "SUCCESS"
        assert len(installation.reached()) == 10, "the second run of the date has sent again"
        assert desk.partitions_of("daily_batch")["numMaterialized"] == 1
    assert sorted(installation.reached()) == sorted(set(installation.reached()))
    assert not list(installation.folder.glob("**/ledger.sqlite3")), "a SQLite ledger was made beside PostgreSQL"


def _keep_dagsters_state_in(installation: Installation, database: str, postgres: PostgresServer) -> None:
    home = installation.folder / "dagster-home"
    home.mkdir()
    shutil.copy(PROJECT / "deploy" / "dagster.postgres.yaml", home / "dagster.yaml")
    installation.environment |= {
        "DAGSTER_HOME": str(home),
        "DAGSTER_POSTGRES_HOST": HOST,
        "DAGSTER_POSTGRES_PORT": str(postgres.port),
        "DAGSTER_POSTGRES_USER": "postgres",
        "DAGSTER_POSTGRES_PASSWORD": "unused",
        "DAGSTER_POSTGRES_DB": database,
    }


def _look_at(browser: Browser, web_ui: WebUi, date: str, folder: Path) -> None:
    browser.open(f"{web_ui.url}/assets/daily_batch?view=lineage&lineageScope=neighbors&lineageDepth=5")
    browser.wait_for(ASSETS)

    browser.open(f"{web_ui.url}/assets/daily_batch?view=partitions&partition={date}")
    browser.wait_for([date, "10 of 10 accepted by WhatsApp", "failed_and_skipped_by_reason", "capacity_after"])
    browser.press("[Show Markdown]")
    size = browser.show("img[src^='data:image']")
    assert size["width"] > 300, "the funnel is too small to be read"
    assert size["height"] > 100, "the funnel is too small to be read"
    assert browser.picture(folder / "batch.png").read_bytes().startswith(PNG)

    browser.open(f"{web_ui.url}/assets/campaign_analytics?view=overview")
    browser.press("Plots")
    browser.wait_for(["delivery_rate", "read_rate", "delivered"])

    browser.open(f"{web_ui.url}/assets/daily_batch?view=checks")
    browser.wait_for(["nobody_twice", "within_limits", "states_sum", "nobody_in_doubt", "Passed"])

    browser.open(f"{web_ui.url}/automation")
    automations = ("daily_send_schedule", "ledger_sensor", "recipient_list_sensor", "delivery_status_sensor")
    browser.wait_for(automations)
    for name in automations:
        wait_until(lambda name=name: browser.is_on(name), f"{name} to be shown as switched on")
