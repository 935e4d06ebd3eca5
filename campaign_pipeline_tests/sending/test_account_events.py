"""What Meta says about the account: done once, in the order in which it was said, and never against people."""

import json
from typing import Any

import pytest
from sqlalchemy import select

from campaign_pipeline.campaigns import send_schedule
from campaign_pipeline.campaigns.catalogue import find
from campaign_pipeline.campaigns.lifecycle import CampaignStatus
from campaign_pipeline.ledger.schema import account_events
from campaign_pipeline.ledger.states import PauseCause
from campaign_pipeline.sending import limits
from campaign_pipeline.sending.account_events import act_on_account_events
from campaign_pipeline.sending.account_terms import AccountTerms
from campaign_pipeline.sending.errors import CannotSendError
from campaign_pipeline.sending.report import DateEnd
from campaign_pipeline_tests.delivery.payloads import account_payload, ndjson, put
from campaign_pipeline_tests.delivery.test_account_words import ACCOUNT, template_status
from campaign_pipeline_tests.support.campaigns import phone
from campaign_pipeline_tests.support.sending import SendingDesk, campaign_status, people, sender_row

TERMS = AccountTerms(business_account_id=ACCOUNT, limit_setting=250, limit_ceiling=10_000)
STATUS = "message_template_status_update"
_EARLIER = 1_772_000_000


def hear(
    desk: SendingDesk, field: str, value: dict[str, Any], *, at: int | None = None, terms: AccountTerms = TERMS
) -> list[str]:
    """Takes in one webhook about the account, as it comes in a file; `at` is its time in Unix seconds, else now."""
    time = int(desk.clock.now().timestamp()) if at is None else at
    inbox = desk.status_folders.inbox
    inbox.mkdir(parents=True, exist_ok=True)
    payload = account_payload(field, value, time)
    (inbox / f"account-{time}-{len(list(inbox.iterdir()))}.ndjson").write_text(json.dumps(payload) + "\n")
    desk.ingest()
    return act_on_account_events(desk.ledger, terms, desk.clock.now)


def limit_of(desk: SendingDesk) -> int:
    with desk.ledger.read() as connection:
        return limits.limit_in_force(connection, TERMS.limit_setting, desk.clock.now())


def days_left(desk: SendingDesk) -> int:
    """How many dates the campaign's plan has, as it is expected now."""
    with desk.ledger.read() as connection:
        campaign = find(connection, "spring-sale")
        limit = limits.limit_in_force(connection, TERMS.limit_setting, desk.clock.now())
        schedule = send_schedule.read_schedule(connection, campaign.id, desk.clock.now().date(), limit)
    return sum(1 for each in schedule if each.expected_size)


def cause_of(desk: SendingDesk) -> PauseCause | None:
    with desk.ledger.read() as connection:
        return find(connection, "spring-sale").paused_by


def test_a_campaign_whose_template_is_paused_on_day_3_and_unpaused_on_day_5_finishes_and_nobody_gets_it_twice(
    desk: SendingDesk,
) -> None:
    """The whole story: two days well, one in which calls are refused, one of waiting, and then on by itself."""
    who = people(10)
    desk.campaign(who, daily_send_limit=2, template_language="en_US")
    for send_date in ("2026-03-02", "2026-03-03"):
        assert desk.send(send_date).figures.sent == 2
        desk.clock.forward(days=1)
    desk.simulator.fault("error", code=132015, share=1)
    assert hear(desk, STATUS, template_status("PAUSED", reason="LOW_QUALITY"))[0].startswith("Paused: spring-sale.")
    assert (campaign_status(desk.ledger), cause_of(desk)) == ("paused", PauseCause.TEMPLATE)
    assert desk.send("2026-03-04").end is DateEnd.NOBODY_WAITS
    desk.clock.forward(days=2)
    desk.simulator.clear_faults()
    assert hear(desk, STATUS, template_status("APPROVED", other_info={"title": "UNPAUSE"})) == [
        "The template spring_sale is unpaused, and goes on: spring-sale."
    ]
    for send_date in ("2026-03-06", "2026-03-07", "2026-03-08"):
        assert desk.send(send_date).figures.sent == 2
        desk.clock.forward(days=1)
    desk.ingest()
    assert campaign_status(desk.ledger) == "completed"
    assert sorted(desk.reached(who)) == [phone(number) for number in who]


def test_a_template_that_is_refused_before_its_webhook_comes_goes_on_by_itself_as_well(desk: SendingDesk) -> None:
    """The answer 132015 is usually first: paused by it, the campaign would wait for a person for ever."""
    who = people(3)
    desk.campaign(who, template_language="en_US")
    desk.simulator.fault("error", code=132015, to=phone(who[1]))
    with pytest.raises(CannotSendError, match="spring-sale is paused"):
        desk.send(concurrency=1)
    hear(desk, STATUS, template_status("PAUSED"))
    desk.simulator.clear_faults()
    desk.clock.forward(hours=3)
    hear(desk, STATUS, template_status("APPROVED"))
    assert desk.send(run_id="again").figures.sent == 3


def test_the_setting_leaves_it_to_a_person(desk: SendingDesk) -> None:
    """Whoever wants to look at a paused template first has to be able to."""
    desk.campaign(people(2), template_language="en_US")
    hear(desk, STATUS, template_status("PAUSED"))
    desk.clock.forward(hours=3)
    terms = AccountTerms(ACCOUNT, 250, None, resumes_unpaused=False)
    assert hear(desk, STATUS, template_status("APPROVED"), terms=terms) == []
    assert campaign_status(desk.ledger) == "paused"


def test_a_campaign_that_a_person_or_something_else_has_paused_stays_paused(desk: SendingDesk) -> None:
    """The unpaused template mends neither a closed shop nor a fault of the parameters."""
    desk.campaign(people(2), template_language="en_US")
    hear(desk, STATUS, template_status("PAUSED"))
    desk.pause("spring-sale")
    desk.clock.forward(hours=3)
    assert hear(desk, STATUS, template_status("APPROVED")) == []
    assert campaign_status(desk.ledger) == "paused"


def test_an_older_word_that_comes_later_is_overtaken(desk: SendingDesk) -> None:
    """Webhooks come unordered: PAUSED of this morning after the APPROVED of noon would pause for ever."""
    desk.campaign(people(2), template_language="en_US")
    now = int(desk.clock.now().timestamp())
    hear(desk, STATUS, template_status("APPROVED"), at=now)
    assert hear(desk, STATUS, template_status("PAUSED"), at=now - 3600) == []
    assert campaign_status(desk.ledger) == "active"


def test_a_word_that_means_nothing_overtakes_none_that_does(desk: SendingDesk) -> None:
    """A pricing update a minute after a restriction, and the sender would go on into it."""
    desk.campaign(people(2), template_language="en_US")
    now = int(desk.clock.now().timestamp())
    restriction = {"restriction_type": "RESTRICTED_BIZ_INITIATED_MESSAGING"}
    inbox = desk.status_folders.inbox
    told = [
        account_payload("account_update", {"event": "ACCOUNT_RESTRICTION", "restriction_info": [restriction]}, now),
        account_payload("account_update", {"event": "VOLUME_BASED_PRICING_TIER_UPDATE"}, now + 60),
        account_payload(STATUS, template_status("DISABLED"), now),
        account_payload(STATUS, template_status("IN_APPEAL"), now + 60),
        account_payload("phone_number_quality_update", {"event": "FLAGGED"}, now),
        account_payload("business_capability_update", {"max_daily_conversations_per_business": "TIER_250"}, now + 60),
    ]
    put(inbox, "told.ndjson", ndjson(told))
    desk.ingest()
    done = act_on_account_events(desk.ledger, TERMS, desk.clock.now)
    assert [each.split(":")[0] for each in done].count("The sender is stopped") == 2
    assert cause_of(desk) == PauseCause.FAULT


def test_a_ban_that_was_lifted_before_it_was_heard_of_stops_nothing(desk: SendingDesk) -> None:
    """Heard of both at once, only the later one holds."""
    now = int(desk.clock.now().timestamp())
    told = [
        account_payload("account_update", {"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": state}}, now + at)
        for at, state in enumerate(("DISABLE", "REINSTATE"))
    ]
    put(desk.status_folders.inbox, "told.ndjson", ndjson(told))
    desk.ingest()
    assert act_on_account_events(desk.ledger, TERMS, desk.clock.now) == []


def test_an_approval_of_before_the_pause_takes_nothing_up(desk: SendingDesk) -> None:
    """Yesterday's APPROVED, delivered late, says nothing about the refusal of today."""
    who = people(3)
    desk.campaign(who, template_language="en_US")
    desk.simulator.fault("error", code=132015, to=phone(who[1]))
    with pytest.raises(CannotSendError, match="spring-sale is paused"):
        desk.send(concurrency=1)
    assert hear(desk, STATUS, template_status("APPROVED"), at=_EARLIER) == []
    assert campaign_status(desk.ledger) == "paused"


def test_what_meta_has_taken_up_again_is_no_word_of_a_person(desk: SendingDesk) -> None:
    """Unpaused, and disabled an hour later: heard of in that order, the second must not be taken for old news."""
    desk.campaign(people(2), template_language="en_US")
    start = int(desk.clock.now().timestamp())
    hear(desk, STATUS, template_status("PAUSED"), at=start)
    desk.clock.forward(hours=5)
    hear(desk, STATUS, template_status("APPROVED"), at=start + 3_600)
    assert campaign_status(desk.ledger) == "active"
    hear(desk, STATUS, template_status("DISABLED"), at=start + 7_200)
    assert cause_of(desk) == PauseCause.FAULT


def test_a_person_who_has_set_less_since_is_not_overruled(desk: SendingDesk) -> None:
    """Set to 100 at noon for a reason, the limit must not be 2,000 again by a webhook of the morning."""
    told_at = int(desk.clock.now().timestamp())
    desk.clock.forward(hours=2)
    now = desk.clock.now()
    with desk.ledger.write() as connection:
        limits.set_limit(connection, 100, now, by="Ada", setting=TERMS.limit_setting, now=now)
    hear(desk, "business_capability_update", {"max_daily_conversations_per_business": "TIER_2K"}, at=told_at)
    assert limit_of(desk) == 100


def test_text_that_no_database_takes_stops_nothing(desk: SendingDesk) -> None:
    """Half a character in Meta's reason, and every run and every ingest would fail from then on."""
    desk.campaign(people(1), template_language="en_US")
    hear(desk, STATUS, template_status("REJECTED", reason="odd \ud83d and \u0000 text"))
    assert cause_of(desk) == PauseCause.FAULT
    desk.resume("spring-sale")
    assert desk.send().figures.sent == 1


def test_what_a_person_has_resumed_is_not_paused_by_an_older_word(desk: SendingDesk) -> None:
    """Retried for seven days, the webhook of Monday must not undo what was said on Tuesday."""
    desk.campaign(people(2), template_language="en_US")
    desk.pause("spring-sale")
    desk.clock.forward(hours=1)
    desk.resume("spring-sale")
    hear(desk, STATUS, template_status("PAUSED"), at=_EARLIER)
    hear(desk, "account_update", {"event": "ACCOUNT_DELETED"}, at=_EARLIER)
    assert campaign_status(desk.ledger) == "active"
    assert sender_row(desk.ledger).stopped_at is not None
    desk.clock.forward(hours=1)
    desk.resume_sender()
    hear(desk, "account_update", {"event": "ACCOUNT_OFFBOARDED"}, at=_EARLIER + 60)
    assert sender_row(desk.ledger).stopped_at is None


def test_other_templates_and_other_languages_are_left_alone(desk: SendingDesk) -> None:
    """A German translation that is paused says nothing about the English one."""
    desk.campaign(people(2), template_language="en_GB")
    hear(desk, STATUS, template_status("PAUSED"))
    hear(desk, STATUS, template_status("PAUSED", message_template_name="autumn_sale"))
    assert campaign_status(desk.ledger) == CampaignStatus.ACTIVE


def test_a_red_template_pauses_its_campaigns(desk: SendingDesk) -> None:
    """Two more days of it, and Meta pauses the template and lowers the number's limit."""
    desk.campaign(people(2), template_language="en_US")
    value = {**template_status(""), "previous_quality_score": "YELLOW", "new_quality_score": "RED"}
    hear(desk, "message_template_quality_update", value)
    assert cause_of(desk) == PauseCause.QUALITY


def test_a_restricted_account_stops_the_sender_with_what_to_do(desk: SendingDesk) -> None:
    """Each message into a restriction makes it longer."""
    desk.campaign(people(2))
    restriction = {"restriction_type": "RESTRICTED_BIZ_INITIATED_MESSAGING", "expiration": 1_900_000_000}
    hear(desk, "account_update", {"event": "ACCOUNT_RESTRICTION", "restriction_info": [restriction]})
    with pytest.raises(CannotSendError, match=r"restricted messages that the business begins.*sender resume"):
        desk.send()


def test_a_raised_tier_is_taken_over_up_to_the_ceiling_and_a_lowered_one_at_once(desk: SendingDesk) -> None:
    """Unread, 40 days stay 40 days; taken over without a ceiling, an accident of Meta's is a bill of thousands."""
    hear(desk, "business_capability_update", {"max_daily_conversations_per_business": "TIER_2K"})
    assert limit_of(desk) == 2_000
    desk.clock.forward(hours=1)
    hear(desk, "business_capability_update", {"max_daily_conversations_per_business": "TIER_100K"})
    assert limit_of(desk) == 10_000
    desk.clock.forward(hours=1)
    hear(desk, "phone_number_quality_update", {"event": "DOWNGRADE", "current_limit": "TIER_250"})
    assert limit_of(desk) == 250


def test_a_raised_tier_makes_the_plan_of_a_campaign_that_follows_the_sender_shorter(desk: SendingDesk) -> None:
    """Forty days that could be five are thirty-five days in which the offer grows old."""
    desk.campaign(people(40), follows_sender_limit=True, limit=1)
    now = desk.clock.now()
    with desk.ledger.write() as connection:
        limits.set_limit(connection, 1, now, by="test", setting=TERMS.limit_setting, now=now)
    assert days_left(desk) == 40
    desk.clock.forward(hours=1)
    hear(desk, "business_capability_update", {"max_daily_conversations_per_business": 8})
    assert days_left(desk) == 5


def test_words_about_another_business_account_are_kept_and_change_nothing(desk: SendingDesk) -> None:
    """One receiver may serve several accounts of a portfolio."""
    desk.campaign(people(2), template_language="en_US")
    other = AccountTerms("999", 250, None)
    assert hear(desk, STATUS, template_status("PAUSED"), terms=other) == []
    assert campaign_status(desk.ledger) == "active"
    with desk.ledger.read() as connection:
        row = connection.execute(select(account_events)).one()
    assert row.acted_at is not None
    assert json.loads(row.raw)["value"]["message_template_id"] == 1_689_556_908_129_832


def test_a_word_is_acted_on_once_however_often_it_comes(desk: SendingDesk) -> None:
    """Each repetition would pause what a person has just taken up again."""
    desk.campaign(people(2), template_language="en_US")
    at = int(desk.clock.now().timestamp())
    hear(desk, STATUS, template_status("PAUSED"), at=at)
    desk.resume("spring-sale")
    assert hear(desk, STATUS, template_status("PAUSED"), at=at) == []
    assert campaign_status(desk.ledger) == "active"
