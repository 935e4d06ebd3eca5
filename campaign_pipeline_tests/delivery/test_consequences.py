"""What failed webhooks mean at large: once, whatever is read again, and never against what a person has said since."""

import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Row, select

from campaign_pipeline.campaigns import lifecycle
from campaign_pipeline.campaigns.catalogue import Campaign, CampaignChange, find
from campaign_pipeline.campaigns.held_countries import list_held, release_country
from campaign_pipeline.delivery.consequences import act_on_webhooks, resume_sender
from campaign_pipeline.delivery.status_files import ingest_waiting
from campaign_pipeline.delivery.stop_rule import DEFAULT_RULE
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import audit_log, delivery_events, senders, subscriptions
from campaign_pipeline.ledger.states import PauseCause
from campaign_pipeline.recipients.phone_numbers import parse_phone
from campaign_pipeline.recipients.subscriptions import subscribe, unsubscribe
from campaign_pipeline.sending.attempts import AdmittedCall
from campaign_pipeline.whatsapp.client import Answer, AnswerKind
from campaign_pipeline_tests.delivery.conftest import Post
from campaign_pipeline_tests.delivery.payloads import ndjson, payload, status
from campaign_pipeline_tests.support.campaigns import active_campaign, add_people, phone
from campaign_pipeline_tests.support.sending import accepted, answer_calls, take_and_admit

EXPIRED = Answer(AnswerKind.REFUSED, 401, 190, "the token has expired")


def sent(post: Post, people: int) -> Sequence[AdmittedCall]:
    """Sends to some people of a campaign in which one more waits; their wamids are `wamid.0` and so on."""
    calls = post.calls(people)
    add_people(post.ledger, "spring-sale", post.root, [500], now=post.clock.now(), name="more.csv")
    answers = [(call, accepted(f"wamid.{number}")) for number, call in enumerate(calls)]
    answer_calls(post.ledger, answers, post.clock.now())
    return calls


def failed(wamid: str, code: object, at: datetime | None = None) -> dict[str, object]:
    """A `failed` status."""
    return status(wamid, "failed", **({} if at is None else {"at": int(at.timestamp())}), code=code)  # ty: ignore[invalid-argument-type]


def campaign_of(ledger: Ledger) -> Campaign:
    with ledger.read() as connection:
        return find(connection, "spring-sale")


def sender_of(ledger: Ledger) -> Row:
    with ledger.read() as connection:
        return connection.execute(select(senders)).one()


def audited(ledger: Ledger, *actions: str) -> list[str]:
    """Which of some actions the audit log has, in their order."""
    query = select(audit_log.c.action).where(audit_log.c.action.in_(actions)).order_by(audit_log.c.id)
    with ledger.read() as connection:
        return list(connection.execute(query).scalars())


def resume(post: Post) -> None:
    """A person has mended everything."""
    with post.ledger.write() as connection:
        resume_sender(connection, actor="test", now=post.clock.now())
        if campaign_of(post.ledger).status == "paused":
            lifecycle.resume(connection, "spring-sale", actor="test", now=post.clock.now())


def test_many_failures_of_one_kind_are_one_reason(post: Post) -> None:
    """250 webhooks with the same code are no reason of 250 sentences and no 250 rows of audit log."""
    sent(post, 6)
    post.learn(*(failed(f"wamid.{number}", code) for number, code in enumerate([131042] * 3 + [132015] * 3)))
    reason = sender_of(post.ledger).stop_reason
    assert reason.count("error 131042, there is a problem with the payment") == 1
    assert "Mend the account's payment method. Then `campaign sender resume`." in reason
    assert audited(post.ledger, "sender_stopped", "campaign_paused") == ["campaign_paused", "sender_stopped"]


def test_a_paused_template_is_kept_as_the_cause_of_the_pause(post: Post) -> None:
    """Without its cause nobody could take the campaign up again when Meta has unpaused the template."""
    sent(post, 1)
    post.learn(failed("wamid.0", "132015"))
    campaign = campaign_of(post.ledger)
    assert (campaign.status, campaign.paused_by) == ("paused", PauseCause.TEMPLATE)
    assert "the template is paused for its low quality" in (campaign.status_reason or "")


def test_each_reason_is_told_also_when_it_is_not_the_first(post: Post) -> None:
    """Mending the payment alone, somebody resumes into a locked account."""
    sent(post, 2)
    post.learn(failed("wamid.0", 131042))
    stopped_at = sender_of(post.ledger).stopped_at
    post.clock.forward(minutes=1)
    post.learn(failed("wamid.1", 131031))
    row = sender_of(post.ledger)
    assert row.stopped_at == stopped_at
    assert "131042" in row.stop_reason
    assert "131031" in row.stop_reason
    assert audited(post.ledger, "sender_stopped") == ["sender_stopped"] * 2


def test_a_failure_is_acted_on_once_whatever_is_read_again(post: Post) -> None:
    """Meta sends webhooks for seven days, and files come back: each time the sender would stand still again."""
    sent(post, 1)
    post.learn(failed("wamid.0", 131042))
    post.clock.forward(minutes=1)
    resume(post)
    # The same event in another file, and once more without a mark, as a killed ingest leaves it.
    post.put("again.ndjson", ndjson([payload(failed("wamid.0", 131042)), payload(status("wamid.0", "sent"))]))
    post.ingest()
    assert sender_of(post.ledger).stopped_at is None
    with post.ledger.write() as connection:
        connection.execute(delivery_events.update().values(acted_at=None))
    post.learn(status("wamid.0", "sent", 1_772_446_000))
    assert sender_of(post.ledger).stopped_at is None


@pytest.mark.parametrize("code", [131042, 132015])
def test_webhooks_of_messages_that_were_sent_before_it_was_mended_change_nothing(post: Post, code: int) -> None:
    """Hours after a new payment method Meta still tells of yesterday's messages: nobody could ever go on."""
    sent(post, 2)
    post.learn(failed("wamid.0", code))
    post.clock.forward(minutes=5)
    resume(post)
    post.learn(failed("wamid.1", code, post.clock.now() + timedelta(hours=1)))
    assert sender_of(post.ledger).stopped_at is None
    assert campaign_of(post.ledger).status == "active"


def test_an_answer_stops_the_sender_whatever_was_said_before_it(post: Post) -> None:
    """Answers are news. Thought old since two clocks differ, the same person would be tried for ever."""
    first, second = post.calls(2)
    post.answer(first, EXPIRED)
    with post.ledger.write() as connection:
        resume_sender(connection, actor="test", now=post.clock.now() + timedelta(hours=1))
    post.answer(second, EXPIRED)
    assert sender_of(post.ledger).stopped_at is not None


def test_a_failure_that_comes_before_the_answer_to_its_call_is_acted_on_with_the_answer(post: Post) -> None:
    """Matched by its wamid only once the answer is stored, it would wait for a file that may never come."""
    (call,) = post.calls(1)
    post.learn(failed("wamid.early", 131042))
    assert sender_of(post.ledger).stopped_at is None
    post.answer(call, accepted("wamid.early"))
    act_on_webhooks(post.ledger, DEFAULT_RULE, post.clock.now)
    assert sender_of(post.ledger).stopped_at is not None


def test_who_stops_marketing_messages_is_unsubscribed_unless_they_have_subscribed_since(post: Post) -> None:
    """131050 comes late: it must not undo what the person has said after it."""
    sent(post, 2)
    who = parse_phone(phone(1), "GB")
    with post.ledger.write() as connection:
        unsubscribe(connection, who, source="test", now=post.clock.now())
        subscribe(connection, who, source="test", now=post.clock.now() + timedelta(hours=3))
    at = post.clock.now() + timedelta(hours=1)
    post.learn(failed("wamid.0", 131050, at), failed("wamid.1", 131050, at))
    with post.ledger.read() as connection:
        query = select(subscriptions.c.status).order_by(subscriptions.c.phone)
        assert connection.execute(query).scalars().all()[:2] == ["unsubscribed", "subscribed"]


def test_a_country_is_held_once_and_released_by_a_person(post: Post) -> None:
    """Nobody else there is reached either; and only a person knows that the business has been verified."""
    sent(post, 2)
    post.learn(failed("wamid.0", 130497), failed("wamid.1", 130497))
    with post.ledger.write() as connection:
        (held,) = list_held(connection)
        assert held.region == "GB"
        assert "Verify the business" in held.reason
        release_country(connection, "GB", actor="test", now=post.clock.now())
        assert list_held(connection) == []
    assert audited(post.ledger, "country_held", "country_released") == ["country_held", "country_released"]


def test_a_share_of_failed_webhooks_pauses_the_campaign_and_not_again_once_resumed(post: Post) -> None:
    """A list of people who are not on WhatsApp costs the number its quality; who resumes it knows of these failures."""
    sent(post, 50)
    post.learn(*(status(f"wamid.{number}", "delivered") for number in range(16, 50)))
    post.learn(*(failed(f"wamid.{number}", 131026) for number in range(15)))
    assert campaign_of(post.ledger).status == "active"
    post.learn(failed("wamid.15", 131026))
    campaign = campaign_of(post.ledger)
    assert (campaign.status, campaign.paused_by) == ("paused", PauseCause.FAILURES)
    assert "16 of its last 50 messages failed, more than 30 %" in (campaign.status_reason or "")
    post.clock.forward(minutes=1)
    resume(post)
    post.learn(failed("wamid.0", 131026, post.clock.now() + timedelta(hours=1)))
    assert campaign_of(post.ledger).status == "active"


def test_the_failures_of_each_campaign_are_counted_however_many_messages_others_have_sent_since(post: Post) -> None:
    """Failures come by webhook, hours after the next campaign has gone out."""
    sent(post, 60)
    with post.ledger.write() as connection:
        lifecycle.edit(connection, "spring-sale", CampaignChange(priority=9), actor="test", now=post.clock.now())
    active_campaign(post.ledger, post.root, range(1_000, 1_260), name="Other", now=post.clock.now())
    with post.ledger.write() as connection:
        lifecycle.pause(connection, "spring-sale", actor="test", now=post.clock.now())
    calls = take_and_admit(post.ledger, 260, post.clock, "2026-03-03")[1]
    answers = [(call, accepted(f"wamid.other.{number}")) for number, call in enumerate(calls)]
    answer_calls(post.ledger, answers, post.clock.now())
    with post.ledger.write() as connection:
        lifecycle.resume(connection, "spring-sale", actor="test", now=post.clock.now() - timedelta(days=1))
    post.learn(*(failed(f"wamid.{number}", 131026) for number in range(60)))
    assert campaign_of(post.ledger).paused_by == PauseCause.FAILURES


def test_a_code_that_fails_everybody_by_webhook_is_found_with_the_third(post: Post) -> None:
    """The other messages are accepted, and nothing more is known of them: that is no success between the failures."""
    sent(post, 60)
    post.learn(*(failed(f"wamid.{number}", 131000) for number in range(3)))
    assert campaign_of(post.ledger).paused_by == PauseCause.FAILURES


def test_failures_that_are_stored_and_not_folded_yet_are_not_taken_from_the_rule(post: Post) -> None:
    """A run beside the ingest looks for failures all the time; acted on before they count, they would never count."""
    sent(post, 60)
    post.put("told.ndjson", ndjson(payload(failed(f"wamid.{number}", 131000)) for number in range(3)))
    post.put("with another.ndjson", ndjson([payload(status("theirs"))]))

    def run_beside(done: int, _in_all: int) -> None:
        if done == 1:
            act_on_webhooks(post.ledger, DEFAULT_RULE, post.clock.now)

    ingest_waiting(post.ledger, post.folders, post.clock.now, run_beside)
    assert campaign_of(post.ledger).paused_by == PauseCause.FAILURES


def test_failures_that_go_on_give_one_reason(post: Post) -> None:
    """Thirty sentences that differ by a number hide the one that says what to do."""
    sent(post, 60)
    for number in range(30):
        post.learn(failed(f"wamid.{number}", 131026), status(f"wamid.{number + 30}", "delivered"))
    reason = campaign_of(post.ledger).status_reason or ""
    assert reason.count("messages failed") == 1
    assert audited(post.ledger, "campaign_paused") == ["campaign_paused"]


def test_a_country_that_was_released_is_not_held_again_for_older_messages(post: Post) -> None:
    """Meta retries webhooks for seven days: Monday's would undo what a person has said on Tuesday."""
    sent(post, 2)
    post.learn(failed("wamid.0", 130497))
    post.clock.forward(hours=1)
    with post.ledger.write() as connection:
        release_country(connection, "GB", actor="test", now=post.clock.now())
    post.learn(failed("wamid.1", 130497))
    with post.ledger.read() as connection:
        assert list_held(connection) == []


def test_a_webhooks_details_are_read_like_an_answers(post: Post) -> None:
    """131009 about one person's line end must not pause everybody's campaign because a webhook told it."""
    sent(post, 2)
    told = status("wamid.0", "failed", code=131009)
    details = "Param text cannot have new-line/tab characters or more than 4 consecutive spaces"
    told["errors"] = [{"code": 131009, "title": "Parameter value is not valid", "error_data": {"details": details}}]
    post.learn(told)
    assert campaign_of(post.ledger).status == "active"


def test_a_persons_pause_stays_a_persons_whatever_fails_besides(post: Post) -> None:
    """Paused since the shop is closed, the campaign must not go on by itself when the template is unpaused."""
    sent(post, 2)
    with post.ledger.write() as connection:
        lifecycle.pause(connection, "spring-sale", actor="Ada", now=post.clock.now())
    post.learn(failed("wamid.0", 132015))
    campaign = campaign_of(post.ledger)
    assert campaign.paused_by == PauseCause.PERSON
    assert "paused by Ada" in (campaign.status_reason or "")
    assert "132015" in (campaign.status_reason or "")


def test_a_person_can_pause_what_was_paused_for_a_cause(post: Post) -> None:
    """Otherwise nobody could keep a campaign from going on once its template is unpaused."""
    sent(post, 1)
    post.learn(failed("wamid.0", 132015))
    with post.ledger.write() as connection:
        lifecycle.pause(connection, "spring-sale", actor="Ada", now=post.clock.now())
    campaign = campaign_of(post.ledger)
    assert (campaign.status, campaign.paused_by) == ("paused", PauseCause.PERSON)
    assert "132015" in (campaign.status_reason or "")


def test_answers_and_webhooks_that_stop_at_once_wait_for_each_other_without_a_deadlock(post: Post) -> None:
    """Both hold the sender, the fold and the campaign; in different orders PostgreSQL ends one of them."""
    calls = post.calls(40)
    accepted_ones = [(call, accepted(f"wamid.{number}")) for number, call in enumerate(calls[:20])]
    answer_calls(post.ledger, accepted_ones, post.clock.now())
    codes = (131042, 132015, 131050, 130497)
    threads = [
        Attempting(lambda call=call: post.answer(call, EXPIRED) for call in calls[20:]),
        Attempting(lambda n=number: post.learn(failed(f"wamid.{n}", codes[n % 4])) for number in range(20)),
        Attempting(lambda: resume(post) for _ in range(20)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert [thread.trouble for thread in threads] == [None, None, None]


class Attempting(threading.Thread):
    """Does some things one after the other, and keeps what one of them fails with."""

    def __init__(self, works: Iterable[Callable[[], object]]) -> None:
        super().__init__()
        self.works = list(works)
        self.trouble: BaseException | None = None

    def run(self) -> None:
        """Does them."""
        try:
            for work in self.works:
                work()
        except BaseException as trouble:
            self.trouble = trouble
