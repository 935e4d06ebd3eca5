"""Meta's limits as the simulator enforces them: people in 24 hours, messages a second, messages to one person."""

from pathlib import Path

import pytest

from campaign_pipeline.whatsapp.simulator.limits import Limits
from campaign_pipeline_tests.whatsapp.simulator_process import SimulatorProcess, simulator_options
from campaign_pipeline_tests.whatsapp.test_simulator_server import send, statuses_in

DAY = 24 * 60 * 60.0
NOW = 1_772_355_600.0


def code_of(limits: Limits, wa_id: str, now: float) -> int | None:
    """Asks for one message and notes it if it is let through; the code says what stood in the way."""
    fault = limits.meet(wa_id, now)
    if fault is None or fault.message_goes_out:
        limits.note_accepted(wa_id, now)
    return None if fault is None or fault.error is None else fault.error.code


def test_no_limit_is_enforced_unless_it_is_asked_for(tmp_path: Path) -> None:
    """Every test that sends more than 250 messages would fail for a reason that it is not about."""
    limits = Limits(simulator_options(tmp_path))
    assert {code_of(limits, str(number // 2), NOW) for number in range(2000)} == {None}


def test_the_messaging_limit_counts_people_in_a_moving_window(tmp_path: Path) -> None:
    """A limit that begins anew at midnight would let a sender reach 500 people in 24 hours and call it right."""
    limits = Limits(simulator_options(tmp_path, messaging_limit=3))
    assert [code_of(limits, who, NOW + hour * 3600) for hour, who in enumerate("abc")] == [None] * 3
    assert code_of(limits, "d", NOW + DAY - 1) == 131048
    assert limits.people_reached(NOW + DAY - 1) == 3
    assert code_of(limits, "d", NOW + DAY) is None
    assert code_of(limits, "e", NOW + DAY) == 131048
    assert code_of(limits, "e", NOW + DAY + 3600) is None


def test_a_person_who_was_reached_costs_nothing_more_but_stays_counted_longer(tmp_path: Path) -> None:
    """Meta counts people, not messages; their 24 hours run from the last message."""
    limits = Limits(simulator_options(tmp_path, messaging_limit=1))
    assert code_of(limits, "a", NOW) is None
    assert code_of(limits, "a", NOW + DAY / 2) is None
    assert code_of(limits, "b", NOW + DAY) == 131048
    assert code_of(limits, "b", NOW + 1.5 * DAY) is None


def test_a_message_that_fails_above_the_limit_does_not_lengthen_it(tmp_path: Path) -> None:
    """A sender that goes on trying would otherwise never be let in again, as at Meta it is."""
    limits = Limits(simulator_options(tmp_path, messaging_limit=1, limit_answer="failed:131048"))
    assert code_of(limits, "a", NOW) is None
    for minute in range(60):
        assert code_of(limits, "b", NOW + 60 * minute) == 131048
    assert limits.people_reached(NOW + DAY - 1) == 1
    assert code_of(limits, "b", NOW + DAY) is None


def test_throughput_is_counted_over_the_last_second(tmp_path: Path) -> None:
    """Bursts at the end of one second and the start of the next are together above the limit."""
    limits = Limits(simulator_options(tmp_path, messages_per_second=2))
    codes = [code_of(limits, str(moment), NOW + moment) for moment in (0.75, 0.875, 1.25, 1.5, 1.75, 1.875)]
    assert codes == [None, None, 130429, 130429, None, None]


def test_a_burst_to_one_person_is_borrowed_from_the_seconds_that_follow(tmp_path: Path) -> None:
    """A duplicate-send loop is what this limit catches, and nobody else may be held up by it."""
    limits = Limits(simulator_options(tmp_path, pair_seconds=6))
    assert [code_of(limits, "a", NOW) for _ in range(46)] == [None] * 45 + [131056]
    assert code_of(limits, "b", NOW) is None
    assert code_of(limits, "a", NOW + 5.5) == 131056
    assert code_of(limits, "a", NOW + 6) is None
    assert code_of(limits, "a", NOW + 6) == 131056
    assert [code_of(limits, "a", NOW + 1000) for _ in range(46)] == [None] * 45 + [131056]


def test_a_burst_of_one_is_one_message_each_time(tmp_path: Path) -> None:
    """Without a burst the limit is the plain one: so many seconds between two messages."""
    limits = Limits(simulator_options(tmp_path, pair_seconds=6, pair_burst=1))
    assert [code_of(limits, "a", NOW + second) for second in (0, 3, 6, 11, 12)] == [None, 131056, None, 131056, None]


@pytest.mark.parametrize("code", [131048, 131064, 130429])
def test_what_meta_answers_above_the_limit_can_be_chosen_and_uses_up_no_fault(tmp_path: Path, code: int) -> None:
    """Nobody documents the answer, so a sender must stop at each of them."""
    options = simulator_options(tmp_path, messaging_limit=1, limit_answer=f"error:{code}")
    with SimulatorProcess(options) as simulator:
        assert send(simulator, "+447700900301").status_code == 200
        simulator.fault("lost_answer", to="+447700900302")
        answer = send(simulator, "+447700900302")
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
        assert simulator.health()["accepted"] == simulator.health()["people_in_24_hours"] == 1


def test_the_limit_can_show_itself_as_a_webhook_and_counts_over_a_restart(tmp_path: Path) -> None:
    """A simulator that forgets at its restart would let the day's second batch through."""
    options = simulator_options(tmp_path, messaging_limit=2, limit_answer="failed:131048")
    with SimulatorProcess(options) as simulator:
        for number in range(3):
            assert send(simulator, f"+44770090031{number}").status_code == 200
        simulator.wait_for_statuses()
        simulator.kill()
        simulator.start()
        assert simulator.health()["people_in_24_hours"] == 2
        assert send(simulator, "+447700900313").status_code == 200
        simulator.wait_for_statuses()
    failed = [status["recipient_id"] for status in statuses_in(tmp_path / "inbox") if status["status"] == "failed"]
    assert failed == ["447700900312", "447700900313"]
