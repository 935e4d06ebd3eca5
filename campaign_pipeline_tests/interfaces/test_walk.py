"""From an empty folder to a planned campaign, as a marketer walks through it."""

import csv
import inspect
from pathlib import Path

import pytest

from campaign_pipeline.campaigns import catalogue
from campaign_pipeline.interfaces.command_line import campaigns
from campaign_pipeline_tests.interfaces.installation import Installation
from campaign_pipeline_tests.support.campaigns import phone


def test_a_campaign_goes_from_a_list_to_a_plan(installation: Installation) -> None:
    """Each step says what the next one needs; if one of them said something else, a marketer would stop there."""
    made = installation.must("create", "Spring Sale", "--template", "spring_sale", "--daily-limit", "2", "--json").json
    assert (made["slug"], made["status"], made["template_language"]) == ("spring-sale", "draft", "en_US")

    people = installation.list_of(range(10))
    first = installation.must("add", "spring-sale", people, "--json").json
    assert (first["campaign"], first["read"], first["added"]) == ("spring-sale", 10, 10)
    assert first["lists"][0]["file"] == people

    again = installation.must("add", "Spring Sale", people, "--json").json
    assert (again["added"], again["already_in_campaign"]) == (0, 10)

    active = installation.must("activate", "1", "--json").json
    assert active["estimated_days"] == 5
    assert active["estimated_completion_date"] == "2026-03-06"

    plan = installation.must("plan", "spring-sale", "--json").json
    assert [row["send_date"] for row in plan] == [f"2026-03-0{day}" for day in range(2, 7)]
    assert [row["expected_size"] for row in plan] == [2] * 5
    assert plan == installation.must("plan", "--json").json

    stats = installation.must("stats", "spring-sale", "--json").json
    assert (stats["campaign"], stats["total"], stats["pending"], stats["sent"]) == ("spring-sale", 10, 10, 0)
    assert stats["estimated_completion_date"] == "2026-03-06"
    assert sum(stats["states"].values()) == 10

    listed = installation.must("list", "--json").json
    assert [(each["slug"], each["figures"]["total"]) for each in listed] == [("spring-sale", 10)]

    shown = installation.must("show", "spring-sale", "--json").json
    assert [(each["read"], each["added"]) for each in shown["lists"]] == [(10, 10), (10, 0)]

    day = installation.must("status", "--json").json
    assert day["today"] == "2026-03-02"
    assert day["next"]["expected_size"] == 2
    assert day["next"]["send_at"] == "2026-03-02T09:00:00+00:00"
    assert day["capacity"] == {"limit": 250, "used": 0, "free": 250, "next_freed": None}


@pytest.mark.parametrize(
    "words",
    [
        ["plan"],
        ["plan", "spring-sale"],
        ["stats", "spring-sale"],
        ["list"],
        ["show", "spring-sale"],
        ["status"],
        ["recipients", "spring-sale"],
        ["ingest"],
    ],
)
def test_every_look_can_be_taken_by_a_person_too(installation: Installation, words: list[str]) -> None:
    """A table that cannot be drawn is found by the first person who does not ask for JSON."""
    installation.active_campaign()
    assert installation.must(*words).stdout.strip()


def test_a_look_at_an_empty_installation_says_what_to_do(installation: Installation) -> None:
    """The first thing that people type is a look, before there is anything to see."""
    assert "campaign create" in installation.must("list").stdout
    assert "activated" in installation.must("plan").stdout
    assert "nothing to send" in installation.must("status").stdout
    assert installation.must("list", "--json").json == []


def test_a_campaign_is_paused_resumed_edited_and_cancelled(installation: Installation) -> None:
    """Whoever finds a mistake on the second day has to be able to stop at once."""
    installation.active_campaign()
    assert "a mistake" in installation.must("pause", "spring-sale", "--reason", "a mistake").stdout
    assert installation.must("stats", "spring-sale", "--json").json["estimated_completion_date"] is None
    installation.must("resume", "spring-sale")
    installation.must("edit", "spring-sale", "--daily-limit", "5", "--priority", "3")
    assert installation.must("stats", "spring-sale", "--json").json["estimated_completion_date"] == "2026-03-03"
    installation.must("cancel", "spring-sale", "--yes")
    assert installation.must("stats", "spring-sale", "--json").json["skipped"] == 10


def test_parameters_are_replaced_as_a_whole(installation: Installation) -> None:
    """A parameter left over from an earlier template would make Meta refuse every message."""
    installation.must("create", "Sale", "--template", "t", "--parameter", "first_name=name", "--parameter", "city=City")
    installation.must("edit", "sale", "--parameter", "code=Code")
    shown = installation.must("show", "sale", "--json").json
    assert shown["parameters"] == [{"name": "code", "column": "Code"}]
    installation.must("edit", "sale", "--no-parameters")
    assert installation.must("show", "sale", "--json").json["parameters"] == []


def test_what_cannot_be_undone_is_asked_first(installation: Installation) -> None:
    """The wrong campaign's name is typed once in a while."""
    installation.must("create", "Sale", "--template", "t")
    assert installation.run("delete", "sale", answer="n\n").status == 1
    assert len(installation.must("list", "--json").json) == 1
    assert installation.run("delete", "sale", answer="y\n").status == 0
    assert installation.must("list", "--json").json == []


def test_a_person_is_removed_and_unsubscribed_without_showing_the_number(installation: Installation) -> None:
    """Terminals are shared and recorded; a number that was typed need not be printed again."""
    installation.active_campaign()
    removed = installation.must("remove", "spring-sale", phone(3))
    assert "***03" in removed.stdout
    assert phone(3) not in removed.stdout
    assert "is unsubscribed" in installation.must("unsubscribe", phone(4)).stdout
    assert "already" in installation.must("unsubscribe", "07911 000004", "--region", "gb").stdout
    assert "is subscribed" in installation.must("subscribe", phone(4)).stdout


def test_a_file_of_opt_outs_is_taken_in_and_a_person_can_be_asked_about(installation: Installation) -> None:
    """Opt-outs come from the shop's system as a file, and a customer on the phone asks why nothing comes."""
    installation.active_campaign()
    file = installation.folder / "opt-outs.csv"
    file.write_text(f"phone,time,source\n{phone(1)},2026-02-01,shop\n{phone(2)},,\nnobody,,\n", encoding="utf-8")
    told = installation.must("unsubscribe", "--file", str(file), "--json").json
    assert (told["read"], told["unsubscribed"], told["invalid"]) == (3, 2, 1)
    assert Path(told["rejections_file"]).is_file()
    assert "0 people unsubscribed by opt-outs.csv" in installation.must("unsubscribe", "--file", str(file)).stdout
    shown = installation.must("subscriptions", phone(1)).stdout
    assert "***01 is unsubscribed since 2026-02-01" in shown
    assert "file opt-outs.csv: shop" in shown
    assert installation.must("subscriptions", phone(2), "--json").json["words"][0]["by"] == "file"
    assert "Nothing is known" in installation.must("subscriptions", phone(999)).stdout
    assert installation.run("unsubscribe").status == 2
    assert installation.run("unsubscribe", phone(1), "--file", str(file)).status == 2


def test_everyone_who_is_subscribed_can_be_added_without_a_list(installation: Installation) -> None:
    """A second campaign to the same customers should not need their list again."""
    installation.active_campaign(people=3)
    installation.must("unsubscribe", phone(0))
    installation.must("create", "Summer", "--template", "summer")
    assert installation.must("add", "summer", "--subscribed", "--json").json["added"] == 2


def test_recipients_are_shown_fifty_at_a_time_and_written_all(installation: Installation) -> None:
    """Ten thousand rows scroll away; the file has them."""
    installation.active_campaign(people=60)
    table = installation.must("recipients", "spring-sale").stdout
    assert table.count("+447911") == 50
    assert "10 people more" in table
    installation.must("recipients", "spring-sale", "--csv", "all.csv")
    with (installation.folder / "all.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 60
    assert rows[2]["phone"] == phone(2)
    assert rows[2]["expected_date"] == "2026-03-03"
    piped = installation.must("recipients", "spring-sale", "--csv", "-")
    assert len(piped.stdout.splitlines()) == 61


def test_recipients_can_be_filtered_by_state_and_read_by_a_program(installation: Installation) -> None:
    """An empty answer has to be a document too."""
    installation.active_campaign(people=3)
    installation.must("remove", "spring-sale", phone(1))
    pending = installation.must("recipients", "spring-sale", "--status", "pending", "--json").json
    assert [row["phone"] for row in pending] == [phone(0), phone(2)]
    assert installation.must("recipients", "spring-sale", "--status", "read", "--json").json == []


def test_the_defaults_in_the_help_are_those_of_the_campaigns() -> None:
    """They are written twice, since the help must not wait for the ledger's code to load."""
    parameters = inspect.signature(campaigns.create).parameters
    assert parameters["daily_limit"].default == str(catalogue.DEFAULT_DAILY_LIMIT)
    assert parameters["language"].default == catalogue.DEFAULT_LANGUAGE
