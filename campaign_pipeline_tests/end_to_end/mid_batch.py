"""A date that is stopped in the middle: how a test gets there, and what has to be true of it in the end."""

from typing import Final

from campaign_pipeline.sending.sender import SenderTerms
from campaign_pipeline_tests.end_to_end.installation import Installation
from campaign_pipeline_tests.end_to_end.web_ui import WebUi

PEOPLE: Final = 60

CONCURRENCY: Final = SenderTerms("simulator", limit_setting=250, rate=500).concurrency
"""Calls that are out at most: once WhatsApp holds so many, none is still on its way."""


def held_in_mid_batch(installation: Installation, web_ui: WebUi, date: str) -> str:
    """Launches a run that has calls in flight whose answers do not come; gives its id.

    As many as there can be: WhatsApp has then received each call that was begun, and no other one begins. A call that
    is killed on its way out is in doubt until a person settles it, since no status will ever come.
    """
    installation.simulator.hold()
    run_id = web_ui.launch("daily_send", date)
    installation.simulator.wait_for_unanswered(CONCURRENCY)
    return run_id


def everyone_once(installation: Installation) -> None:
    """Checks that each person was reached once, and that the ledger proves it."""
    reached = installation.reached()
    assert len(reached) == len(set(reached)) == PEOPLE
    assert installation.promises_are_kept()
