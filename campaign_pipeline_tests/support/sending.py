"""A sender that sends to a simulator, and what a test asks of the ledger and of the simulator afterwards.

Add here how a date is sent in a test and what became of it. Keep out expectations: those belong to the tests.
"""

import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import count
from pathlib import Path

from sqlalchemy import Connection, Row, Table, func, select, update

from campaign_pipeline.campaigns import lifecycle
from campaign_pipeline.campaigns.calendar import SendCalendar
from campaign_pipeline.campaigns.catalogue import find
from campaign_pipeline.delivery.consequences import resume_sender
from campaign_pipeline.delivery.folders import StatusFolders
from campaign_pipeline.delivery.status_files import IngestReport, ingest_waiting
from campaign_pipeline.delivery.stop_rule import DEFAULT_RULE, StopRule
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import (
    batches,
    campaign_recipients,
    marketing_campaigns,
    send_attempts,
    senders,
    shared_accounts,
)
from campaign_pipeline.recipients import subscriptions
from campaign_pipeline.recipients.phone_numbers import parse_phone
from campaign_pipeline.sending import capacity
from campaign_pipeline.sending.attempts import AdmittedCall, SettledCall, admit, settle
from campaign_pipeline.sending.batches import Batch, take_batch
from campaign_pipeline.sending.clock import Clock
from campaign_pipeline.sending.lease import Lease, LeaseTerms, hold_sender
from campaign_pipeline.sending.outcomes import judge
from campaign_pipeline.sending.report import DateReport, Progress
from campaign_pipeline.sending.sender import Sender, SenderTerms
from campaign_pipeline.whatsapp.account import CloudApiAccount, cloud_api_of
from campaign_pipeline.whatsapp.client import Answer, AnswerKind, CloudApiClient
from campaign_pipeline_tests.support.campaigns import active_campaign, calendar, phone
from campaign_pipeline_tests.support.clock import HandClock
from campaign_pipeline_tests.whatsapp.simulator_process import SimulatorProcess

PATIENT = LeaseTerms(beat_every=60, silence=1e9, margin=0, look_every=0.02)
"""For a clock that jumps by days: no holder is ever silent for too long."""

SECOND_OF_MARCH = date(2026, 3, 2)
"""The date of `HandClock` and of `NOON`."""

_numbers = count()


def people(size: int) -> list[int]:
    """Numbers for `phone` that no other test of this process gets, so that they can be told apart at a simulator."""
    return [next(_numbers) for _ in range(size)]


def day(written: str | date) -> date:
    """A send date, written 2026-03-02."""
    return written if isinstance(written, date) else date.fromisoformat(written)


def account_of(simulator: SimulatorProcess, base_url: str | None = None) -> CloudApiAccount:
    """The account that a simulator lets in."""
    options = simulator.options
    return CloudApiAccount(base_url or simulator.base_url, "v25.0", options.phone_number_id, options.access_token)


@dataclass
class SendingDesk:
    """A ledger, a simulator and a clock, with everything between them.

    Attributes:
        ledger: Where it is written down.
        simulator: Where it is sent to.
        clock: What time it is.
        root: A folder of the test's own.
    """

    ledger: Ledger
    simulator: SimulatorProcess
    clock: HandClock
    root: Path
    _clients: list[CloudApiClient] = field(default_factory=list)

    def sender(
        self,
        *,
        limit: int = 250,
        concurrency: int = 8,
        rate: float = 1_000.0,
        lease: LeaseTerms = PATIENT,
        days: SendCalendar | None = None,
        clock: Clock | None = None,
        base_url: str | None = None,
        connect: Callable[[], CloudApiClient] | None = None,
        stop_rule: StopRule = DEFAULT_RULE,
    ) -> Sender:
        """A sender; by default fast, at any hour, and sure of its lease."""
        account = account_of(self.simulator, base_url)

        def new_client() -> CloudApiClient:
            client = CloudApiClient(account, concurrency)
            self._clients.append(client)
            return client

        terms = SenderTerms(
            cloud_api=cloud_api_of(account.base_url),
            limit_setting=limit,
            rate=rate,
            concurrency=concurrency,
            lease=lease,
            stop_rule=stop_rule,
        )
        return Sender(self.ledger, connect or new_client, days or calendar(), terms, clock or self.clock)

    def send(
        self,
        send_date: str | date = SECOND_OF_MARCH,
        run_id: str = "run",
        *,
        stop: threading.Event | None = None,
        on_progress: Callable[[Progress], None] = lambda _: None,
        **terms: object,
    ) -> DateReport:
        """Sends a date."""
        sender = self.sender(**terms)  # ty: ignore[invalid-argument-type]
        return sender.send(day(send_date), run_id, stop, on_progress)

    def campaign(self, numbers: Iterable[int], name: str = "Spring Sale", **changes: object) -> str:
        """Makes an active campaign with people in it; gives its slug."""
        made = active_campaign(self.ledger, self.root, numbers, name=name, now=self.clock.now(), **changes)  # ty: ignore[invalid-argument-type]
        return made.slug

    def reached(self, numbers: Iterable[int]) -> list[str]:
        """Which of some people the simulator took a message for, in that order, each as often as it did."""
        phones = {phone(number) for number in numbers}
        return [message["to"] for message in self.simulator.messages() if message["to"] in phones]

    def ingest(self) -> IngestReport:
        """Takes in every status that the simulator has to tell."""
        self.simulator.wait_for_statuses()
        return ingest_waiting(self.ledger, self.status_folders, self.clock.now)

    @property
    def status_folders(self) -> StatusFolders:
        """The simulator's inbox, and folders of the test's own."""
        return StatusFolders(self.simulator.options.inbox, self.root / "archive", self.root / "rejected")

    def pause(self, campaign: str) -> None:
        """Pauses a campaign."""
        with self.ledger.write() as connection:
            lifecycle.pause(connection, campaign, actor="test", now=self.clock.now())

    def resume(self, campaign: str) -> None:
        """Takes a paused campaign up again."""
        with self.ledger.write() as connection:
            lifecycle.resume(connection, campaign, actor="test", now=self.clock.now())

    def resume_sender(self) -> None:
        """Lets the sender go on after it was stopped."""
        with self.ledger.write() as connection:
            resume_sender(connection, actor="test", now=self.clock.now())

    def cancel(self, campaign: str) -> None:
        """Cancels a campaign."""
        with self.ledger.write() as connection:
            lifecycle.cancel(connection, campaign, actor="test", now=self.clock.now())

    def unsubscribe(self, *numbers: int) -> None:
        """Notes that people want no messages."""
        with self.ledger.write() as connection:
            for number in numbers:
                who = parse_phone(phone(number), "GB")
                subscriptions.unsubscribe(connection, who, source="test", now=self.clock.now())

    def close(self) -> None:
        """Closes the connections of every sender."""
        for client in self._clients:
            client.close()


@contextmanager
def client_of(simulator: SimulatorProcess) -> Generator[CloudApiClient]:
    """A client of a simulator, for one call after the other."""
    with closing(CloudApiClient(account_of(simulator), connections=1)) as client:
        yield client


def states(ledger: Ledger, campaign: str = "spring-sale") -> list[str]:
    """The state of everyone in a campaign, in the order of its queue."""
    query = (
        select(campaign_recipients.c.state)
        .join(marketing_campaigns, marketing_campaigns.c.id == campaign_recipients.c.campaign_id)
        .where(marketing_campaigns.c.slug == campaign)
        .order_by(campaign_recipients.c.position)
    )
    with ledger.read() as connection:
        return list(connection.execute(query).scalars())


def batch_phones(ledger: Ledger, send_date: str | date = SECOND_OF_MARCH) -> list[str]:
    """The people of a date's batch, by campaign and place in its queue."""
    query = (
        select(campaign_recipients.c.phone)
        .join(batches, batches.c.id == campaign_recipients.c.batch_id)
        .where(batches.c.send_date == day(send_date))
        .order_by(campaign_recipients.c.campaign_id, campaign_recipients.c.position)
    )
    with ledger.read() as connection:
        return list(connection.execute(query).scalars())


def attempts(ledger: Ledger, *numbers: int) -> list[Row]:
    """The attempts for some people, or all there are, in the order in which they were stamped."""
    query = select(send_attempts, campaign_recipients.c.phone).join(
        campaign_recipients, campaign_recipients.c.id == send_attempts.c.recipient_id
    )
    if numbers:
        query = query.where(campaign_recipients.c.phone.in_([phone(number) for number in numbers]))
    query = query.order_by(send_attempts.c.started_at, send_attempts.c.attempt_number, campaign_recipients.c.position)
    with ledger.read() as connection:
        return list(connection.execute(query).all())


def outcomes(ledger: Ledger, *numbers: int) -> list[str]:
    """What is known of the calls for some people, in the order of the calls."""
    return [attempt.outcome for attempt in attempts(ledger, *numbers)]


def campaign_status(ledger: Ledger, campaign: str = "spring-sale") -> str:
    """Where a campaign stands."""
    with ledger.read() as connection:
        return find(connection, campaign).status


def batch_rows(ledger: Ledger) -> list[Row]:
    """Every batch, by date."""
    with ledger.read() as connection:
        return list(connection.execute(select(batches).order_by(batches.c.send_date)).all())


def most_in_any_day(ledger: Ledger) -> int:
    """The most different people who were attempted in any 24 hours, found by looking at every moment there is.

    A window that holds the most ends at one of the attempts, so those moments are enough.
    """
    stamped = [
        (attempt.started_at, attempt.person_key)
        for attempt in attempts(ledger)
        if attempt.outcome not in ("refused", "not_sent")
    ]
    windows = (
        {who for other, who in stamped if moment - timedelta(hours=24) < other <= moment} for moment, _ in stamped
    )
    return max((len(each) for each in windows), default=0)


def sender_row(ledger: Ledger) -> Row:
    """The sender's row."""
    with ledger.read() as connection:
        return connection.execute(select(senders)).one()


def take_over(ledger: Ledger, holder: str = "another run") -> None:
    """Takes the sender away from whoever holds it, as a run does that has watched a silent one for long enough."""
    with ledger.write() as connection:
        connection.execute(
            update(senders).values(lease_fence=senders.c.lease_fence + 1, lease_beat=0, lease_holder=holder)
        )


def used_capacity(ledger: Ledger, moment: datetime) -> int:
    """How many people are in the window at a moment."""
    with ledger.write() as connection:
        return capacity.capacity_at(connection, capacity.sender_id(connection), 250, moment).used


@contextmanager
def holding(ledger: Ledger, clock: Clock, terms: LeaseTerms = PATIENT, holder: str = "test") -> Generator[Lease]:
    """Holds the sender."""
    with ledger.write() as connection:
        sender = capacity.sender_id(connection)
    with hold_sender(ledger, sender, holder, terms, clock, threading.Event(), lambda _: None) as lease:
        yield lease


def take_and_admit(
    ledger: Ledger, size: int, clock: HandClock, send_date: str | date = SECOND_OF_MARCH
) -> tuple[Batch, tuple[AdmittedCall, ...]]:
    """Takes a batch and writes down an attempt for everyone in it, as far as a run comes just before its calls."""
    with holding(ledger, clock) as lease, ledger.write() as connection:
        batch = take_batch(connection, lease.sender_id, day(send_date), size, "run", clock.now())
        assert batch is not None, "nobody waits in an active campaign"
        admission = admit(
            connection, lease, batch, size=size, limit_setting=size, keep_free_for=None, run_id="run", now=clock.now()
        )
    return batch, admission.calls


def accepted(wamid: str) -> Answer:
    """The answer of a Cloud API that has taken a message."""
    return Answer(AnswerKind.ACCEPTED, 200, wamid=wamid, message_status="accepted")


LOST = Answer(AnswerKind.UNKNOWN, error_text="ReadTimeout")
"""An answer that never came."""


def one_account(desk: SendingDesk, *numbers: int) -> None:
    """It has become known that some numbers are one WhatsApp account."""
    pairs = [(phone(one), phone(other)) for one in numbers for other in numbers if one != other]
    with desk.ledger.write() as connection:
        connection.execute(
            shared_accounts.insert(),
            [
                {"person_key": one, "other_key": other, "alias": "x", "found_at": desk.clock.now()}
                for one, other in pairs
            ],
        )


def answer_call(ledger: Ledger, call: AdmittedCall, answer: Answer, now: datetime) -> None:
    """Records what came of a call."""
    answer_calls(ledger, [(call, answer)], now)


def answer_calls(ledger: Ledger, answers: Iterable[tuple[AdmittedCall, Answer]], now: datetime) -> None:
    """Records what came of some calls, together."""
    with ledger.write() as connection:
        settle(connection, [SettledCall(call.attempt_id, answer, judge(answer)) for call, answer in answers], now)


def count_of(connection: Connection, table: Table) -> int:
    """How many rows a table has."""
    return connection.execute(select(func.count()).select_from(table)).scalar_one()
