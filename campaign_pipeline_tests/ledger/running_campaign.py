"""A day of a running campaign, and what people ask about one, done by the real functions on a ledger that is given.

Add here a step of the day, or a question, so that `test_query_plans` looks at the statements behind it.
Keep out expectations about plans: those belong to the test.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime
from typing import Final

import dagster as dg
import pytest

from campaign_pipeline.campaigns import figures, lifecycle, send_schedule, value_problems
from campaign_pipeline.campaigns.catalogue import CampaignChange, find
from campaign_pipeline.campaigns.held_countries import release_country
from campaign_pipeline.campaigns.kept_template import keep_template
from campaign_pipeline.campaigns.templates import TemplateParameter
from campaign_pipeline.delivery import standing
from campaign_pipeline.delivery.impediments import impediments
from campaign_pipeline.interfaces.command_line import overview
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.orchestration.ledger_events import report_ledger_events
from campaign_pipeline.orchestration.resources import Pipeline
from campaign_pipeline.recipients import audience, identity
from campaign_pipeline.recipients.intake import add_file
from campaign_pipeline.recipients.phone_numbers import parse_phone
from campaign_pipeline.sending import doubts, preview, proof
from campaign_pipeline.sending.account_events import act_on_account_events
from campaign_pipeline.sending.account_terms import AccountTerms
from campaign_pipeline.sending.attempts import AdmittedCall, admit
from campaign_pipeline.sending.batches import take_batch
from campaign_pipeline.sending.doubts import AllOfDate, DoubtVerdict
from campaign_pipeline.sending.errors import CannotSendError, StoppedError
from campaign_pipeline.sending.report import Progress
from campaign_pipeline.sending.test_sends import TestSendTerms, send_test, values_for_test
from campaign_pipeline.settings import Settings
from campaign_pipeline.whatsapp.client import Answer, AnswerKind
from campaign_pipeline_tests.delivery.payloads import (
    MARCH,
    account_payload,
    ndjson,
    payload,
    put,
    status,
    template_payload,
)
from campaign_pipeline_tests.ledger.large_ledger import (
    A_DAY,
    AUTUMN,
    PAUSED,
    SPRING,
    TODAY,
    send_date,
    waiting_person,
)
from campaign_pipeline_tests.support.campaigns import add_people, calendar, folders, phone, write_list
from campaign_pipeline_tests.support.clock import HandClock
from campaign_pipeline_tests.support.sending import SendingDesk, accepted, answer_call, client_of, holding
from campaign_pipeline_tests.support.templates import body, template

HALF_TAKEN_FILE: Final = ndjson(payload(status(f"wamid.old.{number}", "read")) for number in range(1, 21))
"""Statuses of people of the first date, in the file whose ingest was killed."""

LIMIT: Final = sum(A_DAY.values()) + 12
"""People in 24 hours: so few more than are counted in the morning that the day has to wait for the first to leave."""

_CALENDAR: Final = calendar(start="2025-12-01")
_LEFT_BY_A_DEAD_RUN: Final = date(2025, 12, 1)
_NOT_ANSWERED_YET: Final = date(2025, 12, 2)
_CAUGHT_UP: Final = date(2025, 12, 3)
_FAILED: Final = date(2025, 12, 4)
_NEW: Final = 70_000
"""Numbers from here on are in no campaign yet."""


class _Installation(Pipeline):
    """The pipeline of an installation whose ledger is the one that is watched."""

    def __init__(self, ledger: Ledger, clock: HandClock) -> None:
        super().__init__(Settings(_env_file=None))
        # Where it keeps what it has opened.
        self.__dict__["ledger"] = ledger
        self._clock = clock

    def now(self) -> datetime:
        return self._clock.now()


def go_through_a_day(desk: SendingDesk) -> None:
    """Does everything that an installation does again and again while a campaign runs."""
    _prepare(desk)
    _take_in_the_rest_of_a_file(desk)
    with _admitted(desk, _LEFT_BY_A_DEAD_RUN, size=5, calls=3):
        pass
    _send(desk)
    _send_tests(desk)
    _settle_doubts(desk)
    _hear_before_the_answer(desk)
    _take_in_strangers(desk)
    _hear_of_failures(desk)
    _look_after_it(desk)


def ask_about_a_smaller_campaign(desk: SendingDesk) -> None:
    """Asks what people want to know of one campaign, and what they do to one as a whole."""
    now = desk.clock.now()
    first_date = _CALENDAR.next_send_date(now)
    with desk.ledger.read() as connection:
        figures.campaign_figures(connection, AUTUMN)
        figures.figures_by_date(connection, AUTUMN)
        figures.batch_figures(connection, send_date(2))
        figures.reasons_of_batch(connection, send_date(2))
        schedule = send_schedule.read_schedule(connection, AUTUMN, first_date, LIMIT)
        send_schedule.expected_end(connection, AUTUMN, first_date, LIMIT)
        proof.prove_batch(connection, send_date(2))
        preview.preview_date(connection, TODAY, calendar=_CALENDAR, limit_setting=LIMIT, now=now)
        overview.look_at_day(connection, _CALENDAR, LIMIT, now)
        overview.lists_of(connection, AUTUMN)
        sum(1 for _ in audience.read_recipients(connection, AUTUMN, state=None, schedule=schedule))
        doubts.list_doubts(connection, campaign_id=AUTUMN)
    desk.campaign([_NEW], "Named Sale", parameters=(TemplateParameter("1", "first_name"),))
    with desk.ledger.write() as connection:
        named = keep_template(connection, find(connection, "named-sale"), template(body("Hi {{1}}")), now)
        lifecycle.delete_draft(connection, "draft-sale", actor="test", now=now)
        lifecycle.cancel(connection, PAUSED, actor="test", now=now)
    with desk.ledger.read() as connection:
        assert value_problems.value_problems(connection, named.id, named.pattern) == []
        assert len(value_problems.first_messages(connection, named.id, named.pattern, 3)) == 1


def _prepare(desk: SendingDesk) -> None:
    """Small batches, since each statement is explained; a list, and people who want nothing or are taken out."""
    now = desk.clock.now()
    with desk.ledger.write() as connection:
        for campaign, size in ((SPRING, 14), (AUTUMN, 8)):
            lifecycle.edit(connection, campaign, CampaignChange(daily_send_limit=size), actor="test", now=now)
    add_people(desk.ledger, "spring-sale", desk.root, [1, *range(_NEW, _NEW + 30), _NEW, 10**7], now=now)
    refusing = write_list(desk.root / "no.csv", [_NEW + 40], columns="opt_in", value="no")
    add_file(
        desk.ledger,
        "spring-sale",
        refusing,
        folders=folders(desk.root),
        region="GB",
        phone_column=None,
        actor="test",
        clock=desk.clock.now,
    )
    desk.unsubscribe(waiting_person(SPRING, 4))
    person = parse_phone(phone(waiting_person(SPRING, 6)), "GB")
    with desk.ledger.write() as connection:
        audience.remove_person(connection, "spring-sale", person, actor="test", now=now)


def _take_in_the_rest_of_a_file(desk: SendingDesk) -> None:
    """Goes on with the file whose ingest was killed."""
    put(desk.status_folders.inbox, "half.ndjson", HALF_TAKEN_FILE)
    assert desk.ingest().dates == [send_date(1)]


@contextmanager
def _admitted(desk: SendingDesk, on: date, *, size: int, calls: int) -> Iterator[tuple[AdmittedCall, ...]]:
    """A batch of which some people are claimed and some are being called, by a run that has gone when the body runs."""
    with holding(desk.ledger, desk.clock) as lease, desk.ledger.write() as connection:
        now = desk.clock.now()
        batch = take_batch(connection, lease.sender_id, on, size, "run", now)
        assert batch is not None
        admission = admit(
            connection, lease, batch, size=calls, limit_setting=LIMIT * 2, keep_free_for=None, run_id="run", now=now
        )
    assert len(admission.calls) == calls
    yield admission.calls


def _send(desk: SendingDesk) -> None:
    """Today, interrupted, and for a while without capacity and without one campaign; and a date that was missed."""

    def send(on: date, stop: threading.Event | None = None) -> None:
        desk.send(on, limit=LIMIT, concurrency=2, days=_CALENDAR, stop=stop, on_progress=on_progress)

    told: list[Progress] = []
    stop = threading.Event()

    def on_progress(progress: Progress) -> None:
        told.append(progress)
        if len(told) == 3:
            desk.unsubscribe(waiting_person(SPRING, 16))
        if len(told) == 8:
            desk.pause("autumn-sale")
        if len(told) == 10:
            stop.set()

    desk.campaign(range(_NEW + 50, _NEW + 52), "Tiny Sale")
    with pytest.raises(CannotSendError, match="No capacity to spare"):
        send(_CAUGHT_UP)
    with pytest.raises(StoppedError):
        send(TODAY, stop)
    send(TODAY)
    assert any(each.waiting_for for each in told), "the day had to wait for capacity"
    desk.resume("autumn-sale")
    send(_CAUGHT_UP)


def _send_tests(desk: SendingDesk) -> None:
    """Somebody tries the next campaign on a telephone of their own, and on one that does not exist."""
    with desk.ledger.read() as connection:
        campaign = find(connection, "spring-sale")
        values = values_for_test(connection, campaign, {})
    terms = TestSendTerms("simulator", LIMIT * 2, "test")
    with client_of(desk.simulator) as client:
        for number, fault in ((_NEW + 60, None), (_NEW + 61, "refused")):
            if fault is not None:
                desk.simulator.fault(fault, to=phone(number))
            who = parse_phone(phone(number), "GB")
            send_test(desk.ledger, client, campaign, who, values, terms, desk.clock.now)


def _settle_doubts(desk: SendingDesk) -> None:
    """A person says what became of the calls whose run was gone."""
    with desk.ledger.read() as connection:
        assert len(doubts.list_doubts(connection)) == 3
        assert len(doubts.list_doubts(connection, send_date=_LEFT_BY_A_DEAD_RUN)) == 3
    with desk.ledger.write() as connection:
        doubts.resolve(
            connection, AllOfDate(_LEFT_BY_A_DEAD_RUN), DoubtVerdict.REACHED, by="test", now=desk.clock.now()
        )


def _hear_before_the_answer(desk: SendingDesk) -> None:
    """The statuses of the day come in, and one that names no attempt before the answer that has its wamid."""
    with _admitted(desk, _NOT_ANSWERED_YET, size=3, calls=3) as calls:
        put(desk.status_folders.inbox, "early.ndjson", ndjson([payload(status("wamid.early", "delivered"))]))
        assert TODAY in desk.ingest().dates
        # The account of the first is that of somebody who waits, who is skipped.
        double = phone(waiting_person(SPRING, 401)).removeprefix("+")
        answer_call(desk.ledger, calls[0], replace(accepted("wamid.early"), wa_id=double), desk.clock.now())
        answer_call(desk.ledger, calls[2], Answer(AnswerKind.REFUSED, 400, 131026, "nobody"), desk.clock.now())
    refused = parse_phone(calls[2].message.to, "GB")
    with desk.ledger.write() as connection:
        account = identity.account_of(connection, refused, desk.clock.now())
        assert [each.unreached for each in identity.members_of(connection, SPRING, account)] == [True]
    with desk.ledger.read() as connection:
        assert [each.skipped for each in identity.shared_in_campaigns(connection, desk.clock.now())] == [1]


def _hear_of_failures(desk: SendingDesk) -> None:
    """WhatsApp refuses a person, a campaign, a country and the account, first in webhooks and then in an answer."""
    codes = (131026, 131050, 132015, 130497, 131042)
    with _admitted(desk, _FAILED, size=len(codes) + 1, calls=len(codes) + 1) as calls:
        *later, at_once = calls
        for number, call in enumerate(later):
            answer_call(desk.ledger, call, accepted(f"wamid.failed.{number}"), desk.clock.now())
        statuses = [status(f"wamid.failed.{number}", "failed", code=code) for number, code in enumerate(codes)]
        put(desk.status_folders.inbox, "first.ndjson", ndjson([payload(statuses[0])]))
        desk.ingest()
        told = [payload(each) for each in statuses] + [
            template_payload("PAUSED"),
            account_payload("account_update", {"event": "ACCOUNT_DELETED"}),
            account_payload("business_capability_update", {"max_daily_conversations_per_business": LIMIT}),
        ]
        put(desk.status_folders.inbox, "failed.ndjson", ndjson(told))
        desk.ingest()
        act_on_account_events(desk.ledger, AccountTerms(None, LIMIT, None), desk.clock.now)
        answer_call(desk.ledger, at_once, Answer(AnswerKind.REFUSED, 401, 190, "expired"), desk.clock.now())
    with desk.ledger.write() as connection:
        found = impediments(connection, desk.clock.now())
        assert {each.kind for each in found} >= {"sender_stopped", "country_held", "campaign_held_up"}, found
        release_country(connection, "GB", actor="test", now=desk.clock.now())
    desk.resume_sender()
    put(desk.status_folders.inbox, "unpaused.ndjson", ndjson([template_payload("APPROVED", at=MARCH + 1)]))
    desk.ingest()
    (done,) = act_on_account_events(desk.ledger, AccountTerms(None, LIMIT, None), desk.clock.now)
    assert "goes on" in done


def _take_in_strangers(desk: SendingDesk) -> None:
    """Many files, about messages that are not ours."""
    for number in range(12):
        stranger = ndjson([payload(status(f"wamid.other.{number}"))])
        put(desk.status_folders.inbox, f"others-{number}.ndjson", stranger)
    desk.ingest()


def _look_after_it(desk: SendingDesk) -> None:
    """What the hourly checks and the sensor of the ledger ask."""
    now = desk.clock.now()
    with desk.ledger.read() as connection:
        standing.left_behind(connection, now)
        standing.doubts_by_age(connection, now)
        standing.silence(connection, now)
    with dg.DagsterInstance.ephemeral() as instance:
        assert report_ledger_events(instance, _Installation(desk.ledger, desk.clock))
