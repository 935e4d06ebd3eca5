"""The contract: for every row of the error table, told by an answer and by a webhook, what becomes of everything."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from sqlalchemy import select

from campaign_pipeline.campaigns.held_countries import held_regions
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import senders, subscriptions
from campaign_pipeline.sending.errors import CannotSendError
from campaign_pipeline.whatsapp.errors import KNOWN_ERRORS, Arrival, ErrorClass, look_up
from campaign_pipeline_tests.support.campaigns import phone
from campaign_pipeline_tests.support.sending import (
    SECOND_OF_MARCH,
    SendingDesk,
    attempts,
    campaign_status,
    people,
    states,
    used_capacity,
)

UNKNOWN_CODE = 987_654
CODES = [*(error.code for error in KNOWN_ERRORS), 200, 299, UNKNOWN_CODE]
DEFINITE, SERVER_FAULT = 400, 500


def _rows(codes: Sequence[int]) -> list[tuple[str, int]]:
    """Each code on one of the two databases, one after the other: all on both takes longer than it finds."""
    return [(("sqlite", "postgresql")[number % 2], code) for number, code in enumerate(codes)]


each_row = pytest.mark.parametrize(("ledger", "code"), _rows(CODES), indirect=["ledger"])


def _of_each_kind(codes: Sequence[int]) -> list[int]:
    """One code of each kind that a server's fault distinguishes; the long form takes all of them."""
    by_kind = {(look_up(code).error_class, look_up(code).is_certain, _is_taken(code)): code for code in codes}
    return list(codes) if os.environ.get("EVERY_SERVER_FAULT") else list(by_kind.values())


def _is_taken(code: int) -> bool:
    """Whether WhatsApp has taken the message although it says that its server fails: of every second code."""
    return code % 2 == 0


each_kind = pytest.mark.parametrize(("ledger", "code"), _rows(_of_each_kind(CODES)), indirect=["ledger"])


@dataclass(frozen=True)
class Effect:
    """What a failure of the first of three people amounts to; the third is of another campaign, and sent to last.

    Attributes:
        people: The states of all three.
        campaign: Where the first two's campaign stands.
        counted: People in the window.
        stopped: Whether the sender is.
        unsubscribed: Whether the first one is.
        held: The countries that are held.
    """

    people: tuple[str, str, str]
    campaign: str
    counted: int
    stopped: bool = False
    unsubscribed: bool = False
    held: tuple[str, ...] = ()


ANSWERED = {
    ErrorClass.PERSON: Effect(("failed", "accepted", "accepted"), "completed", 2),
    ErrorClass.UNKNOWN: Effect(("failed", "accepted", "accepted"), "completed", 2),
    ErrorClass.UNSUBSCRIBED: Effect(("failed", "accepted", "accepted"), "completed", 2, unsubscribed=True),
    ErrorClass.COUNTRY: Effect(("failed", "pending", "pending"), "active", 0, held=("GB",)),
    ErrorClass.THROTTLE: Effect(("accepted", "accepted", "accepted"), "completed", 3),
    ErrorClass.CAMPAIGN: Effect(("claimed", "claimed", "accepted"), "paused", 1),
    ErrorClass.ACCOUNT: Effect(("claimed", "claimed", "claimed"), "active", 0, stopped=True),
}

WITH_A_SERVER_FAULT = {
    None: Effect(("in_doubt", "accepted", "accepted"), "active", 3),
    ErrorClass.CAMPAIGN: Effect(("in_doubt", "claimed", "accepted"), "paused", 2),
    ErrorClass.ACCOUNT: Effect(("in_doubt", "claimed", "claimed"), "active", 1, stopped=True),
}
"""By what the code means beyond the person; None where a server's fault may go with any code."""

TOLD_LATER = {
    ErrorClass.PERSON: Effect(("failed", "read", "read"), "completed", 3),
    ErrorClass.UNKNOWN: Effect(("failed", "read", "read"), "completed", 3),
    ErrorClass.UNSUBSCRIBED: Effect(("failed", "read", "read"), "completed", 3, unsubscribed=True),
    ErrorClass.COUNTRY: Effect(("failed", "read", "read"), "completed", 3, held=("GB",)),
    ErrorClass.CAMPAIGN: Effect(("failed", "read", "read"), "completed", 3),
    ErrorClass.ACCOUNT: Effect(("failed", "read", "read"), "completed", 3, stopped=True),
}


@each_row
def test_a_refusal_has_the_effect_of_its_class(desk: SendingDesk, code: int) -> None:
    """Too little, and a whole audience is refused one by one; too much, and one wrong number stops everything."""
    who = _two_campaigns(desk)
    once = look_up(code).class_in(Arrival.ANSWER) is ErrorClass.THROTTLE
    target = {"next": 1} if once else {"to": phone(who[0])}
    desk.simulator.fault("error", code=code, http_status=DEFINITE, **target)
    _send(desk)
    assert _effect_on(desk, who) == ANSWERED[look_up(code).class_in(Arrival.ANSWER)]
    first = attempts(desk.ledger, who[0])[0]
    assert (first.error_code, first.http_status, first.outcome) == (code, DEFINITE, "refused")
    assert len(desk.reached(who)) == len(set(desk.reached(who)))


@each_kind
def test_with_a_server_fault_the_person_is_in_doubt_whatever_the_code_is(desk: SendingDesk, code: int) -> None:
    """A 5xx proves nothing about the message; a code that names account or template is believed all the same."""
    who = _two_campaigns(desk)
    takes_it = _is_taken(code)
    desk.simulator.fault("error", code=code, http_status=SERVER_FAULT, to=phone(who[0]), accepted=takes_it)
    _send(desk)
    error = look_up(code)
    believed = error.is_certain and error.error_class in (ErrorClass.CAMPAIGN, ErrorClass.ACCOUNT)
    assert _effect_on(desk, who) == WITH_A_SERVER_FAULT[error.error_class if believed else None]
    assert len(desk.reached(who[:1])) == takes_it


@each_row
def test_a_failed_webhook_has_the_effect_of_its_class_and_is_final_for_the_person(desk: SendingDesk, code: int) -> None:
    """Meta answers 200 first and tells of most refusals later: acted on only in answers, they are never acted on."""
    who = _two_campaigns(desk)
    desk.simulator.fault("failed", code=code, to=phone(who[0]))
    _send(desk)
    assert _effect_on(desk, who).people == ("accepted", "accepted", "accepted")
    desk.ingest()
    assert _effect_on(desk, who) == TOLD_LATER[look_up(code).class_in(Arrival.WEBHOOK)]
    (attempt,) = attempts(desk.ledger, who[0])
    assert (attempt.outcome, attempt.failure_code) == ("accepted", code)


def _two_campaigns(desk: SendingDesk) -> list[int]:
    who = people(3)
    desk.campaign(who[:2], priority=5)
    desk.campaign(who[2:], name="Second")
    return who


def _send(desk: SendingDesk) -> None:
    """Sends the date; what it ends with is told by the ledger."""
    try:
        desk.send(SECOND_OF_MARCH, concurrency=1)
    except CannotSendError as error:
        assert str(error).startswith(("spring-sale is paused", "WhatsApp refuses every message"))


def _effect_on(desk: SendingDesk, who: list[int]) -> Effect:
    with desk.ledger.read() as connection:
        stopped = connection.execute(select(senders.c.stopped_at)).scalar_one() is not None
        held = tuple(held_regions(connection))
    return Effect(
        people=(*states(desk.ledger), *states(desk.ledger, "second")),  # ty: ignore[invalid-argument-type]
        campaign=campaign_status(desk.ledger),
        counted=used_capacity(desk.ledger, desk.clock.now()),
        stopped=stopped,
        unsubscribed=_is_unsubscribed(desk.ledger, who[0]),
        held=held,
    )


def _is_unsubscribed(ledger: Ledger, number: int) -> bool:
    query = select(subscriptions.c.status).where(subscriptions.c.phone == phone(number))
    with ledger.read() as connection:
        return connection.execute(query).scalar_one_or_none() == "unsubscribed"
