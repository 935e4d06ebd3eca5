"""The limit with its history, and what other systems have used: who said it, from when on, and until when it holds."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import audit_log, outbox
from campaign_pipeline.sending import capacity, limits
from campaign_pipeline.sending.errors import CannotSendError
from campaign_pipeline.sending.limits import FROM_SETTINGS, Limit, LimitError
from campaign_pipeline.sending.proof import prove
from campaign_pipeline_tests.support.clock import HandClock
from campaign_pipeline_tests.support.sending import SendingDesk, people, used_capacity


def set_limit(
    ledger: Ledger, people: int, now: datetime, *, effective_from: datetime | None = None, setting: int = 250
) -> Limit:
    """Sets a limit, from now on if nothing else is said."""
    with ledger.write() as connection:
        return limits.set_limit(connection, people, effective_from or now, by="Ada", setting=setting, now=now)


def in_force(ledger: Ledger, now: datetime, setting: int = 250) -> int:
    """The limit in force."""
    with ledger.read() as connection:
        return limits.limit_in_force(connection, setting, now)


def note_setting(ledger: Ledger, setting: int, now: datetime) -> None:
    """Notes the settings' limit, as every run does."""
    with ledger.write() as connection:
        limits.note_setting(connection, capacity.sender_id(connection), setting, now)


def test_a_limit_that_a_person_sets_holds_at_once_even_before_the_first_run(ledger: Ledger, clock: HandClock) -> None:
    """Nobody has noted the settings yet; the person's word must not be taken for an older one."""
    assert in_force(ledger, clock.now()) == 250
    set_limit(ledger, 2_000, clock.now())
    assert in_force(ledger, clock.now()) == 2_000
    note_setting(ledger, 250, clock.now())
    clock.forward(days=30)
    assert in_force(ledger, clock.now()) == 2_000


def test_a_limit_holds_until_the_settings_say_something_new(ledger: Ledger, clock: HandClock) -> None:
    """The file of settings was changed on purpose: that is the later word, at once and not from the next run on."""
    set_limit(ledger, 2_000, clock.now())
    clock.forward(days=1)
    assert in_force(ledger, clock.now(), setting=1_000) == 1_000
    note_setting(ledger, 1_000, clock.now())
    assert in_force(ledger, clock.now(), setting=1_000) == 1_000
    clock.forward(days=1)
    set_limit(ledger, 500, clock.now(), setting=1_000)
    assert in_force(ledger, clock.now(), setting=1_000) == 500


def test_a_person_who_speaks_after_the_settings_changed_is_heard(ledger: Ledger, clock: HandClock) -> None:
    """No run has noted the new setting yet; noted later, it would take the person's word back."""
    note_setting(ledger, 250, clock.now())
    clock.forward(hours=1)
    set_limit(ledger, 2_000, clock.now(), setting=1_000)
    clock.forward(hours=1)
    note_setting(ledger, 1_000, clock.now())
    assert in_force(ledger, clock.now(), setting=1_000) == 2_000


def test_the_later_of_two_words_holds(ledger: Ledger, clock: HandClock) -> None:
    """Two people on one morning, within the same second."""
    for people_per_day in (2_000, 100, 400):
        set_limit(ledger, people_per_day, clock.now())
    assert in_force(ledger, clock.now()) == 400


def test_a_limit_from_a_future_date_on_takes_effect_then(ledger: Ledger, clock: HandClock) -> None:
    """Meta has announced the next tier for the tenth; used a day early, it is a broken limit."""
    tenth = datetime.fromisoformat("2026-03-10T00:00:00+00:00")
    set_limit(ledger, 2_000, clock.now(), effective_from=tenth)
    assert in_force(ledger, clock.now()) == 250
    clock.forward(days=1)
    set_limit(ledger, 500, clock.now())
    assert in_force(ledger, clock.now()) == 500
    assert in_force(ledger, tenth - timedelta(seconds=1)) == 500
    assert in_force(ledger, tenth) == 2_000
    set_limit(ledger, 500, clock.now(), effective_from=tenth)
    assert in_force(ledger, tenth) == 500


def test_a_future_limit_survives_a_change_of_the_settings_before_its_day(ledger: Ledger, clock: HandClock) -> None:
    """It was said about that day, and nothing else has been said about that day since."""
    tenth = datetime.fromisoformat("2026-03-10T00:00:00+00:00")
    set_limit(ledger, 2_000, clock.now(), effective_from=tenth)
    clock.forward(days=2)
    note_setting(ledger, 1_000, clock.now())
    assert in_force(ledger, clock.now(), setting=1_000) == 1_000
    assert in_force(ledger, tenth, setting=1_000) == 2_000


def test_a_word_is_heard_although_the_senders_clock_is_ahead(ledger: Ledger, clock: HandClock) -> None:
    """The settings were noted five minutes in the future of the machine at which the person sits."""
    note_setting(ledger, 250, clock.now() + timedelta(minutes=5))
    set_limit(ledger, 10, clock.now())
    assert in_force(ledger, clock.now()) == 10
    assert in_force(ledger, clock.now() + timedelta(minutes=10)) == 10


def test_a_limit_is_used_by_the_very_next_batch(desk: SendingDesk) -> None:
    """Meta has raised the tier at noon; a missed date can be caught up with on the same day."""
    desk.campaign(people(9), daily_send_limit=4)
    assert desk.send("2026-03-02", limit=4).figures.sent == 4
    with pytest.raises(CannotSendError, match="No capacity to spare"):
        desk.send("2026-03-01", limit=4)
    set_limit(desk.ledger, 7, desk.clock.now(), setting=4)
    assert desk.send("2026-03-01", limit=4).figures.sent == 3
    assert used_capacity(desk.ledger, desk.clock.now()) == 7


def test_a_limit_of_nobody_stops_everything(desk: SendingDesk) -> None:
    """The quickest way to hold all campaigns at once."""
    desk.campaign(people(2))
    set_limit(desk.ledger, 0, desk.clock.now())
    with pytest.raises(CannotSendError, match="limit is 0"):
        desk.send()


def test_a_limit_of_nobody_goes_on_stopping_everything_when_the_clock_is_set_back(desk: SendingDesk) -> None:
    """The emergency stop would be undone by an hour's correction of the clock, for exactly that hour."""
    who = people(3)
    desk.campaign(who)
    set_limit(desk.ledger, 0, desk.clock.now())
    desk.clock.jump(hours=-1)
    with pytest.raises(CannotSendError, match="limit is 0"):
        desk.send()
    assert desk.reached(who) == []


def test_of_two_words_the_one_that_was_said_later_holds_although_the_clock_was_set_back(
    ledger: Ledger, clock: HandClock
) -> None:
    """A tier that Meta has lowered would not be lowered here until the clock is where it had been before."""
    set_limit(ledger, 2_000, clock.now())
    clock.jump(hours=-5)
    assert set_limit(ledger, 100, clock.now()).effective_from == clock.now() + timedelta(hours=5)
    assert in_force(ledger, clock.now()) == 100
    clock.jump(hours=-1)
    note_setting(ledger, 50, clock.now())
    assert in_force(ledger, clock.now(), setting=50) == 50
    clock.forward(days=2)
    assert in_force(ledger, clock.now(), setting=50) == 50


def test_the_history_tells_who_said_what_from_when_on(ledger: Ledger, clock: HandClock) -> None:
    """A year later, somebody asks why 2,000 people were reached on that day."""
    now = clock.now()
    later = now + timedelta(days=8)
    set_limit(ledger, 2_000, now, effective_from=later)
    set_limit(ledger, 1_000, now)
    with ledger.read() as connection:
        assert limits.history(connection) == [
            Limit(250, now, FROM_SETTINGS),
            Limit(1_000, now, "Ada"),
            Limit(2_000, later, "Ada"),
        ]
        assert limits.latest_word(connection, 250, now) == Limit(1_000, now, "Ada")
        assert limits.latest_word(connection, 300, now) == Limit(300, None, FROM_SETTINGS)


def test_a_limit_is_written_down_for_people_and_for_dagster(ledger: Ledger, clock: HandClock) -> None:
    """Who raised it is asked after a complaint; the plan on the desk follows it by itself."""
    set_limit(ledger, 2_000, clock.now())
    with ledger.read() as connection:
        audited = connection.execute(select(audit_log)).one()
        announced = connection.execute(select(outbox)).one()
    assert (audited.actor, audited.action, audited.at) == ("Ada", "limit_set", clock.now())
    assert (audited.details["people"], audited.details["in_force_before"]) == (2_000, 250)
    assert (announced.kind, announced.details["people"]) == ("limit_set", 2_000)


@pytest.mark.parametrize(
    ("people_per_day", "days", "by", "said"),
    [
        (-1, 0, "Ada", "from 0 to"),
        (10**10, 0, "Ada", "from 0 to"),
        (10, -1, "Ada", "for the past"),
        (10, 0, " ", "Say who"),
        (10, 0, FROM_SETTINGS, "Say who"),
    ],
)
def test_a_limit_that_cannot_be_meant_so_is_refused(
    ledger: Ledger, clock: HandClock, people_per_day: int, days: int, by: str, said: str
) -> None:
    """A word under the settings' name would be taken back by the next run; one for the past changes what was right."""
    effective_from = clock.now() + timedelta(days=days)
    with ledger.write() as connection, pytest.raises(LimitError, match=said):
        limits.set_limit(connection, people_per_day, effective_from, by=by, setting=250, now=clock.now())
    with ledger.read() as connection:
        assert limits.history(connection) == []


def test_of_two_people_who_set_a_limit_at_once_the_second_speaks_after_the_first(
    ledger: Ledger, clock: HandClock
) -> None:
    """Each would note the settings and say what was in force before, and one of the two would be wrong."""
    with ledger.write() as connection:
        capacity.sender_id(connection)
    with ThreadPoolExecutor(1) as pool:
        with ledger.write() as connection:
            limits.set_limit(connection, 500, clock.now(), by="Ada", setting=250, now=clock.now())
            second = pool.submit(set_limit, ledger, 600, clock.now())
            with pytest.raises(TimeoutError):
                second.result(timeout=0.3)
        second.result()
    with ledger.read() as connection:
        assert [each.people for each in limits.history(connection)] == [250, 500, 600]
        before = [
            row["in_force_before"]
            for row in connection.execute(select(audit_log.c.details).order_by(audit_log.c.id)).scalars()
        ]
    assert before == [250, 500]


def test_what_was_used_elsewhere_counts_for_24_hours(desk: SendingDesk) -> None:
    """The support desk has written to people over the same portfolio: Meta counts them with ours."""
    desk.campaign(people(9))
    used_at = desk.clock.now() - timedelta(hours=3)
    with desk.ledger.write() as connection:
        limits.note_used_elsewhere(connection, 4, used_at, by="Ada", now=desk.clock.now())
        limits.note_used_elsewhere(connection, 1, desk.clock.now(), by="Ada", now=desk.clock.now())
    assert used_capacity(desk.ledger, desk.clock.now()) == 5
    report = desk.send(limit=8)
    assert (report.figures.sent, report.before.used) == (3, 5)
    end = used_at + timedelta(hours=24)
    with desk.ledger.read() as connection:
        assert [each.people for each in limits.used_elsewhere(connection, desk.clock.now())] == [4, 1]
        assert [each.people for each in limits.used_elsewhere(connection, end)] == [1]
        audited = connection.execute(select(audit_log).where(audit_log.c.action == "used_elsewhere_noted")).all()
    assert used_capacity(desk.ledger, end) == used_capacity(desk.ledger, end - timedelta(seconds=1)) - 4
    assert [(row.actor, row.details["people"]) for row in audited] == [("Ada", 4), ("Ada", 1)]


def test_what_was_used_elsewhere_counts_for_24_hours_although_the_clock_was_set_back(desk: SendingDesk) -> None:
    """Dated by a clock that is a day and more behind, these people would use no capacity at all."""
    desk.campaign(people(9), daily_send_limit=4)
    desk.send("2026-03-01", limit=9)
    noted_at = desk.clock.now()
    desk.clock.jump(hours=-30)
    with desk.ledger.write() as connection:
        used = limits.note_used_elsewhere(
            connection, 3, desk.clock.now() - timedelta(hours=2), by="Ada", now=desk.clock.now()
        )
    assert used.used_at == noted_at - timedelta(hours=2)
    assert used_capacity(desk.ledger, noted_at) == 4 + 3
    assert used_capacity(desk.ledger, noted_at + timedelta(hours=21, minutes=59)) == 4 + 3
    assert prove(desk.ledger).kept


@pytest.mark.parametrize(
    ("number", "hours_ago", "by", "said"),
    [
        (3, -0.1, "Ada", "still to come"),
        (3, 24, "Ada", "use no capacity any more"),
        (0, 1, "Ada", "Used elsewhere can be 1 to"),
        (10**10, 1, "Ada", "Used elsewhere can be 1 to"),
        (3, 1, "", "Say who"),
    ],
)
def test_use_that_cannot_be_meant_so_is_refused(
    ledger: Ledger, clock: HandClock, number: int, hours_ago: float, by: str, said: str
) -> None:
    """A wrong day in the time: taken as it is, it would count nothing, or block tomorrow, and nobody would know."""
    used_at = clock.now() - timedelta(hours=hours_ago)
    with ledger.write() as connection, pytest.raises(LimitError, match=said):
        limits.note_used_elsewhere(connection, number, used_at, by=by, now=clock.now())
    with ledger.read() as connection:
        assert limits.used_elsewhere(connection, clock.now()) == []
