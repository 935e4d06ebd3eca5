"""One person's whole story over the REST API, asked for by a number that stands in no address and no log."""

import logging
from typing import Any, Final

import pytest

from campaign_pipeline.ledger.states import ApiRole
from campaign_pipeline_tests.delivery.payloads import inbound, ndjson, payload, put, status
from campaign_pipeline_tests.interfaces.installation import Installation
from campaign_pipeline_tests.interfaces.rest_api.served import ServedApi
from campaign_pipeline_tests.interfaces.test_doubts import with_doubts
from campaign_pipeline_tests.support.campaigns import phone

FIND: Final = "/marketing/people/find"

NOBODY: Final[tuple[object, ...]] = (
    {},
    {"phone": ""},
    {"phone": None},
    {"phone": "hello"},
    {"phone": "\x00"},
    {"phone": "' OR 1=1 --"},
    {"phone": "<script>alert(1)</script>"},
    {"phone": "4" * 101},
    {"phone": ["+447911000002"]},
    {"phone": True},
    {"phone": 1e300},
    {"phone": "07911000002", "region": "UK"},
    {"phone": "07911000002", "region": "\x00\x00"},
    {"phone": "+447911000002", "colour": "red"},
)


def _story(api: ServedApi, number: str, role: ApiRole = ApiRole.OPERATOR) -> Any:  # noqa: ANN401 - JSON
    return api.must(FIND, {"phone": number}, role=role)


def _heard(installation: Installation) -> None:
    with_doubts(installation)
    told = [payload(status("wamid.0", word, at)) for word, at in (("delivered", 1772445660), ("sent", 1772445600))]
    put(installation.folder / "data" / "inbox", "statuses.ndjson", ndjson(told))
    installation.clock.forward(hours=5)
    installation.must("ingest")
    installation.must("create", "Summer", "--template", "summer")
    installation.must("add", "summer", installation.list_of([2], "summer.csv"))
    installation.must("unsubscribe", phone(2))


def test_everything_that_is_known_of_a_person_is_told(api: ServedApi, installation: Installation) -> None:
    """A customer calls, and whoever answers has to know what they got, when, and whether they want more."""
    _heard(installation)
    for spelled in (phone(2), "07911 000002", "0044 7911 000002", "tel:+44-7911-000002"):
        story = _story(api, spelled)
        assert (story["phone"], story["same_account"], story["test_sends"]) == (phone(2), [], [])
    assert story["subscription"]["status"] == "unsubscribed"
    spring, summer = story["campaigns"]
    assert (spring["campaign"], spring["state"], spring["send_date"]) == ("spring-sale", "delivered", "2026-03-02")
    assert (spring["list_name"], spring["line_number"]) == ("people.csv", 4)
    assert (summer["campaign"], summer["campaign_status"], summer["attempts"]) == ("summer", "draft", [])
    (call,) = spring["attempts"]
    assert (call["outcome"], call["wamid"], call["started_at"]) == ("accepted", "wamid.0", "2026-03-02T08:00:00Z")
    assert [(each["status"], each["occurred_at"], each["error_code"]) for each in call["statuses"]] == [
        ("sent", "2026-03-02T10:00:00Z", None),
        ("delivered", "2026-03-02T10:01:00Z", None),
    ]
    assert {each["received_at"] for each in call["statuses"]} == {"2026-03-02T13:00:00Z"}
    doubtful = _story(api, phone(1))["campaigns"][0]["attempts"][0]
    assert (doubtful["outcome"], doubtful["http_status"], doubtful["error_code"]) == ("in_doubt", 500, 131000)


def test_of_a_stranger_nothing_is_known(api: ServedApi) -> None:
    """It is an answer, and not an address that does not exist."""
    assert _story(api, phone(9)) == {
        "phone": phone(9),
        "subscription": None,
        "words": [],
        "same_account": [],
        "campaigns": [],
        "test_sends": [],
    }


def test_what_a_person_has_said_and_when_they_replied_is_told(api: ServedApi, installation: Installation) -> None:
    """Whoever asks "I said stop, why do you write?" needs to be told what was heard, how, and when."""
    _heard(installation)
    said = (("Great, thanks!", 1772445720), ("STOP", 1772445780), ("START", 1772449200))
    told = [inbound(text, sender=phone(2)[1:], at=at) for text, at in said]
    put(installation.folder / "data" / "inbox", "words.ndjson", ndjson(told))
    installation.clock.forward(hours=1)
    installation.must("ingest")
    story = _story(api, phone(2))
    assert [(each["said_at"], each["status"], each["by"], each["source"]) for each in story["words"]] == [
        ("2026-03-02T10:03:00Z", "unsubscribed", "person", "wrote stop"),
        ("2026-03-02T11:00:00Z", "subscribed", "person", "wrote start"),
        ("2026-03-02T13:00:00Z", "unsubscribed", "operator", story["words"][2]["source"]),
    ]
    assert [each["heard_at"] for each in story["words"][:2]] == ["2026-03-02T14:00:00Z"] * 2
    spring, summer = story["campaigns"]
    assert (spring["replied_at"], summer["replied_at"]) == ("2026-03-02T10:02:00Z", None)
    assert "Great" not in api.post(FIND, {"phone": phone(2)}).text
    viewed = api.post(FIND, {"phone": phone(2)}, role=ApiRole.VIEWER)
    assert (len(viewed.json()["words"]), phone(2)[1:] in viewed.text) == (3, False)


def test_a_test_send_belongs_to_the_story(api: ServedApi, installation: Installation) -> None:
    """The colleague who asks why the offer came twice has tried it out."""
    _heard(installation)
    with api.workplace.ledger.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO test_sends (id, campaign_id, sender_id, template_name, template_language, person_key, phone, "
            "by, at, outcome, wamid) VALUES ('t', 1, 1, 'spring_sale', 'en_US', :p, :p, 'Ada', "
            "'2026-03-01 08:00:00.000000', 'accepted', 'wamid.test')".replace(":p", f"'{phone(2)}'")
        )
    (tried,) = _story(api, phone(2))["test_sends"]
    assert (tried["campaign"], tried["by"], tried["at"]) == ("spring-sale", "Ada", "2026-03-01T08:00:00Z")


def test_a_viewer_is_shown_no_number(api: ServedApi, installation: Installation) -> None:
    """They know the one that they have asked with, and learn no other."""
    _heard(installation)
    answer = api.post(FIND, {"phone": phone(2)}, role=ApiRole.VIEWER)
    assert (answer.json()["phone"], answer.json()["campaigns"][0]["phone"]) == ("***02", "***02")
    assert phone(2)[1:] not in answer.text
    assert "wamid.0" not in answer.text


def test_a_viewer_is_shown_no_number_that_somebody_has_written_elsewhere(
    api: ServedApi, installation: Installation
) -> None:
    """A list that is called after a customer, and a pause because one has called, are read by everybody."""
    name = f"{phone(7)[1:]}.csv"
    people = {"phone_numbers": [phone(7), "nonsense"]}
    api.must("/marketing/campaigns", {"name": "Spring Sale", "template_name": "spring_sale"})
    api.must(f"/marketing/campaigns/1/recipients?list_name={name}", people)
    api.must("/marketing/campaigns/1/activate")
    paused = api.must("/marketing/campaigns/1/pause", {"reason": f"{phone(7)} has called"})
    assert paused["status_reason"] == f"{phone(7)} has called"
    looks = [f"/marketing/campaigns{path}" for path in ("", "/1")]
    looks += [f"/marketing/campaigns/1/{path}" for path in ("recipients", "recipients.csv", "recipients.ndjson")]
    looks += [f"/marketing/campaigns/1/{path}" for path in ("rejections", "rejections.csv", "stats", "plan")]
    told = {path: api.get(path).text for path in looks}
    person = {"phone": phone(7)}
    finds = (FIND, "/marketing/subscriptions/find")
    told |= {path: api.post(path, person, role=ApiRole.VIEWER).text for path in finds}
    assert [path for path, text in told.items() if phone(7)[1:] in text] == []
    assert "***07 has called" in told["/marketing/campaigns/1"]
    assert "***07.csv" in told[FIND]
    assert phone(7) in api.get("/marketing/campaigns", ApiRole.OPERATOR).text


@pytest.mark.parametrize("path", [FIND, "/marketing/subscriptions/find", "/marketing/subscriptions/unsubscribe"])
def test_what_is_no_number_is_refused_with_a_sentence(api: ServedApi, path: str) -> None:
    """Whatever is sent, nobody is found by half of it."""
    for body in NOBODY:
        refused = api.post(path, body)
        assert refused.status_code == 422, (body, refused.text)


def test_the_number_stands_in_no_log(
    api: ServedApi, installation: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    """A log is read by people who may not see customers, and kept for years."""
    caplog.set_level(logging.DEBUG)
    _heard(installation)
    _story(api, phone(2))
    api.must("/marketing/subscriptions/subscribe", {"phone": phone(2)})
    assert phone(2)[1:] not in "\n".join(each.getMessage() for each in caplog.records if each.name != "urllib3")
    assert api.get(f"{FIND}?phone={phone(2)[1:]}").status_code == 405


def test_a_story_is_told_anew_also_under_the_same_key(api: ServedApi, installation: Installation) -> None:
    """Yesterday's story, kept for whoever asks again, would be wrong, and a second place that holds the number."""
    installation.active_campaign(3)
    first = api.must(FIND, {"phone": phone(1)}, key="again")
    installation.must("unsubscribe", phone(1))
    second = api.must(FIND, {"phone": phone(1)}, key="again")
    assert [each["subscription"]["status"] for each in (first, second)] == ["subscribed", "unsubscribed"]
    with api.workplace.ledger.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM api_requests").scalar_one() == 0
