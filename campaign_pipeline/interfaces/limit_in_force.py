"""The limit as people and programs look at it: who said what, what is used of it, and when places get free again.

Add here what is told of the limit.
Keep out what holds when (`sending.limits`) and what counts (`sending.capacity`).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection

from campaign_pipeline.sending.capacity import Capacity, Freed, capacity_at, freed_by_hour, sender_id_or_none
from campaign_pipeline.sending.limits import Limit, UsedElsewhere, history, latest_word, used_by_tests, used_elsewhere


@dataclass(frozen=True, slots=True)
class LimitInForce:
    """The limit at one moment.

    Attributes:
        word: The limit in force, with its source.
        capacity: What is used of it.
        used_elsewhere: What other systems of the portfolio use of it.
        test_sends: Places that test sends use of it.
        freed: When places get free again, hour by hour.
        history: Every word on the limit, those to come included.
    """

    word: Limit
    capacity: Capacity
    used_elsewhere: Sequence[UsedElsewhere]
    test_sends: int
    freed: Sequence[Freed]
    history: Sequence[Limit]

    def as_dict(self) -> dict[str, object]:
        """As programs read it."""
        return {
            "limit": asdict(self.word),
            "used": self.capacity.used,
            "used_elsewhere": [asdict(each) for each in self.used_elsewhere],
            "test_sends": self.test_sends,
            "free": self.capacity.free,
            "freed": [asdict(each) for each in self.freed],
            "history": [asdict(each) for each in self.history],
        }


def look_at_limit(connection: Connection, setting: int, now: datetime) -> LimitInForce:
    """Looks at the limit as it stands at a moment.

    Args:
        connection: A transaction.
        setting: The settings' limit.
        now: The moment, UTC.
    """
    word = latest_word(connection, setting, now)
    # The sender's row is made by the first run: until then nothing was sent, and looking makes none.
    sender = sender_id_or_none(connection)
    return LimitInForce(
        word=word,
        capacity=Capacity(word.people, 0) if sender is None else capacity_at(connection, sender, word.people, now),
        used_elsewhere=used_elsewhere(connection, now),
        test_sends=used_by_tests(connection, now),
        freed=[] if sender is None else freed_by_hour(connection, sender, now),
        history=history(connection),
    )
