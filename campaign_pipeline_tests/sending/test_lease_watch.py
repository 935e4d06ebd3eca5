"""A word about a lost answer waits until the run that made the call is over: taken over, ended, or silent for long."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import update

from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import senders
from campaign_pipeline.sending import doubts
from campaign_pipeline.sending.attempts import admit
from campaign_pipeline.sending.batches import take_batch
from campaign_pipeline.sending.clock import SystemClock
from campaign_pipeline.sending.doubts import AllOfDate, Choice, DoubtError, DoubtVerdict, Resolution, TheseAttempts
from campaign_pipeline.sending.lease import Lease, LeaseTerms
from campaign_pipeline.sending.lease_watch import Sighting
from campaign_pipeline_tests.support.clock import HandClock
from campaign_pipeline_tests.support.sending import (
    LOST,
    PATIENT,
    SECOND_OF_MARCH,
    SendingDesk,
    answer_call,
    holding,
    people,
    states,
    take_over,
)

LIVELY = LeaseTerms(beat_every=0.05, silence=1.0, margin=0.2, look_every=0.02)

MUTE = LeaseTerms(beat_every=1_000, silence=0.4, margin=0.2, look_every=0.02)
"""A holder that never beats, watched by the machine's own clock."""


def say(
    desk: SendingDesk, choice: Choice, verdict: DoubtVerdict = DoubtVerdict.NOT_REACHED, silent: Sighting | None = None
) -> Resolution:
    """Settles what is chosen, as a person does."""
    with desk.ledger.write() as connection:
        return doubts.resolve(connection, choice, verdict, by="Ada", now=desk.clock.now(), silent=silent)


def doubt_of(desk: SendingDesk, lease: Lease) -> TheseAttempts:
    """An attempt in doubt that the present holder of the sender has made."""
    desk.campaign(people(1))
    with desk.ledger.write() as connection:
        batch = take_batch(connection, lease.sender_id, SECOND_OF_MARCH, 1, "run", desk.clock.now())
        assert batch is not None
        admission = admit(
            connection, lease, batch, size=1, limit_setting=9, keep_free_for=None, run_id="run", now=desk.clock.now()
        )
    (call,) = admission.calls
    answer_call(desk.ledger, call, LOST, desk.clock.now())
    return TheseAttempts((call.attempt_id,))


def watch(ledger: Ledger, choice: Choice, terms: LeaseTerms, told: list[str]) -> Sighting | None:
    """Looks whether the run that made a call is gone, by the machine's own clock."""
    return doubts.watch_callers(ledger, choice, terms, SystemClock(), told.append)


def test_not_reached_is_refused_while_the_run_that_called_is_alive(desk: SendingDesk) -> None:
    """It may still be at it; sent to again by the next batch, the same person would be called twice at once."""
    told: list[str] = []
    with holding(desk.ledger, SystemClock(), LIVELY, "the run") as lease:
        doubt = doubt_of(desk, lease)
        silent = watch(desk.ledger, doubt, LIVELY, told)
        assert (silent, told) == (None, ["the run"])
        with pytest.raises(DoubtError, match=r"the run that made the call \(the run\) still holds the sender"):
            say(desk, doubt, silent=silent)
        with pytest.raises(DoubtError, match="still holds the sender"):
            say(desk, AllOfDate(SECOND_OF_MARCH))
        assert states(desk.ledger) == ["in_doubt"]
    assert watch(desk.ledger, doubt, LIVELY, told) is None
    assert told == ["the run"], "nobody holds the sender: there is nothing to watch"
    assert say(desk, doubt).states == {"claimed": 1}


def test_reached_can_be_said_at_any_time(desk: SendingDesk) -> None:
    """It sends nothing to anyone, so nothing has to be waited for."""
    with holding(desk.ledger, SystemClock(), LIVELY, "the run") as lease:
        doubt = doubt_of(desk, lease)
        assert say(desk, doubt, DoubtVerdict.REACHED).states == {"accepted": 1}


def test_not_reached_is_taken_once_the_run_was_silent_for_long_enough(desk: SendingDesk) -> None:
    """Its host is gone and left the lease behind; nobody waits for the sender today, so nobody takes it over."""
    told: list[str] = []
    with holding(desk.ledger, SystemClock(), MUTE, "gone") as lease:
        doubt = doubt_of(desk, lease)
        began = SystemClock().monotonic()
        silent = watch(desk.ledger, doubt, MUTE, told)
        assert SystemClock().monotonic() - began >= MUTE.silence
        assert told == ["gone"]
        assert silent is not None
        with pytest.raises(DoubtError, match="still holds the sender"):
            say(desk, doubt)
        assert say(desk, doubt, silent=silent).states == {"claimed": 1}


def test_a_run_that_beats_after_it_was_watched_is_alive(desk: SendingDesk) -> None:
    """A laptop wakes up while somebody answers the question whether they are sure."""
    with holding(desk.ledger, SystemClock(), MUTE, "asleep") as lease:
        doubt = doubt_of(desk, lease)
        silent = watch(desk.ledger, doubt, MUTE, [])
        with desk.ledger.write() as connection:
            connection.execute(update(senders).values(lease_beat=senders.c.lease_beat + 1))
        with pytest.raises(DoubtError, match="still holds the sender"):
            say(desk, doubt, silent=silent)
        assert states(desk.ledger) == ["in_doubt"]


def test_not_reached_is_taken_when_another_run_has_taken_over(desk: SendingDesk) -> None:
    """Who has lost the sender starts no call any more, and the new holder did not make this one."""
    told: list[str] = []
    with holding(desk.ledger, SystemClock(), PATIENT, "first") as lease:
        doubt = doubt_of(desk, lease)
        take_over(desk.ledger)
        assert watch(desk.ledger, doubt, LIVELY, told) is None
        assert told == []
        assert say(desk, doubt).states == {"claimed": 1}


def test_silence_is_measured_by_the_observers_own_clock(desk: SendingDesk, clock: HandClock) -> None:
    """The time of day jumps by hours; only what grows steadily says how long nobody has beaten."""

    class Jumping(HandClock):
        """The time of day goes back an hour with every wait, while a second passes."""

        waited = 0

        def wait(self, stop: threading.Event, seconds: float) -> bool:
            self.waited += 1
            self.moment -= timedelta(hours=1)
            self.elapsed += seconds
            return stop.is_set()

    jumping = Jumping()
    with holding(desk.ledger, clock, PATIENT, "gone") as lease:
        doubt = doubt_of(desk, lease)
        terms = LeaseTerms(silence=30, look_every=1)
        assert doubts.watch_callers(desk.ledger, doubt, terms, jumping, lambda _: None) is not None
        assert 28 <= jumping.waited <= 31
