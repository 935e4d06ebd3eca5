"""Every moment in the ledger is in UTC, and comes back as one."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import StatementError

from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import audit_log

BERLIN = ZoneInfo("Europe/Berlin")


def _write(ledger: Ledger, *moments: datetime) -> None:
    with ledger.write() as connection:
        for number, moment in enumerate(moments):
            row = {"at": moment, "actor": "test", "action": "look", "subject": str(number), "details": {}}
            connection.execute(insert(audit_log).values(row))


def test_a_moment_without_a_time_zone_is_refused(ledger: Ledger) -> None:
    """A local time stored as UTC opens the 24-hour window an hour or two too early."""
    naive = datetime(2026, 3, 2, 9)  # noqa: DTZ001 - that is what is tried
    with pytest.raises(StatementError, match="has no time zone"):
        _write(ledger, naive)
    with pytest.raises(StatementError, match="has no time zone"), ledger.read() as connection:
        connection.execute(select(audit_log).where(audit_log.c.at > naive))
    with ledger.read() as connection:
        assert connection.execute(select(audit_log)).all() == []


def test_a_moment_of_any_zone_comes_back_the_same_in_utc(ledger: Ledger) -> None:
    """Both databases have to mean the same second, or figures differ between a laptop and the server."""
    moments = [
        datetime(2026, 3, 2, 9, 0, 0, 123456, tzinfo=BERLIN),
        datetime(2026, 3, 2, 23, 30, tzinfo=ZoneInfo("Pacific/Kiritimati")),
        datetime(2026, 3, 1, 1, 0, tzinfo=ZoneInfo("America/Los_Angeles")),
        datetime(9999, 1, 1, tzinfo=UTC),
    ]
    _write(ledger, *moments)
    with ledger.read() as connection:
        stored = connection.execute(select(audit_log.c.at).order_by(audit_log.c.id)).scalars().all()
    assert list(stored) == moments
    assert all(moment.utcoffset() == timedelta(0) for moment in stored)


def test_moments_are_compared_as_moments_and_not_as_text(ledger: Ledger) -> None:
    """SQLite compares times as text: the hour that autumn repeats, or an offset, must not change who comes first."""
    first, second = (datetime(2026, 10, 25, 2, 30, fold=fold, tzinfo=BERLIN) for fold in (0, 1))
    whole_second = datetime(2026, 10, 25, 3, 30, tzinfo=BERLIN)
    _write(ledger, second, whole_second, first, whole_second + timedelta(microseconds=1))
    in_order = select(audit_log.c.subject).order_by(audit_log.c.at)
    with ledger.read() as connection:
        assert connection.execute(in_order).scalars().all() == ["2", "0", "1", "3"]
        until = in_order.where(audit_log.c.at <= second.astimezone(ZoneInfo("Asia/Tokyo")))
        assert connection.execute(until).scalars().all() == ["2", "0"]
