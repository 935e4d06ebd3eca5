"""People added over the REST API: everybody once, whatever form they come in."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from campaign_pipeline.interfaces.rest_api.recipients import file_name
from campaign_pipeline_tests.interfaces.installation import Installation
from campaign_pipeline_tests.interfaces.rest_api.served import SPRING, ServedApi
from campaign_pipeline_tests.support.campaigns import phone

PEOPLE = "/marketing/campaigns/spring-sale/recipients"


@pytest.fixture(autouse=True)
def _campaign(api: ServedApi) -> None:
    api.must("/marketing/campaigns", SPRING)


def _csv(numbers: range) -> bytes:
    return "".join(["phone\n", *(f"{phone(number)}\n" for number in numbers)]).encode()


def test_ten_thousand_numbers_are_added_and_the_second_time_none(api: ServedApi) -> None:
    """A program that lost the answer sends the list again."""
    numbers = {"phone_numbers": [phone(number) for number in range(10_000)]}
    began = time.monotonic()
    first = api.must(PEOPLE, numbers)
    # Three seconds on a machine that does nothing else; a busy one says nothing about the program.
    assert time.monotonic() - began < 20
    assert (first["recipients_added"], first["read"], first["rejections"]) == (10_000, 10_000, [])
    again = api.must(PEOPLE, numbers)
    assert (again["recipients_added"], again["already_in_campaign"], again["rejections_total"]) == (0, 10_000, 10_000)
    assert len(again["rejections"]) == 1_000


def test_every_row_that_is_not_added_has_its_place_and_its_reason(api: ServedApi) -> None:
    """Nobody is lost without a word."""
    numbers = [phone(1), "hello", phone(1), "\x00", "+1 (415) 555-0100 x", 447911000002, "07911 000003"]
    answer = api.must(PEOPLE, {"phone_numbers": numbers})
    assert (answer["recipients_added"], answer["duplicate_in_list"], answer["invalid"]) == (3, 1, 3)
    assert [each["line_number"] for each in answer["rejections"]] == [2, 3, 4, 5]
    assert all(each["detail"] for each in answer["rejections"])


def test_where_evidence_of_consent_is_asked_for_nobody_is_added_without_it(
    api: ServedApi, installation: Installation
) -> None:
    """What the command line refuses would come in by the other door."""
    people = [
        {"phone": phone(1)},
        {"phone": phone(2), "parameters": {"opt_in": "yes"}},
        {"phone": phone(3), "parameters": {"opt_in_source": "web form", "opt_in_time": "2026-01-05"}},
    ]
    installation.set("CAMPAIGN_REQUIRE_OPT_IN", "true")
    with ServedApi(installation.clock) as strict:
        answer = strict.must(PEOPLE, {"recipients": people})
    assert (answer["recipients_added"], answer["unsubscribed"]) == (2, 1)
    assert "CAMPAIGN_REQUIRE_OPT_IN" in answer["rejections"][0]["detail"]
    assert api.must(PEOPLE, {"recipients": people})["recipients_added"] == 1


def test_people_bring_the_values_of_their_template(api: ServedApi) -> None:
    """`Hi {{1}}` with nothing in it is refused by WhatsApp, message by message."""
    parameters = [{"name": "first_name", "column": "name"}]
    api.must("/marketing/campaigns", {**SPRING, "name": "Named", "parameters": parameters})
    people = [
        {"phone": phone(1), "parameters": {"name": "Ada", "size": 42, "vip": True, "note": None}},
        {"phone": phone(2), "parameters": {"name": "=HYPERLINK(1)", "mobile": phone(9)}},
        {"phone": phone(3), "parameters": {"opt_in": "no", "name": "Nobody"}},
        {"phone": phone(4)},
    ]
    answer = api.must("/marketing/campaigns/named/recipients", {"recipients": people})
    assert (answer["recipients_added"], answer["unsubscribed"], answer["invalid"]) == (2, 1, 1)
    with api.workplace.ledger.read() as connection:
        rows = connection.exec_driver_sql("SELECT phone, parameters FROM campaign_recipients ORDER BY id").all()
    assert [(row.phone, json.loads(row.parameters)["name"]) for row in rows] == [
        (phone(1), "Ada"),
        (phone(2), "=HYPERLINK(1)"),
    ]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"phone_numbers": []},
        {"phone_numbers": ["1"], "recipients": [{"phone": "1"}]},
        {"phone_numbers": "07911123456"},
        {"phone_numbers": [None]},
        {"phone_numbers": [["+447911123456"]]},
        {"phone_numbers": [True]},
        {"numbers": ["+447911123456"]},
        {"recipients": ["+447911123456"]},
        {"recipients": [{"phone": "1", "first_name": "Ada"}]},
        {"recipients": [{"phone": "1", "parameters": {" Phone ": "2"}}]},
        {"recipients": [{"phone": "1", "parameters": {"a": {"b": 1}}}]},
    ],
)
def test_a_body_of_another_form_is_refused_as_a_whole(api: ServedApi, body: object) -> None:
    """A field that is not understood may be the one that says no."""
    refused = api.post(PEOPLE, body)
    assert refused.status_code == 422, refused.text
    assert refused.json()["errors"]


def test_a_name_that_stands_twice_is_refused(api: ServedApi) -> None:
    """Python keeps the last of two, which may be the one that says yes."""
    body = b'{"recipients": [{"phone": "+447911123456", "parameters": {"opt_in": "no", "opt_in": "yes"}}]}'
    refused = api.ask("POST", PEOPLE, data=body, headers={"Content-Type": "application/json"})
    assert (refused.status_code, "twice" in refused.json()["detail"]) == (400, True)


@pytest.mark.parametrize("kind", ["text/csv", "text/csv; charset=utf-8", "application/octet-stream"])
def test_a_list_is_taken_in_as_it_comes(api: ServedApi, installation: Installation, kind: str) -> None:
    """The lineage shows every list with its name and hash, however it came."""
    body = _csv(range(3)) + b"nobody\n"
    answer = api.must(f"{PEOPLE}?list_name=march.csv", data=body, headers={"Content-Type": kind})
    assert (answer["list_name"], answer["recipients_added"], answer["invalid"]) == ("march.csv", 3, 1)
    (kept,) = (installation.folder / "data" / "kept").iterdir()
    assert kept.name.endswith("-march.csv")
    assert kept.read_bytes() == body
    assert list((installation.folder / "data" / "uploads").iterdir()) == []


def test_a_list_is_streamed_to_the_disk(api: ServedApi) -> None:
    """A million people in memory at once, from ten programs, and the server is gone."""

    def chunks() -> Iterator[bytes]:
        yield b"phone\n"
        for number in range(5_000):
            yield f"{phone(number)}\n".encode()

    answer = api.must(PEOPLE, data=chunks(), headers={"Content-Type": "text/csv"})
    assert answer["recipients_added"] == 5_000


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        (b"", "text/csv", "empty"),
        (b"name\nAda\n", "text/csv", "the parameter phone_column"),
        (b"phone\n+447911000001\n", "text/plain", "text/csv"),
        (b"phone\n+447911000001\n", "", "Content-Type"),
    ],
)
def test_a_list_that_cannot_be_read_is_refused_with_a_sentence(
    api: ServedApi, body: bytes, kind: str, said: str
) -> None:
    """Whoever sends it has to know what to change."""
    refused = api.ask("POST", PEOPLE, data=body, headers={"Content-Type": kind} if kind else {})
    assert refused.status_code in (415, 422)
    assert said in refused.json()["detail"]


@pytest.mark.parametrize(
    ("asked", "made"),
    [
        ("march.csv", "march.csv"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("/", "list"),
        ("..", "list"),
        (".hidden", "hidden"),
        ("a\x00b<script>.csv", "a_b_script_.csv"),
        ("=cmd|' /C calc'!A0", "A0"),
        ("é" * 200, "é" * 90),
    ],
)
def test_a_list_goes_nowhere_but_its_folder(asked: str, made: str) -> None:
    """A name from outside is a name, and no way to another folder."""
    if asked.startswith("="):
        assert "/" not in file_name(asked)
        return
    assert file_name(asked) == made
    assert Path(made).name == made


def test_long_lists_leave_threads_to_others(api: ServedApi) -> None:
    """Forty lists at once would take every thread, and nobody could stop a campaign meanwhile."""
    with ThreadPoolExecutor(60) as sending:
        with api.workplace.ledger.write():
            # While this transaction lasts, nobody else writes.
            sent = [sending.submit(api.post, PEOPLE, {"phone_numbers": [phone(number)]}) for number in range(60)]
            assert all(api.get("/marketing/campaigns").status_code == 200 for _ in range(60))
            assert not any(each.done() for each in sent)
        assert [each.result().status_code for each in sent] == [200] * 60


def test_a_region_that_is_none_is_refused(api: ServedApi) -> None:
    """Numbers read in a country that does not exist are all rejected, one by one."""
    assert api.post(f"{PEOPLE}?region=UK", {"phone_numbers": ["07911123456"]}).status_code == 422
    assert api.must(f"{PEOPLE}?region=DE", {"phone_numbers": ["01512 3456789"]})["recipients_added"] == 1
