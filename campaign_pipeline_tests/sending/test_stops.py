"""A STOP before the batch is taken gives the place to the next; one that comes after it keeps the message back.

Through the real parts: the webhook lies in the inbox, the ingest takes it in, and a run sends to the simulator.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import Connection, select, text

from campaign_pipeline.ledger.schema import campaign_recipients
from campaign_pipeline.recipients.consent import ConsentNeeded
from campaign_pipeline.recipients.opt_ins import OptIn, keep_opt_ins
from campaign_pipeline.recipients.phone_numbers import parse_phone
from campaign_pipeline.recipients.subscriptions import unsubscribe
from campaign_pipeline.sending.attempts import Admission, admit
from campaign_pipeline.sending.batches import Batch, take_batch
from campaign_pipeline.sending.lease import Lease
from campaign_pipeline.sending.report import DateEnd, Progress
from campaign_pipeline_tests.delivery.payloads import (
    changed_number,
    inbound,
    ndjson,
    payload,
    preference,
    put,
    status,
    tap,
)
from campaign_pipeline_tests.support.campaigns import phone
from campaign_pipeline_tests.support.sending import (
    SECOND_OF_MARCH,
    SendingDesk,
    attempts,
    batch_phones,
    campaign_status,
    holding,
    people,
    states,
)
from campaign_pipeline_tests.support.waiting import PATIENCE, wait_until

BSUID = "GB.13491208655302741918"


def digits(number: int) -> str:
    """A number as a wa_id usually spells it."""
    return phone(number).removeprefix("+")


def hear(desk: SendingDesk, *documents: dict[str, Any], name: str = "words.ndjson") -> None:
    """The webhooks come in, and are taken in."""
    put(desk.status_folders.inbox, name, ndjson(documents))
    desk.ingest()


def in_every_way(numbers: list[int]) -> list[dict[str, Any]]:
    """Four people say stop: in a text, in another language, by a quick reply, and in WhatsApp's own settings."""
    one, two, three, four = map(digits, numbers)
    return [
        inbound("Stop!", sender=one),
        inbound("abmelden", sender=two),
        tap("STOP_MARKETING", "Unsubscribe", sender=three),
        preference("stop", wa_id=four),
    ]


def test_a_stop_before_the_batch_is_taken_gives_the_place_to_the_next(desk: SendingDesk) -> None:
    """A batch with a hole in it reaches fewer people than it may."""
    who = people(7)
    desk.campaign(who, daily_send_limit=2)
    hear(desk, *in_every_way(who[:4]))
    desk.send()
    assert batch_phones(desk.ledger) == sorted(desk.reached(who)) == [phone(who[4]), phone(who[5])]
    assert states(desk.ledger) == ["skipped"] * 4 + ["accepted"] * 2 + ["pending"]


def test_a_stop_after_the_batch_is_taken_keeps_the_message_back(desk: SendingDesk) -> None:
    """Hours can lie between the take and the call."""
    who = people(6)
    desk.campaign(who)

    def stop(progress: Progress) -> None:
        if progress.done == 1:
            hear(desk, *in_every_way(who[2:]))

    report = desk.send(concurrency=1, on_progress=stop)
    assert (report.end, report.figures.sent, report.figures.skipped) == (DateEnd.FINISHED, 2, 4)
    assert sorted(desk.reached(who)) == [phone(number) for number in who[:2]]
    assert not attempts(desk.ledger, *who[2:])
    assert campaign_status(desk.ledger) == "completed"


def _admit_all(desk: SendingDesk, lease: Lease, batch: Batch) -> Admission:
    """Admits a batch of three."""
    with desk.ledger.write() as connection:
        return admit(
            connection,
            lease,
            batch,
            size=3,
            limit_setting=250,
            keep_free_for=None,
            run_id="run",
            now=desk.clock.now(),
        )


def test_a_stop_between_the_take_and_the_admission_is_seen_by_the_admission(desk: SendingDesk) -> None:
    """The last look is the one that counts."""
    who = people(3)
    desk.campaign(who)
    with holding(desk.ledger, desk.clock) as lease:
        with desk.ledger.write() as connection:
            batch = take_batch(connection, lease.sender_id, SECOND_OF_MARCH, 3, "run", desk.clock.now())
        assert batch is not None
        hear(desk, inbound("STOP", sender=digits(who[1])))
        admission = _admit_all(desk, lease, batch)
    assert [call.message.to for call in admission.calls] == [phone(who[0]), phone(who[2])]
    assert states(desk.ledger)[1] == "skipped"


SOMEBODY_WAITS = """
    SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted AND pid IN (
        SELECT pid FROM pg_locks JOIN pg_database ON pg_database.oid = database WHERE datname = current_database()))
"""


def _is_waited_for(connection: Connection) -> bool:
    """Whether a transaction waits for a lock; SQLite has one writer, and so nobody waits for a row."""
    return connection.dialect.name == "sqlite" or connection.execute(text(SOMEBODY_WAITS)).scalar_one()


def test_a_stop_that_comes_while_the_admission_waits_for_a_lock_is_seen(desk: SendingDesk) -> None:
    """What PostgreSQL reads beside the rows that it waits for is as old as the wait: the stop would be overlooked."""
    who = people(3)
    desk.campaign(who)
    with holding(desk.ledger, desk.clock) as lease, ThreadPoolExecutor(1) as pool:
        with desk.ledger.write() as connection:
            batch = take_batch(connection, lease.sender_id, SECOND_OF_MARCH, 3, "run", desk.clock.now())
        assert batch is not None
        with desk.ledger.write() as connection:
            first = select(campaign_recipients).where(campaign_recipients.c.phone == phone(who[0]))
            connection.execute(first.with_for_update())
            admission = pool.submit(_admit_all, desk, lease, batch)
            wait_until(lambda: _is_waited_for(connection), "the admission to wait")
            unsubscribe(connection, parse_phone(phone(who[1]), None), source="test", now=desk.clock.now())
        calls = admission.result(PATIENCE).calls
    assert [call.message.to for call in calls] == [phone(who[0]), phone(who[2])]
    assert states(desk.ledger)[1] == "skipped"


def test_a_stop_to_the_simulator_counts_for_the_next_campaign(desk: SendingDesk) -> None:
    """As it goes in real life: somebody is written to, answers STOP to that message, and is left alone."""
    who = people(2)
    desk.campaign(who)
    desk.send()
    desk.simulator.inbound(phone(who[0]), text="STOP", context=attempts(desk.ledger, who[0])[0].wamid)
    desk.ingest()
    desk.clock.forward(days=2)
    desk.campaign(who, "Summer Sale")
    assert desk.send("2026-03-04").figures.total == 1
    assert batch_phones(desk.ledger, "2026-03-04") == [phone(who[1])]


def test_a_stop_under_another_name_holds_before_the_batch_is_taken(desk: SendingDesk) -> None:
    """Who has hidden the number, or has a new one, says STOP under a name that stands in no list."""
    hidden, moved, third, fourth = people(4)
    desk.campaign([hidden, third], "Earlier")
    desk.send()
    first = attempts(desk.ledger, hidden)[0]
    told = status("wamid.hidden", "delivered", callback=first.id, recipient_user_id=BSUID)
    new_number = people(1)[0]
    hear(
        desk,
        payload(told),
        inbound("STOP", sender=None, user_id=BSUID),
        changed_number(digits(moved), digits(new_number)),
        inbound("STOP", sender=digits(new_number)),
    )
    desk.clock.forward(days=2)
    desk.campaign([fourth], "Summer Sale", daily_send_limit=1)
    assert desk.send("2026-03-04").figures.sent == 1
    desk.campaign([hidden, moved, new_number, third], "Autumn Sale")
    assert states(desk.ledger, "autumn-sale") == ["pending"]


def test_start_brings_back_for_campaigns_to_come(desk: SendingDesk) -> None:
    """A person's wish to hear again is theirs to say; who was skipped stays skipped."""
    who = people(2)
    desk.campaign(who)
    hear(desk, inbound("STOP", sender=digits(who[0]), at=1772438400))
    desk.send()
    hear(desk, inbound("START", sender=digits(who[0]), at=1772445600), name="later.ndjson")
    assert states(desk.ledger)[0] == "skipped"
    desk.clock.forward(days=2)
    desk.campaign(who, "Summer Sale")
    desk.send("2026-03-04")
    assert states(desk.ledger, "summer-sale") == ["accepted", "accepted"]


def test_where_evidence_is_asked_for_nobody_else_is_taken(desk: SendingDesk) -> None:
    """A business that has to show consent would write to people of whom it can show none."""
    who = people(4)
    desk.campaign(who, daily_send_limit=2)
    with desk.ledger.write() as connection:
        keep_opt_ins(connection, [OptIn(phone(who[2]), "web form", None)], desk.clock.now())
    hear(desk, inbound("START", sender=digits(who[3])))
    with holding(desk.ledger, desk.clock) as lease, desk.ledger.write() as connection:
        now = desk.clock.now()
        take_batch(connection, lease.sender_id, SECOND_OF_MARCH, 4, "run", now, ConsentNeeded.EVIDENCE)
    assert states(desk.ledger) == ["skipped", "skipped", "claimed", "claimed"]
