"""Who wants messages, over the REST API: the same words as at the command line."""

import pytest

from campaign_pipeline.ledger.states import ApiRole
from campaign_pipeline_tests.interfaces.installation import Installation
from campaign_pipeline_tests.interfaces.rest_api.served import ServedApi
from campaign_pipeline_tests.support.campaigns import phone

SUBSCRIPTIONS = "/marketing/subscriptions"


def test_the_latest_word_counts_wherever_it_was_said(api: ServedApi, installation: Installation) -> None:
    """The shop's program and the person at the telephone write into one book."""
    person = {"phone": "07911 000001"}
    unknown = {"phone": phone(1), "status": None, "source": None, "changed_at": None}
    assert api.must(f"{SUBSCRIPTIONS}/find", person) == unknown
    installation.must("unsubscribe", phone(1))
    assert api.must(f"{SUBSCRIPTIONS}/find", person)["status"] == "unsubscribed"
    said = api.must(f"{SUBSCRIPTIONS}/subscribe", person)
    # Later than the word before it, though the clock of the test stands still.
    assert (said["status"], said["changed_at"]) == ("subscribed", "2026-03-02T08:00:00.000001Z")
    assert said["source"].endswith("(API)")
    assert "was subscribed already" in installation.must("subscribe", phone(1)).stdout
    assert api.must(f"{SUBSCRIPTIONS}/unsubscribe", person)["status"] == "unsubscribed"
    assert "was unsubscribed already" in installation.must("unsubscribe", phone(1)).stdout


def test_said_twice_it_is_said_once(api: ServedApi, installation: Installation) -> None:
    """The second request tells the same, and changes neither the time nor the audit log."""
    first = api.must(f"{SUBSCRIPTIONS}/unsubscribe", {"phone": phone(1)})
    installation.clock.forward(hours=1)
    assert api.must(f"{SUBSCRIPTIONS}/unsubscribe", {"phone": 447911000001, "region": "GB"}) == first
    assert [
        each["subject"] for each in api.get("/marketing/audit-log?action=unsubscribed", ApiRole.ADMIN).json()["entries"]
    ] == ["***01"]


def test_whoever_unsubscribes_is_not_sent_to(api: ServedApi, installation: Installation) -> None:
    """That is what they have asked for."""
    installation.active_campaign(3)
    api.must(f"{SUBSCRIPTIONS}/unsubscribe", {"phone": phone(0)})
    shown = installation.must("recipients", "spring-sale", "--json").json
    assert [each["expected_date"] is None for each in shown] == [True, False, False]


@pytest.mark.parametrize("word", ["subscribe", "unsubscribe"])
def test_a_viewer_looks_and_does_not_speak_for_anybody(api: ServedApi, word: str) -> None:
    """A token that hangs on a wall must not opt anybody in."""
    assert api.post(f"{SUBSCRIPTIONS}/{word}", {"phone": phone(1)}, role=ApiRole.VIEWER).status_code == 403
    assert api.must(f"{SUBSCRIPTIONS}/find", {"phone": phone(1)}, role=ApiRole.VIEWER)["phone"] == "***01"
