"""Test sends: to whom they go, what they cost, and what is known of them afterwards."""

import threading
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Row, delete, make_url, select, update

from campaign_pipeline.campaigns import lifecycle
from campaign_pipeline.campaigns.catalogue import Campaign, find, get
from campaign_pipeline.campaigns.errors import CampaignError
from campaign_pipeline.campaigns.held_countries import held_regions, release_country
from campaign_pipeline.campaigns.kept_template import keep_template
from campaign_pipeline.campaigns.templates import TemplateParameter
from campaign_pipeline.ledger.engine import Ledger, connect
from campaign_pipeline.ledger.schema import (
    audit_log,
    external_usage,
    send_attempts,
    senders,
    shared_accounts,
    subscriptions,
    test_sends,
)
from campaign_pipeline.ledger.states import AttemptOutcome
from campaign_pipeline.recipients import audience
from campaign_pipeline.recipients.phone_numbers import parse_phone
from campaign_pipeline.sending.errors import CannotSendError
from campaign_pipeline.sending.proof import prove
from campaign_pipeline.sending.test_sends import SentTest, TestSendTerms, send_test, values_for_test
from campaign_pipeline.whatsapp.client import Answer, AnswerKind, MessageClient
from campaign_pipeline.whatsapp.messages import TemplateMessage
from campaign_pipeline_tests.support.campaigns import add_people, calendar, draft, phone
from campaign_pipeline_tests.support.clock import HandClock
from campaign_pipeline_tests.support.postgres import PostgresServer
from campaign_pipeline_tests.support.sending import (
    SendingDesk,
    campaign_status,
    client_of,
    one_account,
    people,
    sender_row,
    states,
    take_and_admit,
    used_capacity,
)
from campaign_pipeline_tests.support.templates import body, template
from campaign_pipeline_tests.whatsapp.simulator_process import SimulatorProcess

TESTER = 90_001
"""A number that is in no audience."""


def terms(limit: int = 250, cloud_api: str = "simulator") -> TestSendTerms:
    return TestSendTerms(cloud_api, limit, "Ada")


def send(
    desk: SendingDesk,
    campaign: Campaign,
    to: int = TESTER,
    *,
    given: dict[str, str] | None = None,
    client: MessageClient | None = None,
    under: TestSendTerms | None = None,
) -> SentTest:
    """Sends a test, as the command does."""
    with desk.ledger.read() as connection:
        values = values_for_test(connection, get(connection, campaign.id), given or {})
        now = get(connection, campaign.id)
    who = parse_phone(phone(to), "GB")
    if client is not None:
        return send_test(desk.ledger, client, now, who, values, under or terms(), desk.clock.now)
    with client_of(desk.simulator) as real:
        return send_test(desk.ledger, real, now, who, values, under or terms(), desk.clock.now)


def rows(ledger: Ledger) -> list[Row]:
    with ledger.read() as connection:
        return list(connection.execute(select(test_sends).order_by(test_sends.c.at)).all())


def usage(ledger: Ledger) -> list[tuple[int, datetime, str]]:
    with ledger.read() as connection:
        found = connection.execute(select(external_usage.c["people", "used_at", "source"]))
        return [(row.people, row.used_at, row.source) for row in found]


@pytest.fixture
def campaign(desk: SendingDesk) -> Campaign:
    """A draft with three people in it, whose template needs a name."""
    made = draft(desk.ledger, now=desk.clock.now(), parameters=(TemplateParameter("1", "first_name"),))
    add_people(desk.ledger, made.slug, desk.root, people(3), now=desk.clock.now())
    return made


def test_a_test_goes_to_the_person_who_is_named_with_the_values_of_the_first_in_the_list(
    desk: SendingDesk, campaign: Campaign
) -> None:
    """A campaign is tried before it is activated, on a telephone that lies on the table."""
    before = len(desk.simulator.messages())
    sent = send(desk, campaign)
    (message,) = desk.simulator.messages()[before:]
    assert message["to"] == phone(TESTER)
    assert message["components"] == [{"type": "body", "parameters": [{"type": "text", "text": "Ada"}]}]
    (row,) = rows(desk.ledger)
    assert message["biz_opaque_callback_data"] == row.id == sent.test_send_id
    assert (row.outcome, row.wamid, row.by) == ("accepted", message["wamid"], "Ada")
    assert sent.outcome is AttemptOutcome.ACCEPTED
    assert sent.sentence == "***01: accepted by WhatsApp."


def test_a_test_is_outside_of_the_audience_and_inside_the_capacity(desk: SendingDesk, campaign: Campaign) -> None:
    """A test that counted for nobody would be the 251st person of the day."""
    send(desk, campaign)
    assert states(desk.ledger) == ["pending"] * 3
    assert used_capacity(desk.ledger, desk.clock.now()) == 1
    assert used_capacity(desk.ledger, desk.clock.now() + timedelta(hours=23, minutes=59)) == 1
    assert used_capacity(desk.ledger, desk.clock.now() + timedelta(hours=24)) == 0
    with desk.ledger.read() as connection:
        assert connection.execute(select(send_attempts)).all() == []
        audited = connection.execute(select(audit_log).where(audit_log.c.action == "test_sent")).one()
    assert prove(desk.ledger).kept
    assert (audited.actor, audited.details["phone"]) == ("Ada", "***01")


def test_what_is_given_comes_before_what_the_list_says(desk: SendingDesk, campaign: Campaign) -> None:
    """The longest name is the one to try."""
    send(desk, campaign, given={"1": "Wolfeschlegelsteinhausenbergerdorff"})
    (parameters,) = [each["parameters"] for each in desk.simulator.messages()[-1]["components"]]
    assert parameters[0]["text"] == "Wolfeschlegelsteinhausenbergerdorff"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"2": "x"}, "has no parameter '2'; it has 1"),
        ({"1": ""}, "1 cannot be filled: the fixed text is empty. Give --value 1=TEXT"),
        ({"1": "a\nb"}, "1 cannot be filled: the fixed text has a line break"),
    ],
)
def test_values_that_cannot_be_sent_are_refused(
    desk: SendingDesk, campaign: Campaign, given: dict[str, str], said: str
) -> None:
    """Nothing was sent, and it is said what to type."""
    with pytest.raises(CampaignError, match=said):
        send(desk, campaign, given=given)


def test_a_campaign_without_people_needs_its_values_given(desk: SendingDesk) -> None:
    """The template is ready before the list is."""
    empty = draft(desk.ledger, "Empty Sale", parameters=(TemplateParameter("1", "first_name"),))
    with pytest.raises(CampaignError, match=r"first_name is empty\. Give --value 1=TEXT"):
        send(desk, empty)
    assert send(desk, empty, given={"1": "Ada"}).outcome is AttemptOutcome.ACCEPTED


def test_the_limit_holds_for_tests_too(desk: SendingDesk, campaign: Campaign) -> None:
    """It says when the next place is free, and nothing is sent."""
    send(desk, campaign, under=terms(limit=1))
    before = desk.clock.now()
    desk.clock.forward(hours=1)
    with pytest.raises(CannotSendError, match="limit of 1 people in 24 hours is used up") as refused:
        send(desk, campaign, under=terms(limit=1))
    assert refused.value.again_at == before + timedelta(hours=24)
    assert len(rows(desk.ledger)) == 1
    desk.clock.forward(hours=23)
    assert send(desk, campaign, under=terms(limit=1)).outcome is AttemptOutcome.ACCEPTED


def test_a_test_takes_a_place_from_the_day(desk: SendingDesk) -> None:
    """Two of three places are left for the campaign."""
    other = desk.campaign(people(3), "Other Sale")
    with desk.ledger.read() as connection:
        made = find(connection, other)
    send(desk, made, under=terms(limit=3))
    assert desk.send(limit=3).sent_now == 2
    assert sorted(states(desk.ledger, other)) == ["accepted", "accepted", "pending"]


def test_of_two_tests_at_the_last_place_only_one_is_sent(desk: SendingDesk, campaign: Campaign) -> None:
    """Each counts one free place before the other has committed, and two people are reached on it."""
    desk.simulator.hold()
    ends: list[str] = []

    def run(to: int) -> None:
        try:
            send(desk, campaign, to, under=terms(limit=1))
        except CannotSendError:
            ends.append("refused")
        else:
            ends.append("sent")

    threads = [threading.Thread(target=run, args=[TESTER + number], daemon=True) for number in range(2)]
    for thread in threads:
        thread.start()
    try:
        desk.simulator.wait_for_unanswered(1)
        # The refused one ends while the other's call is still out.
        for _ in range(100):
            if ends:
                break
            threads[0].join(0.1)
        assert ends == ["refused"]
    finally:
        desk.simulator.release()
    for thread in threads:
        thread.join(300)
    assert sorted(ends) == ["refused", "sent"]
    assert used_capacity(desk.ledger, desk.clock.now()) == 1


class Scripted:
    """A client that looks at the ledger during the call, and gives an answer of the test's."""

    def __init__(self, desk: SendingDesk, answer: Answer) -> None:
        self.desk = desk
        self.answer = answer
        self.during: list[tuple[int, datetime, str]] = []

    def send(self, message: TemplateMessage) -> Answer:
        assert message.callback_data
        self.during = usage(self.desk.ledger)
        self.desk.clock.forward(seconds=5)
        return self.answer

    def close(self) -> None:
        """Has nothing open."""


@pytest.mark.parametrize(
    ("answer", "outcome", "counts"),
    [
        (
            Answer(AnswerKind.ACCEPTED, 200, wamid="wamid.1", message_status="held_for_quality_assessment"),
            "accepted",
            1,
        ),
        (Answer(AnswerKind.REFUSED, 400, 131026, "Message undeliverable"), "refused", 0),
        (Answer(AnswerKind.REFUSED, 404, 132001, "Template name does not exist"), "refused", 0),
        (Answer(AnswerKind.NOT_SENT, error_text="ConnectionRefusedError"), "not_sent", 0),
        (Answer(AnswerKind.UNKNOWN, error_text="ReadTimeout"), "in_doubt", 1),
        (Answer(AnswerKind.UNKNOWN, 500, 131000, "Something went wrong"), "in_doubt", 1),
    ],
)
def test_a_place_is_used_from_before_the_call_and_given_back_only_for_certain(
    desk: SendingDesk, campaign: Campaign, answer: Answer, outcome: str, counts: int
) -> None:
    """A process that is killed during the call leaves the place used until 24 hours after any possible answer."""
    client = Scripted(desk, answer)
    before = desk.clock.now()
    sent = send(desk, campaign, client=client)
    ((taken, used_at, source),) = client.during
    assert (taken, source) == (1, "test-send")
    assert used_at > before + timedelta(seconds=70)
    assert [used_at for _, used_at, _ in usage(desk.ledger)] == [before + timedelta(seconds=5)] * counts
    (row,) = rows(desk.ledger)
    assert (row.outcome, row.error_code, row.at) == (outcome, answer.error_code, before)
    assert sent.outcome == outcome
    words = {
        "accepted": "accepted by WhatsApp (held_for_quality_assessment)",
        "refused": f"not sent (error {answer.error_code}",
        "not_sent": "not sent (ConnectionRefusedError)",
        "in_doubt": "in doubt, nobody knows whether it arrives",
    }
    assert words[outcome] in sent.sentence


def refused_with(desk: SendingDesk, campaign: Campaign, code: int, text: str = "no") -> SentTest:
    """A test that WhatsApp refuses."""
    return send(desk, campaign, client=Scripted(desk, Answer(AnswerKind.REFUSED, 400, code, text)))


@pytest.mark.parametrize("kind", [AnswerKind.REFUSED, AnswerKind.UNKNOWN])
def test_a_fault_of_the_account_stops_the_sender(desk: SendingDesk, campaign: Campaign, kind: AnswerKind) -> None:
    """The token is gone, the test has shown it, and the morning's batch runs into it person by person."""
    sent = send(desk, campaign, client=Scripted(desk, Answer(kind, 401, 190, "Token expired")))
    row = sender_row(desk.ledger)
    assert row.stopped_at is not None
    assert row.stop_reason.startswith("error 190, the token has expired or was withdrawn (Meta says: Token expired).")
    assert row.stop_reason.endswith("Then `campaign sender resume`.")
    assert sent.ends_all
    assert f"The sender is stopped: {row.stop_reason}" in sent.sentence
    with pytest.raises(CannotSendError, match="error 190"):
        send(desk, campaign, TESTER + 1)


def test_whoever_wants_no_marketing_is_unsubscribed_by_a_test_too(desk: SendingDesk, campaign: Campaign) -> None:
    """The person has told Meta; the next campaign has them in its list."""
    sent = refused_with(desk, campaign, 131050)
    assert "The person is unsubscribed now." in sent.sentence
    assert not sent.ends_all
    with desk.ledger.read() as connection:
        row = connection.execute(select(subscriptions).where(subscriptions.c.person_key == phone(TESTER))).one()
    assert (row.person_key, row.status, row.source) == (phone(TESTER), "unsubscribed", "WhatsApp, error 131050")


def test_a_country_that_a_test_finds_closed_is_held_and_gets_no_more_tests(
    desk: SendingDesk, campaign: Campaign
) -> None:
    """Otherwise each of its people is failed for good by the campaign, one by one."""
    sent = refused_with(desk, campaign, 130497)
    assert "Nobody in GB is sent to now: error 130497" in sent.sentence
    with desk.ledger.read() as connection:
        assert held_regions(connection) == ["GB"]
    assert sender_row(desk.ledger).stopped_at is None
    with pytest.raises(CannotSendError, match="GB is held"):
        send(desk, campaign, TESTER + 1)
    with desk.ledger.write() as connection:
        release_country(connection, "GB", actor="test", now=desk.clock.now())
    assert send(desk, campaign, TESTER + 1).outcome is AttemptOutcome.ACCEPTED


def test_a_fault_of_the_campaign_is_said_and_pauses_nothing(desk: SendingDesk, campaign: Campaign) -> None:
    """The test may have had values of its own; whoever sent it is told what to look at."""
    sent = refused_with(desk, campaign, 131008, "Parameter missing")
    assert "The campaign's own messages can be refused like this: error 131008, a parameter is missing" in sent.sentence
    assert campaign_status(desk.ledger) == "draft"
    assert sender_row(desk.ledger).stopped_at is None


def test_no_test_is_sent_from_a_postgresql_that_may_forget_what_it_has_committed(
    postgres: PostgresServer, migrated_postgres: str, simulator: SimulatorProcess, clock: HandClock, tmp_path: Path
) -> None:
    """The power fails, the place is free again, and the limit is broken by the test that nobody knows of."""
    url = postgres.new_database(migrated_postgres)
    with closing(connect(url)) as ledger, ledger.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql(
            f'ALTER DATABASE "{make_url(url).database}" SET synchronous_commit = off'
        )
    with closing(connect(url)) as ledger:
        desk = SendingDesk(ledger, simulator, clock, tmp_path)
        with pytest.raises(CannotSendError, match="PostgreSQL runs with synchronous_commit = off: set it to on"):
            send(desk, draft(ledger))
        assert rows(ledger) == []


def test_a_killed_test_stays_written_down_and_keeps_its_place(desk: SendingDesk, campaign: Campaign) -> None:
    """Nobody knows whether it went out, so it counts."""

    class Killed(Scripted):
        def send(self, message: TemplateMessage) -> Answer:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        send(desk, campaign, client=Killed(desk, Answer(AnswerKind.NOT_SENT)))
    assert [row.outcome for row in rows(desk.ledger)] == ["calling"]
    assert used_capacity(desk.ledger, desk.clock.now() + timedelta(hours=24)) == 1


def test_whoever_has_unsubscribed_gets_no_test(desk: SendingDesk, campaign: Campaign) -> None:
    """A colleague who wants no more messages wants no tests either."""
    desk.unsubscribe(TESTER)
    with pytest.raises(CannotSendError, match=r"\*\*\*01 has unsubscribed"):
        send(desk, campaign)
    assert rows(desk.ledger) == []


def test_nobody_of_the_audience_gets_a_test(desk: SendingDesk) -> None:
    """The campaign's own message comes as well, and is the second."""
    who = people(2)
    slug = desk.campaign(who, "Other Sale")
    with desk.ledger.read() as connection:
        made = find(connection, slug)
    with pytest.raises(CannotSendError, match="is in the audience of other-sale, and would get the message twice"):
        send(desk, made, who[0])
    with desk.ledger.write() as connection:
        audience.remove_person(connection, slug, parse_phone(phone(who[0]), "GB"), actor="test", now=desk.clock.now())
    assert send(desk, made, who[0]).outcome is AttemptOutcome.ACCEPTED


def test_somebody_who_is_in_the_audience_with_another_number_gets_no_test(desk: SendingDesk) -> None:
    """The test comes on one number and the campaign's message on the other, to the same person."""
    who = people(2)
    slug = desk.campaign(who, "Other Sale")
    one_account(desk, who[0], TESTER)
    with desk.ledger.read() as connection:
        made = find(connection, slug)
    with pytest.raises(CannotSendError, match="is in the audience of other-sale with another number"):
        send(desk, made)
    assert rows(desk.ledger) == []


def test_somebody_whose_other_number_has_the_message_gets_no_test_on_the_skipped_one(desk: SendingDesk) -> None:
    """Skipped as somebody else's double, they are in the audience all the same: the message has gone to the other."""
    who = people(2)
    one_account(desk, *who)
    slug = desk.campaign(who, "Other Sale")
    desk.send()
    assert sorted(states(desk.ledger, slug)) == ["accepted", "skipped"]
    with desk.ledger.write() as connection:
        connection.execute(delete(shared_accounts))
        made = find(connection, slug)
    for each in who:
        with pytest.raises(CannotSendError, match="is in the audience of other-sale"):
            send(desk, made, each)


def test_whoever_has_unsubscribed_with_another_number_gets_no_test(desk: SendingDesk, campaign: Campaign) -> None:
    """STOP comes from a person, not from a number."""
    one_account(desk, TESTER, TESTER + 1)
    desk.unsubscribe(TESTER + 1)
    with pytest.raises(CannotSendError, match=r"\*\*\*01 has unsubscribed"):
        send(desk, campaign)


def test_a_tester_who_is_added_later_gets_the_campaigns_message_too(desk: SendingDesk, campaign: Campaign) -> None:
    """A colleague who has tried the template stands in the list like anybody else, and would wait for the sale."""
    send(desk, campaign)
    add_people(desk.ledger, campaign.slug, desk.root, [TESTER], now=desk.clock.now())
    with desk.ledger.write() as connection:
        lifecycle.activate(
            connection, campaign.id, calendar=calendar(), sender_limit=250, actor="test", now=desk.clock.now()
        )
    before = len(desk.reached([TESTER]))
    desk.send()
    assert states(desk.ledger) == ["accepted"] * 4
    assert len(desk.reached([TESTER])) == before + 1
    assert prove(desk.ledger).kept


def test_a_stopped_sender_sends_no_test(desk: SendingDesk, campaign: Campaign) -> None:
    """The account has a problem; a test makes it worse."""
    send(desk, campaign)
    with desk.ledger.write() as connection:
        connection.execute(update(senders).values(stopped_at=desk.clock.now(), stop_reason="131042: pay first."))
    with pytest.raises(CannotSendError, match="131042: pay first"):
        send(desk, campaign, TESTER + 1)
    assert len(rows(desk.ledger)) == 1


def test_a_ledger_that_has_sent_elsewhere_sends_no_test(desk: SendingDesk, campaign: Campaign) -> None:
    """The made-up people of a trial must not become real ones by a token in `.env`."""
    send(desk, campaign)
    with pytest.raises(CannotSendError, match="has sent through simulator, and WHATSAPP_BASE_URL now names graph"):
        send(desk, campaign, under=terms(cloud_api="graph.facebook.com"))


def test_a_first_test_binds_the_ledger_as_a_first_batch_does(desk: SendingDesk, campaign: Campaign) -> None:
    """Otherwise the trial's people are reached for real by the first batch after it."""
    send(desk, campaign)
    with desk.ledger.read() as connection:
        assert connection.execute(select(senders.c.cloud_api)).scalar_one() == "simulator"


def test_a_clock_that_was_set_back_does_not_open_the_window(desk: SendingDesk, campaign: Campaign) -> None:
    """A place that was used yesterday by a wrong clock would be free at once by the right one."""
    send(desk, campaign, under=terms(limit=1))
    stamped = desk.clock.now()
    desk.clock.set("2026-03-01T09:00:00+00:00")
    with pytest.raises(CannotSendError, match="used up"):
        send(desk, campaign, under=terms(limit=1))
    send(desk, campaign, under=terms(limit=2))
    assert [row.at for row in rows(desk.ledger)] == [stamped, stamped]


def test_the_version_of_the_template_stands_with_tests_and_attempts(desk: SendingDesk, campaign: Campaign) -> None:
    """Which of two texts somebody got is asked when one of them was wrong."""
    known = template(body("Hi {{1}}"), parameter_format="POSITIONAL")
    with desk.ledger.write() as connection:
        keep_template(connection, campaign, known, desk.clock.now())
    send(desk, campaign)
    desk.campaign(people(1), "Other Sale")
    with desk.ledger.write() as connection:
        lifecycle.activate(
            connection,
            campaign.id,
            calendar=calendar(),
            sender_limit=250,
            actor="test",
            now=desk.clock.now(),
        )
    take_and_admit(desk.ledger, 5, desk.clock)
    assert [row.template_version for row in rows(desk.ledger)] == [known.version]
    with desk.ledger.read() as connection:
        versions = sorted(str(each) for each in connection.execute(select(send_attempts.c.template_version)).scalars())
    assert versions == sorted([known.version] * 3 + ["None"])


def test_a_deleted_draft_leaves_its_tests(desk: SendingDesk, campaign: Campaign) -> None:
    """What was sent to whom is never deleted."""
    send(desk, campaign)
    with desk.ledger.write() as connection:
        lifecycle.delete_draft(connection, campaign.id, actor="test", now=desk.clock.now())
    (row,) = rows(desk.ledger)
    assert (row.campaign_id, row.template_name, row.outcome) == (None, "spring_sale", "accepted")
    with desk.ledger.write() as connection:
        connection.execute(delete(test_sends))
