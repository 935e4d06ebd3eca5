"""Does taking a batch of 250 depend on the length of the audience?

Takes batches from audiences of 10,000 and of 1,000,000 people in turn, in one process, and prints the median of each
and their ratio, on SQLite and on PostgreSQL (a throw-away server), with most of the larger audience sent already in the
second round and statistics left as they were.

    .venv/bin/python -m benchmarks.take_batch
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from sqlalchemy import text

from campaign_pipeline.ledger.engine import Ledger, connect, initialise
from campaign_pipeline.sending import capacity
from campaign_pipeline.sending.batches import take_batch
from campaign_pipeline_tests.support.postgres import postgres_server

SIZE = 250
ROUNDS = 15
SMALL = 10_000
LARGE = 1_000_000
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)

_NUMBERS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {people}) SELECT i FROM n",
    "postgresql": "SELECT i FROM generate_series(1, {people}) AS n(i)",
}


def main() -> None:
    """Measures on both databases."""
    with tempfile.TemporaryDirectory() as folder, postgres_server() as server:
        _measure("SQLite", lambda name: connect(f"sqlite:///{Path(folder) / name}.sqlite3"))
        _measure("PostgreSQL", lambda _: connect(server.new_database()))


def _measure(kind: str, new_ledger: Callable[[str], Ledger]) -> None:
    small, large = _filled(new_ledger("small"), SMALL), _filled(new_ledger("large"), LARGE)
    _compare(f"{kind}, nobody sent yet", small, large)
    with large.write() as connection:
        connection.execute(
            text("UPDATE campaign_recipients SET state = 'sent' WHERE position <= :most"), {"most": 600_000}
        )
    _compare(f"{kind}, 60 % of the large audience sent, statistics not renewed", small, large)
    small.close()
    large.close()


def _compare(what: str, small: Ledger, large: Ledger) -> None:
    times: dict[str, list[float]] = {"small": [], "large": []}
    for _ in range(ROUNDS):
        times["small"].append(_take(small))
        times["large"].append(_take(large))
    medians = {name: statistics.median(values) * 1000 for name, values in times.items()}
    print(
        f"{what}: {SMALL:,} people {medians['small']:.1f} ms, {LARGE:,} people {medians['large']:.1f} ms, "
        f"ratio {medians['large'] / medians['small']:.2f}"
    )


_dates: dict[int, date] = {}


def _take(ledger: Ledger) -> float:
    send_date = _dates.get(id(ledger), date(2026, 3, 1)) + timedelta(days=1)
    _dates[id(ledger)] = send_date
    began = time.perf_counter()
    with ledger.write() as connection:
        sender = capacity.sender_id(connection)
        batch = take_batch(connection, sender, send_date, SIZE, "benchmark", NOW)
    took = time.perf_counter() - began
    if batch is None or batch.size != SIZE:
        msg = f"expected a batch of {SIZE}, got {batch}"
        raise RuntimeError(msg)
    return took


def _filled(ledger: Ledger, people: int) -> Ledger:
    initialise(ledger)
    numbers = _NUMBERS[ledger.engine.dialect.name].format(people=people)
    with ledger.write() as connection:
        connection.execute(
            text(
                "INSERT INTO marketing_campaigns (id, slug, name, template_name, template_language,"
                " template_parameters, daily_send_limit, priority, status, created_at, activated_at)"
                " VALUES (1, 'big', 'Big', 'big', 'en_US', '[]', 250, 0, 'active', :now, :now)"
            ),
            {"now": NOW},
        )
        connection.execute(
            # What is put together here is one of the two queries above with a number in it.
            text(
                "INSERT INTO campaign_recipients"  # noqa: S608
                " (campaign_id, person_key, phone, parameters, position, state, changed_at)"
                f" SELECT 1, '+44' || i, '+44' || i, '{{}}', i, 'pending', :now FROM ({numbers}) AS numbered"
            ),
            {"now": NOW},
        )
    if ledger.engine.dialect.name == "postgresql":
        with ledger.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("ANALYZE"))
    return ledger


if __name__ == "__main__":
    main()
