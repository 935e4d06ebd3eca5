"""Faults by Meta's error code, as a sender meets them: refusals, failures that come later, and held messages."""

from pathlib import Path
from typing import Any

import pytest
import requests

from campaign_pipeline.whatsapp.simulator.faults import CodedError, Fault, FaultBook, FaultKind
from campaign_pipeline_tests.whatsapp.simulator_process import SimulatorProcess, simulator_options
from campaign_pipeline_tests.whatsapp.test_simulator_server import recorded, send, statuses_in


def statuses_of(simulator: SimulatorProcess, answer: requests.Response) -> list[dict[str, Any]]:
    """The statuses of one message in the order of their files, once all have come."""
    simulator.wait_for_statuses()
    wamid = answer.json()["messages"][0]["id"]
    return [status for status in statuses_in(simulator.options.inbox) if status["id"] == wamid]


@pytest.mark.parametrize(
    ("order", "status", "code", "title", "times_recorded"),
    [
        ({"code": 131056}, 400, 131056, "(#131056) (Business Account, Consumer Account) pair rate limit hit", 0),
        ({"code": 130429, "http_status": 429}, 429, 130429, "(#130429) Rate limit hit", 0),
        ({"code": 190}, 401, 190, "(#190) Access token has expired", 0),
        ({"code": 132001}, 404, 132001, "(#132001) Template name does not exist in the translation", 0),
        ({"code": 131016}, 500, 131016, "(#131016) Service unavailable", 0),
        ({"code": 131016, "accepted": True}, 500, 131016, "(#131016) Service unavailable", 1),
        ({"code": 2, "http_status": 503, "accepted": True}, 503, 2, "(#2) API Service", 1),
        ({"code": 999999}, 400, 999999, "(#999999) Error 999999", 0),
    ],
)
def test_a_refusal_can_be_ordered_by_its_code(
    simulator: SimulatorProcess, order: dict[str, Any], status: int, code: int, title: str, times_recorded: int
) -> None:
    """A code that no test can bring about is met for the first time in a real campaign."""
    before = simulator.report()["accepted"]
    simulator.fault("error", next=1, **order)
    answer = send(simulator, "+447700900101")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["message"]) == (status, code, title)
    assert error["error_data"]["messaging_product"] == "whatsapp"
    assert simulator.report()["accepted"] == before + times_recorded


def test_the_details_of_a_refusal_can_name_what_is_wrong(simulator: SimulatorProcess) -> None:
    """For some codes only the details tell a bad recipient from a bad campaign."""
    simulator.fault("error", to="+447700900102", code=131009, details="Param to is not a phone number")
    error = send(simulator, "+447700900102").json()["error"]
    assert error["error_data"]["details"] == "Param to is not a phone number"
    assert recorded(simulator, "+447700900102") == 0


def test_a_failure_comes_as_a_webhook_in_place_of_sent(simulator: SimulatorProcess) -> None:
    """Meta answers 200 for a person who stopped marketing, and says so only later."""
    simulator.fault("failed", to="+447700900103", code=131050)
    answer = send(simulator, "+447700900103", biz_opaque_callback_data="attempt-9")
    assert answer.json()["messages"][0]["message_status"] == "accepted"
    (status,) = statuses_of(simulator, answer)
    assert status["status"] == "failed"
    assert status["biz_opaque_callback_data"] == "attempt-9"
    assert status["recipient_id"] == "447700900103"
    (error,) = status["errors"]
    assert error["code"] == 131050
    assert set(error) == {"code", "title", "message", "error_data", "href"}


def test_a_failure_can_come_after_sent(simulator: SimulatorProcess) -> None:
    """A sender that takes `sent` for the end would count a failure as a success."""
    simulator.fault("failed", next=1, code=131049, after_sent=True, details="Once too often.")
    statuses = statuses_of(simulator, send(simulator, "+447700900104"))
    assert [status["status"] for status in statuses] == ["sent", "failed"]
    assert statuses[1]["errors"][0]["error_data"] == {"details": "Once too often."}


def test_a_message_that_will_fail_can_be_said_to_be_held(simulator: SimulatorProcess) -> None:
    """With 135000 behind a hold the whole portfolio is blocked; without the hold it is one bad request."""
    simulator.fault("failed", next=1, code=135000, held=True)
    answer = send(simulator, "+447700900105")
    assert answer.json()["messages"][0]["message_status"] == "held_for_quality_assessment"
    assert [status["errors"][0]["code"] for status in statuses_of(simulator, answer)] == [135000]


def test_a_held_message_is_silent_until_it_is_released(simulator: SimulatorProcess) -> None:
    """A held message is in flight: whoever takes the silence for a loss sends it twice."""
    simulator.fault("held", next=1)
    answer = send(simulator, "+447700900106")
    assert answer.json()["messages"][0]["message_status"] == "held_for_quality_assessment"
    assert recorded(simulator, "+447700900106") == 1
    assert simulator.health()["held"] == 1
    assert statuses_of(simulator, answer) == []
    assert simulator.release_held() == 1
    assert [status["status"] for status in statuses_of(simulator, answer)] == ["sent", "delivered", "read"]
    assert simulator.health()["held"] == 0


@pytest.mark.parametrize(("code", "printed"), [(132015, "132015"), (135000, 135000)])
def test_a_held_message_that_is_dropped_fails_with_the_code_as_meta_prints_it(
    simulator: SimulatorProcess, code: int, printed: str | int
) -> None:
    """Meta's page on pacing prints 132015 as a text; a reader of numbers would not know its own template."""
    simulator.fault("held", next=2)
    answers = [send(simulator, f"+44770090010{number}") for number in (7, 8)]
    assert simulator.drop_held(code) == 2
    for answer in answers:
        (status,) = statuses_of(simulator, answer)
        assert (status["status"], status["errors"][0]["code"]) == ("failed", printed)
    assert simulator.drop_held(code) == 0


def test_a_sequence_meets_the_next_requests_one_after_the_other(simulator: SimulatorProcess) -> None:
    """Three errors of different kinds in a row are another case than the same one three times."""
    simulator.fault("throttle", share=1)
    simulator.fault_sequence({"fault": "error", "code": 131000}, None, {"fault": "error", "code": 131057})
    answers = [send(simulator, "+447700900109") for _ in range(4)]
    codes = [answer.json().get("error", {}).get("code") for answer in answers]
    assert codes == [131000, None, 131057, 130429]


@pytest.mark.parametrize(
    "order",
    [
        {"kind": "error", "next": 1},
        {"kind": "failed", "next": 1},
        {"kind": "held", "next": 1, "code": 132015},
        {"kind": "error", "next": 1, "code": 131026, "accepted": True},
        {"kind": "error", "next": 1, "code": 131026, "http_status": 200},
        {"kind": "failed", "next": 1, "code": 131026, "http_status": 500},
        {"kind": "refused", "next": 1, "held": True},
        {"kind": "refused", "next": 1, "details": "no"},
    ],
)
def test_an_order_by_code_that_makes_no_sense_is_refused(simulator: SimulatorProcess, order: dict[str, Any]) -> None:
    """An order that is silently dropped leaves a test that passes because nothing went wrong."""
    with pytest.raises(ValueError, match="refused POST faults"):
        simulator.fault(**order)


def test_a_sequence_with_one_senseless_step_orders_nothing(simulator: SimulatorProcess) -> None:
    """Half an order would hit the requests of the test that comes next."""
    with pytest.raises(ValueError, match="refused POST faults"):
        simulator.fault_sequence({"fault": "error", "code": 131000}, {"fault": "error"})
    assert send(simulator, "+447700900110").status_code == 200


@pytest.mark.parametrize("code", [131026, 1])
def test_only_the_codes_of_a_dropped_hold_are_taken(simulator: SimulatorProcess, code: int) -> None:
    """Meta names two reasons to drop a held message; any other would be a case that cannot happen."""
    with pytest.raises(ValueError, match="refused POST held/drop"):
        simulator.drop_held(code)


def test_shares_of_two_codes_stand_side_by_side_and_the_same_code_is_replaced() -> None:
    """A share ordered for one code must not take back that of another."""
    book = FaultBook(1, {"failed:131049": 0.2})
    other = Fault(FaultKind.FAILED, error=CodedError(code=130472))
    book.order_share(other, 0.8)
    book.order_share(other, 0.3)
    met = [book.meet(f"+4477009{number:05}") for number in range(2000)]
    codes = [fault.error.code for fault in met if fault is not None and fault.error is not None]
    assert codes.count(131049) == pytest.approx(400, rel=0.2)
    assert codes.count(130472) == pytest.approx(600, rel=0.2)


def test_the_faults_in_force_are_told_in_the_order_in_which_they_are_met() -> None:
    """Who looks for the reason of a refusal must find the order that brought it about."""
    book = FaultBook(1, {"slow": 0.125})
    book.order_next(Fault(FaultKind.HTML), 2)
    book.order_sequence([None, Fault(FaultKind.FAILED, error=CodedError(code=131049))])
    book.order_for(Fault(FaultKind.REFUSED), "+441")
    told = [(ordered.target, None if ordered.fault is None else ordered.fault.name) for ordered in book.in_force()]
    assert told == [
        ("requests 1 to 2 from now", "html"),
        ("request 3 from now", None),
        ("request 4 from now", "failed:131049"),
        ("every request to +441", "refused"),
        ("12.5% of all requests", "slow"),
    ]


def test_faults_with_codes_can_be_ordered_at_the_start(tmp_path: Path) -> None:
    """A demo has no control client before its first message goes out."""
    options = simulator_options(tmp_path, fault_shares={"error:131000": 1.0})
    with SimulatorProcess(options) as simulator:
        assert send(simulator, "+447700900111").json()["error"]["code"] == 131000
