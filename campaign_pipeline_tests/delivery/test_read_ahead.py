"""Items that are read ahead come as they would have come without it."""

import threading
from collections.abc import Iterator

import pytest

from campaign_pipeline.delivery.read_ahead import ReadAhead

SECONDS_OF_PATIENCE = 60.0


class Source:
    """Gives numbers, and notes how far it has been read."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.given: list[int] = []
        self.threads: set[str] = set()
        self.has_given_two = threading.Event()
        self._fails_at = fails_at

    def numbers(self) -> Iterator[int]:
        """Four of them."""
        for number in range(4):
            if number == self._fails_at:
                msg = f"number {number} cannot be read"
                raise OSError(msg)
            self.given.append(number)
            self.threads.add(threading.current_thread().name)
            if number:
                self.has_given_two.set()
            yield number


def test_all_items_come_in_their_order_whether_begun_before_or_not() -> None:
    """Lines of a file that came twice, or not at all, would be counted as taken in all the same."""
    source = Source()
    came = []
    with ReadAhead(source.numbers()) as ahead:
        for number in ahead:
            came.append(number)
            if number % 2:
                ahead.begin()
    assert came == [0, 1, 2, 3]


def test_what_is_begun_is_read_by_another_thread_and_no_further_than_one_item() -> None:
    """Read without bounds, a large file would be in memory while the database is slow."""
    source = Source()
    with ReadAhead(source.numbers()) as ahead:
        assert next(ahead) == 0
        assert source.given == [0]
        source.threads.clear()
        ahead.begin()
        ahead.begin()
        assert source.has_given_two.wait(SECONDS_OF_PATIENCE)
    assert source.given == [0, 1]
    assert source.threads
    assert threading.current_thread().name not in source.threads


def test_an_error_of_reading_comes_where_its_item_would_have_come() -> None:
    """Come earlier, it would take the lines before it along; swallowed, the file would count as read to its end."""
    with ReadAhead(Source(fails_at=2).numbers()) as ahead:
        assert next(ahead) == 0
        assert next(ahead) == 1
        ahead.begin()
        with pytest.raises(OSError, match="number 2"):
            next(ahead)


def test_nothing_goes_on_reading_after_the_end() -> None:
    """A thread left behind would read a file that was put away, and keep its process from ending."""
    source = Source()
    with ReadAhead(source.numbers()) as ahead:
        next(ahead)
        source.threads.clear()
        ahead.begin()
    assert source.threads
    assert not {thread.name for thread in threading.enumerate()} & source.threads


@pytest.mark.parametrize("refusals", [1, 2, 100])
def test_a_machine_that_starts_no_thread_for_a_while_reads_all_the_same(
    monkeypatch: pytest.MonkeyPatch, refusals: int
) -> None:
    """Where a container bounds them, a good file would be rejected, or lines of it be read and forgotten."""
    start = threading.Thread.start
    refused: list[threading.Thread] = []

    def start_or_not(thread: threading.Thread) -> None:
        if len(refused) < refusals:
            refused.append(thread)
            msg = "can't start new thread"
            raise RuntimeError(msg)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_or_not)
    came = []
    with ReadAhead(Source().numbers()) as ahead:
        for number in ahead:
            came.append(number)
            ahead.begin()
    assert came == [0, 1, 2, 3]
    assert refused
