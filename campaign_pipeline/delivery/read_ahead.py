"""Reading on while the database is busy: the next of some items is prepared in another thread from a chosen moment on.

Add here what concerns that thread alone. Keep out what the items are.

The moment is chosen, and not simply as early as possible, because two threads that both need Python's lock hold each
other up: reading ahead gains time only while the other one waits for something else.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, Self, TypeVar

Item = TypeVar("Item")


class ReadAhead(Iterator[Item], Generic[Item]):
    """Items in their order, of which the next may be begun before it is asked for; at most one is held.

    It is used in a `with` statement, whose end waits for what was begun. An error of reading is raised where its item
    would have been. Once the machine has started no thread, each item is read when it is asked for.
    """

    def __init__(self, items: Iterator[Item]) -> None:
        self._items = items
        self._begun: Future[tuple[Item] | None] | None = None
        self._reader = ThreadPoolExecutor(1, "read-ahead")

    def begin(self) -> None:
        """Has the next item read from now on; nothing more if that was begun before."""
        if self._begun is not None:
            return
        try:
            self._begun = self._reader.submit(self._read)
        except RuntimeError:
            # What was submitted is in its queue, and would be read and lost when a thread can be started later.
            self._reader.shutdown(cancel_futures=True)

    def __next__(self) -> Item:
        """Gives the next item, waiting for it."""
        begun, self._begun = self._begun, None
        item = self._read() if begun is None else begun.result()
        if item is None:
            raise StopIteration
        return item[0]

    def __enter__(self) -> Self:
        """Begins nothing yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Waits for what was begun."""
        self._reader.shutdown()

    def _read(self) -> tuple[Item] | None:
        for item in self._items:
            return (item,)
        return None
