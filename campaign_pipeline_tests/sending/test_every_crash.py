"""A crash at every place there is: the sender is killed before, within and after each commit, request and answer.

The places are counted by a run that is watched, not listed: see `boundaries`. After each death another process goes on.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import date
from typing import Final

from sqlalchemy import select

from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import batches, campaign_recipients, send_attempts
from campaign_pipeline.sending.proof import prove
from campaign_pipeline_tests.sending.sending_process import order_for
from campaign_pipeline_tests.sending.warm_process import Ended, WarmProcess
from campaign_pipeline_tests.support.sending import SendingDesk, people, states

BATCH: Final = 3

PLACES: Final = {
    "before a commit",
    "after a commit",
    "before writing",
    "in the middle of writing",
    "after writing",
    "before reading",
    "after reading",
}

SLACK: Final = 8
"""By how many places one run may differ from another: two calls at once do not always end in the same order."""


def test_killed_at_every_boundary_nobody_is_reached_twice_and_nobody_is_lost(desk: SendingDesk) -> None:
    """The promise that everything else stands on, at each moment that another program could notice.

    Whoever is in doubt at the end is exactly who was never reached: the statuses settle all the others.
    """
    desk.campaign(people(BATCH * 120), daily_send_limit=BATCH)
    deaths: dict[date, str] = {}
    with WarmProcess() as warm:
        boundaries = _count_boundaries(desk, warm)
        for place in range(1, boundaries + SLACK + 1):
            died = warm.send(order_for(desk), kill_at=place)
            if died.was_killed:
                deaths[desk.clock.now().date()] = _told(place, died)
            desk.clock.forward(minutes=1)
            _expect_finished(warm.send(order_for(desk)), deaths.get(desk.clock.now().date()))
            desk.clock.forward(days=1)
    assert len(deaths) >= boundaries * 3 // 4, "too many of the runs were over before they could be killed"
    # Three calls at once come to their places in another order each time: one kind or another may be left out.
    assert len({death.partition(" (")[0] for death in deaths.values()}) >= len(PLACES) - 2
    doubts = states(desk.ledger).count("in_doubt")
    desk.ingest()
    _expect_everyone_accounted_for(desk, deaths)
    never_reached = states(desk.ledger).count("in_doubt")
    assert 0 < never_reached < doubts, "no call was lost before it was made, or none after"


def test_killed_again_while_the_date_is_gone_on_with_nobody_is_reached_twice_and_nobody_is_lost(
    desk: SendingDesk,
) -> None:
    """A machine that crashes when it comes back, at every fourth place; then the next day's run closes the batch."""
    desk.campaign(people(BATCH * 120), daily_send_limit=BATCH)
    deaths: dict[date, str] = {}
    killed_twice = 0
    with WarmProcess() as warm:
        boundaries = _count_boundaries(desk, warm)
        for second in range(1, boundaries, 4):
            first = 1 + second * 7 % (boundaries // 2)
            send_date = desk.clock.now().date()
            died = warm.send(order_for(desk), kill_at=first)
            assert died.was_killed
            desk.clock.forward(minutes=1)
            died_again = warm.send(order_for(desk), kill_at=second)
            killed_twice += died_again.was_killed
            deaths[send_date] = f"{_told(first, died)}, then {_told(second, died_again)}"
            desk.clock.forward(days=1)
            _expect_finished(warm.send(order_for(desk)), deaths[send_date])
            desk.clock.forward(days=1)
    assert killed_twice >= boundaries // 8, "most of the second runs were over before they could be killed"
    desk.ingest()
    _expect_everyone_accounted_for(desk, deaths)


def _count_boundaries(desk: SendingDesk, warm: WarmProcess) -> int:
    """How many places a run comes to that nobody kills."""
    warm.rehearse(order_for(desk))
    desk.clock.forward(days=1)
    whole = warm.send(order_for(desk))
    desk.clock.forward(days=1)
    _expect_finished(whole, "nobody killed it")
    found = Counter(whole.places)
    assert set(found) == PLACES
    assert found["before a commit"] == found["after a commit"]
    assert found["after writing"] >= BATCH
    return len(whole.places)


def _told(place: int, ended: Ended) -> str:
    return f"{ended.places[-1]} (number {place})" if ended.was_killed else "not killed any more"


def _expect_finished(ended: Ended, death: str | None) -> None:
    assert "finished" in ended.sentence, f"killed {death}: the next run said {ended.sentence!r}"


def _expect_everyone_accounted_for(desk: SendingDesk, deaths: Mapping[date, str]) -> None:
    """Holds every person's state against the simulator's own count, and asks the ledger for its proof."""
    accepted = Counter(message["to"] for message in desk.simulator.messages())
    wrong: list[str] = []
    for phone, state, send_date in _where_everyone_stands(desk.ledger):
        expected = {0: "pending" if send_date is None else "in_doubt", 1: "read"}.get(accepted[phone], "never twice")
        if state != expected:
            death = deaths.get(send_date, "nobody killed it") if send_date is not None else "never attempted"
            wrong.append(f"{state}, accepted {accepted[phone]} times; {send_date}: {death}")
    assert wrong == []
    assert [finding.name for finding in prove(desk.ledger).broken] == []


def _where_everyone_stands(ledger: Ledger) -> list[tuple[str, str, date | None]]:
    """Everyone's number and state, with the date on which an attempt was made, once for each attempt."""
    query = (
        select(campaign_recipients.c.phone, campaign_recipients.c.state, batches.c.send_date)
        .outerjoin(send_attempts, send_attempts.c.recipient_id == campaign_recipients.c.id)
        .outerjoin(batches, batches.c.id == send_attempts.c.batch_id)
        .order_by(campaign_recipients.c.position)
    )
    with ledger.read() as connection:
        return [(row.phone, row.state, row.send_date) for row in connection.execute(query)]
