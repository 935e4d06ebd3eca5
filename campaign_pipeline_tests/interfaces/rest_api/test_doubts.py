"""Doubts over the REST API: the list and the words of the command line."""

from functools import partial
from typing import Final

import pytest

from campaign_pipeline.interfaces.rest_api import doubts
from campaign_pipeline.ledger.states import ApiRole
from campaign_pipeline.sending.lease import LeaseTerms
from campaign_pipeline_tests.interfaces.installation import Installation
from campaign_pipeline_tests.interfaces.rest_api.served import ServedApi
from campaign_pipeline_tests.interfaces.rest_api.test_audience import ODD_QUESTIONS, in_utc, pages
from campaign_pipeline_tests.interfaces.test_doubts import LIVELY, MUTE, called_by_holder, states_of, with_doubts

DOUBTS: Final = "/marketing/doubts"
RESOLVE: Final = "/marketing/doubts/resolve"


def test_the_pages_list_what_the_command_line_lists(api: ServedApi, installation: Installation) -> None:
    """Two operators, one at a keyboard and one at a page, have to speak of the same attempts."""
    with_doubts(installation, people=7, in_doubt=5)
    installation.clock.forward(hours=5)
    listed = installation.must("doubts", "--json").json
    for size in (1, 2, 5, 6):
        assert in_utc(pages(api, f"{DOUBTS}?limit={size}", "doubts")) == listed
    assert in_utc(pages(api, f"{DOUBTS}?campaign=spring-sale&send_date=2026-03-02&limit=2", "doubts")) == listed
    assert api.get(f"{DOUBTS}?send_date=2026-03-03").json() == {"doubts": [], "next_cursor": None}
    assert api.get(f"{DOUBTS}?campaign=summer").status_code == 404


def test_who_was_reached_is_settled_with_a_word(api: ServedApi, installation: Installation) -> None:
    """The audit log says which person has said so, and over which token."""
    first, second = with_doubts(installation)
    one = {"verdict": "reached", "attempts": [first], "by": "Ada", "reason": "they wrote back"}
    assert api.must(RESOLVE, one)["states"] == {"accepted": 1}
    ended = api.must(RESOLVE, {"verdict": "reached", "all_of": "2026-03-02"})
    assert ended == {
        "verdict": "reached",
        "attempt_ids": [second],
        "states": {"accepted": 1},
        "dates": ["2026-03-02"],
        "completed": ["spring-sale"],
    }
    told = api.get("/marketing/audit-log?action=doubts_resolved", ApiRole.ADMIN).json()["entries"]
    token = told[0]["actor"]
    assert token.endswith("(API)")
    assert [(each["actor"], each["details"]["reason"]) for each in told] == [
        (token, ""),
        (f"Ada, by {token}", "they wrote back"),
    ]


def test_not_reached_needs_a_yes_and_puts_them_back(api: ServedApi, installation: Installation) -> None:
    """A second message to the same customer cannot be taken back."""
    with_doubts(installation, people=4, in_doubt=3)
    all_of = {"verdict": "not_reached", "all_of": "2026-03-02"}
    refused = api.post(RESOLVE, all_of)
    assert refused.status_code == 422
    assert "will be sent to again" in refused.json()["detail"]
    assert states_of(installation) == ["in_doubt"] * 3 + ["accepted"]
    said = api.must(RESOLVE, {**all_of, "yes": True}, key="once")
    assert said["states"] == {"claimed": 3}
    assert api.must(RESOLVE, {**all_of, "yes": True}, key="once") == said
    again = api.post(RESOLVE, {**all_of, "yes": True})
    assert (again.status_code, "Nobody of 2026-03-02 is in doubt" in again.json()["detail"]) == (409, True)


def test_not_reached_is_refused_while_the_run_that_called_is_alive(api: ServedApi, installation: Installation) -> None:
    """It could still be at it."""
    word = {"verdict": "not_reached", "all_of": "2026-03-02", "yes": True}
    with called_by_holder(installation, LIVELY):
        refused = api.post(RESOLVE, word)
    assert (refused.status_code, "still holds the sender" in refused.json()["detail"]) == (409, True)
    assert states_of(installation) == ["in_doubt"]


def test_all_that_are_named_are_settled_or_none(api: ServedApi, installation: Installation) -> None:
    """Half of a list that was done and half that was not is found out by nobody."""
    first, second = with_doubts(installation)
    refused = api.post(RESOLVE, {"verdict": "reached", "attempts": [first, "unknown"]})
    assert (refused.status_code, "unknown is no attempt that is known" in refused.json()["detail"]) == (409, True)
    assert states_of(installation)[:2] == ["in_doubt"] * 2
    assert (
        api.post(RESOLVE, {"verdict": "reached", "attempts": [first, second]}, role=ApiRole.VIEWER).status_code == 403
    )
    assert len(api.must(RESOLVE, {"verdict": "reached", "attempts": [second, first, second]})["attempt_ids"]) == 2
    assert "is settled: accepted" in api.post(RESOLVE, {"verdict": "reached", "attempts": [first]}).json()["detail"]


def test_a_word_that_is_not_complete_is_not_taken(api: ServedApi, installation: Installation) -> None:
    """Guessed, it would be the wrong half of the time."""
    first, _ = with_doubts(installation)
    whole = {"verdict": "reached", "attempts": [first]}
    for body in (
        {"verdict": "reached"},
        {"attempts": [first]},
        {**whole, "all_of": "2026-03-02"},
        {**whole, "verdict": "maybe"},
        {**whole, "attempts": []},
        {**whole, "attempts": [None]},
        {**whole, "attempts": ["\x00"]},
        {**whole, "attempts": ["' OR 1=1 --"]},
        {**whole, "attempts": [first] * 1_001},
        {"verdict": "reached", "all_of": "monday"},
        {"verdict": "reached", "all_of": "2026-02-30"},
        {"verdict": "reached", "all_of": "0001-01-01"},
        {"verdict": "reached", "all_of": 20260302},
        {**whole, "by": "Ada\x00"},
        {**whole, "by": ""},
        {**whole, "reason": "a\nb"},
        {**whole, "yes": "true"},
        {**whole, "sure": True},
    ):
        refused = api.post(RESOLVE, body)
        assert refused.status_code == 422, (body, refused.text)
    for query in (*ODD_QUESTIONS, "send_date=monday", "send_date=0", "send_date=%00", "campaign=%00", "campaign=' OR"):
        assert api.get(f"{DOUBTS}?{query}").status_code in (404, 422), query
    assert states_of(installation)[:2] == ["in_doubt"] * 2


def test_a_run_that_is_gone_holds_nothing_up(
    api: ServedApi, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its host has left the lease behind; the person who knows better need not wait for the next run."""
    monkeypatch.setattr(doubts, "LeaseTerms", partial(LeaseTerms, silence=0.3, look_every=0.02))
    with called_by_holder(installation, MUTE) as attempt:
        said = api.must(RESOLVE, {"verdict": "not_reached", "attempts": [attempt], "yes": True})
    assert said["states"] == {"claimed": 1}


def test_what_meta_has_written_shows_a_viewer_no_number(api: ServedApi, installation: Installation) -> None:
    """A number that hides in an error's text is a number all the same."""
    with_doubts(installation)
    with api.workplace.ledger.write() as connection:
        connection.exec_driver_sql("UPDATE send_attempts SET error_text = 'to 447911000000: timeout'")
    assert {each["error_text"] for each in api.get(DOUBTS).json()["doubts"]} == {"to ***00: timeout"}
    assert "447911000000" in api.get(DOUBTS, ApiRole.OPERATOR).text
    person = {"phone": "+447911000000"}
    assert "7911000000" not in api.post("/marketing/people/find", person, role=ApiRole.VIEWER).text
