"""What Meta's webhooks about the account mean, in every spelling that its pages show."""

from typing import Any

import pytest

from campaign_pipeline.delivery.account_words import (
    LimitTold,
    TemplateIsWell,
    TemplateTrouble,
    Trouble,
    read_word,
    subject_of,
)
from campaign_pipeline.delivery.webhooks import read_payload
from campaign_pipeline.ledger.states import PauseCause

ACCOUNT = "102290129340398"


def template_status(event: str, **more: object) -> dict[str, Any]:
    """A `message_template_status_update`."""
    return {
        "event": event,
        "message_template_id": 1_689_556_908_129_832,
        "message_template_name": "spring_sale",
        "message_template_language": "en-US",
        "reason": None,
        **more,
    }


@pytest.mark.parametrize(
    ("field", "value", "tier"),
    [
        ("business_capability_update", {"max_daily_conversations_per_business": "TIER_2K"}, "TIER_2K"),
        ("business_capability_update", {"max_daily_conversations_per_business": 2000}, 2000),
        ("business_capability_update", {"max_daily_conversation_per_phone": -1}, -1),
        ("phone_number_quality_update", {"event": "ONBOARDING", "current_limit": "TIER_250"}, "TIER_250"),
        (
            "phone_number_quality_update",
            {"event": "THROUGHPUT_UPGRADE", "max_daily_conversations_per_business": "TIER_10K"},
            "TIER_10K",
        ),
    ],
)
def test_a_limit_is_read_from_every_name_it_had(field: str, value: dict[str, Any], tier: object) -> None:
    """Meta has renamed the field twice; a limit that is not read is the old one for ever."""
    assert read_word(field, value) == LimitTold(tier)
    assert subject_of(ACCOUNT, field, value) == f"{ACCOUNT}:limit"


@pytest.mark.parametrize(
    "value",
    [
        {
            "event": "ACCOUNT_RESTRICTION",
            "restriction_info": [
                {"restriction_type": "RESTRICTED_BIZ_INITIATED_MESSAGING", "expiration": 1_800_000_000}
            ],
        },
        {"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "DISABLE", "waba_ban_date": "March 2, 2026"}},
        {"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "SCHEDULE_FOR_DISABLE"}},
        {"event": "ACCOUNT_DELETED"},
        {"event": "account_offboarded"},
    ],
)
def test_what_ends_all_sending_is_a_trouble(value: dict[str, Any]) -> None:
    """Going on against a ban makes it a longer one."""
    assert isinstance(read_word("account_update", value), Trouble)


@pytest.mark.parametrize(
    "value",
    [
        {"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "REINSTATE"}},
        {
            "event": "ACCOUNT_RESTRICTION",
            "restriction_info": [{"restriction_type": "RESTRICTED_ADD_PHONE_NUMBER_ACTION"}],
        },
        {"event": "VERIFIED_ACCOUNT"},
        {"event": "ACCOUNT_RESTRICTION"},
        {},
        {"event": 7, "ban_info": "none"},
    ],
)
def test_what_does_not_end_sending_changes_nothing(value: dict[str, Any]) -> None:
    """A new phone number that may not be added is no reason to stop the old one."""
    assert read_word("account_update", value) is None


@pytest.mark.parametrize("event", ["PAUSED", "paused", "DISABLED", "REJECTED", "PENDING_DELETION", "DELETED"])
def test_a_template_that_cannot_be_sent_is_a_trouble_of_its_campaigns(event: str) -> None:
    """Meta's pages write the event in either case."""
    word = read_word("message_template_status_update", template_status(event))
    assert isinstance(word, TemplateTrouble)
    assert (word.template.name, word.template.language) == ("spring_sale", "en_US")
    assert (word.cause is PauseCause.TEMPLATE) == (event.upper() == "PAUSED")


@pytest.mark.parametrize("event", ["APPROVED", "REINSTATED", "UNARCHIVED"])
def test_a_template_that_can_be_sent_again_is_well(event: str) -> None:
    """An unpaused template is told of as APPROVED."""
    word = read_word("message_template_status_update", template_status(event, other_info={"title": "UNPAUSE"}))
    assert isinstance(word, TemplateIsWell)


def test_a_red_template_is_a_trouble_and_a_yellow_one_is_none() -> None:
    """RED is the last step before Meta pauses it, and counts against the number."""
    value = {**template_status(""), "previous_quality_score": "GREEN"}
    red = read_word("message_template_quality_update", {**value, "new_quality_score": "RED"})
    assert isinstance(red, TemplateTrouble)
    assert red.cause is PauseCause.QUALITY
    assert read_word("message_template_quality_update", {**value, "new_quality_score": "YELLOW"}) is None


def test_a_field_that_nobody_knows_is_kept_apart_and_means_nothing() -> None:
    """Meta adds fields without asking."""
    change = {"field": "account_alerts", "value": {"entity_type": "BUSINESS", "alert_severity": "INFORMATIONAL"}}
    read = read_payload({"entry": [{"id": ACCOUNT, "time": 1_772_446_000, "changes": [change, {"field": "new"}]}]})
    (event,) = read.account_events
    assert (event.field, event.business_account_id, event.value) == ("account_alerts", ACCOUNT, change["value"])
    assert read_word(event.field, event.value) is None
    assert read.problems == []


def test_the_same_webhook_sent_again_is_the_same_event_and_another_time_is_another() -> None:
    """Meta repeats webhooks for seven days: the template would be paused anew by each."""

    def digest(time: int) -> str:
        change = {"field": "message_template_status_update", "value": template_status("PAUSED")}
        return read_payload({"entry": [{"id": ACCOUNT, "time": time, "changes": [change]}]}).account_events[0].sha256

    assert digest(1_772_446_000) == digest(1_772_446_000) != digest(1_772_446_001)
