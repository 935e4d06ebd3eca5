"""How fast calls may start: never above the rate, and slower after each refusal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign_pipeline.sending.pace import LONGEST_BACK_OFF, BackOff, TokenBucket


@given(
    rate=st.floats(0.5, 80),
    steps=st.lists(st.tuples(st.floats(0, 3), st.integers(0, 100)), min_size=1, max_size=60),
)
def test_no_stretch_of_time_sees_more_calls_than_rate_and_one_second_in_hand_allow(
    rate: float, steps: list[tuple[float, int]]
) -> None:
    """Above Meta's rate the automated replies on the same number are refused too."""
    bucket = TokenBucket(rate, 0.0)
    now = 0.0
    started: list[tuple[float, int]] = []
    for wait, wanted in steps:
        now += wait
        calls = min(wanted, bucket.available(now))
        bucket.take(calls)
        started.append((now, calls))
    for first, (begin, _) in enumerate(started):
        for last in range(first, len(started)):
            calls = sum(number for _, number in started[first : last + 1])
            assert calls <= max(1.0, rate) + rate * (started[last][0] - begin) + 1e-6


def test_a_run_begins_with_one_call_and_goes_on_at_the_rate() -> None:
    """A restart loop that began with a full second's worth would be over the rate."""
    bucket = TokenBucket(20.0, 0.0)
    assert bucket.available(0.0) == 1
    bucket.take(1)
    assert bucket.available(0.0) == 0
    assert bucket.seconds_until_next() == pytest.approx(0.05)
    assert bucket.available(0.5) == 10
    assert bucket.available(60.0) == 20


def test_a_rate_below_one_a_second_still_lets_a_call_through() -> None:
    """Half a call a second, capped at half a call in hand, would never start one."""
    bucket = TokenBucket(0.5, 0.0)
    bucket.take(1)
    assert bucket.available(1.0) == 0
    assert bucket.seconds_until_next() == pytest.approx(1.0)
    assert bucket.available(2.0) == 1


def test_a_clock_that_stands_or_goes_back_gives_no_calls_for_nothing() -> None:
    """Monotonic clocks do not go back; should one do so, it must not be worth anything."""
    bucket = TokenBucket(10.0, 100.0)
    bucket.take(1)
    assert bucket.available(100.0) == 0
    assert bucket.available(50.0) == 0


def test_each_failure_in_a_row_waits_twice_as_long_up_to_a_minute() -> None:
    """Trying every second what is refused every second is how a throttle becomes a block."""
    back_off = BackOff()
    now = 0.0
    waited = []
    for _ in range(8):
        back_off.failed(now, 0.0)
        waited.append(back_off.seconds_left(now))
        now += waited[-1]
    assert waited == [1, 2, 4, 8, 16, 32, 60, 60]


def test_chance_spreads_those_who_wait_by_a_quarter_at_most() -> None:
    """A thousand runs that all come back in the same second are the next throttle."""
    for jitter, seconds in [(0.0, 1.0), (0.5, 1.125), (1.0, 1.25)]:
        back_off = BackOff()
        back_off.failed(10.0, jitter)
        assert back_off.seconds_left(10.0) == pytest.approx(seconds)
    assert LONGEST_BACK_OFF == 60


def test_a_success_ends_the_row_of_failures() -> None:
    """Five throttles in the morning and one in the evening are not six in a row."""
    back_off = BackOff()
    for _ in range(5):
        back_off.failed(back_off.until, 0.0)
    back_off.succeeded()
    assert back_off.failures == 0
    back_off.failed(100.0, 0.0)
    assert (back_off.failures, back_off.seconds_left(100.0)) == (1, 1.0)


def test_failures_of_calls_that_were_in_flight_together_count_once() -> None:
    """They were all started before the first of them could say anything."""
    back_off = BackOff()
    for _ in range(16):
        back_off.failed(5.0, 0.0)
    assert (back_off.failures, back_off.seconds_left(5.0)) == (1, 1.0)
