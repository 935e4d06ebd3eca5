"""The simulator's other rules without a server: ids, outcomes, payloads, faults, record and status files."""

import base64
import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from campaign_pipeline.whatsapp.simulator.__main__ import parse_options
from campaign_pipeline.whatsapp.simulator.faults import Fault, FaultBook, FaultKind
from campaign_pipeline.whatsapp.simulator.judge import TemplateMessage
from campaign_pipeline.whatsapp.simulator.options import command_for
from campaign_pipeline.whatsapp.simulator.record import AcceptedMessage, Record, report, wamid_for
from campaign_pipeline.whatsapp.simulator.statuses import course_of, webhook_payload
from campaign_pipeline_tests.whatsapp.simulator_process import simulator_options

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


def message_to(to: str, language: str = "en_GB") -> TemplateMessage:
    return TemplateMessage(to, "spring_sale", language, [], "attempt-1")


def accepted(to: str = "+447700900123") -> AcceptedMessage:
    return AcceptedMessage("wamid.1", to, "attempt-1", "spring_sale", "en_GB", [], NOW.isoformat())


def test_a_wamid_embeds_the_number_and_is_never_given_twice() -> None:
    """Two messages with one id would fold into one row, and a duplicate would go unseen."""
    wamids = {wamid_for(1, sequence, "+447700900123") for sequence in range(1000)}
    assert len(wamids) == 1000
    assert all(b"447700900123" in base64.b64decode(wamid.removeprefix("wamid.")) for wamid in wamids)


def test_equal_seeds_give_equal_runs(tmp_path: Path) -> None:
    """A failure that cannot be repeated cannot be understood."""
    options = simulator_options(tmp_path, delivered_share=0.5, failed_share=0.2, read_jitter=10)
    again = simulator_options(tmp_path / "elsewhere", delivered_share=0.5, failed_share=0.2, read_jitter=10)
    other = simulator_options(tmp_path, delivered_share=0.5, failed_share=0.2, read_jitter=10, seed=2)
    wamids = [wamid_for(1, sequence, "+447700900123") for sequence in range(200)]
    assert [course_of(wamid, options) for wamid in wamids] == [course_of(wamid, again) for wamid in wamids]
    assert [course_of(wamid, options) for wamid in wamids] != [course_of(wamid, other) for wamid in wamids]


def test_outcomes_keep_to_the_shares_that_were_asked_for(tmp_path: Path) -> None:
    """A demo that promises 96 per cent delivered and shows 70 is believed by nobody."""
    options = simulator_options(tmp_path, delivered_share=0.9, read_share=0.5, failed_share=0.05)
    ends = Counter(course_of(f"wamid.{number}", options)[-1].status for number in range(10_000))
    assert ends["failed"] == pytest.approx(500, rel=0.2)
    assert ends["sent"] == pytest.approx(500, rel=0.2)
    assert ends["read"] == pytest.approx(4500, rel=0.1)
    assert ends["delivered"] == pytest.approx(4500, rel=0.1)


def test_a_message_is_never_read_before_it_is_delivered(tmp_path: Path) -> None:
    """Delays that overlap by their jitter must not turn time around."""
    options = simulator_options(tmp_path, sent_jitter=10, delivered_jitter=5, read_jitter=5)
    for number in range(200):
        course = course_of(f"wamid.{number}", options)
        assert [event.status for event in course] == ["sent", "delivered", "read"]
        assert [event.after for event in course] == sorted(event.after for event in course)


def test_a_delivered_webhook_has_the_shape_that_meta_prints(tmp_path: Path) -> None:
    """A parser that is tested with another shape breaks on the first real webhook."""
    options = simulator_options(tmp_path)
    payload = webhook_payload(accepted(), "delivered", NOW.timestamp(), options)
    value = payload["entry"][0]["changes"][0]["value"]
    user_id = value["contacts"][0]["user_id"]
    assert payload == {
        "object": "whatsapp_business_account",
        "entry": [{"id": "102290129340398", "changes": [{"value": value, "field": "messages"}]}],
    }
    assert value == {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550783881", "phone_number_id": "106540352242922"},
        "contacts": [{"profile": {"name": "Customer 0123"}, "wa_id": "447700900123", "user_id": user_id}],
        "statuses": [
            {
                "id": "wamid.1",
                "status": "delivered",
                "timestamp": str(int(NOW.timestamp())),
                "recipient_id": "447700900123",
                "recipient_user_id": user_id,
                "biz_opaque_callback_data": "attempt-1",
                "pricing": {"billable": True, "pricing_model": "PMP", "type": "regular", "category": "marketing"},
            }
        ],
    }
    assert re.fullmatch(r"[A-Z]{2}\.[0-9]+", user_id)


def test_a_failed_webhook_names_no_contact_and_says_why(tmp_path: Path) -> None:
    """Meta leaves contacts out of failures; a parser that looks there first would drop every one of them."""
    payload = webhook_payload(accepted(), "failed", NOW.timestamp(), simulator_options(tmp_path))
    value = payload["entry"][0]["changes"][0]["value"]
    assert "contacts" not in value
    assert value["statuses"][0]["errors"][0]["code"] == 131026
    assert value["statuses"][0]["biz_opaque_callback_data"] == "attempt-1"
    assert "recipient_user_id" not in value["statuses"][0]


def test_faults_are_met_in_the_order_next_then_number_then_share() -> None:
    """A test that orders one lost answer must get that one, whatever else is going on."""
    faults = FaultBook(1, {"throttle": 1.0})
    faults.order_for(Fault(FaultKind.REFUSED), "+441")
    faults.order_next(Fault(FaultKind.HTML), 2)
    kinds = [fault.kind for fault in (faults.meet(to) for to in ("+441", "+442", "+441", "+442")) if fault]
    assert kinds == [FaultKind.HTML, FaultKind.HTML, FaultKind.REFUSED, FaultKind.THROTTLE]
    faults.clear()
    assert faults.meet("+441") is None


def test_shares_of_faults_do_not_depend_on_the_order_of_arrival() -> None:
    """Two parallel senders would meet other faults in every run, and no failure could be repeated."""
    numbers = [f"+4477009{number:05}" for number in range(1000)]
    shares = {"lost_answer": 0.1, "throttle": 0.2}
    forwards, backwards = FaultBook(1, shares), FaultBook(1, shares)
    met = {to: forwards.meet(to) for to in numbers}
    assert met == {to: backwards.meet(to) for to in reversed(numbers)}
    kinds = Counter(fault.kind for fault in met.values() if fault)
    assert kinds[FaultKind.LOST_ANSWER] == pytest.approx(100, rel=0.35)
    assert kinds[FaultKind.THROTTLE] == pytest.approx(200, rel=0.25)


@pytest.mark.parametrize("shares", [{"lost_anwser": 0.1}, {"slow": 1.1}, {"slow": -0.1}, {"slow": 0.6, "html": 0.6}])
def test_shares_that_cannot_be_met_are_refused(shares: dict[str, float]) -> None:
    """A misspelled fault that is ignored makes a test pass that tested nothing."""
    with pytest.raises(ValueError, match=r"share|fault"):
        FaultBook(1, shares)


def test_a_throttled_message_cannot_be_ordered_to_go_out() -> None:
    """A definite refusal that was accepted after all would prove the sender wrong where it is right."""
    with pytest.raises(ValueError, match="settled"):
        Fault(FaultKind.THROTTLE, accepted=True)


def test_a_line_that_was_cut_off_by_a_kill_is_dropped_and_the_rest_kept(tmp_path: Path) -> None:
    """Half a line must neither stop the restart nor spoil the next message that is written behind it."""
    path = tmp_path / "record.ndjson"
    first = Record(path, seed=1)
    kept = [first.accept(message_to(to), NOW) for to in ("+447700900001", "+447700900002")]
    first.close()
    with path.open("ab") as file:
        file.write(b'{"wamid": "wamid.torn", "to": "+44770')

    second = Record(path, seed=1)
    assert second.messages == kept
    kept.append(second.accept(message_to("+447700900003"), NOW))
    second.close()
    assert Record(path, seed=1).messages == kept
    assert len({message.wamid for message in kept}) == 3


def test_a_file_that_is_no_record_stops_the_start(tmp_path: Path) -> None:
    """Counting from zero beside somebody else's file would lose the only witness without a word."""
    path = tmp_path / "record.ndjson"
    path.write_text('{"not": "a message"}\n')
    with pytest.raises(ValueError, match=r"record\.ndjson is not a record"):
        Record(path, seed=1)


def test_a_message_is_in_the_file_before_anyone_hears_of_it(tmp_path: Path) -> None:
    """If the server dies after its answer, the judge must still know of the message."""
    path = tmp_path / "record.ndjson"
    record = Record(path, seed=1)
    message = record.accept(message_to("+447700900001"), NOW)
    assert json.loads(path.read_bytes())["wamid"] == message.wamid
    record.close()


def test_the_report_names_everyone_who_got_the_same_campaign_twice(tmp_path: Path) -> None:
    """This is the judge of the first promise; a duplicate that it misses is missed by all."""
    record = Record(tmp_path / "record.ndjson", seed=1)
    for to, language in [("+441", "en_GB"), ("+442", "en_GB"), ("+441", "en_GB"), ("+442", "de")]:
        record.accept(message_to(to, language), NOW)
    assert report(record.messages) == {
        "accepted": 4,
        "distinct_recipients": 2,
        "reached_twice": [{"to": "+441", "template": "spring_sale", "count": 2}],
    }
    record.close()


def test_the_command_line_says_every_option_of_the_simulator(tmp_path: Path) -> None:
    """An option that gets lost on its way to the process leaves a test with another simulator than it asked for."""
    options = simulator_options(
        tmp_path, seed=7, latency=0.25, fault_shares={"lost_answer": 0.125, "html": 0.5}, phone_number_id="-1"
    )
    assert parse_options(command_for(options)[3:]) == options


def test_the_command_line_says_options_that_are_off_and_on(tmp_path: Path) -> None:
    """An option that is off must not come back as the text `None`, nor one that is on as a text."""
    off = simulator_options(tmp_path)
    assert not [word for word in command_for(off) if word.endswith("=None")]
    on = simulator_options(
        tmp_path,
        messaging_limit=250,
        limit_answer="failed:131049",
        messages_per_second=80,
        pair_seconds=6.0,
        webhook_url="http://127.0.0.1:9/webhook",
        app_secret="made-up",
    )
    for options in (off, on):
        assert parse_options(command_for(options)[3:]) == options


@pytest.mark.parametrize(
    "changes",
    [
        {"read_share": 1.5},
        {"failed_share": 0.5},
        {"latency": -1},
        {"sent_after": -1},
        {"flush_interval": 0},
        {"messaging_limit": 0},
        {"messages_per_second": -1},
        {"limit_answer": "slow"},
        {"webhook_late_share": 2},
        {"webhook_retry_after": -1},
        {"webhook_url": "127.0.0.1:80"},
    ],
)
def test_options_that_contradict_themselves_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    """A share of 60 instead of 0.60 would make a demo that shows nonsense without an error."""
    with pytest.raises(ValueError, match=next(iter(changes))):
        simulator_options(tmp_path, **changes)


def test_times_in_the_record_carry_their_zone(tmp_path: Path) -> None:
    """A time without its zone shifts every comparison with the ledger by the machine's offset."""
    record = Record(tmp_path / "record.ndjson", seed=1)
    message = record.accept(message_to("+441"), NOW)
    assert datetime.fromisoformat(message.accepted_at).utcoffset() == timedelta(0)
    record.close()
