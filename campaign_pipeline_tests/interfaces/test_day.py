"""`campaign status`: what it says about the day, and what it never keeps quiet about."""

from typing import Any

from sqlalchemy import insert, update

from campaign_pipeline.ledger.schema import campaign_recipients, senders
from campaign_pipeline.ledger.states import RecipientState
from campaign_pipeline.sending import batches, capacity
from campaign_pipeline_tests.interfaces.installation import Installation


def concerns(installation: Installation) -> dict[str, dict[str, Any]]:
    """What needs attention, by kind."""
    return {each["kind"]: each for each in installation.must("status", "--json").json["attention"]}


def take(installation: Installation) -> None:
    """Takes today's batch, as a run does before its first call."""
    now = installation.clock.now()
    ledger = installation.ledger()
    with ledger.write() as connection:
        sender = capacity.sender_id(connection)
        batches.take_batch(connection, sender, now.date(), 250, "a run", now)
    ledger.close()


def test_a_missing_token_needs_attention_before_nine(installation: Installation) -> None:
    """Found at nine, it costs the day."""
    assert "WHATSAPP_ACCESS_TOKEN" in concerns(installation)["account_missing"]["sentence"]
    installation.set("WHATSAPP_ACCESS_TOKEN", "token")
    assert "WHATSAPP_PHONE_NUMBER_ID" in concerns(installation)["account_missing"]["sentence"]
    installation.set("WHATSAPP_PHONE_NUMBER_ID", "1")
    assert concerns(installation) == {}


def test_a_date_whose_batch_nobody_took_needs_attention(installation: Installation) -> None:
    """The daemon was down at nine; at noon there is still time."""
    installation.active_campaign()
    assert "not_sent_today" not in concerns(installation)
    installation.clock.forward(hours=2)
    assert "not_sent_today" in concerns(installation)
    installation.clock.forward(hours=12)
    assert "not_sent_today" not in concerns(installation)


def test_the_day_is_shown_with_its_batch(installation: Installation) -> None:
    """Its figures are those of the date, not of the campaign."""
    installation.active_campaign()
    installation.clock.forward(hours=1)
    take(installation)
    day = installation.must("status", "--json").json
    assert (day["batch"]["state"], day["batch"]["size"], day["batch"]["figures"]["pending"]) == ("open", 2, 2)
    assert day["next"]["send_date"] == "2026-03-03"
    assert "unfinished, 2 people" in installation.must("status").stdout


def test_a_batch_left_unfinished_needs_attention_the_day_after(installation: Installation) -> None:
    """Its people are not lost, and whoever looks wants to know that."""
    installation.active_campaign()
    installation.clock.forward(hours=1)
    take(installation)
    assert "batch_unfinished" not in concerns(installation)
    installation.clock.forward(days=1)
    left = concerns(installation)["batch_unfinished"]
    assert (left["send_date"], left["people"]) == ("2026-03-02", 2)


def test_doubts_pauses_stops_and_waiting_files_need_attention(installation: Installation) -> None:
    """Each of them waits for a person, and none of them sends a mail."""
    installation.active_campaign()
    installation.must("pause", "spring-sale", "--reason", "a mistake")
    now = installation.clock.now()
    ledger = installation.ledger()
    with ledger.write() as connection:
        connection.execute(
            update(campaign_recipients).where(campaign_recipients.c.id == 1).values(state=RecipientState.IN_DOUBT)
        )
        connection.execute(insert(senders).values(name="default", stopped_at=now, stop_reason="the token has expired"))
    ledger.close()
    inbox = installation.folder / "data" / "inbox"
    inbox.mkdir()
    (inbox / "statuses.ndjson").write_text("{}\n", encoding="utf-8")
    found = concerns(installation)
    assert (found["in_doubt"]["campaign"], found["in_doubt"]["people"]) == ("spring-sale", 1)
    assert "a mistake" in found["paused"]["sentence"]
    assert "the token has expired" in found["sender_stopped"]["sentence"]
    assert "1 status file" in found["status_files_waiting"]["sentence"]


def test_times_are_the_businesss_for_people_and_utc_for_programs(installation: Installation) -> None:
    """09:00 without a zone has sent a campaign at midnight before."""
    installation.set("CAMPAIGN_TIMEZONE", "America/New_York")
    installation.active_campaign()
    assert "2026-03-02 09:00 EST" in installation.must("status").stdout
    assert installation.must("status", "--json").json["next"]["send_at"] == "2026-03-02T14:00:00+00:00"


def test_an_inbox_is_taken_in_and_reported(installation: Installation) -> None:
    """A file that cannot be read is reported, and is no reason to fail: the others count."""
    inbox = installation.folder / "data" / "inbox"
    inbox.mkdir(parents=True)
    (inbox / "broken.ndjson").write_text("no JSON\n", encoding="utf-8")
    status = (
        '{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"messages","value":{"statuses":'
        '[{"id":"wamid.A","status":"sent","timestamp":"1772438400","recipient_id":"447911000000"}]}}]}]}\n'
    )
    (inbox / "good.ndjson").write_text(status, encoding="utf-8")
    report = installation.must("ingest", "--json").json
    assert (report["events"], report["new_events"], report["unmatched"], report["dates"]) == (1, 1, 1, [])
    assert {each["name"] for each in report["files"]} == {"broken.ndjson", "good.ndjson"}
    assert "No status file waits" in installation.must("ingest").stdout
