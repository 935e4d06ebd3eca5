"""People's words count once each, in whatever order and under whatever name they are heard, and replies are counted."""

from collections.abc import Sequence
from itertools import permutations
from typing import Any

import pytest
from sqlalchemy import Row, select

from campaign_pipeline.campaigns.catalogue import find
from campaign_pipeline.campaigns.figures import campaign_figures
from campaign_pipeline.delivery import status_files
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import (
    campaign_analytics,
    inbound_words,
    opt_ins,
    subscription_events,
    subscriptions,
)
from campaign_pipeline.recipients.phone_numbers import parse_phone
from campaign_pipeline.recipients.subscriptions import subscribe, unsubscribe
from campaign_pipeline_tests.delivery.acting_process import WORDS_AT_ONCE, start_acting
from campaign_pipeline_tests.delivery.conftest import Post
from campaign_pipeline_tests.delivery.payloads import (
    MARCH,
    change,
    changed_number,
    inbound,
    ndjson,
    payload,
    preference,
    status,
    tap,
)
from campaign_pipeline_tests.support.campaigns import active_campaign, add_people, draft, phone
from campaign_pipeline_tests.support.sending import accepted, count_of, take_and_admit

BSUID = "GB.13491208655302741918"


def digits(number: int) -> str:
    """A number as a wa_id usually spells it."""
    return phone(number).removeprefix("+")


def told(post: Post, *documents: object, name: str = "words.ndjson") -> None:
    """Takes in one file with some payloads."""
    post.put(name, ndjson(documents))
    assert not post.ingest().files[0].rejected_lines


def status_of(ledger: Ledger, number: int) -> str | None:
    """Whether somebody wants messages."""
    query = select(subscriptions.c.status).where(subscriptions.c.person_key == phone(number))
    with ledger.read() as connection:
        return connection.execute(query).scalar_one_or_none()


def kept(ledger: Ledger) -> list[Row[Any]]:
    """What is kept of what was said."""
    with ledger.read() as connection:
        return list(connection.execute(select(inbound_words).order_by(inbound_words.c.id)).all())


def replied(post: Post, campaign: str = "spring-sale") -> int:
    """The figure."""
    with post.ledger.read() as connection:
        return campaign_figures(connection, find(connection, campaign).id).replied


def test_stop_and_start_in_every_form_change_who_wants_messages(post: Post) -> None:
    """Each is somebody who goes on being written to, or never hears of anything again."""
    told(
        post,
        inbound("STOP", sender=digits(1)),
        tap("STOP_MARKETING", "Unsubscribe", sender=digits(2)),
        preference("stop", wa_id=digits(3)),
        inbound("STOP", sender=digits(4)),
        inbound("START", sender=digits(4), at=MARCH + 1),
        preference("stop", wa_id=digits(5)),
        preference("resume", wa_id=digits(5), at=MARCH + 1),
        inbound("STOP", sender=digits(6)),
        preference("resume", wa_id=digits(6), at=MARCH + 1),
        inbound("no, thank you", sender=digits(7)),
    )
    states = [status_of(post.ledger, number) for number in range(1, 8)]
    assert states == ["unsubscribed"] * 3 + ["subscribed"] * 2 + ["unsubscribed", None]


def test_the_order_of_files_and_their_repetition_change_nothing(post: Post) -> None:
    """Webhooks come late and twice: a STOP that arrives after the START that followed it would stop for ever."""
    said = [
        [inbound("STOP", sender=digits(number), message_id=f"a{number}"),
         inbound("START", sender=digits(number), at=MARCH + 5, message_id=f"b{number}"),
         preference("stop", wa_id=digits(number), at=MARCH + 9)]
        for number in range(6)
    ]  # fmt: skip
    for number, order in enumerate(permutations(range(3))):
        for place in order:
            told(post, said[number][place], name=f"{number}-{place}.ndjson")
    told(post, *(each for person in said for each in person), name="again.ndjson")
    with post.ledger.read() as connection:
        rows = connection.execute(select(*subscriptions.c["status", "source", "changed_at"])).all()
        assert count_of(connection, subscription_events) == 18
    assert len(rows) == 6
    assert len({tuple(row) for row in rows}) == 1
    assert (rows[0].status, rows[0].source) == ("unsubscribed", "WhatsApp's own setting: stop")


def test_a_file_with_everything_that_webhooks_bring_is_taken_in_and_counted(post: Post) -> None:
    """Statuses and preferences come in one file with calls, echoes, edits and what nobody has heard of yet."""
    (wamid,) = post.messages(1)
    documents = [
        payload(status(wamid, "read")),
        preference("stop", wa_id=digits(1)),
        preference("resume", user_id=BSUID),
        inbound("Hello", sender=digits(0)),
        inbound(type="revoke", revoke={"original_message_id": wamid}),
        inbound(type="edit", edit={"original_message_id": wamid}),
        inbound(type="interactive", interactive={"type": "nfm_reply", "nfm_reply": {"response_json": "{}"}}),
        inbound(type="what is new in 2027", news={"a": [1]}),
        change("smb_message_echoes", {"message_echoes": [{"to": digits(1), "type": "text", "text": {"body": "STOP"}}]}),
        change("calls", {"calls": [{"from": digits(1), "event": "connect"}]}),
        change("flows", {"event": "FLOW_STATUS_CHANGE"}),
        change("messages", {"errors": [{"code": 130501}]}),
        change("user_preferences", {"user_preferences": [None]}),
    ]
    post.put("all.ndjson", ndjson(documents))
    (file,) = post.ingest().files
    assert (file.state, file.rejected_lines, file.events, file.words) == ("done", 0, 1, 5)
    assert [row.kind for row in kept(post.ledger)].count("reply") == 3


def test_nothing_is_kept_of_what_people_write(post: Post) -> None:
    """The ledger of a campaign is no place for what somebody tells the business."""
    (wamid,) = post.messages(1)
    told(post, inbound("my card is 4111 1111", sender=digits(0), context=wamid), inbound("Stop!", sender=digits(1)))
    first, second = kept(post.ledger)
    assert {first.said, second.said} == {None, "stop"}
    assert "4111" not in repr([tuple(first), tuple(second)])


def test_a_stop_of_somebody_whom_no_list_has_holds_for_the_list_that_comes(post: Post) -> None:
    """Customers of the number who are in no campaign yet write STOP as well."""
    told(post, inbound("STOP", sender=digits(1)), inbound("STOP", sender="5491123456789"))
    campaign = draft(post.ledger)
    report = add_people(post.ledger, campaign.slug, post.root, [1, 2])
    assert (report.counts.added, report.counts.unsubscribed) == (1, 1)
    with post.ledger.read() as connection:
        argentine = parse_phone("+54 11 2345 6789", None).person_key
        query = select(subscriptions.c.status).where(subscriptions.c.person_key == argentine)
        assert connection.execute(query).scalar_one() == "unsubscribed"


def test_an_id_that_nobody_knows_is_kept_until_somebody_is_called_so(post: Post) -> None:
    """Who hides the number says STOP under an id that only the next status explains."""
    (call,) = post.calls(1)
    told(post, inbound("STOP", sender=None, user_id=BSUID, at=MARCH))
    assert status_of(post.ledger, 0) == "subscribed"
    post.learn(status("wamid.0", "delivered", callback=call.attempt_id, recipient_user_id=BSUID))
    assert status_of(post.ledger, 0) == "unsubscribed"


def test_a_later_start_stands_when_an_old_stop_finds_its_person(post: Post) -> None:
    """What is learnt late is no later word."""
    (call,) = post.calls(1)
    told(post, inbound("STOP", sender=None, user_id=BSUID), inbound("START", sender=digits(0), at=MARCH + 60))
    post.learn(status("wamid.0", "delivered", callback=call.attempt_id, recipient_user_id=BSUID))
    assert status_of(post.ledger, 0) == "subscribed"


def test_both_names_of_one_message_are_the_same_person_from_then_on(post: Post) -> None:
    """START with the number visible, STOP a month later without it."""
    told(post, inbound("START", sender=digits(1), user_id=BSUID))
    told(post, inbound("STOP", sender=None, user_id=BSUID, at=MARCH + 60), name="later.ndjson")
    assert status_of(post.ledger, 1) == "unsubscribed"


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_stop_follows_a_person_to_the_new_number(post: Post, order: Sequence[int]) -> None:
    """A new SIM is no new consent."""
    documents = [
        inbound("STOP", sender=digits(1), at=MARCH),
        changed_number(digits(1), digits(2), at=MARCH + 60, user_id="GB.2", previous_user_id="GB.1"),
        changed_number(digits(2), digits(3), at=MARCH + 90),
    ]
    for place in order:
        told(post, documents[place], name=f"{place}.ndjson")
    assert [status_of(post.ledger, number) for number in (1, 2, 3)] == ["unsubscribed"] * 3
    told(post, inbound("START", sender=digits(3), at=MARCH + 120), name="start.ndjson")
    assert [status_of(post.ledger, number) for number in (1, 2, 3)] == ["subscribed"] * 3


def test_an_id_that_was_replaced_before_anybody_knew_it_leads_to_the_person(post: Post) -> None:
    """Meta makes a new id with every new number; the status that explains the old one may come last."""
    (call,) = post.calls(1)
    told(
        post,
        inbound(sender=None, type="system", at=MARCH,
                system={"type": "user_changed_user_id", "previous_user_id": "GB.1", "user_id": "GB.2"}),
        inbound("STOP", sender=None, user_id="GB.2", at=MARCH + 1),
    )  # fmt: skip
    assert status_of(post.ledger, 0) == "subscribed"
    post.learn(status("wamid.0", "delivered", callback=call.attempt_id, recipient_user_id="GB.1"))
    assert status_of(post.ledger, 0) == "unsubscribed"


def test_a_word_from_the_far_future_is_one_of_now(post: Post) -> None:
    """A machine with a wrong clock would unsubscribe people until that time comes."""
    told(post, inbound("STOP", sender=digits(1), at=MARCH + 10**8))
    assert status_of(post.ledger, 1) == "unsubscribed"
    post.clock.forward(hours=1)
    with post.ledger.write() as connection:
        assert subscribe(connection, parse_phone(phone(1), None), source="letter", now=post.clock.now())
    assert status_of(post.ledger, 1) == "subscribed"


def test_what_is_said_at_the_desk_comes_after_what_was_heard(post: Post) -> None:
    """Meta's clock may be some minutes ahead: a person's word, noted now, must not be the earlier one."""
    ahead = int(post.clock.now().timestamp()) + 300
    told(post, inbound("START", sender=digits(1), at=ahead))
    with post.ledger.write() as connection:
        assert unsubscribe(connection, parse_phone(phone(1), None), source="letter", now=post.clock.now())
    assert status_of(post.ledger, 1) == "unsubscribed"


def test_start_is_kept_as_evidence_and_what_others_say_is_not(post: Post) -> None:
    """Whoever is asked for a proof of consent has to find it."""
    told(post, inbound("Start", sender=digits(1)), preference("resume", wa_id=digits(2)))
    with post.ledger.read() as connection:
        (proof,) = connection.execute(select(opt_ins)).all()
    assert (proof.person_key, proof.source) == (phone(1), "wrote start")
    assert proof.occurred_at.timestamp() == MARCH


def test_killed_while_it_acts_on_words_the_next_ingest_goes_on(
    post: Post, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The words are kept, the file is done: nobody would look at them again."""
    post.put("words.ndjson", ndjson([inbound("STOP", sender=digits(number)) for number in range(7)]))
    with monkeypatch.context() as patched:
        patched.setattr(status_files, "act_on_inbound", lambda *_: None)
        post.ingest()
    process = start_acting(ledger_url)
    assert process.stdout is not None
    assert process.stdout.readline() == "two portions are done\n"
    process.kill()
    process.wait()
    process.stdout.close()
    assert [row.acted_at is not None for row in kept(post.ledger)].count(True) == 2 * WORDS_AT_ONCE
    post.ingest()
    assert [status_of(post.ledger, number) for number in range(7)] == ["unsubscribed"] * 7
    with post.ledger.read() as connection:
        assert count_of(connection, subscription_events) == 7
    assert all(row.acted_at is not None for row in kept(post.ledger))


def test_replies_are_counted_once_a_person_and_campaign(post: Post) -> None:
    """Ten messages of one enthusiast are no ten replies."""
    wamids = post.messages(6)
    sent_at = int(post.clock.now().timestamp())
    post.clock.forward(days=4)
    told(
        post,
        inbound("Nice!", sender=digits(0), context=wamids[0], at=sent_at + 60),
        inbound("And in red?", sender=digits(0), at=sent_at + 90),
        inbound("How much?", sender=digits(1), at=sent_at + 60),
        inbound("STOP", sender=digits(2), context=wamids[2], at=sent_at + 60),
        tap("more", "Tell me more", sender=digits(3), context=wamids[3], at=sent_at + 71 * 3600),
        # Too late, too early, an answer to somebody else's message, and a stranger.
        inbound("Hello", sender=digits(4), context=wamids[4], at=sent_at + 73 * 3600),
        inbound("Hello", sender=digits(5), at=sent_at - 60),
        inbound("Yes", sender=digits(5), context="wamid.of.a.bot", at=sent_at + 60),
        inbound("Hello", sender=digits(99), at=sent_at + 60),
    )
    assert replied(post) == 4


def test_replies_are_figures_of_the_date_of_their_message(post: Post) -> None:
    """The row of a date has to say what the campaign says."""
    (wamid,) = post.messages(1)
    post.clock.forward(hours=30)
    told(post, inbound("Nice!", sender=digits(0), context=wamid, at=int(post.clock.now().timestamp())))
    with post.ledger.read() as connection:
        (row,) = connection.execute(select(campaign_analytics)).all()
    assert (row.sent, row.replied) == (1, 1)


def test_a_reply_that_comes_before_its_message_is_known_counts_when_it_is(post: Post) -> None:
    """The answer of a call can be minutes late, and a person quick."""
    named, unnamed = post.calls(2)
    at = int(post.clock.now().timestamp()) + 5
    told(
        post,
        inbound("Yes!", sender="5511999999999", context="wamid.a", at=at),
        inbound("Yes!", sender=None, user_id=BSUID, at=at),
    )
    assert replied(post) == 0
    post.answer(named, accepted("wamid.a"))
    told_later = status("wamid.b", "delivered", at - 1, callback=unnamed.attempt_id, recipient_user_id=BSUID)
    post.learn(told_later)
    assert replied(post) == 2


def test_the_newest_message_is_the_one_that_is_answered(post: Post) -> None:
    """Two campaigns reach one person on two days; the reply belongs to the second."""
    post.messages(1)
    post.clock.forward(days=1)
    active_campaign(post.ledger, post.root, [0], name="Summer Sale", now=post.clock.now())
    _, (call,) = take_and_admit(post.ledger, 1, post.clock, "2026-03-03")
    post.answer(call, accepted("wamid.summer"))
    post.clock.forward(hours=1)
    told(post, inbound("Yes!", sender=digits(0), at=int(post.clock.now().timestamp())))
    assert (replied(post), replied(post, "summer-sale")) == (0, 1)
