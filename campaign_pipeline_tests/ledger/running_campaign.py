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
from sqlalchemy import update

from campaign_pipeline.campaigns import catalogue, figures, journal, lifecycle, send_schedule, value_problems
from campaign_pipeline.campaigns.catalogue import CampaignChange, CampaignPage, CampaignSort, find, list_page
from campaign_pipeline.campaigns.held_countries import release_country
from campaign_pipeline.campaigns.journal import AuditPage
from campaign_pipeline.campaigns.kept_template import keep_template
from campaign_pipeline.campaigns.templates import TemplateParameter
from campaign_pipeline.delivery import standing
from campaign_pipeline.delivery.impediments import impediments
from campaign_pipeline.interfaces import overview
from campaign_pipeline.interfaces.limit_in_force import look_at_limit
from campaign_pipeline.interfaces.person_story import story_of
from campaign_pipeline.interfaces.rest_api import launching, repeats, tokens
from campaign_pipeline.interfaces.rest_api.metrics import look_at_ledger
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.locks import fold_alone
from campaign_pipeline.ledger.schema import delivery_progress
from campaign_pipeline.ledger.states import ApiRole, RecipientState, RejectionReason
from campaign_pipeline.orchestration.ledger_events import report_ledger_events
from campaign_pipeline.orchestration.resources import Pipeline
from campaign_pipeline.recipients import audience, identity, subscriptions
from campaign_pipeline.recipients.consent import ConsentNeeded
from campaign_pipeline.recipients.intake import add_file
from campaign_pipeline.recipients.lists import read_lists, read_rejections
from campaign_pipeline.recipients.opt_out_files import take_in_opt_outs
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
    changed_number,
    inbound,
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
_EVIDENCE_NEEDED: Final = date(2025, 12, 5)
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
    _hear_from_people(desk)
    with _admitted(desk, _LEFT_BY_A_DEAD_RUN, size=5, calls=3):
        pass
    _send(desk)
    _send_tests(desk)
    _settle_doubts(desk)
    _hear_before_the_answer(desk)
    _take_in_strangers(desk)
    _hear_of_failures(desk)
    _ask_over_the_rest_api(desk)
    _look_after_it(desk)


def ask_about_a_smaller_campaign(desk: SendingDesk) -> None:
    """Asks what people want to know of one campaign, and what they do to one as a whole."""
    now = desk.clock.now()
    first_date = _CALENDAR.next_send_date(now)
    with desk.ledger.read() as connection:
        figures.campaign_figures(connection, AUTUMN)
        figures.figures_by_date(connection, AUTUMN)
        figures.figures_of_campaigns(connection, [AUTUMN])
        list_page(connection, CampaignPage(2, CampaignSort.NAME, after=(1, "A")))
        figures.batch_figures(connection, send_date(2))
        figures.reasons_of_batch(connection, send_date(2))
        schedule = send_schedule.read_schedule(connection, AUTUMN, first_date, LIMIT)
        send_schedule.expected_end(connection, AUTUMN, first_date, LIMIT)
        proof.prove_batch(connection, send_date(2))
        preview.preview_date(connection, TODAY, calendar=_CALENDAR, limit_setting=LIMIT, now=now)
        overview.look_at_day(connection, _CALENDAR, LIMIT, now)
        overview.lists_of(connection, AUTUMN)
        sum(1 for _ in audience.read_recipients(connection, AUTUMN, state=None, schedule=schedule))
        assert doubts.list_doubts(connection, campaign_id=AUTUMN, after="none", size=10) == []
        doubts.list_doubts(connection, campaign_id=AUTUMN)
        for state in (None, RecipientState.PENDING):
            page = audience.read_recipient_page(
                connection, AUTUMN, state=state, schedule=schedule, after_id=0, size=100
            )
            assert len(page.rows) == 100
        for each in read_lists(connection, AUTUMN):
            read_rejections(connection, each.id, reason=RejectionReason.INVALID, limit=10)
        story_of(connection, parse_phone(phone(1), "GB"))
        catalogue.count_by_status(connection)
        journal.read_audit(connection, AuditPage(10, before_id=1_000, subject="autumn-sale", actor="x", action="x"))
        look_at_limit(connection, LIMIT, now)
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

    with desk.ledger.write() as connection:
        # An ingest that was killed has stored the last statuses, and not folded them.
        connection.execute(update(delivery_progress).values(folded_to=delivery_progress.c.folded_to - 5))
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
        # The same status again, from a receiver that keeps the attempt's id: it was another one's. Its person is called
        # by several names.
        reworded = [status("wamid.early", word, callback=calls[1].attempt_id) for word in ("sent", "delivered", "read")]
        named = [{**each, "recipient_user_id": f"GB.{number}"} for number, each in enumerate(reworded)]
        put(desk.status_folders.inbox, "reworded.ndjson", ndjson(payload(each) for each in named))
        desk.ingest()
    refused = parse_phone(calls[2].message.to, "GB")
    with desk.ledger.write() as connection:
        account = identity.account_of(connection, refused, desk.clock.now())
        assert [each.unreached for each in identity.members_of(connection, SPRING, account)] == [True]
    with desk.ledger.read() as connection:
        shared = identity.shared_in_campaigns(connection, desk.clock.now())
    assert {each.campaign: each.skipped for each in shared} == {"spring-sale": 1, "autumn-sale": 1}


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


def _hear_from_people(desk: SendingDesk) -> None:
    """People write stop, start and other things, have new numbers, and stand in a file of opt-outs."""
    at = int(desk.clock.now().timestamp())
    names = [phone(waiting_person(AUTUMN, place)).removeprefix("+") for place in range(300, 308)]
    said = [
        inbound("STOP", sender=names[0], user_id="GB.300", at=at),
        inbound("STOP", sender=None, user_id="GB.301", at=at),
        inbound("START", sender=names[1], at=at),
        changed_number(names[2], "447399000001", at=at),
        changed_number(names[3], names[4], at=at, previous_user_id="GB.301", user_id="GB.302"),
        inbound("STOP", sender=names[2], at=at),
        inbound("Nice!", sender=names[5], context="wamid.old.35500", at=at),
        inbound("Nice!", sender=phone(35_501).removeprefix("+"), at=at),
        inbound("Too early", sender=None, user_id="GB.303", at=at),
    ]
    put(desk.status_folders.inbox, "said.ndjson", ndjson(said))
    desk.ingest()
    with desk.ledger.write() as connection:
        fold_alone(connection)
        identity.learn_names(connection, [("GB.301", phone(waiting_person(AUTUMN, 308)))], desk.clock.now())
    opt_outs = write_list(desk.root / "opt-outs.csv", [waiting_person(AUTUMN, 310), _NEW + 90])
    terms = {"folders": folders(desk.root), "region": "GB", "phone_column": None, "actor": "test"}
    assert take_in_opt_outs(desk.ledger, opt_outs, clock=desk.clock.now, **terms).counts.read == 2  # ty: ignore[invalid-argument-type]
    with holding(desk.ledger, desk.clock) as lease, desk.ledger.write() as connection:
        now = desk.clock.now()
        take_batch(connection, lease.sender_id, _EVIDENCE_NEEDED, 3, "run", now, ConsentNeeded.EVIDENCE)


def _ask_over_the_rest_api(desk: SendingDesk) -> None:
    """A program with a token makes requests that it may repeat, and starts the day's run."""
    now = desk.clock.now()
    with desk.ledger.write() as connection:
        token, text = tokens.create_token(connection, ApiRole.OPERATOR, name="shop", actor="test", now=now)
        assert len(tokens.list_tokens(connection)) == 1
    assert tokens.find_token(desk.ledger, text) == token
    tokens.note_use(desk.ledger, token.id, now)
    requests = [repeats.Request(token.id, "endpoint", key, "body") for key in ("kept", "refused", "broken off")]
    with desk.ledger.write() as connection:
        kept, refused, broken_off = [repeats.claim(connection, request, now) for request in requests]
        repeats.keep(connection, requests[0], str(kept), 201, "{}")
        repeats.give_back(connection, requests[1], str(refused))
        assert repeats.claim(connection, requests[0], now) == repeats.Kept(201, "{}")
        assert repeats.claim(connection, requests[2], now + repeats.TAKEN_OVER_AFTER) != broken_off
        claim = launching.claim_launch(connection, TODAY, now)
        launching.end_launch(connection, TODAY, str(claim))
        tokens.revoke_token(connection, "shop", actor="test", now=now)


def _look_after_it(desk: SendingDesk) -> None:
    """What the hourly checks and the sensor of the ledger ask."""
    now = desk.clock.now()
    with desk.ledger.read() as connection:
        look_at_ledger(connection, LIMIT, now)
        subscriptions.find_subscription(connection, parse_phone(phone(1), "GB"))
        standing.left_behind(connection, now)
        standing.doubts_by_age(connection, now)
        standing.silence(connection, now)
    with dg.DagsterInstance.ephemeral() as instance:
        assert report_ledger_events(instance, _Installation(desk.ledger, desk.clock))
