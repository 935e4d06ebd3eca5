"""The limit over the REST API: what `campaign limit` shows, and set by an admin alone."""

from typing import Final

from campaign_pipeline.ledger.states import ApiRole
from campaign_pipeline_tests.interfaces.installation import Installation
from campaign_pipeline_tests.interfaces.rest_api.served import ServedApi
from campaign_pipeline_tests.interfaces.rest_api.test_audience import in_utc
from campaign_pipeline_tests.interfaces.test_doubts import with_doubts

LIMITS: Final = "/marketing/limits"


def test_the_limit_is_what_the_command_line_shows(api: ServedApi, installation: Installation) -> None:
    """Whoever plans a day reads it here or there."""
    assert in_utc(api.get(LIMITS).json()) == installation.must("limit", "--json").json
    installation.clock.forward(minutes=20)
    with_doubts(installation)
    installation.must("limit", "used-elsewhere", "40", "--at", "07:10", "--by", "Ada")
    installation.must("limit", "used-elsewhere", "2", "--at", "08:00", "--by", "Ada")
    shown = api.get(LIMITS).json()
    assert in_utc(shown) == installation.must("limit", "--json").json
    assert (shown["used"], shown["free"]) == (46, 204)
    # Told by the hour, and never too early.
    assert shown["freed"] == [
        {"at": "2026-03-03T08:00:00Z", "people": 42},
        {"at": "2026-03-03T09:00:00Z", "people": 4},
    ]
    assert "Free   204, the next at 2026-03-03 08:00 UTC" in installation.must("limit").stdout
    installation.clock.set("2026-03-03T08:00:00+00:00")
    assert api.get(LIMITS).json()["used"] == 4


def test_a_call_that_is_under_way_has_no_time_yet(api: ServedApi, installation: Installation) -> None:
    """It leaves 24 hours after its answer, which nobody knows."""
    with_doubts(installation)
    with api.workplace.ledger.write() as connection:
        connection.exec_driver_sql("UPDATE send_attempts SET counts_until = '9999-12-31 00:00:00.000000'")
    shown = api.get(LIMITS).json()
    assert (shown["used"], shown["freed"]) == (4, [])


def test_an_admin_sets_it_and_said_again_it_changes_nothing(api: ServedApi, installation: Installation) -> None:
    """A program that lost the answer says it again; the history stays readable."""
    word = {"people": 2_000, "by": "Ada"}
    first = api.must(LIMITS, word, role=ApiRole.ADMIN)
    assert first["limit"]["people"] == 2_000
    assert first["limit"]["source"].startswith("Ada, by admin-")
    assert api.must(LIMITS, word, role=ApiRole.ADMIN) == first
    later = {"people": 5_000, "from_date": "2026-03-10"}
    second = api.must(LIMITS, later, role=ApiRole.ADMIN)
    assert api.must(LIMITS, later, role=ApiRole.ADMIN) == second
    assert [each["people"] for each in second["history"]] == [250, 2_000, 5_000]
    assert second["history"][-1]["effective_from"] == "2026-03-10T00:00:00Z"
    assert installation.must("limit", "--json").json == in_utc(second)
    installation.must("limit", "set", "300", "--by", "Ben")
    assert api.must(LIMITS, word, role=ApiRole.ADMIN)["limit"]["people"] == 2_000
    assert api.must(LIMITS, {"people": 0.0}, role=ApiRole.ADMIN)["limit"]["people"] == 0


def test_nobody_else_sets_it_and_nothing_is_guessed(api: ServedApi) -> None:
    """A limit that is too high costs the business its number."""
    before = api.get(LIMITS).json()
    assert api.post(LIMITS, {"people": 2_000}).status_code == 403
    for body in (
        {},
        {"people": -1},
        {"people": 1_000_000_001},
        {"people": "2000"},
        {"people": 1.5},
        {"people": True},
        {"people": 5, "from_date": "2026-03-01"},
        {"people": 5, "from_date": "tomorrow"},
        {"people": 5, "from_date": 0},
        {"people": 5, "from_date": "0001-01-01"},
        {"people": 5, "by": "meta: TIER_UNLIMITED"},
        {"people": 5, "by": "\x00"},
        {"people": 5, "from": "2026-03-10"},
    ):
        refused = api.post(LIMITS, body, role=ApiRole.ADMIN)
        assert refused.status_code == 422, (body, refused.text)
    assert api.get(LIMITS).json() == before
