"""Who a person is to WhatsApp: spellings of numbers that are not ours, and ids that are no numbers at all."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from campaign_pipeline.whatsapp.simulator.__main__ import parse_options
from campaign_pipeline.whatsapp.simulator.identities import wa_id_of
from campaign_pipeline.whatsapp.simulator.inbound import InboundMessage, inbound_payload
from campaign_pipeline.whatsapp.simulator.options import Bsuid, SimulatorOptions, command_for
from campaign_pipeline.whatsapp.simulator.record import AcceptedMessage, report
from campaign_pipeline.whatsapp.simulator.statuses import Status, webhook_payload
from campaign_pipeline_tests.whatsapp.simulator_process import SimulatorProcess, simulator_options
from campaign_pipeline_tests.whatsapp.test_simulator_server import send, statuses_in

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


def accepted(to: str) -> AcceptedMessage:
    return AcceptedMessage("wamid.1", to, "attempt-1", "spring_sale", "en_GB", [], NOW.isoformat())


def value_of(payload: dict[str, Any]) -> dict[str, Any]:
    return payload["entry"][0]["changes"][0]["value"]


def status_value(options: SimulatorOptions, status: Status, to: str = "+447700900123") -> dict[str, Any]:
    return value_of(webhook_payload(accepted(to), status, NOW.timestamp(), options))


@pytest.mark.parametrize(
    ("phone", "wa_id"),
    [
        ("+5511987654321", "551187654321"),
        ("+551187654321", "551187654321"),
        ("+5511933334444", "5511933334444"),
        ("+551133334444", "551133334444"),
        ("+525512345678", "5215512345678"),
        ("+5215512345678", "5215512345678"),
        ("+541123456789", "5491123456789"),
        ("+5491123456789", "5491123456789"),
        ("+447700900123", "447700900123"),
    ],
)
def test_whatsapp_spells_the_numbers_of_three_countries_its_own_way(phone: str, wa_id: str) -> None:
    """Who joins by number loses these people, and who folds too much joins a mobile with a landline."""
    assert wa_id_of(phone) == wa_id


def test_answers_and_webhooks_show_the_spelling_of_whatsapp_when_asked(tmp_path: Path) -> None:
    """A sender that believes its own number to be the wa_id never finds the status of a Brazilian."""
    with SimulatorProcess(simulator_options(tmp_path, wa_id_spellings=True)) as simulator:
        answer = send(simulator, "+5511987654321").json()
        simulator.wait_for_statuses()
        stop = value_of(simulator.inbound("+5511987654321", text="STOP"))
    assert answer["contacts"] == [{"input": "+5511987654321", "wa_id": "551187654321"}]
    assert {status["recipient_id"] for status in statuses_in(tmp_path / "inbox")} == {"551187654321"}
    assert stop["messages"][0]["from"] == stop["contacts"][0]["wa_id"] == "551187654321"


def test_numbers_are_shown_as_they_were_given_unless_asked_otherwise(tmp_path: Path) -> None:
    """What is off by default must not change what tests and demos have always shown."""
    value = status_value(simulator_options(tmp_path), "delivered", "+5511987654321")
    assert value["statuses"][0]["recipient_id"] == value["contacts"][0]["wa_id"] == "5511987654321"


def test_the_report_counts_two_spellings_of_one_person_as_one() -> None:
    """The judge of the first promise must not be fooled by the spelling that fooled the sender."""
    told = report([accepted("+5511987654321"), accepted("+551187654321"), accepted("+5511933334444")])
    assert told["distinct_recipients"] == 2
    assert told["reached_twice"] == [{"to": "+5511987654321", "template": "spring_sale", "count": 2}]


@pytest.mark.parametrize("status", ["sent", "delivered", "read"])
def test_a_person_with_a_username_can_be_known_by_the_user_id_alone(tmp_path: Path, status: Status) -> None:
    """Since 2026 a webhook may name nobody's number; whoever needs it drops the status."""
    value = status_value(simulator_options(tmp_path, bsuid=Bsuid.INSTEAD), status)
    (contact,), (entry,) = value["contacts"], value["statuses"]
    assert "wa_id" not in contact
    assert "recipient_id" not in entry
    assert entry["recipient_user_id"] == contact["user_id"]
    assert entry["biz_opaque_callback_data"] == "attempt-1"


def test_a_failure_names_the_number_that_it_was_sent_to_and_no_user_id(tmp_path: Path) -> None:
    """Meta says so for messages sent to a phone; a reader of user ids must not stumble over it."""
    (entry,) = status_value(simulator_options(tmp_path, bsuid=Bsuid.INSTEAD), "failed")["statuses"]
    assert entry["recipient_id"] == "447700900123"
    assert "recipient_user_id" not in entry


def test_before_usernames_there_were_no_user_ids(tmp_path: Path) -> None:
    """Accounts that have not got them yet must be read as well."""
    options = simulator_options(tmp_path, bsuid=Bsuid.NONE)
    value = status_value(options, "delivered")
    assert value["contacts"] == [{"profile": {"name": "Customer 0123"}, "wa_id": "447700900123"}]
    assert "recipient_user_id" not in value["statuses"][0]


def test_an_inbound_message_may_name_only_the_user_id(tmp_path: Path) -> None:
    """A STOP without a number must still find the person who said it."""
    options = simulator_options(tmp_path, bsuid=Bsuid.INSTEAD)
    stop = value_of(inbound_payload(InboundMessage("+447700900123", "STOP"), NOW.timestamp(), options))
    (contact,), (message,) = stop["contacts"], stop["messages"]
    assert "from" not in message
    assert message["from_user_id"] == contact["user_id"]
    assert contact["user_id"] == status_value(options, "read")["contacts"][0]["user_id"]


def test_the_command_line_says_how_people_are_named(tmp_path: Path) -> None:
    """`False` is a text that is true; an option read so would be on in every process."""
    for spelled in (False, True):
        options = simulator_options(tmp_path, wa_id_spellings=spelled, bsuid=Bsuid.INSTEAD)
        words = command_for(options)[3:]
        assert parse_options(words) == options
    bare = [word.removesuffix("=True") for word in words]
    assert "--wa-id-spellings" in bare
    assert parse_options(bare) == options
