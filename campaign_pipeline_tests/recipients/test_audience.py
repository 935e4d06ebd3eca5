"""Who is in a campaign, where each person stands, and when they can expect their message."""

from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update

from campaign_pipeline.campaigns import lifecycle
from campaign_pipeline.campaigns.catalogue import get
from campaign_pipeline.campaigns.errors import CampaignError
from campaign_pipeline.campaigns.send_schedule import first_open_date, read_schedule
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import audit_log, campaign_recipients, outbox, send_attempts
from campaign_pipeline.ledger.states import RecipientState
from campaign_pipeline.recipients.audience import RecipientRow, read_recipient_page, read_recipients, remove_person
from campaign_pipeline.recipients.destinations import UsNumbers
from campaign_pipeline.recipients.intake import add_subscribed
from campaign_pipeline.recipients.phone_numbers import parse_phone
from campaign_pipeline.recipients.subscriptions import subscribe, unsubscribe
from campaign_pipeline_tests.ledger.rows import GOOD, put
from campaign_pipeline_tests.support.campaigns import NOON, active_campaign, add_people, calendar, draft, phone

LIMIT = 2


def _remove(ledger: Ledger, text: str, campaign: str = "spring-sale") -> None:
    with ledger.write() as connection:
        remove_person(connection, campaign, parse_phone(text, "GB"), actor="ada", now=NOON)


def _states(ledger: Ledger, campaign_id: int) -> dict[str, tuple[str, str | None]]:
    query = select(campaign_recipients).where(campaign_recipients.c.campaign_id == campaign_id)
    with ledger.read() as connection:
        return {row.phone: (row.state, row.reason) for row in connection.execute(query)}


def _put_into(ledger: Ledger, number: int, state: str, **values: object) -> None:
    """Brings a person to a state, in the batch of the third of March."""
    with ledger.write() as connection:
        connection.execute(
            update(campaign_recipients)
            .where(campaign_recipients.c.phone == phone(number))
            .values(state=state, batch_id=1, **values)
        )


def _a_batch(ledger: Ledger) -> None:
    with ledger.write() as connection:
        put(connection, "senders")
        put(connection, "batches", send_date=date(2026, 3, 3))


def test_a_person_is_taken_out_of_a_draft_as_if_they_had_never_been_in_it(ledger: Ledger, tmp_path: Path) -> None:
    """Nothing was promised yet, and the next list may bring them again."""
    campaign = draft(ledger)
    add_people(ledger, campaign.slug, tmp_path, [1, 2])
    _remove(ledger, "07911 000001")
    assert _states(ledger, campaign.id).keys() == {phone(2)}
    assert add_people(ledger, campaign.slug, tmp_path, [1, 2], name="again.csv").counts.added == 1


@pytest.mark.parametrize("state", ["pending", "claimed"])
def test_a_person_is_skipped_in_a_campaign_that_runs_and_stays_so(ledger: Ledger, tmp_path: Path, state: str) -> None:
    """Whoever asks for it gets nothing from this campaign, not even when the list is added again."""
    campaign = active_campaign(ledger, tmp_path, [1, 2])
    other = active_campaign(ledger, tmp_path, [1], name="Other")
    if state == "claimed":
        _a_batch(ledger)
        _put_into(ledger, 1, "claimed")
    _remove(ledger, phone(1))
    assert _states(ledger, campaign.id) == {phone(1): ("skipped", "removed"), phone(2): ("pending", None)}
    assert _states(ledger, other.id)[phone(1)][0] == state
    assert add_people(ledger, campaign.slug, tmp_path, [1], name="again.csv").counts.already_in_campaign == 1
    with ledger.read() as connection:
        audit = connection.execute(select(audit_log).where(audit_log.c.action == "person_removed")).one()
        word = connection.execute(select(outbox).where(outbox.c.kind == "person_removed")).one()
    assert (audit.actor, audit.subject, audit.details) == ("ada", "spring-sale", {"person": "***01"})
    assert word.campaign_slug == "spring-sale"


def test_a_campaign_is_completed_when_the_last_person_who_waits_is_removed(ledger: Ledger, tmp_path: Path) -> None:
    """Nobody is left unsettled, and no batch will ever be taken that could find it out."""
    campaign = active_campaign(ledger, tmp_path, [1, 2])
    _a_batch(ledger)
    _put_into(ledger, 1, "delivered")
    _remove(ledger, phone(2))
    with ledger.read() as connection:
        assert get(connection, campaign.id).status == "completed"


def test_whoever_was_attempted_can_no_longer_be_removed(ledger: Ledger, tmp_path: Path) -> None:
    """Removed, the proof that they got the message would be gone, and the next list would send it again."""
    campaign = active_campaign(ledger, tmp_path, [1])
    _a_batch(ledger)
    for state in RecipientState:
        if state in (RecipientState.PENDING, RecipientState.CLAIMED):
            continue
        _put_into(ledger, 1, state, reason="for the test")
        with pytest.raises(CampaignError, match=rf"^\*\*\*01 is {state} in spring-sale: only who waits"):
            _remove(ledger, phone(1))
        assert _states(ledger, campaign.id) == {phone(1): (state, "for the test")}
    with pytest.raises(CampaignError, match=r"^\*\*\*09 is not in spring-sale"):
        _remove(ledger, phone(9))


def _read(ledger: Ledger, campaign_id: int, at: timedelta, state: RecipientState | None = None) -> list[RecipientRow]:
    with ledger.read() as connection:
        first = first_open_date(connection, calendar(), NOON + at)
        schedule = read_schedule(connection, campaign_id, first, LIMIT)
        return list(read_recipients(connection, campaign_id, state=state, schedule=schedule))


def _expected(rows: list[RecipientRow]) -> dict[str, int | None]:
    return {row.phone: row.expected_date.day if row.expected_date else None for row in rows}


def test_whoever_waits_is_told_the_date_that_the_queue_foresees(ledger: Ledger, tmp_path: Path) -> None:
    """`When is it my turn?` is answered from the same plan that the batches are taken by."""
    campaign = active_campaign(ledger, tmp_path, [5, 1, 2, 3, 4], limit=LIMIT)
    rows = _read(ledger, campaign.id, timedelta())
    assert _expected(rows) == {phone(5): 3, phone(1): 3, phone(2): 4, phone(3): 4, phone(4): 5}
    assert [row.phone for row in rows] == [phone(number) for number in (5, 1, 2, 3, 4)]
    assert {(row.state, row.send_date, row.list_name) for row in rows} == {("pending", None, "spring-sale.csv")}
    assert [row.line_number for row in rows] == [2, 3, 4, 5, 6]
    # A day is missed: everybody moves by one.
    assert list(_expected(_read(ledger, campaign.id, timedelta(days=1))).values()) == [4, 4, 5, 5, 6]
    only_waiting = _read(ledger, campaign.id, timedelta(), RecipientState.PENDING)
    assert only_waiting == rows
    assert _read(ledger, campaign.id, timedelta(), RecipientState.READ) == []


def test_whoever_is_in_a_batch_or_unsubscribed_takes_nobodys_date(ledger: Ledger, tmp_path: Path) -> None:
    """One who is counted though nothing is sent to them shifts the dates of everybody behind."""
    campaign = active_campaign(ledger, tmp_path, range(1, 8), limit=LIMIT)
    _a_batch(ledger)
    _put_into(ledger, 1, "delivered", accepted_at=NOON)
    _put_into(ledger, 3, "claimed")
    with ledger.write() as connection:
        unsubscribe(connection, parse_phone(phone(4), None), source="test", now=NOON)
    rows = _read(ledger, campaign.id, timedelta(days=1))
    assert _expected(rows) == {
        phone(1): None,
        phone(2): 4,
        phone(3): None,
        phone(4): None,
        phone(5): 4,
        phone(6): 5,
        phone(7): 5,
    }
    assert [row.send_date for row in rows[:3]] == [date(2026, 3, 3), None, date(2026, 3, 3)]
    # Looked at alone, each keeps the date that they have among the others.
    waiting = _read(ledger, campaign.id, timedelta(days=1), RecipientState.PENDING)
    assert waiting == [row for row in rows if row.state == "pending"]


def test_nobody_of_a_campaign_that_stands_still_is_told_a_date(ledger: Ledger, tmp_path: Path) -> None:
    """A date that is shown is a promise; a paused campaign makes none."""
    campaign = active_campaign(ledger, tmp_path, [1, 2], limit=LIMIT)
    with ledger.write() as connection:
        lifecycle.pause(connection, campaign.id, actor="ada", now=NOON)
    assert set(_expected(_read(ledger, campaign.id, timedelta())).values()) == {None}


def test_a_person_is_shown_with_what_is_known_of_their_newest_attempt(ledger: Ledger, tmp_path: Path) -> None:
    """After a repeat, the error of the first call explains nothing any more."""
    campaign = active_campaign(ledger, tmp_path, [1, 2, 3], limit=LIMIT)
    _a_batch(ledger)
    moments = {name: NOON + timedelta(minutes=minutes) for minutes, name in enumerate(["sent_at", "delivered_at"])}
    attempts = [
        {"attempt_number": 1, "outcome": "refused", "error_code": 131056},
        {"attempt_number": 2, "outcome": "accepted", "wamid": "wamid.2", **moments},
        {"recipient": 2, "attempt_number": 1, "outcome": "accepted", "wamid": "wamid.3", "failed_at": NOON},
    ]
    with ledger.write() as connection:
        ids = connection.execute(select(campaign_recipients.c.id).order_by(campaign_recipients.c.id)).scalars().all()
        for number, attempt in enumerate(attempts):
            recipient_id = ids[int(attempt.pop("recipient", 1)) - 1]  # ty: ignore[invalid-argument-type]
            own = {"id": f"attempt-{number}", "recipient_id": recipient_id, **attempt}
            connection.execute(insert(send_attempts).values({**GOOD["send_attempts"], **own}))
        connection.execute(
            update(send_attempts).where(send_attempts.c.id == "attempt-2").values(failure_code=131049, error_code=1)
        )
    _put_into(ledger, 1, "delivered", accepted_at=NOON)
    _put_into(ledger, 2, "failed", accepted_at=NOON, reason="131049: not delivered")
    reached, failed, waiting = _read(ledger, campaign.id, timedelta(days=1))
    assert (reached.state, reached.wamid, reached.error_code) == ("delivered", "wamid.2", None)
    assert (reached.accepted_at, reached.sent_at, reached.delivered_at) == (NOON, *moments.values())
    assert (reached.read_at, reached.failed_at) == (None, None)
    assert (failed.state, failed.reason, failed.error_code) == ("failed", "131049: not delivered", 131049)
    assert failed.failed_at == NOON
    assert (waiting.wamid, waiting.error_code, waiting.accepted_at) == (None, None, None)
    assert reached.as_dict()["phone"] == phone(1)


def test_page_by_page_everybody_is_read_once_with_the_same_dates(ledger: Ledger, tmp_path: Path) -> None:
    """Whoever stands on the edge of a page would be missing, or told another date than in the file."""
    campaign = active_campaign(ledger, tmp_path, [5, 1, 2, 3, 4], limit=LIMIT)
    add_people(ledger, "spring-sale", tmp_path, [9, 8], name="late.csv")
    other = active_campaign(ledger, tmp_path, [1], name="Other")
    with ledger.write() as connection:
        for number in (6, 7):
            subscribe(connection, parse_phone(phone(number), "GB"), source="web", now=NOON + timedelta(days=-number))
        unsubscribe(connection, parse_phone(phone(2), "GB"), source="web", now=NOON)
    add_subscribed(ledger, "spring-sale", us_numbers=UsNumbers.REJECT, actor="test", now=NOON)
    _a_batch(ledger)
    _put_into(ledger, 3, "failed", reason="131026")
    everybody = _read(ledger, campaign.id, timedelta())
    assert [row.phone for row in everybody] == [phone(number) for number in (5, 1, 2, 3, 4, 9, 8, 7, 6)]
    for size in (1, 2, 4, 9, 10):
        assert _by_page(ledger, campaign.id, size) == everybody
    assert _by_page(ledger, campaign.id, 1, RecipientState.FAILED) == [everybody[3]]
    assert _by_page(ledger, campaign.id, 3, RecipientState.READ) == []
    assert len(_by_page(ledger, other.id, 3)) == 1


def _by_page(ledger: Ledger, campaign_id: int, size: int, state: RecipientState | None = None) -> list[RecipientRow]:
    rows: list[RecipientRow] = []
    last: int | None = 0
    with ledger.read() as connection:
        schedule = read_schedule(connection, campaign_id, first_open_date(connection, calendar(), NOON), LIMIT)
        while last is not None:
            page = read_recipient_page(
                connection, campaign_id, state=state, schedule=schedule, after_id=last, size=size
            )
            rows += page.rows
            last = page.last_id
    return rows


def test_a_reading_of_the_audience_leaves_the_connection_as_it_was(ledger: Ledger, tmp_path: Path) -> None:
    """The command line reads figures on the same connection after it."""
    campaign = active_campaign(ledger, tmp_path, [1, 2], limit=LIMIT)
    with ledger.read() as connection:
        before = dict(connection.get_execution_options())
        assert len(list(read_recipients(connection, campaign.id, state=None, schedule=[]))) == 2
        assert dict(connection.get_execution_options()) == before
