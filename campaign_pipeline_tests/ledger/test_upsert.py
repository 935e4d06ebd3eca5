"""Insert-or-update and insert-or-ignore do the same on both databases, and count truly."""

from sqlalchemy import select

from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import subscriptions
from campaign_pipeline.ledger.upsert import insert_new, upsert
from campaign_pipeline_tests.ledger.rows import GOOD, MOMENT


def _person(number: int, status: str = "subscribed") -> dict[str, object]:
    return {**GOOD["subscriptions"], "person_key": f"+44791100000{number}", "status": status}


def _statuses(ledger: Ledger) -> list[str]:
    with ledger.read() as connection:
        query = select(subscriptions.c.status).order_by(subscriptions.c.person_key)
        return list(connection.execute(query).scalars())


def test_insert_new_counts_only_the_rows_that_went_in(ledger: Ledger) -> None:
    """Status events that came before are known by this count; a wrong one shows new statuses where there are none."""
    with ledger.write() as connection:
        assert insert_new(connection, subscriptions, [_person(1), _person(2)]) == 2
        assert insert_new(connection, subscriptions, [_person(2, "unsubscribed"), _person(3)]) == 1
        assert insert_new(connection, subscriptions, [_person(3, "unsubscribed")]) == 0
        assert insert_new(connection, subscriptions, []) == 0
    assert _statuses(ledger) == ["subscribed"] * 3


def test_upsert_makes_a_row_once_and_changes_it_after_that(ledger: Ledger) -> None:
    """The last word about a person has to replace the one before, not stand beside it or be dropped."""
    for status in ("subscribed", "unsubscribed"):
        values = {"phone": "+447911000001", "status": status, "source": "test", "changed_at": MOMENT}
        with ledger.write() as connection:
            upsert(connection, subscriptions, keys={"person_key": "+447911000001"}, values=values)
        assert _statuses(ledger) == [status]
