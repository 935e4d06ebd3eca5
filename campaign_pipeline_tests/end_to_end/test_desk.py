"""What a person sees on the desk, in a real browser."""

import warnings
from pathlib import Path
from typing import Final

from campaign_pipeline_tests.end_to_end.browser import Browser, find_programs, open_browser
from campaign_pipeline_tests.end_to_end.conftest import InstallationMaker
from campaign_pipeline_tests.end_to_end.installation import today
from campaign_pipeline_tests.end_to_end.servers import servers
from campaign_pipeline_tests.end_to_end.web_ui import WebUi
from campaign_pipeline_tests.support.waiting import wait_until

PNG: Final = b"\x89PNG\r\n\x1a\n"

ASSETS: Final = (
    *("uploaded_lists", "recipient_list", "audience", "daily_batch", "send_plan", "proof"),
    *("whatsapp_cloud_api", "webhook_inbox", "delivery_statuses", "campaign_analytics", "campaign_progress"),
)


def test_the_desk_shows_lineage_a_date_with_its_picture_plots_checks_schedules_and_sensors(
    new_installation: InstallationMaker,
) -> None:
    """Everything is right in the event log, and the person who opens the page sees an error or an empty box."""
    installation = new_installation()
    installation.campaign(range(30), daily_limit=10)
    date = today().date().isoformat()
    with servers(installation.folder, installation.environment) as web_ui:
        assert web_ui.wait_for(web_ui.launch("daily_send", date)) == "SUCCESS"
        wait_until(lambda: web_ui.shown_of("campaign_analytics", date).get("read") == 10, "the statuses")
        programs = find_programs()
        if programs is None:
            warnings.warn("There is no Chromium on this machine: the desk was asked, but not looked at.", stacklevel=1)
            assert web_ui.partitions_of("daily_batch")["numMaterialized"] == 1
            return
        with open_browser(programs) as browser:
            _look_at(browser, web_ui, date, installation.folder)


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
