"""Two numbers that turn out to be one WhatsApp account get one message, and an alias is never read as a number."""

import threading
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Row, select

from campaign_pipeline.delivery.folding import FAR_AWAY
from campaign_pipeline.interfaces.overview import look_at_day
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.locks import fold_alone
from campaign_pipeline.ledger.schema import audit_log, campaign_recipients, person_aliases, shared_accounts
from campaign_pipeline.ledger.states import AliasKind, RecipientState
from campaign_pipeline.recipients.accounts import keys_spelled, kind_of
from campaign_pipeline.recipients.doubles import Member, whom_to_skip
from campaign_pipeline.recipients.identity import (
    learn_aliases,
    shared_in_campaigns,
    skip_doubles,
)
from campaign_pipeline.sending.attempts import AdmittedCall, admit
from campaign_pipeline.sending.batches import take_batch
from campaign_pipeline.whatsapp.client import Answer, AnswerKind
from campaign_pipeline_tests.delivery.payloads import ndjson, payload, put, status
from campaign_pipeline_tests.support.campaigns import calendar, phone
from campaign_pipeline_tests.support.sending import (
    SendingDesk,
    answer_call,
    campaign_status,
    day,
    holding,
    one_account,
    people,
    states,
    take_and_admit,
)

BSUID = "GB.13491208655302741918"


def digits(number: int) -> str:
    """A number as a wa_id usually spells it."""
    return phone(number).removeprefix("+")


def answer(call: AdmittedCall, wa_id: str | None) -> Answer:
    """The answer of a Cloud API that has taken a message, and calls the person something."""
    return Answer(AnswerKind.ACCEPTED, 200, wamid=f"wamid.{call.attempt_id}", wa_id=wa_id)


def answered(desk: SendingDesk, calls: tuple[AdmittedCall, ...], *wa_ids: str | None) -> None:
    """Records answers that call each person something, one after the other."""
    for call, wa_id in zip(calls, wa_ids, strict=True):
        answer_call(desk.ledger, call, answer(call, wa_id), desk.clock.now())


def reasons(ledger: Ledger) -> list[str | None]:
    """Why each person is where they are, in the order of the queue."""
    query = select(campaign_recipients.c.reason).order_by(
        campaign_recipients.c.campaign_id, campaign_recipients.c.position
    )
    with ledger.read() as connection:
        return list(connection.execute(query).scalars())


def aliases(ledger: Ledger) -> dict[tuple[str, str], str]:
    """What is known of what WhatsApp calls people: kind by alias and person."""
    with ledger.read() as connection:
        return {(row.alias, row.person_key): row.kind for row in connection.execute(select(person_aliases))}


def audited(ledger: Ledger, action: str) -> list[Row[Any]]:
    """What the audit log says of one kind."""
    with ledger.read() as connection:
        return list(connection.execute(select(audit_log).where(audit_log.c.action == action)).all())


def concerns(desk: SendingDesk) -> list[str]:
    """The sentences about shared accounts of `campaign status`."""
    with desk.ledger.read() as connection:
        looked = look_at_day(connection, calendar(), 250, desk.clock.now())
    return [each.sentence for each in looked.concerns if each.kind == "shared_account"]


@pytest.mark.parametrize(
    ("alias", "kind", "keys"),
    [
        ("447911000001", AliasKind.WA_ID, ("+447911000001",)),
        ("5511 87654321", AliasKind.WA_ID, ()),
        (BSUID, AliasKind.BSUID, ()),
        ("US.ENT.11815799212886844830", AliasKind.BSUID, ()),
        ("5491123456789", AliasKind.WA_ID, ("+541123456789",)),
        ("541123456789", AliasKind.WA_ID, ("+541123456789",)),
        ("٤٤٧٩١١٠٠٠٠٠١", AliasKind.WA_ID, ()),
        ("somebody", AliasKind.WA_ID, ()),
    ],
)
def test_an_alias_is_looked_at_and_never_read_as_a_number(alias: str, kind: AliasKind, keys: tuple[str, ...]) -> None:
    """Brazil's wa_ids are often no valid number: repaired, they would be the number of a stranger."""
    assert kind_of(alias) == kind
    assert keys_spelled(alias) == keys


MEMBER = Member(1, 1, "+1", "+1", RecipientState.PENDING, None, 1)


@pytest.mark.parametrize(
    ("state", "reason", "position", "skipped"),
    [
        ("pending", None, 9, [2]),
        ("claimed", None, 9, [2]),
        ("pending", None, 1, [1]),
        ("attempting", None, 9, [1]),
        ("in_doubt", None, 1, [1]),
        ("read", None, 9, [1]),
        ("failed", "Message undeliverable", 9, [1]),
        ("skipped", "unsubscribed", 9, [1]),
        ("skipped", "same_person: shares the WhatsApp account of ***03", 1, []),
        ("skipped", "removed", 1, []),
        ("skipped", "campaign_cancelled", 1, []),
    ],
)
def test_of_two_who_are_one_the_one_who_waits_behind_is_skipped(
    state: str, reason: str | None, position: int, skipped: list[int]
) -> None:
    """Either both would get the message, or, with the wrong one skipped, neither would."""
    # The person at place 5 is 1, the other one is 2.
    one = replace(MEMBER, position=5)
    other = replace(MEMBER, recipient_id=2, person_key="+2", state=state, reason=reason, position=position)
    for pair in ([one, other], [other, one]):
        assert [each.member.recipient_id for each in whom_to_skip(pair)] == skipped


def test_of_many_who_are_one_exactly_one_gets_the_message() -> None:
    """By pairs, a chain of three would lose the middle one and send to both ends."""
    waiting = [replace(MEMBER, recipient_id=number, position=number) for number in (3, 1, 2)]
    assert sorted(each.member.recipient_id for each in whom_to_skip(waiting)) == [2, 3]
    sent = replace(MEMBER, recipient_id=4, position=4, state="accepted")
    assert sorted(each.member.recipient_id for each in whom_to_skip([*waiting, sent])) == [1, 2, 3]
    assert {each.because_of.recipient_id for each in whom_to_skip([*waiting, sent])} == {4}


def test_two_who_both_have_the_message_are_only_told_of() -> None:
    """There is nobody left to skip."""
    assert whom_to_skip([replace(MEMBER, state="read"), replace(MEMBER, recipient_id=2, state="accepted")]) == []
    assert whom_to_skip([]) == []


def test_who_is_one_with_a_third_by_another_name_is_found_too(desk: SendingDesk) -> None:
    """The first and the second share a wa_id, the second and the third a business-scoped id."""
    first, second, third, fourth = people(4)
    desk.campaign([first, third, second, fourth])
    with desk.ledger.write() as connection:
        pairs = [(first, second), (second, first), (second, third), (third, second)]
        rows = [
            {"person_key": phone(one), "other_key": phone(other), "alias": "x", "found_at": desk.clock.now()}
            for one, other in pairs
        ]
        connection.execute(shared_accounts.insert(), rows)
    desk.send()
    assert states(desk.ledger)[1:3] == ["skipped", "skipped"]
    assert sorted(desk.reached([first, second, third, fourth])) == sorted([phone(first), phone(fourth)])


def test_who_has_the_account_of_somebody_who_was_sent_to_is_skipped(desk: SendingDesk) -> None:
    """An old number and a new one stand in one list: the person gets the same message twice."""
    first, second, third = people(3)
    desk.campaign([first, second, third])
    _, calls = take_and_admit(desk.ledger, 1, desk.clock)
    answered(desk, calls, digits(third))
    assert states(desk.ledger) == ["accepted", "pending", "skipped"]
    assert reasons(desk.ledger)[2] == f"same_person: shares the WhatsApp account of ***{phone(first)[-2:]}"
    assert aliases(desk.ledger) == {(digits(third), phone(first)): "wa_id"}
    (row,) = audited(desk.ledger, "same_person_skipped")
    assert row.details == {"person": f"***{phone(third)[-2:]}", "shares_account_of": f"***{phone(first)[-2:]}"}
    (sentence,) = concerns(desk)
    assert sentence.startswith("spring-sale: people turned out to share one WhatsApp account (1 skipped")


def test_a_wa_id_that_is_spelled_otherwise_skips_nobody(desk: SendingDesk) -> None:
    """Brazil, Mexico and Argentina: every wa_id differs from the number, and nobody has another one's."""
    numbers = people(3)
    desk.campaign(numbers)
    _, calls = take_and_admit(desk.ledger, 2, desk.clock)
    answered(desk, calls, "551187654321", digits(numbers[1]))
    assert states(desk.ledger) == ["accepted", "accepted", "pending"]
    assert concerns(desk) == []
    with desk.ledger.read() as connection:
        assert connection.execute(select(shared_accounts)).all() == []


def test_two_who_were_both_sent_to_raise_an_alert_once(desk: SendingDesk) -> None:
    """It cannot be taken back; somebody has to know that the list has a person twice."""
    desk.campaign(people(3))
    _, calls = take_and_admit(desk.ledger, 2, desk.clock)
    answered(desk, calls, "one account", "one account")
    answered(desk, calls, "one account", "one account")
    assert states(desk.ledger) == ["accepted", "accepted", "pending"]
    assert len(audited(desk.ledger, "same_person_reached")) == 1
    (sentence,) = concerns(desk)
    assert "1 sent to before it was known" in sentence


@pytest.mark.parametrize("name", ["recipient_id", "recipient_user_id"])
def test_a_status_tells_of_a_shared_account_too(desk: SendingDesk, name: str) -> None:
    """Since 2026 an answer need not have a wa_id; the business-scoped user id comes with the statuses."""
    desk.campaign(people(4))
    desk.campaign(people(2), "Other Sale")
    _, calls = take_and_admit(desk.ledger, 2, desk.clock)
    answered(desk, calls, None, None)
    told = [status(f"wamid.{call.attempt_id}", callback=call.attempt_id, **{name: BSUID}) for call in calls]
    put(desk.status_folders.inbox, "statuses.ndjson", ndjson([payload(each) for each in told]))
    desk.ingest()
    assert set(aliases(desk.ledger).values()) == {"bsuid"}
    assert len(audited(desk.ledger, "same_person_reached")) == 1


def test_a_status_that_was_here_before_the_answer_tells_its_alias_then(desk: SendingDesk) -> None:
    """Without our id in it, whose message it is becomes known only with the wamid of the answer."""
    first, second = people(2)
    desk.campaign([first, second])
    _, calls = take_and_admit(desk.ledger, 1, desk.clock)
    early = status(f"wamid.{calls[0].attempt_id}", recipient_id=digits(second), recipient_user_id=BSUID)
    put(desk.status_folders.inbox, "early.ndjson", ndjson([payload(early)]))
    desk.ingest()
    assert aliases(desk.ledger) == {}
    answered(desk, calls, None)
    assert set(aliases(desk.ledger)) == {(BSUID, phone(first)), (digits(second), phone(first))}
    assert states(desk.ledger) == ["sent", "skipped"]


def test_the_id_of_a_group_is_nobodys_alias(desk: SendingDesk) -> None:
    """Everybody who is in the group would be one person."""
    desk.campaign(people(1))
    _, calls = take_and_admit(desk.ledger, 1, desk.clock)
    told = status("wamid.g", callback=calls[0].attempt_id, recipient_id="group", recipient_type="group")
    put(desk.status_folders.inbox, "group.ndjson", ndjson([payload(told)]))
    desk.ingest()
    assert aliases(desk.ledger) == {}


def test_who_is_known_to_be_one_is_sent_to_once_in_later_campaigns(desk: SendingDesk) -> None:
    """What one campaign has found out is worth nothing if the next one writes to both again."""
    first, second, third = people(3)
    desk.campaign([first, second])
    desk.send()
    desk.clock.forward(hours=30)
    with desk.ledger.write() as connection:
        fold_alone(connection)
        connection.execute(
            shared_accounts.insert(),
            [
                {"person_key": one, "other_key": other, "alias": "x", "found_at": desk.clock.now()}
                for one, other in ((phone(first), phone(second)), (phone(second), phone(first)))
            ],
        )
    desk.campaign([second, third, first], "Summer Sale")
    desk.send("2026-03-03")
    assert states(desk.ledger, "summer-sale").count("skipped") == 1
    assert desk.reached([second, third, first])[2:] in ([phone(second), phone(third)], [phone(third), phone(second)])
    assert campaign_status(desk.ledger, "summer-sale") == "completed"


def test_whoever_has_unsubscribed_with_one_number_gets_nothing_on_the_other(desk: SendingDesk) -> None:
    """STOP comes from a person, who does not know which of the two numbers stands in the list."""
    gone, other, third = people(3)
    desk.unsubscribe(gone)
    desk.campaign([other, third])
    one_account(desk, gone, other)
    desk.send()
    assert desk.reached([gone, other, third]) == [phone(third)]
    assert states(desk.ledger) == ["skipped", "accepted"]
    assert reasons(desk.ledger)[0] == "unsubscribed"
    assert campaign_status(desk.ledger) == "completed"


def test_who_turns_out_to_be_somebody_who_has_unsubscribed_is_skipped_at_once(desk: SendingDesk) -> None:
    """Both stand in the list; the first is sent to, refused with the person's STOP, and the second is written to."""
    first, second, third = people(3)
    desk.campaign([first, second, third])
    _, calls = take_and_admit(desk.ledger, 1, desk.clock)
    desk.unsubscribe(first)
    answered(desk, calls, digits(second))
    assert states(desk.ledger) == ["accepted", "skipped", "pending"]
    assert reasons(desk.ledger)[1] == "unsubscribed"


def test_the_other_number_of_somebody_whom_no_call_has_reached_is_sent_to(desk: SendingDesk) -> None:
    """An old number that is no longer on WhatsApp would keep the message from the person's new one."""
    old, new = people(2)
    desk.campaign([old, new])
    _, calls = take_and_admit(desk.ledger, 1, desk.clock)
    answer_call(desk.ledger, calls[0], Answer(AnswerKind.REFUSED, 400, 131026, "Undeliverable"), desk.clock.now())
    one_account(desk, old, new)
    desk.clock.forward(days=1)
    desk.send("2026-03-03")
    assert states(desk.ledger) == ["failed", "accepted"]
    assert concerns(desk) == []


def test_a_message_that_was_accepted_and_failed_later_is_this_persons_only_one(desk: SendingDesk) -> None:
    """What became of it on a telephone is not known for certain, and the other number would be the second message."""
    old, new = people(2)
    desk.campaign([old, new])
    _, calls = take_and_admit(desk.ledger, 1, desk.clock)
    answered(desk, calls, None)
    told = status(f"wamid.{calls[0].attempt_id}", "failed", callback=calls[0].attempt_id, code=131026)
    put(desk.status_folders.inbox, "failed.ndjson", ndjson([payload(told)]))
    desk.ingest()
    one_account(desk, old, new)
    with desk.ledger.write() as connection:
        assert len(skip_doubles(connection, {phone(new)}, desk.clock.now())) == 1
    assert states(desk.ledger) == ["failed", "skipped"]


def test_who_comes_in_after_the_alias_with_their_number_is_found_before_the_call(desk: SendingDesk) -> None:
    """When the alias was learnt there was nobody with that number, and so nobody to compare it with."""
    first, newcomer, third = people(3)
    desk.campaign([first])
    _, calls = take_and_admit(desk.ledger, 1, desk.clock)
    answered(desk, calls, digits(newcomer))
    desk.campaign([newcomer, third, first], "Summer Sale")
    desk.clock.forward(hours=30)
    desk.send("2026-03-03")
    assert sorted(states(desk.ledger, "summer-sale"))[-1:] == ["skipped"]
    assert phone(first) not in desk.reached([first])
    assert desk.reached([newcomer, third]) != []


def test_a_campaign_of_which_the_last_one_is_skipped_is_completed(desk: SendingDesk) -> None:
    """It would stay active for ever, with nobody in it who waits."""
    first, second = people(2)
    desk.campaign([first, second])
    _, calls = take_and_admit(desk.ledger, 1, desk.clock)
    answered(desk, calls, digits(second))
    assert campaign_status(desk.ledger) == "completed"
    with desk.ledger.read() as connection:
        assert [each.skipped for each in shared_in_campaigns(connection, desk.clock.now())] == [1]
        assert shared_in_campaigns(connection, desk.clock.now() + timedelta(days=8)) == []


def test_a_run_goes_on_when_somebody_of_its_batch_is_skipped_at_the_same_moment(desk: SendingDesk) -> None:
    """The ingest has found somebody out and not committed yet: the date must neither send to them nor turn red."""
    first, second, third = people(3)
    desk.campaign([first, second, third])
    with holding(desk.ledger, desk.clock) as lease:
        with desk.ledger.write() as connection:
            batch = take_batch(connection, lease.sender_id, day("2026-03-02"), 3, "run", desk.clock.now())
        assert batch is not None

        def admit_some(size: int) -> tuple[AdmittedCall, ...]:
            with desk.ledger.write() as connection:
                return admit(
                    connection,
                    lease,
                    batch,
                    size=size,
                    limit_setting=250,
                    keep_free_for=None,
                    run_id="run",
                    now=desk.clock.now(),
                ).calls

        calls = admit_some(1)
        answered(desk, calls, None)
        found: list[tuple[AdmittedCall, ...]] = []
        worker = threading.Thread(target=lambda: found.append(admit_some(2)), daemon=True)
        with desk.ledger.write() as connection:
            fold_alone(connection)
            connection.execute(
                person_aliases.insert().values(
                    alias=digits(second), person_key=phone(first), kind="wa_id", first_seen_at=desk.clock.now()
                )
            )
            connection.execute(
                shared_accounts.insert(),
                [
                    {"person_key": one, "other_key": other, "alias": "x", "found_at": desk.clock.now()}
                    for one, other in ((phone(first), phone(second)), (phone(second), phone(first)))
                ],
            )
            assert len(skip_doubles(connection, {phone(first)}, desk.clock.now())) == 1
            worker.start()
            time.sleep(0.3)
            assert found == []
        worker.join(300)
        assert [call.message.to for call in found[0]] == [phone(third)]
    assert states(desk.ledger) == ["accepted", "skipped", "attempting"]


def test_learning_nothing_new_writes_nothing(desk: SendingDesk) -> None:
    """Four statuses of each message say the same alias."""
    desk.campaign(people(2))
    _, calls = take_and_admit(desk.ledger, 2, desk.clock)
    answered(desk, calls, "one", "two")
    before = aliases(desk.ledger)
    with desk.ledger.write() as connection:
        fold_alone(connection)
        learn_aliases(connection, [call.attempt_id for call in calls], FAR_AWAY)
        learn_aliases(connection, [], FAR_AWAY)
    assert aliases(desk.ledger) == before
