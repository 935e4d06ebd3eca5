"""`campaign_analytics` and the kept schedule: the same figures as everywhere, for the dates that were touched."""

from datetime import date

from sqlalchemy import Row, select

from campaign_pipeline.campaigns.figures import figures_by_campaign
from campaign_pipeline.delivery.analytics import dates_due, refresh_date
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import campaign_analytics, campaign_send_schedule
from campaign_pipeline.whatsapp.client import Answer, AnswerKind
from campaign_pipeline_tests.delivery.conftest import Post
from campaign_pipeline_tests.delivery.payloads import status
from campaign_pipeline_tests.support.campaigns import active_campaign
from campaign_pipeline_tests.support.sending import LOST, accepted, take_and_admit

SECOND, THIRD = date(2026, 3, 2), date(2026, 3, 3)


def analytics_of(ledger: Ledger) -> list[Row]:
    with ledger.read() as connection:
        query = select(campaign_analytics).order_by(campaign_analytics.c.send_date, campaign_analytics.c.campaign_id)
        return list(connection.execute(query).all())


def schedule_of(ledger: Ledger) -> list[tuple]:
    with ledger.read() as connection:
        query = select(
            campaign_send_schedule.c[
                "send_date", "batch_number", "planned_size", "batch_size", "messages_sent", "messages_remaining"
            ]
        ).order_by(campaign_send_schedule.c.send_date)
        return [tuple(row) for row in connection.execute(query)]


def two_dates(post: Post) -> list[str]:
    """Three people sent to on the second of March, two on the third, as it was planned; gives their wamids."""
    post.clock.set("2026-03-02T08:00:00+00:00")
    active_campaign(post.ledger, post.root, range(5), now=post.clock.now(), daily_send_limit=3)
    wamids = []
    for send_date, size in ((SECOND, 3), (THIRD, 2)):
        _, calls = take_and_admit(post.ledger, size, post.clock, send_date)
        for call in calls:
            wamids.append(f"wamid.{len(wamids)}")
            post.answer(call, accepted(wamids[-1]))
        post.clock.forward(days=1)
    return wamids


def test_kept_analytics_are_the_figures(post: Post) -> None:
    """A second way of counting is a second answer to the same question."""
    refused, lost, failed, sent, read = post.calls(5)
    post.answer(refused, Answer(AnswerKind.REFUSED, 400, 131026, "undeliverable"))
    post.answer(lost, LOST)
    for call in (failed, sent, read):
        post.answer(call, accepted(f"wamid.{call.attempt_id}"))
    post.learn(
        status(f"wamid.{failed.attempt_id}", "failed", code=131049),
        status(f"wamid.{sent.attempt_id}", "sent"),
        status(f"wamid.{read.attempt_id}", "read"),
    )
    (row,) = analytics_of(post.ledger)
    with post.ledger.read() as connection:
        ((_, figures),) = figures_by_campaign(connection, SECOND).items()
    kept = {name: getattr(row, name) for name in figures.as_dict() if name != "states"}
    assert kept == {name: value for name, value in figures.as_dict().items() if name != "states"}
    assert (row.total, row.sent, row.delivered, row.read, row.failed, row.in_doubt) == (5, 3, 1, 1, 2, 1)
    assert (row.progress_percentage, row.delivery_rate, row.read_rate) == (80.0, 33.33, 33.33)


def test_each_campaign_of_a_date_has_a_row_of_its_own(post: Post) -> None:
    """Two campaigns in one batch are two results."""
    for name, numbers in (("One", range(2)), ("Two", range(2, 5))):
        active_campaign(post.ledger, post.root, numbers, name=name, now=post.clock.now())
    _, calls = take_and_admit(post.ledger, 5, post.clock)
    with post.ledger.write() as connection:
        refreshed = refresh_date(connection, SECOND, post.clock.now())
    assert len(calls) == 5
    assert [(each.campaign, each.send_date, each.figures.total) for each in refreshed] == [
        ("one", SECOND, 2),
        ("two", SECOND, 3),
    ]
    assert [row.total for row in analytics_of(post.ledger)] == [2, 3]


def test_refreshing_twice_changes_nothing_but_the_time(post: Post) -> None:
    """Figures that are counted up would double."""
    post.messages(2)
    with post.ledger.write() as connection:
        refresh_date(connection, SECOND, post.clock.now())
    (before,) = analytics_of(post.ledger)
    post.clock.forward(hours=1)
    with post.ledger.write() as connection:
        refresh_date(connection, SECOND, post.clock.now())
    (after,) = analytics_of(post.ledger)
    assert after.refreshed_at > before.refreshed_at
    assert tuple(before)[:-1] == tuple(after)[:-1]


def test_a_date_without_a_batch_has_no_analytics(post: Post) -> None:
    """A row of zeros would be shown as a day on which everything failed."""
    with post.ledger.write() as connection:
        assert refresh_date(connection, SECOND, post.clock.now()) == []
    assert analytics_of(post.ledger) == []


def test_an_ingest_refreshes_the_dates_that_it_touched_and_no_other(post: Post) -> None:
    """A late `read` for last week belongs to last week's figures, not to those of the day on which it came."""
    wamids = two_dates(post)
    report = post.learn(status(wamids[4], "delivered"))
    assert report.dates == [THIRD]
    assert [row.send_date for row in analytics_of(post.ledger)] == [THIRD]
    report = post.learn(status(wamids[0], "read"), status(wamids[3], "read"), status("theirs", "read"))
    assert report.dates == [SECOND, THIRD]
    assert [(row.send_date, row.read) for row in analytics_of(post.ledger)] == [(SECOND, 1), (THIRD, 1)]


def test_a_file_that_brings_nothing_of_ours_touches_no_date(post: Post) -> None:
    """Dagster would otherwise report new analytics for every reply of the bot."""
    post.messages(1)
    assert post.learn(status("theirs", "read")).dates == []
    assert analytics_of(post.ledger) == []


def test_a_date_is_due_from_what_is_heard_until_it_is_brought_up_to_date(post: Post) -> None:
    """An answer that comes late brings parked statuses with it, and no ingest looks at that file again."""
    (call,) = post.calls(1)
    post.learn(status("wamid.early", "delivered"))
    with post.ledger.read() as connection:
        assert dates_due(connection) == []
    post.answer(call, accepted("wamid.early"))
    with post.ledger.read() as connection:
        (due,) = dates_due(connection)
    assert post.ingest().dates == [due]
    assert [row.delivered for row in analytics_of(post.ledger)] == [1]
    assert post.ingest().dates == []


def test_the_date_of_a_message_that_loses_a_status_to_another_one_is_due_too(post: Post) -> None:
    """The one that has won it may be of another date, and the figures of the first would stay wrong for ever."""
    active_campaign(post.ledger, post.root, range(2), now=post.clock.now(), daily_send_limit=1)
    _, first = take_and_admit(post.ledger, 1, post.clock)
    post.clock.forward(days=1)
    _, second = take_and_admit(post.ledger, 2, post.clock, THIRD)
    wins, loses = sorted([*first, *second], key=lambda call: call.attempt_id)
    post.answer(loses, accepted("wamid.both"))
    post.learn(status("wamid.both", "delivered"))
    post.learn(status("wamid.both", "sent", callback=wins.attempt_id))
    kept = [row.delivered for row in analytics_of(post.ledger)]
    with post.ledger.read() as connection:
        told = [figures_by_campaign(connection, each)[1].delivered for each in (SECOND, THIRD)]
    assert (kept, sum(told)) == (told, 1)


def test_the_kept_schedule_shows_what_was_planned_beside_what_happened(post: Post) -> None:
    """`campaign plan` and the users' own queries read the same table."""
    wamids = two_dates(post)
    assert [row[:4] for row in schedule_of(post.ledger)] == [(SECOND, 1, 3, None), (THIRD, 2, 2, None)]
    post.learn(status(wamids[0], "read"), status(wamids[3], "sent"))
    assert schedule_of(post.ledger) == [(SECOND, 1, 3, 3, 3, 2), (THIRD, 2, 2, 2, 2, 0)]


def test_a_date_that_was_not_in_the_plan_is_in_the_kept_schedule_once_it_happened(post: Post) -> None:
    """Days slip; the table must show the day on which it was really sent."""
    post.clock.set("2026-03-02T08:00:00+00:00")
    active_campaign(post.ledger, post.root, range(2), now=post.clock.now(), daily_send_limit=2)
    _, (first, second) = take_and_admit(post.ledger, 2, post.clock, THIRD)
    post.answer(first, accepted("wamid.1"))
    post.answer(second, LOST)
    post.learn(status("wamid.1", "sent"))
    assert schedule_of(post.ledger) == [(SECOND, 1, 2, None, None, 0), (THIRD, 2, None, 2, 1, 0)]
