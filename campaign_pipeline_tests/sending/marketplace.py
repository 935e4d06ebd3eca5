"""Two campaigns, some people and one sender, each step of whose life is one call; with a witness of what happens.

Add here a step that a person, a machine or WhatsApp can take, with what it changes for the witness.
Keep out the order of steps and what has to hold after them: that is the state machine's.
"""

import json
import threading
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Final

from sqlalchemy import select

from campaign_pipeline.campaigns.catalogue import find_row
from campaign_pipeline.delivery.consequences import resume_sender
from campaign_pipeline.delivery.folders import StatusFolders
from campaign_pipeline.delivery.status_files import ingest_waiting
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import campaign_recipients, marketing_campaigns, senders
from campaign_pipeline.recipients import subscriptions
from campaign_pipeline.recipients.intake import add_file
from campaign_pipeline.recipients.phone_numbers import parse_phone
from campaign_pipeline.sending import doubts, limits
from campaign_pipeline.sending.doubts import DoubtVerdict, TheseAttempts
from campaign_pipeline.sending.errors import CannotSendError
from campaign_pipeline.sending.proof import prove
from campaign_pipeline.sending.report import Progress
from campaign_pipeline.whatsapp.client import CloudApiClient, MessageClient
from campaign_pipeline_tests.sending.fate import Fate, Killed
from campaign_pipeline_tests.sending.sending_process import SHORT
from campaign_pipeline_tests.sending.witness import Witness
from campaign_pipeline_tests.support.campaigns import activate, draft, folders
from campaign_pipeline_tests.support.clock import HandClock
from campaign_pipeline_tests.support.ledgers import empty
from campaign_pipeline_tests.support.sending import (
    PATIENT,
    SendingDesk,
    account_of,
    batch_rows,
    people,
)
from campaign_pipeline_tests.whatsapp.simulator_process import SimulatorProcess

CAMPAIGNS: Final = ("spring", "summer", "winter")
DAILY_LIMITS: Final = {"spring": 4, "summer": 3, "winter": 8}
PERSONS: Final = 30
SPELLINGS: Final = 3
LIMIT_SETTING: Final = 6


class StridingClock(HandClock):
    """A clock of which every wait takes a quarter of an hour, so that a wait of a day is no ten thousand steps."""

    stride = 900.0
    """Seconds."""

    def __init__(self) -> None:
        super().__init__("2026-03-05T09:00:00+00:00")

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """Moves on instead of waiting."""
        return super().wait(stop, max(seconds, self.stride))


class Marketplace:
    """Everything that there is, at the beginning empty; the campaigns are there once a list is added to them.

    Attributes:
        clock: The sender's clock, which a person may have set back.
        simulator: Where it is sent to.
        witness: Who knows what really happened.
        members: Whom each campaign has, by what was added to it.
        stop: Ends the run that is sending.
        is_changed: Whether attempts or states may have changed; whoever has looked sets it back.
    """

    def __init__(self, ledger: Ledger, simulator: SimulatorProcess, root: Path) -> None:
        empty(ledger)
        simulator.clear_faults()
        root.mkdir()
        self.clock = StridingClock()
        self.simulator = simulator
        self.members: dict[str, set[int]] = {campaign: set() for campaign in CAMPAIGNS}
        self.stop = threading.Event()
        self.is_changed = True
        self._ledger = ledger
        self._root = root
        self._numbers = people(PERSONS)
        by_phone = {parse_phone(text, None).e164: who for who in range(PERSONS) for text in self._spellings(who)}
        self.witness = Witness(simulator, self.clock, by_phone, LIMIT_SETTING)
        self._desk = SendingDesk(ledger, simulator, self.clock, root)
        self._lists = 0
        self._runs = 0
        self._statuses: list[str] = []
        self._told: list[str] = []
        self._astray = 0
        self._take_statuses()
        self._statuses.clear()

    @property
    def today(self) -> date:
        """The date by the sender's clock."""
        return self.clock.now().date()

    def status(self, campaign: str) -> str | None:
        """Where a campaign stands; None before its first list."""
        with self._ledger.read() as connection:
            row = find_row(connection, campaign)
        return row.status if row is not None else None

    def states(self, campaign: str) -> list[str]:
        """The state of everyone in a campaign."""
        return [state for _, state in self._recipients(campaign)]

    def state_of_each(self, campaign: str) -> dict[int, str]:
        """The state of each person of a campaign."""
        key_of = {parse_phone(self._spellings(who)[0], None).person_key: who for who in range(PERSONS)}
        return {key_of[key]: state for key, state in self._recipients(campaign)}

    def broken_promises(self) -> list[str]:
        """What the stored rows prove to be broken."""
        return [finding.name for finding in prove(self._ledger).broken]

    # --- people and campaigns ---

    def add_list(self, campaign: str, rows: Sequence[tuple[int, int]]) -> None:
        """Adds people to a campaign, each in one of the spellings; makes the campaign if there is none."""
        if self.status(campaign) is None:
            draft(
                self._ledger,
                campaign,
                self.clock.now(),
                template_name=campaign,
                daily_send_limit=DAILY_LIMITS[campaign],
                priority=int(campaign == "winter"),
            )
        self._lists += 1
        path = self._root / f"{self._lists}.csv"
        written = "".join(f"{self._spellings(who)[spelling]}\n" for who, spelling in rows)
        path.write_text(f"phone\n{written}", encoding="utf-8")
        add_file(
            self._ledger,
            campaign,
            path,
            folders=folders(self._root),
            region=None,
            phone_column=None,
            actor="test",
            clock=self.clock.now,
        )
        self.is_changed = True
        self.members[campaign] |= {who for who, _ in rows} - self.witness.unsubscribed

    def can_be_activated(self, campaign: str) -> bool:
        """Whether it is a draft with people in it."""
        return self.status(campaign) == "draft" and bool(self.members[campaign])

    def activate(self, campaign: str) -> None:
        """Makes a draft active."""
        activate(self._ledger, campaign, limit=self.witness.limit, now=self.clock.now())
        self.witness.sendable.add(campaign)

    def pause(self, campaign: str) -> None:
        """Pauses a campaign."""
        self._desk.pause(campaign)
        self.witness.sendable.discard(campaign)

    def resume(self, campaign: str) -> None:
        """Takes a paused campaign up again."""
        self._desk.resume(campaign)
        self.witness.sendable.add(campaign)

    def cancel(self, campaign: str) -> None:
        """Cancels a campaign."""
        self.is_changed = True
        self._desk.cancel(campaign)
        self.witness.sendable.discard(campaign)

    def unsubscribe(self, who: int) -> None:
        """Somebody wants no messages."""
        with self._ledger.write() as connection:
            phone = parse_phone(self._spellings(who)[1], None)
            subscriptions.unsubscribe(connection, phone, source="test", now=self.clock.now())
        self.witness.unsubscribed.add(who)

    def subscribe(self, who: int) -> None:
        """Somebody wants messages again."""
        with self._ledger.write() as connection:
            phone = parse_phone(self._spellings(who)[0], None)
            subscriptions.subscribe(connection, phone, source="test", now=self.clock.now())
        self.witness.unsubscribed.discard(who)

    # --- sending ---

    def send(
        self,
        send_date: date,
        *,
        concurrency: int,
        fate: Fate | None = None,
        during: tuple[int, Callable[[], object]] | None = None,
    ) -> None:
        """Sends a date, whatever comes of it; then nothing may be left behind that only a run that died leaves.

        Args:
            send_date: The date.
            concurrency: Calls in flight at most.
            fate: Whether and where the run dies.
            during: After so many answers something happens.
        """
        fate = fate or Fate()
        batches_before = {row.id for row in batch_rows(self._ledger)}
        # After a run that died the next one has to see that it is gone: it cannot be as patient as the others.
        dead = self._holder()
        someone_died = dead is not None
        self.clock.stride = 0.0 if someone_died else StridingClock.stride
        self.stop.clear()
        self._runs += 1
        progress = self._at_progress(*during) if during else lambda _: None
        try:
            with fate.of(self._ledger):
                self._desk.send(
                    send_date,
                    f"run {self._runs}",
                    stop=self.stop,
                    on_progress=progress,
                    concurrency=concurrency,
                    limit=LIMIT_SETTING,
                    lease=SHORT if someone_died else PATIENT,
                    connect=lambda: self._new_client(concurrency, fate),
                )
        except (CannotSendError, Killed):
            pass
        self.is_changed = True
        self._set_right()
        self.witness.read_record()
        self._take_statuses()
        if not fate.is_dead:
            assert self._holder() in (None, dead), "a run that has ended still holds the sender"
            self._nothing_is_left_open(send_date, batches_before)

    def clock_goes_astray(self, hours: int) -> None:
        """The clock shows a wrong time until the run has ended, when somebody sees it."""
        self.clock.jump(hours=hours)
        self._astray += hours

    def settle_everything(self) -> None:
        """No more faults; every campaign goes on until nobody waits, and every status is heard."""
        self.mend()
        for campaign in CAMPAIGNS:
            if self.status(campaign) == "paused":
                self.resume(campaign)
        self.set_limit(50)
        for _ in range(20):
            self.clock.forward(days=1)
            self.send(self.today, concurrency=3)
            if not self._anybody_is_unsettled_in_the_queue():
                break
        self.hear("all", 0)

    # --- what WhatsApp does and tells ---

    def order_fault(self, kind: str, accepted: bool | None, who: int) -> None:
        """Lets every call for a person meet a fault, in either number."""
        for text in self._spellings(who)[:2]:
            self.simulator.fault(kind, to=parse_phone(text, None).e164, accepted=accepted)

    def mend(self) -> None:
        """No more faults, and a sender that they have stopped goes on."""
        self.simulator.clear_faults()
        with self._ledger.write() as connection:
            resume_sender(connection, actor="test", now=self.clock.now())

    def hear(self, how: str, seed: int) -> None:
        """Takes statuses in: all that are new, some, some of those that were heard before, or all twice."""
        chance = Random(seed)  # noqa: S311 - a test repeats itself
        chosen = list(self._statuses)
        if how == "some":
            chosen = [each for each in chosen if chance.random() < 0.5]
        elif how == "some again":
            chosen += [each for each in self._told if chance.random() < 0.5]
        elif how == "twice":
            chosen *= 2
        chance.shuffle(chosen)
        self._told += set(chosen) - set(self._told)
        self._statuses = [each for each in self._statuses if each not in self._told]
        inbox = self._root / "inbox"
        inbox.mkdir(exist_ok=True)
        (inbox / "heard.ndjson").write_text("".join(f"{each}\n" for each in chosen), encoding="utf-8")
        into = StatusFolders(inbox, self._root / "archive", self._root / "rejected")
        ingest_waiting(self._ledger, into, self.clock.now)
        self.is_changed = True

    def settle_doubt(self, which: int, verdict: DoubtVerdict) -> None:
        """A person says what became of one of the doubts."""
        with self._ledger.read() as connection:
            listed = doubts.list_doubts(connection)
        if not listed:
            return
        doubt = listed[which % len(listed)]
        choice = TheseAttempts((doubt.attempt_id,))
        silent = doubts.watch_callers(self._ledger, choice, SHORT, self.clock, lambda _: None)
        with self._ledger.write() as connection:
            doubts.resolve(connection, choice, verdict, by="Ada", now=self.clock.now(), silent=silent)
        self.is_changed = True
        if verdict is DoubtVerdict.NOT_REACHED:
            self.witness.allow_repeat(doubt.attempt_id)

    # --- limit ---

    def set_limit(self, limit: int) -> None:
        """A person sets the limit."""
        now = self.clock.now()
        with self._ledger.write() as connection:
            limits.set_limit(connection, limit, now, by="Ada", setting=LIMIT_SETTING, now=now)
        self.witness.limit = limit

    def note_used_elsewhere(self, number: int, hours_ago: int) -> None:
        """Other systems have reached people."""
        now = self.clock.now()
        with self._ledger.write() as connection:
            used_at = now - timedelta(hours=hours_ago)
            limits.note_used_elsewhere(connection, number, used_at, by="Ada", now=now)
        self.witness.note_used_elsewhere(number, hours_ago * 3600)

    def close(self) -> None:
        """Closes the connections of every run."""
        self._desk.close()

    def _spellings(self, who: int) -> tuple[str, str, str]:
        """An Argentine mobile: two numbers that reach one person, and the way in which people write it."""
        local = str(20_000_000 + self._numbers[who])
        return f"+54911{local}", f"+5411{local}", f"+54 9 (11) {local[:4]}-{local[4:]}"

    def _recipients(self, campaign: str) -> list[tuple[str, str]]:
        query = (
            select(campaign_recipients.c.person_key, campaign_recipients.c.state)
            .join(marketing_campaigns, marketing_campaigns.c.id == campaign_recipients.c.campaign_id)
            .where(marketing_campaigns.c.slug == campaign)
        )
        with self._ledger.read() as connection:
            return [(row.person_key, row.state) for row in connection.execute(query)]

    def _anybody_is_unsettled_in_the_queue(self) -> bool:
        active = [campaign for campaign in CAMPAIGNS if self.status(campaign) == "active"]
        return any({"pending", "claimed", "attempting"} & set(self.states(campaign)) for campaign in active)

    def _holder(self) -> str | None:
        with self._ledger.read() as connection:
            return connection.execute(select(senders.c.lease_holder)).scalar_one_or_none()

    def _new_client(self, concurrency: int, fate: Fate) -> MessageClient:
        return self.witness.client(CloudApiClient(account_of(self.simulator), concurrency), fate)

    def _at_progress(self, after: int, happen: Callable[[], object]) -> Callable[[Progress], None]:
        left = after

        def look(progress: Progress) -> None:
            nonlocal left
            left -= progress.waiting_for is None
            if not left and progress.waiting_for is None:
                happen()

        return look

    def _set_right(self) -> None:
        self.clock.jump(hours=-self._astray)
        self._astray = 0

    def _nothing_is_left_open(self, send_date: date, batches_before: set[int]) -> None:
        batches = batch_rows(self._ledger)
        if any(row.id not in batches_before for row in batches):
            still_open = {row.send_date for row in batches if row.state == "open"}
            assert still_open <= {send_date, self.today}, f"batches of {still_open} are open after another was taken"

    def _take_statuses(self) -> None:
        """Takes the simulator's statuses out of its inbox, and dates them by the clock of this test."""
        self.simulator.wait_for_statuses()
        for path in sorted(self.simulator.options.inbox.glob("*.ndjson")):
            self._statuses += [self._dated(line) for line in path.read_text(encoding="ascii").splitlines()]
            path.unlink()

    def _dated(self, line: str) -> str:
        payload = json.loads(line)
        (status,) = payload["entry"][0]["changes"][0]["value"]["statuses"]
        after = ("sent", "delivered", "read").index(status["status"])
        status["timestamp"] = str(int(self.clock.now().timestamp()) + after)
        return json.dumps(payload)
