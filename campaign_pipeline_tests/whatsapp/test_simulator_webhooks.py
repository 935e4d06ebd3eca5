"""Webhooks that no message of ours brings about: news of the account, and what people write back."""

import base64
import json
from typing import Any

import pytest

from campaign_pipeline_tests.whatsapp.simulator_process import SimulatorProcess

METADATA = {"display_phone_number": "15550783881", "phone_number_id": "106540352242922"}


def payloads_in_inbox(simulator: SimulatorProcess) -> list[dict[str, Any]]:
    simulator.wait_for_statuses()
    files = sorted(simulator.options.inbox.glob("*.ndjson"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (
            "message_template_status_update",
            {
                "event": "PAUSED",
                "message_template_id": 1689556908129832,
                "message_template_name": "spring_sale",
                "message_template_language": "en-GB",
                "reason": None,
                "other_info": {"title": "FIRST_PAUSE", "description": "Paused for 3 hours."},
            },
        ),
        ("message_template_quality_update", {"previous_quality_score": "GREEN", "new_quality_score": "RED"}),
        ("template_category_update", {"message_template_id": 12345678, "new_category": "UTILITY"}),
        ("business_capability_update", {"max_daily_conversations_per_business": 2000}),
        ("phone_number_quality_update", {"event": "THROUGHPUT_UPGRADE"}),
        ("account_update", {"event": "ACCOUNT_RESTRICTION", "restriction_info": []}),
        ("account_alerts", {"alert_type": "INCREASED_CAPABILITIES_ELIGIBILITY_DEFERRED"}),
    ],
)
def test_news_of_the_account_comes_with_its_time_and_without_a_phone_number(
    simulator: SimulatorProcess, field: str, value: dict[str, object]
) -> None:
    """A receiver that looks for metadata first would drop the news that stops a campaign."""
    ordered = simulator.call_webhook(field, value)
    time = ordered["entry"][0]["time"]
    assert isinstance(time, int)
    assert ordered == {
        "object": "whatsapp_business_account",
        "entry": [{"id": "102290129340398", "time": time, "changes": [{"value": value, "field": field}]}],
    }
    assert ordered in payloads_in_inbox(simulator)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (
            "user_preferences",
            {
                "contacts": [{"wa_id": "447700900201"}],
                "user_preferences": [
                    {
                        "wa_id": "447700900201",
                        "category": "marketing_messages",
                        "value": "stop",
                        "timestamp": 1731705721,
                    }
                ],
            },
        ),
        ("user_id_update", {"user_id_update": [{"user_id": {"previous": "ZZ.1", "current": "ZZ.2"}}]}),
    ],
)
def test_news_of_a_user_names_the_phone_number_that_it_belongs_to(
    simulator: SimulatorProcess, field: str, value: dict[str, object]
) -> None:
    """A stop counts for one business; without its number nobody knows for which."""
    ordered = simulator.call_webhook(field, value)
    (entry,) = ordered["entry"]
    assert entry == {
        "id": "102290129340398",
        "changes": [{"value": {"messaging_product": "whatsapp", "metadata": METADATA, **value}, "field": field}],
    }
    assert ordered in payloads_in_inbox(simulator)


def test_a_text_from_a_person_has_the_shape_that_meta_prints(simulator: SimulatorProcess) -> None:
    """A STOP that the receiver does not understand is a person who gets the next campaign too."""
    ordered = simulator.inbound("+447700900202", text="STOP")
    assert ordered in payloads_in_inbox(simulator)
    (change,) = ordered["entry"][0]["changes"]
    assert change["field"] == "messages"
    value = change["value"]
    assert value["metadata"] == METADATA
    user_id = value["contacts"][0]["user_id"]
    assert value["contacts"] == [{"profile": {"name": "Customer 0202"}, "wa_id": "447700900202", "user_id": user_id}]
    (message,) = value["messages"]
    assert b"447700900202" in base64.b64decode(message.pop("id").removeprefix("wamid."))
    assert message.pop("timestamp").isdecimal()
    assert message == {"from": "447700900202", "from_user_id": user_id, "type": "text", "text": {"body": "STOP"}}


@pytest.mark.parametrize("context", [None, "wamid.abc"])
def test_a_tap_on_a_button_is_of_type_button_and_may_lack_its_context(
    simulator: SimulatorProcess, context: str | None
) -> None:
    """Template buttons are not `interactive`, and some taps do not say to which message they belong."""
    button = {"payload": "STOP_MARKETING", "text": "Unsubscribe"}
    ordered = simulator.inbound("+447700900203", button=button, context=context)
    (message,) = ordered["entry"][0]["changes"][0]["value"]["messages"]
    assert (message["type"], message["button"]) == ("button", button)
    assert message.get("context") == (None if context is None else {"from": "15550783881", "id": context})


def test_two_messages_of_one_person_have_two_ids(simulator: SimulatorProcess) -> None:
    """With one id the second would count as a repetition of the first, and a START after a STOP would be lost."""
    said = [simulator.inbound("+447700900204", text=text) for text in ("STOP", "START")]
    assert len({each["entry"][0]["changes"][0]["value"]["messages"][0]["id"] for each in said}) == 2


@pytest.mark.parametrize(
    "order", [{}, {"text": "STOP", "button": {"payload": "a", "text": "b"}}, {"button": {"payload": "a"}}]
)
def test_a_message_that_says_nothing_or_two_things_is_refused(
    simulator: SimulatorProcess, order: dict[str, Any]
) -> None:
    """An order that is silently dropped leaves a test that passes because nobody wrote."""
    with pytest.raises(ValueError, match="refused POST inbound"):
        simulator.inbound("+447700900205", **order)


def test_a_field_that_meta_does_not_have_is_refused(simulator: SimulatorProcess) -> None:
    """A misspelled field would never reach the code that it should try."""
    with pytest.raises(ValueError, match="refused POST webhooks"):
        simulator.call_webhook("message_template_status", {})
