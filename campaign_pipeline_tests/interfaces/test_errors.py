"""What people see when something is wrong: one line that says what to do, and a status that scripts can trust."""

import pytest

from campaign_pipeline_tests.interfaces.installation import Answer, Installation


def is_one_line(answer: Answer) -> bool:
    """Whether an answer is one error line, status 1, and nothing that a program could take for a result."""
    return (
        answer.status == 1
        and answer.stdout == ""
        and answer.stderr.startswith("Error: ")
        and answer.stderr.count("\n") == 1
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", "autumn"], "no campaign 'autumn'"),
        (["show", "???"], "no campaign '???'"),
        (["show", "²"], "no campaign '²'"),
        (["show", "9" * 20], "no campaign '999"),
        (["recipients", "spring-sale", "--csv", "missing/people.csv"], "no folder missing."),
        (["stats", "77", "--json"], "no campaign '77'"),
        (["create", "Spring Sale", "--template", "t"], "already"),
        (["create", "Other", "--template", "Not A Name"], "no template name"),
        (["create", "Other", "--template", "t", "--language", "english"], "no template language"),
        (["create", "Other", "--template", "t", "--daily-limit", "0"], "at least 1"),
        (["create", "Other", "--template", "t", "--parameter", "first_name"], "NAME=COLUMN"),
        (["edit", "spring-sale"], "Nothing to change"),
        (["edit", "spring-sale", "--name", "Other"], "only its daily limit and priority"),
        (["activate", "spring-sale"], "can be activated"),
        (["resume", "spring-sale"], "can be resumed"),
        (["delete", "spring-sale", "--yes"], "can be deleted"),
        (["add", "spring-sale", "missing.csv"], "no file missing.csv"),
        (["add", "spring-sale", "."], "is a folder"),
        (["remove", "spring-sale", "+447911000009"], "not in spring-sale"),
        (["subscribe", "hello"], "not a phone number"),
        (["unsubscribe", "07911123456"], "country"),
    ],
)
def test_a_mistake_is_one_line(installation: Installation, words: list[str], said: str) -> None:
    """A traceback tells a marketer nothing, and hides the one line that would."""
    installation.active_campaign(people=2)
    answer = installation.run(*words)
    if "--json" in words or words[0] != "add":
        assert is_one_line(answer), answer
    assert answer.status == 1
    assert said in answer.stderr


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("CAMPAIGN_SENDER_LIMIT", "many", "CAMPAIGN_SENDER_LIMIT"),
        ("CAMPAIGN_TIMEZONE", "Mars", "no time zone"),
        ("CAMPAIGN_TIMEZONE", "Europe", "no time zone"),
        ("CAMPAIGN_SEND_TIME", "21:00", "outside CAMPAIGN_SEND_WINDOW"),
        ("CAMPAIGN_SEND_WINDOW", "always", "09:00-20:00"),
        ("CAMPAIGN_DEFAULT_REGION", "UK", "GB"),
        ("CAMPAIGN_DATABASE_URL", "mysql://host/name", "SQLite and PostgreSQL"),
        ("CAMPAIGN_DATABASE_URL", "nothing like it", "CAMPAIGN_DATABASE_URL"),
        ("CAMPAIGN_DATABASE_URL", "postgresql://user:secret@127.0.0.1:1/name", "ledger cannot be used"),
        ("CAMPAIGN_DATA_DIR", "people.csv/data", "people.csv"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(installation: Installation, name: str, value: str, said: str) -> None:
    """Settings are typed by hand, and a wrong one must not show another's secret."""
    installation.list_of(range(1))
    installation.set(name, value)
    installation.set("WHATSAPP_ACCESS_TOKEN", "a-secret")
    answer = installation.run("list")
    assert is_one_line(answer), answer
    assert said in answer.stderr
    assert "secret" not in answer.stderr


def test_an_env_file_that_is_no_text_is_named(installation: Installation) -> None:
    """Some editors save UTF-16."""
    (installation.folder / ".env").write_bytes(b"\xff\xfeC\x00")
    answer = installation.run("list")
    assert is_one_line(answer)
    assert ".env" in answer.stderr


def test_a_file_that_cannot_be_read_does_not_hold_up_the_others(installation: Installation) -> None:
    """Of ten lists, the tenth should not have to be added alone because the second was missing."""
    installation.must("create", "Sale", "--template", "t")
    (installation.folder / "book.csv").write_bytes(b"PK\x03\x04")
    answer = installation.run("add", "sale", "missing.csv", installation.list_of(range(3)), "book.csv", "--json")
    assert answer.status == 1
    assert answer.json["added"] == 3
    assert [each["file"] for each in answer.json["errors"]] == ["missing.csv", "book.csv"]
    assert answer.stderr.count("Error: ") == 2


def test_rejected_rows_are_no_error(installation: Installation) -> None:
    """A list without a bad number is rare; a script that adds lists must not stop at each of them."""
    installation.must("create", "Sale", "--template", "t")
    (installation.folder / "messy.csv").write_text("phone\n+447911000001\nnobody\n", encoding="utf-8")
    added = installation.must("add", "sale", "messy.csv", "--json").json
    assert (added["read"], added["added"], added["invalid"]) == (2, 1, 1)
    rejections = installation.folder / added["lists"][0]["rejections_file"]
    assert "nobody" in rejections.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "words",
    [
        ["add", "spring-sale"],
        ["add", "spring-sale", "people.csv", "--region", "UK"],
        ["recipients", "spring-sale", "--status", "gone"],
        ["send", "--date", "yesterday"],
        ["simulator", "--read-share", "3"],
        ["simulator", "--fault", "lost_answer"],
        ["edit", "spring-sale", "--parameter", "a=b", "--no-parameters"],
        ["create"],
        ["nonsense"],
    ],
)
def test_a_command_typed_wrongly_ends_with_two(installation: Installation, words: list[str]) -> None:
    """Scripts tell a wrong call, which will never work, from a state of things, which may pass."""
    assert installation.run(*words).status == 2


def test_figures_can_be_looked_at_whatever_the_limit_is(installation: Installation) -> None:
    """A limit of 0 stops sending; it must not hide what was sent before."""
    installation.active_campaign()
    installation.set("CAMPAIGN_SENDER_LIMIT", "0")
    stats = installation.must("stats", "spring-sale", "--json")
    assert stats.json["total"] == 10
    assert stats.json["estimated_completion_date"] is None
    assert len(installation.must("recipients", "spring-sale", "--json").json) == 10
    assert is_one_line(installation.run("plan", "spring-sale"))
    kinds = [each["kind"] for each in installation.must("status", "--json").json["attention"]]
    assert "limit_is_zero" in kinds


def test_an_error_that_nobody_foresaw_keeps_its_traceback(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line about a fault of ours would be a riddle to whoever has to mend it."""

    def fail(*_arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("campaign_pipeline.campaigns.catalogue.list_all", fail)
    with pytest.raises(ZeroDivisionError):
        installation.run("list")
