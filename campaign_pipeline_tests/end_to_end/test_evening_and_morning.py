"""An evening and the next morning, by the clock of whole processes (libfaketime); all else is as in production."""

import signal
import time
from typing import Final

import libfaketime

from campaign_pipeline_tests.end_to_end.conftest import InstallationMaker
from campaign_pipeline_tests.end_to_end.installation import Installation, ended
from campaign_pipeline_tests.support.waiting import wait_until

LIMIT: Final = 20
_, MOVED_CLOCK = libfaketime.get_reload_information()
"""The variables that load the library into a process and leave its monotonic clock alone."""


def test_an_evening_and_the_next_morning_reach_no_more_than_the_limit_together(
    new_installation: InstallationMaker,
) -> None:
    """One exact batch a date, at 20:00 and at 09:00 the next day: right by the dates, twice the limit in 24 hours.

    The morning's run has to wait until the evening's people have left the window, and to go on then.
    """
    installation = new_installation(
        CAMPAIGN_SENDER_LIMIT=str(LIMIT), CAMPAIGN_START_DATE="2026-03-02", CAMPAIGN_SEND_WINDOW="09:00-20:30"
    )
    _set_clock(installation, "2026-03-02 08:00:00")
    for words in installation.words_for_a_campaign(range(3 * LIMIT), daily_limit=LIMIT):
        installation.must(*words)
    _set_clock(installation, "2026-03-02 20:00:00")
    installation.must("send")
    assert len(installation.reached()) == LIMIT

    _set_clock(installation, "2026-03-03 09:00:00")
    morning = installation.start("send")
    wait_until(lambda: installation.people().count("claimed") == LIMIT, "the morning's batch to be taken")
    time.sleep(3)
    assert morning.poll() is None, "it has not waited for the evening's people to leave the window"
    assert len(installation.reached()) == LIMIT
    morning.send_signal(signal.SIGTERM)
    assert ended(morning).status == 1

    _set_clock(installation, "2026-03-03 20:01:00")
    installation.must("send")
    reached = installation.reached()
    assert len(reached) == len(set(reached)) == 2 * LIMIT
    assert installation.must("prove", "--json").json["kept"]


def _set_clock(installation: Installation, moment: str) -> None:
    """From now on, commands begin at a moment, and time goes on from there."""
    installation.environment |= {
        **MOVED_CLOCK,
        "FAKETIME": f"@{moment}",
        "TZ": "UTC",
    }
