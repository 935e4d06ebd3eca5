"""A send date, from its name to its report: who is taken, how many, in which order, and when nobody is."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import insert, make_url

from campaign_pipeline.campaigns.templates import TemplateParameter
from campaign_pipeline.ledger.engine import connect
from campaign_pipeline.ledger.schema import external_usage, sender_limits
from campaign_pipeline.sending.batches import release_held_up
from campaign_pipeline.sending.errors import CannotSendError
from campaign_pipeline.sending.report import DateEnd, Progress
from campaign_pipeline.settings import SettingsError
from campaign_pipeline_tests.support.campaigns import add_people, calendar, phone
from campaign_pipeline_tests.support.clock import HandClock
from campaign_pipeline_tests.support.postgres import PostgresServer
from campaign_pipeline_tests.support.sending import (
    SendingDesk,
    attempts,
    batch_phones,
    batch_rows,
    campaign_status,
    people,
    states,
    take_and_admit,
    take_over,
    used_capacity,
)
from campaign_pipeline_tests.whatsapp.simulator_process import SimulatorProcess

OFFICE_HOURS = calendar(window="09:00-20:00")


def no_token() -> SimulatorProcess:
    raise SettingsError("Nothing can be sent: set WHATSAPP_ACCESS_TOKEN")


def test_a_date_that_is_sent_twice_sends_nothing_the_second_time(desk: SendingDesk) -> None:
    """A cron that ticks twice, or a re-run of yesterday, would send the same campaign to the same people again."""
    who = people(5)
    desk.campaign(who)
    first, second = desk.send(), desk.send(run_id="again")
    assert (first.end, first.sent_now, first.figures.sent) == (DateEnd.FINISHED, 5, 5)
    assert (second.end, second.sent_now, second.attempted_now) == (DateEnd.WAS_FINISHED, 0, 0)
    assert "finished before; nothing sent now (5 of 5 accepted" in second.sentence
    assert sorted(desk.reached(who)) == [phone(number) for number in who]


def test_a_date_takes_exactly_the_daily_limit_from_the_head_of_the_queue(desk: SendingDesk) -> None:
    """One more breaks the plan, one fewer makes the campaign late, another order reaches the wrong people first."""
    who = people(7)
    desk.campaign(who, daily_send_limit=3)
    assert desk.send("2026-03-02").figures.total == 3
    assert batch_phones(desk.ledger, "2026-03-02") == [phone(number) for number in who[:3]]
    desk.clock.forward(days=1)
    assert desk.send("2026-03-03").figures.total == 3
    assert batch_phones(desk.ledger, "2026-03-03") == [phone(number) for number in who[3:6]]
    assert states(desk.ledger)[6] == "pending"


def test_calls_are_made_in_the_order_of_the_queue(desk: SendingDesk) -> None:
    """When a batch has to stop half-way, those who have waited longest should have been sent to."""
    who = people(6)
    desk.campaign(who)
    desk.send(concurrency=1)
    assert desk.reached(who) == [phone(number) for number in who]


def test_campaigns_share_a_date_by_priority_and_each_keeps_its_daily_limit(desk: SendingDesk) -> None:
    """An urgent campaign that waits behind an old one misses its day; one without a limit starves all others."""
    old, urgent, later = people(6), people(3), people(4)
    desk.campaign(old, "Old", daily_send_limit=2)
    desk.campaign(urgent, "Urgent", daily_send_limit=3, priority=5)
    desk.campaign(later, "Later", daily_send_limit=4)
    assert desk.send(limit=7, concurrency=1).figures.total == 7
    assert desk.reached([*old, *urgent, *later]) == [phone(number) for number in [*urgent, *old[:2], *later[:2]]]


def test_the_sender_limit_bounds_all_campaigns_together(desk: SendingDesk) -> None:
    """Meta counts people per business portfolio, not per campaign."""
    desk.campaign(people(4), "One")
    desk.campaign(people(4), "Two")
    report = desk.send(limit=5)
    assert report.figures.total == 5
    assert (report.after.used, report.after.free) == (5, 0)


def test_the_unsubscribed_are_skipped_and_use_no_place(desk: SendingDesk) -> None:
    """A place wasted on someone who cannot be sent to makes every batch smaller than it may be."""
    who = people(6)
    desk.campaign(who, daily_send_limit=3)
    desk.unsubscribe(who[0], who[2])
    assert desk.send().figures.sent == 3
    assert states(desk.ledger) == ["skipped", "accepted", "skipped", "accepted", "accepted", "pending"]
    assert sorted(desk.reached(who)) == [phone(who[1]), phone(who[3]), phone(who[4])]
    assert used_capacity(desk.ledger, desk.clock.now()) == 3


def test_whoever_unsubscribes_between_the_take_and_the_call_is_not_called(desk: SendingDesk) -> None:
    """A batch may wait for hours; a STOP that comes in meanwhile has to count."""
    who = people(4)
    desk.campaign(who)

    def unsubscribe_the_last(progress: Progress) -> None:
        if progress.done == 1:
            desk.unsubscribe(who[3])

    report = desk.send(concurrency=1, on_progress=unsubscribe_the_last)
    assert (report.end, report.figures.sent, report.figures.skipped) == (DateEnd.FINISHED, 3, 1)
    assert phone(who[3]) not in desk.reached(who)
    assert not attempts(desk.ledger, who[3])
    assert campaign_status(desk.ledger) == "completed"


def test_a_campaign_whose_waiting_people_have_all_unsubscribed_is_completed_without_a_batch(desk: SendingDesk) -> None:
    """Else it stays active for ever, and every day has a run that fails for want of people."""
    who = people(2)
    desk.campaign(who)
    desk.unsubscribe(*who)
    assert desk.send().end is DateEnd.NOBODY_WAITS
    assert campaign_status(desk.ledger) == "completed"
    assert batch_rows(desk.ledger) == []


def test_a_person_in_two_campaigns_costs_the_window_one_place(desk: SendingDesk) -> None:
    """Meta counts different people; counted twice, two campaigns to the same customers would take two days."""
    who = people(3)
    desk.campaign(who, "One")
    desk.campaign(who[:2], "Two", template_name="winter_sale")
    report = desk.send(limit=5)
    assert report.figures.sent == 5
    assert report.after.used == 3
    assert max(attempt.admitted_count for attempt in attempts(desk.ledger)) == 3


def test_a_date_without_anybody_waiting_takes_no_batch_and_is_no_failure(desk: SendingDesk) -> None:
    """A red partition for an empty day would need a person's look every morning."""
    report = desk.send()
    assert (report.end, report.batch, report.sent_now) == (DateEnd.NOBODY_WAITS, None, 0)
    assert "nothing to send" in report.sentence


def test_people_who_are_added_later_join_the_end_of_the_queue(desk: SendingDesk) -> None:
    """A second list must not overtake the first, and must not top up a batch that was taken."""
    first, second = people(3), people(2)
    desk.campaign(first, daily_send_limit=2)
    desk.send("2026-03-02")
    add_people(desk.ledger, "spring-sale", desk.root, second, now=desk.clock.now(), name="second.csv")
    assert desk.send("2026-03-02").end is DateEnd.WAS_FINISHED
    desk.clock.forward(days=1)
    desk.send("2026-03-03")
    assert batch_phones(desk.ledger, "2026-03-03") == [phone(first[2]), phone(second[0])]


def test_a_date_to_come_is_refused(desk: SendingDesk) -> None:
    """A backfill over the whole calendar would empty the queue in one evening."""
    who = people(1)
    desk.campaign(who)
    with pytest.raises(CannotSendError, match="2026-03-03 is still to come") as refused:
        desk.send("2026-03-03")
    assert refused.value.again_at == datetime(2026, 3, 3, 9, tzinfo=UTC)
    assert batch_rows(desk.ledger) == []
    assert desk.reached(who) == []


def test_a_date_before_the_first_one_is_refused(desk: SendingDesk) -> None:
    """It has no partition; a batch for it could never be seen."""
    who = people(1)
    desk.campaign(who)
    with pytest.raises(CannotSendError, match="before the first send date, 2026-03-01"):
        desk.send("2026-02-28")
    assert desk.reached(who) == []


def test_which_date_is_today_is_for_the_business_to_say(desk: SendingDesk) -> None:
    """At nine in the evening in New York it is tomorrow already in UTC."""
    who = people(1)
    desk.campaign(who)
    desk.clock.set("2026-03-03T02:00:00+00:00")
    new_york = calendar(zone="America/New_York")
    with pytest.raises(CannotSendError, match="today is 2026-03-02"):
        desk.send("2026-03-03", days=new_york)
    assert desk.send("2026-03-02", days=new_york).sent_now == 1


@pytest.mark.parametrize(
    ("moment", "opens"),
    [("2026-03-02T08:59:59", "2026-03-02T09:00:00"), ("2026-03-02T20:00:00", "2026-03-03T09:00:00")],
)
def test_outside_the_window_nothing_is_sent_and_it_says_when(desk: SendingDesk, moment: str, opens: str) -> None:
    """Marketing at night costs customers, and a block costs the quality rating."""
    who = people(2)
    desk.campaign(who)
    desk.clock.set(f"{moment}+00:00")
    with pytest.raises(CannotSendError, match="Outside the send window 09:00-20:00 nothing is sent") as refused:
        desk.send(days=OFFICE_HOURS)
    assert refused.value.again_at == datetime.fromisoformat(f"{opens}+00:00")
    assert batch_rows(desk.ledger) == []
    assert desk.reached(who) == []


def test_a_window_that_closes_over_a_batch_stops_it_and_the_people_stay_in_it(desk: SendingDesk) -> None:
    """A slow batch that runs on into the night is what the window is there against."""
    who = people(4)
    desk.campaign(who)

    def evening_comes(progress: Progress) -> None:
        if progress.done == 1:
            desk.clock.set("2026-03-02T20:00:00+00:00")

    with pytest.raises(CannotSendError, match="is over for today") as stopped:
        desk.send(concurrency=1, days=OFFICE_HOURS, on_progress=evening_comes)
    assert stopped.value.left == 3
    told = stopped.value.told(OFFICE_HOURS)
    assert told.endswith("3 people of the batch are still to be sent to. It can go on at 2026-03-03 09:00 UTC.")
    assert desk.reached(who) == [phone(who[0])]
    assert states(desk.ledger) == ["accepted", "claimed", "claimed", "claimed"]


def test_a_batch_whose_last_answer_comes_when_the_window_has_closed_is_finished(desk: SendingDesk) -> None:
    """Everybody was sent to; a partition that stays red all night needs a repair that nobody can make."""
    desk.campaign(people(3))

    def evening_comes(progress: Progress) -> None:
        if progress.done == progress.total:
            desk.clock.set("2026-03-02T20:00:01+00:00")

    report = desk.send(concurrency=1, days=OFFICE_HOURS, on_progress=evening_comes)
    assert (report.end, report.figures.sent) == (DateEnd.FINISHED, 3)
    assert desk.send(days=OFFICE_HOURS).end is DateEnd.WAS_FINISHED


def test_a_finished_date_succeeds_whatever_else_is_wrong(desk: SendingDesk) -> None:
    """Yesterday's green partition, run again at night, without token or capacity, must not turn red."""
    desk.campaign(people(3), daily_send_limit=2)
    desk.send(limit=2)
    desk.clock.set("2026-03-02T23:00:00+00:00")
    report = desk.send(limit=0, days=OFFICE_HOURS, connect=no_token)
    assert (report.end, report.figures.sent) == (DateEnd.WAS_FINISHED, 2)


def test_a_finished_date_does_not_wait_for_a_run_that_holds_the_sender(desk: SendingDesk) -> None:
    """A re-run of yesterday would hold a run's slot all day for nothing."""
    desk.campaign(people(2))
    desk.send()
    take_over(desk.ledger)
    told: list[Progress] = []
    assert desk.send(on_progress=told.append).end is DateEnd.WAS_FINISHED
    assert told == []


def test_without_a_token_nobody_is_taken(desk: SendingDesk) -> None:
    """People who are claimed by a run that cannot call would be missing in the next day's batch."""
    desk.campaign(people(2))
    with pytest.raises(SettingsError):
        desk.send(connect=no_token)
    assert batch_rows(desk.ledger) == []
    assert states(desk.ledger) == ["pending", "pending"]


def test_a_limit_of_nobody_is_refused_in_words(desk: SendingDesk) -> None:
    """A limit of 0 is how a person stops everything; the run has to say so instead of looking done."""
    desk.campaign(people(1))
    with pytest.raises(CannotSendError, match="limit is 0"):
        desk.send(limit=0)


def test_what_other_systems_have_used_is_not_used_again(desk: SendingDesk) -> None:
    """Another program on the same portfolio has reached people too; Meta counts them together."""
    desk.campaign(people(5))
    used_capacity(desk.ledger, desk.clock.now())
    with desk.ledger.write() as connection:
        connection.execute(
            insert(external_usage).values(sender_id=1, people=3, used_at=desk.clock.now(), source="support desk")
        )
    report = desk.send(limit=5)
    assert (report.figures.sent, report.before.used, report.after.used) == (2, 3, 5)


def test_a_limit_that_a_person_has_set_counts_until_the_settings_say_something_new(desk: SendingDesk) -> None:
    """Meta raises a tier at noon; a settings file from last year must not take it back at every run."""
    desk.campaign(people(9), daily_send_limit=3)
    desk.send("2026-03-02", limit=3)
    desk.clock.forward(hours=24)
    with desk.ledger.write() as connection:
        connection.execute(
            insert(sender_limits).values(
                sender_id=1, people_per_24_hours=5, effective_from=desk.clock.now(), source="a person"
            )
        )
    assert desk.send("2026-03-03", limit=3).after.limit == 5
    desk.clock.forward(days=1)
    lowered = desk.send("2026-03-04", limit=1)
    assert (lowered.after.limit, lowered.figures.total) == (1, 1)


def test_each_attempt_keeps_the_limit_and_the_count_that_it_was_admitted_under(desk: SendingDesk) -> None:
    """The proof that no window was exceeded has to be readable from the rows alone, months later."""
    desk.campaign(people(6), daily_send_limit=3)
    desk.send("2026-03-01", limit=8, concurrency=2)
    desk.send("2026-03-02", limit=8, concurrency=2)
    rows = attempts(desk.ledger)
    assert sorted(row.admitted_count for row in rows) == [1, 2, 3, 4, 5, 6]
    assert {row.admitted_limit for row in rows} == {8}
    assert {row.lease_fence for row in rows} == {1, 2}


def test_a_ledger_stays_with_one_cloud_api(desk: SendingDesk) -> None:
    """A trial's ledger pointed at Meta would send the made-up campaign to real people."""
    desk.campaign(people(2), daily_send_limit=1)
    desk.send("2026-03-01")
    with pytest.raises(CannotSendError, match="sent through simulator, and WHATSAPP_BASE_URL now names graph"):
        desk.send("2026-03-02", base_url="https://graph.facebook.com")
    assert [row.send_date for row in batch_rows(desk.ledger)] == [date(2026, 3, 1)]


def test_a_template_without_values_and_one_with_them_both_reach_the_person(desk: SendingDesk) -> None:
    """The columns of the list are what the person reads; swapped or lost they read nonsense."""
    plain, named = people(1), people(1)
    desk.campaign(plain, "Plain", template_name="plain")
    desk.campaign(named, "Named", template_name="named", parameters=[TemplateParameter("who", "first_name")])
    assert desk.send().figures.sent == 2
    of = {message["to"]: message["components"] for message in desk.simulator.messages()}
    assert of[phone(plain[0])] == []
    assert of[phone(named[0])] == [
        {"type": "body", "parameters": [{"type": "text", "parameter_name": "who", "text": "Ada"}]}
    ]


def test_the_attempt_travels_with_its_call(desk: SendingDesk) -> None:
    """Without its id in the call no webhook could ever settle an answer that was lost."""
    who = people(2)
    desk.campaign(who)
    desk.send()
    travelled = {each["biz_opaque_callback_data"]: each["to"] for each in desk.simulator.messages()}
    for attempt in attempts(desk.ledger, *who):
        assert travelled[attempt.id] == attempt.phone


def test_releasing_people_of_campaigns_that_are_active_releases_nobody(desk: SendingDesk) -> None:
    """Called at the end of every run: one condition too few, and every batch would be given back."""
    desk.campaign(people(3))
    batch, _ = take_and_admit(desk.ledger, 2, desk.clock)
    with desk.ledger.write() as connection:
        assert release_held_up(connection, batch, desk.clock.now()) == 0


def test_a_postgresql_that_may_forget_what_it_has_committed_is_not_sent_from(
    postgres: PostgresServer, migrated_postgres: str, simulator: SimulatorProcess, clock: HandClock, tmp_path: Path
) -> None:
    """The power fails, the last attempts are gone from the ledger, and their people get the message again."""
    url = postgres.new_database(migrated_postgres)
    ledger = connect(url)
    with ledger.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(f'ALTER DATABASE "{make_url(url).database}" SET synchronous_commit = off')
    ledger.close()
    who = people(2)
    desk = SendingDesk(ledger, simulator, clock, tmp_path)
    desk.campaign(who)
    with pytest.raises(CannotSendError, match="PostgreSQL runs with synchronous_commit = off: set it to on"):
        desk.send()
    assert desk.reached(who) == []
    assert set(states(ledger)) == {"pending"}
    ledger.close()
