"""Many rows at once go in as one by one: the same values, the same refusals, the same counts, on both databases."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from campaign_pipeline.ledger import bulk
from campaign_pipeline.ledger.bulk import load_new
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import campaign_recipients, recipient_rejections, subscriptions
from campaign_pipeline_tests.ledger.rows import GOOD, MOMENT, put

AWKWARD = [
    "",
    " ",
    "\t",
    "a\tb",
    "a\nb",
    "a\r\nb",
    "\\N",
    "\\.",
    "\\",
    "a\\tb",
    '"',
    "'",
    "ünï",
    "👍",
    "%s",
    ":x",
    "NULL",
]


@pytest.fixture(autouse=True)
def _few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows go in as many would: what is looked at here is the way of the many."""
    monkeypatch.setattr(bulk, "_FEW", 0)


def _person(number: int, **changes: object) -> dict[str, object]:
    return {**GOOD["subscriptions"], "person_key": f"+44791100{number:04d}", **changes}


def test_loading_counts_the_rows_that_were_new_and_leaves_the_others_as_they_were(ledger: Ledger) -> None:
    """What a person said first stands; the count is what the report of a list is made of."""
    with ledger.write() as connection:
        assert load_new(connection, subscriptions, [_person(1), _person(2)]) == 2
        assert load_new(connection, subscriptions, [_person(2, status="unsubscribed"), _person(3)]) == 1
        assert load_new(connection, subscriptions, [_person(4), _person(4, source="again")]) == 1
        assert load_new(connection, subscriptions, []) == 0
    with ledger.read() as connection:
        rows = connection.execute(select(subscriptions).order_by(subscriptions.c.person_key)).all()
    assert [(row.person_key[-1], row.status, row.source) for row in rows] == [
        (number, "subscribed", "test") for number in "1234"
    ]


@pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("number", [2**31, -(2**31) - 1, 2**32 + 5])
def test_a_number_that_is_too_large_for_its_column_is_refused_and_not_pressed_into_it(
    ledger: Ledger, number: int
) -> None:
    """The driver writes four of its bytes, and another line of the list would be told to the marketer."""
    with ledger.write() as connection:
        put(connection, "marketing_campaigns")
        put(connection, "recipient_lists")
    row = {"list_id": 1, "line_number": number, "value": "x", "reason": "invalid", "detail": "y"}
    with pytest.raises(OverflowError, match="four bytes"), ledger.write() as connection:
        load_new(connection, recipient_rejections, [row])
    fits = [{**row, "line_number": each} for each in (2**31 - 1, -(2**31))]
    with ledger.write() as connection:
        assert load_new(connection, recipient_rejections, fits) == 2
        lines = connection.execute(select(recipient_rejections.c.line_number)).scalars()
        assert sorted(lines) == [-(2**31), 2**31 - 1]


def test_every_text_comes_back_as_it_was_loaded(ledger: Ledger) -> None:
    """A tab in a note must not move the rest of the row by a column, nor a backslash and an N become nothing."""
    with ledger.write() as connection:
        put(connection, "marketing_campaigns")
        put(connection, "recipient_lists")
        rejected = [
            {"list_id": 1, "line_number": number, "value": text, "reason": "invalid", "detail": text}
            for number, text in enumerate(AWKWARD, start=10)
        ]
        assert load_new(connection, recipient_rejections, rejected) == len(AWKWARD)
        people = [
            {
                "campaign_id": 1,
                "person_key": f"+{number}",
                "phone": f"+{number}",
                "parameters": {text: text},
                "list_id": None if number % 2 else 1,
                "line_number": None,
                "position": number,
                "state": "pending",
                "changed_at": MOMENT,
            }
            for number, text in enumerate(AWKWARD, start=10)
        ]
        assert load_new(connection, campaign_recipients, people) == len(AWKWARD)
    with ledger.read() as connection:
        texts = connection.execute(
            select(recipient_rejections.c["value", "detail"])
            .where(recipient_rejections.c.line_number >= 10)
            .order_by(recipient_rejections.c.line_number)
        ).all()
        loaded = connection.execute(
            select(campaign_recipients)
            .where(campaign_recipients.c.position >= 10)
            .order_by(campaign_recipients.c.position)
        ).all()
    assert [tuple(row) for row in texts] == [(text, text) for text in AWKWARD]
    assert [row.parameters for row in loaded] == [{text: text} for text in AWKWARD]
    assert [row.list_id for row in loaded] == [None if number % 2 else 1 for number in range(10, 10 + len(AWKWARD))]
    assert {row.changed_at for row in loaded} == {MOMENT}


def test_a_moment_without_a_time_zone_is_not_loaded_either(ledger: Ledger) -> None:
    """The fast way in has the same door: a local time taken for UTC opens the window of 24 hours too early."""
    naive = datetime(2026, 3, 2, 9)  # noqa: DTZ001 - that is what is tried
    with pytest.raises((SQLAlchemyError, ValueError), match="has no time zone"), ledger.write() as connection:
        load_new(connection, subscriptions, [_person(1, changed_at=naive)])
    berlin = datetime.fromisoformat("2026-03-02T10:00:00+01:00")
    with ledger.write() as connection:
        load_new(connection, subscriptions, [_person(1, changed_at=berlin)])
        stored = connection.execute(select(subscriptions.c.changed_at)).scalar_one()
    assert (stored, stored.utcoffset()) == (MOMENT, timedelta(0))


def test_a_row_that_breaks_a_rule_is_refused_in_bulk_as_well(ledger: Ledger) -> None:
    """Only what is there already may be left out without a word; anything else is a fault of ours."""
    with ledger.write() as connection:
        put(connection, "subscriptions")
    with pytest.raises(SQLAlchemyError, match="ck_subscriptions_status_known"), ledger.write() as connection:
        load_new(connection, subscriptions, [_person(1), _person(2, status="maybe")])
    with ledger.read() as connection:
        assert len(connection.execute(select(subscriptions)).all()) == 1


def test_two_loads_of_one_transaction_do_not_get_in_each_others_way(ledger: Ledger) -> None:
    """A list is loaded into three tables at once, and one of them twice."""
    with ledger.write() as connection:
        put(connection, "marketing_campaigns")
        put(connection, "recipient_lists")
        assert load_new(connection, subscriptions, [_person(1)]) == 1
        rejected = {"list_id": 1, "line_number": 7, "value": "", "reason": "invalid", "detail": ""}
        assert load_new(connection, recipient_rejections, [rejected]) == 1
        assert load_new(connection, subscriptions, [_person(1), _person(2)]) == 1
    with ledger.write() as connection:
        assert load_new(connection, subscriptions, [_person(2), _person(3)]) == 1
