"""`campaign limit`: what it is, who said so, what is used of it; and the two ways to say something about it."""

import getpass

import pytest

from campaign_pipeline_tests.interfaces.installation import Installation
from campaign_pipeline_tests.interfaces.test_errors import is_one_line


def limit_of(installation: Installation) -> int:
    """The limit in force."""
    return installation.must("limit", "--json").json["limit"]["people"]


def test_the_limit_is_shown_before_anything_was_sent(installation: Installation) -> None:
    """It comes from the settings then, and nobody has used anything."""
    installation.set("CAMPAIGN_SENDER_LIMIT", "1000")
    assert installation.must("limit", "--json").json == {
        "limit": {"people": 1_000, "effective_from": None, "source": "CAMPAIGN_SENDER_LIMIT"},
        "used": 0,
        "used_elsewhere": [],
        "test_sends": 0,
        "free": 1_000,
        "freed": [],
        "history": [],
    }
    shown = installation.must("limit").stdout
    assert "1,000 people in 24 hours, by CAMPAIGN_SENDER_LIMIT" in shown
    assert "from" not in shown


def test_a_limit_is_set_and_every_look_follows_it(installation: Installation) -> None:
    """The plan, the day and the limit itself would otherwise tell three stories."""
    installation.active_campaign(people=10, daily_limit=1_000)
    said = installation.must("limit", "set", "5", "--by", "Ada").stdout
    assert "From now on, 5 people may be reached in 24 hours, by Ada's word." in said
    shown = installation.must("limit", "--json").json
    assert shown["limit"] == {"people": 5, "effective_from": "2026-03-02T08:00:00+00:00", "source": "Ada"}
    assert [each["source"] for each in shown["history"]] == ["CAMPAIGN_SENDER_LIMIT", "Ada"]
    assert installation.must("status", "--json").json["capacity"]["limit"] == 5
    assert len(installation.must("plan", "--json").json) == 2
    assert "Ada" in installation.must("limit").stdout


def test_a_limit_from_a_date_on_begins_with_the_businesss_day(installation: Installation) -> None:
    """Midnight in New York is five in the morning in UTC."""
    installation.set("CAMPAIGN_TIMEZONE", "America/New_York")
    installation.must("limit", "set", "2000", "--from", "2026-03-04", "--by", "Ada")
    history = installation.must("limit", "--json").json["history"]
    assert history[-1]["effective_from"] == "2026-03-04T05:00:00+00:00"
    assert limit_of(installation) == 250
    assert "2026-03-04 00:00 EST (to come)" in installation.must("limit").stdout
    installation.clock.set("2026-03-04T04:59:59+00:00")
    assert limit_of(installation) == 250
    installation.clock.forward(seconds=1)
    assert limit_of(installation) == 2_000
    assert "to come" not in installation.must("limit").stdout


def test_from_today_on_is_from_now_on(installation: Installation) -> None:
    """Nobody can be told at noon what holds since midnight."""
    installation.must("limit", "set", "2000", "--from", "2026-03-02")
    assert limit_of(installation) == 2_000
    assert is_one_line(installation.run("limit", "set", "2000", "--from", "2026-03-01"))


def test_the_user_of_the_machine_has_said_it_unless_told_otherwise(installation: Installation) -> None:
    """A history of limits that nobody has set is no history."""
    installation.must("limit", "set", "300")
    assert installation.must("limit", "--json").json["limit"]["source"] == getpass.getuser()
    assert is_one_line(installation.run("limit", "set", "300", "--by", "CAMPAIGN_SENDER_LIMIT"))


def test_the_settings_are_heard_again_when_they_change(installation: Installation) -> None:
    """A person's word is no lock on the settings."""
    installation.must("limit", "set", "2000")
    installation.set("CAMPAIGN_SENDER_LIMIT", "100")
    assert limit_of(installation) == 100


def test_what_was_used_elsewhere_is_noted_at_its_time(installation: Installation) -> None:
    """It leaves the window when those messages do, and not a day after somebody remembered to note them."""
    installation.set("CAMPAIGN_TIMEZONE", "America/New_York")  # it is 03:00 there
    said = installation.must("limit", "used-elsewhere", "40", "--at", "02:30", "--by", "Ada").stdout
    assert "40 people reached elsewhere use capacity for 24 hours from 2026-03-02 02:30 EST" in said
    installation.must("limit", "used-elsewhere", "5", "--at", "2026-03-01 22:00")
    installation.must("limit", "used-elsewhere", "2", "--at", "2026-03-02T06:00:00+00:00")
    installation.must("limit", "used-elsewhere", "1")
    shown = installation.must("limit", "--json").json
    assert (shown["used"], shown["free"]) == (48, 202)
    assert [(each["people"], each["used_at"]) for each in shown["used_elsewhere"]] == [
        (5, "2026-03-02T03:00:00+00:00"),
        (2, "2026-03-02T06:00:00+00:00"),
        (40, "2026-03-02T07:30:00+00:00"),
        (1, "2026-03-02T08:00:00+00:00"),
    ]
    told = installation.must("limit").stdout
    assert "Used   48, 48 of them by other systems" in told
    assert "40 people elsewhere at 2026-03-02 02:30 EST, by Ada" in told
    assert installation.must("status", "--json").json["capacity"]["used"] == 48


def test_an_hour_that_comes_twice_is_the_later_one(installation: Installation) -> None:
    """Freed an hour early, forty places would be used twice within 24 hours."""
    installation.set("CAMPAIGN_TIMEZONE", "Europe/Berlin")
    installation.clock.set("2026-10-25T08:00:00+00:00")
    installation.must("limit", "used-elsewhere", "40", "--at", "02:30")
    shown = installation.must("limit", "--json").json
    assert [each["used_at"] for each in shown["used_elsewhere"]] == ["2026-10-25T01:30:00+00:00"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["limit", "used-elsewhere", "5", "--at", "23:00"], "still to come"),
        (["limit", "used-elsewhere", "5", "--at", "2026-03-01 08:00"], "use no capacity any more"),
        (["limit", "set", "99999999999"], "from 0 to 1,000,000,000"),
        (["limit", "used-elsewhere", "5", "--by", "test-send"], "by a person's name"),
    ],
    ids=["tomorrow", "long ago", "more than all", "no person"],
)
def test_what_cannot_be_meant_so_is_one_line(installation: Installation, words: list[str], said: str) -> None:
    """A wrong day is typed easily, and would be noticed only when the limit is broken."""
    answer = installation.run(*words)
    assert is_one_line(answer), answer
    assert said in answer.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["limit", "set"],
        ["limit", "set", "-5"],
        ["limit", "set", "many"],
        ["limit", "set", "5", "--from", "tomorrow"],
        ["limit", "used-elsewhere", "0"],
        ["limit", "used-elsewhere", "5", "--at", "noon"],
        ["limit", "used-elsewhere", "5", "--at", "25:00"],
        ["limit", "raise"],
    ],
    ids=" ".join,
)
def test_a_command_typed_wrongly_ends_with_two(installation: Installation, words: list[str]) -> None:
    """Scripts tell a wrong call from a state of things."""
    assert installation.run(*words).status == 2
