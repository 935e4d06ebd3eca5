"""A ledger with messages under way and an inbox, for every test of what is learnt about them."""

from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from campaign_pipeline.delivery.folders import StatusFolders
from campaign_pipeline.delivery.status_files import IngestReport, ingest_waiting
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.sending.attempts import AdmittedCall
from campaign_pipeline.whatsapp.client import Answer
from campaign_pipeline_tests.delivery.payloads import ndjson, payload, put
from campaign_pipeline_tests.support.campaigns import active_campaign
from campaign_pipeline_tests.support.clock import HandClock
from campaign_pipeline_tests.support.sending import (
    accepted,
    answer_call,
    answer_calls,
    take_and_admit,
)


class Post:
    """A ledger with calls under way, and an inbox.

    Attributes:
        ledger: Where it is written down.
        clock: What time it is.
        root: A folder of the test's own.
    """

    def __init__(self, ledger: Ledger, clock: HandClock, root: Path) -> None:
        self.ledger = ledger
        self.clock = clock
        self.root = root
        self._names = count()

    def calls(self, people: int) -> tuple[AdmittedCall, ...]:
        """Makes a campaign whose people are all being attempted."""
        active_campaign(self.ledger, self.root, range(people), now=self.clock.now(), daily_send_limit=2_000)
        return take_and_admit(self.ledger, people, self.clock)[1]

    def messages(self, people: int) -> list[str]:
        """Makes a campaign whose people were all sent to; gives the wamids."""
        calls = self.calls(people)
        wamids = [f"wamid.{number}" for number in range(people)]
        answers = zip(calls, map(accepted, wamids), strict=True)
        answer_calls(self.ledger, answers, self.clock.now())
        return wamids

    def answer(self, call: AdmittedCall, answer: Answer) -> None:
        """Records the answer to a call."""
        answer_call(self.ledger, call, answer, self.clock.now())

    def put(self, name: str, content: bytes) -> Path:
        """Puts a file into the inbox."""
        return put(self.folders.inbox, name, content)

    def ingest(self) -> IngestReport:
        """Takes in what waits."""
        return ingest_waiting(self.ledger, self.folders, self.clock.now)

    def learn(self, *statuses: dict[str, Any]) -> IngestReport:
        """Takes in one file with some statuses, each in a payload of its own."""
        self.put(f"{next(self._names):06d}.ndjson", ndjson(payload(each) for each in statuses))
        return self.ingest()

    @property
    def folders(self) -> StatusFolders:
        """Inbox, archive and rejected."""
        return StatusFolders(self.root / "inbox", self.root / "archive", self.root / "rejected")

    def names_in(self, folder: str) -> Sequence[str]:
        """The files of a folder, by name."""
        path = self.root / folder
        return sorted(each.name for each in path.iterdir()) if path.is_dir() else []


@pytest.fixture
def post(ledger: Ledger, clock: HandClock, tmp_path: Path) -> Post:
    """A ledger and an inbox, both empty."""
    return Post(ledger, clock, tmp_path)
