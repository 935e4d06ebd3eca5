"""Sending one date, from its name to its report: the numbered steps of the design, in their order.

Add here a step that every date goes through. Each step itself stands in a module of its own.
Keep out Dagster: whoever materializes the partition calls `Sender.send` and shows what it returns or raises.
"""

import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from campaign_pipeline.campaigns.calendar import SendCalendar
from campaign_pipeline.campaigns.figures import batch_figures
from campaign_pipeline.campaigns.held_countries import waiting_in_held
from campaign_pipeline.delivery.new_evidence import fold_what_blocks
from campaign_pipeline.delivery.stop_rule import DEFAULT_RULE, StopRule
from campaign_pipeline.ledger.engine import Ledger, durability_fault
from campaign_pipeline.ledger.locks import fold_alone
from campaign_pipeline.recipients.consent import ConsentNeeded
from campaign_pipeline.sending import capacity, limits
from campaign_pipeline.sending.account_events import act_on_account_events
from campaign_pipeline.sending.account_terms import AccountTerms
from campaign_pipeline.sending.batches import (
    Batch,
    anybody_waits,
    batch_of,
    close_batch,
    close_other_batches,
    doubt_unanswered,
    has_unfinished_before,
    held_up,
    need_of_date,
    people_left,
    release_held_up,
    take_batch,
)
from campaign_pipeline.sending.capacity import Capacity
from campaign_pipeline.sending.clock import Clock, SystemClock, WatchedClock
from campaign_pipeline.sending.dispatch import Dispatch, DispatchTerms
from campaign_pipeline.sending.errors import (
    CannotSendError,
    another_cloud_api,
    forgetful_ledger,
    ledger_failed,
    stopped_sender,
)
from campaign_pipeline.sending.lease import Lease, LeaseTerms, hold_sender
from campaign_pipeline.sending.report import DateEnd, DateReport, Progress
from campaign_pipeline.whatsapp.client import MessageClient


@dataclass(frozen=True, slots=True)
class SenderTerms:
    """How an installation sends.

    Attributes:
        cloud_api: Where messages go, in one word that is the same for ever: a host, or "simulator".
        limit_setting: People in 24 hours as the settings have it; the ledger's history may know better.
        rate: Calls a second.
        concurrency: Calls in flight at most.
        lease: How the sender is held.
        stop_rule: When the failures of a campaign's last messages pause it.
        consent: What has to be known of somebody's consent.
        account: How Meta's words about the account are taken; None leaves them to whoever takes in its webhooks.
    """

    cloud_api: str
    limit_setting: int
    rate: float
    concurrency: int = 16
    lease: LeaseTerms = field(default_factory=LeaseTerms)
    stop_rule: StopRule = DEFAULT_RULE
    consent: ConsentNeeded = ConsentNeeded.UPLOAD
    account: AccountTerms | None = None


@dataclass(frozen=True, slots=True)
class _Ready:
    """A batch that can be worked on, none when nobody waits, and what was found on the way to it.

    Attributes:
        batch: The batch.
        before: The window.
        closed: Earlier batches that were closed on the way; they stay closed, whatever is refused.
        refusal: Why no batch is taken, though people wait.
    """

    batch: Batch | None
    before: Capacity
    closed: tuple[Batch, ...] = ()
    refusal: CannotSendError | None = None


class Sender:
    """Sends dates; safe to run any number of times, and any number at once."""

    def __init__(
        self,
        ledger: Ledger,
        connect: Callable[[], MessageClient],
        calendar: SendCalendar,
        terms: SenderTerms,
        clock: Clock | None = None,
    ) -> None:
        self._ledger = ledger
        self._connect = connect
        self._calendar = calendar
        self._terms = terms
        self._clock = clock or SystemClock()

    def send(
        self,
        send_date: date,
        run_id: str,
        stop: threading.Event | None = None,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> DateReport:
        """Takes the batch of a date, or goes on with it, and sends it.

        Args:
            send_date: A date of the business's time zone, not in the future.
            run_id: Who sends, for the ledger's rows.
            stop: Ends the run cleanly once set: calls in flight are finished and recorded, people stay claimed.
            on_progress: Told after each group of answers, and what the run waits for.

        Raises:
            CannotSendError: It should have been sent and could not be, or not to its end.
        """
        try:
            return self._send(send_date, run_id, stop or threading.Event(), on_progress)
        except DBAPIError as error:
            raise ledger_failed(error) from error

    def _send(
        self, send_date: date, run_id: str, stop: threading.Event, on_progress: Callable[[Progress], None]
    ) -> DateReport:
        watched = WatchedClock(self._clock)
        self._refuse_dates_out_of_reach(send_date)
        with self._ledger.write() as connection:
            _refuse_without_durability(connection)
            sender = capacity.sender_id(connection)
            limits.note_setting(connection, sender, self._terms.limit_setting, self._clock.now())
        if self._terms.account is not None:
            act_on_account_events(self._ledger, self._terms.account, self._clock.now)
        settled = self._report_if_finished(send_date, sender) or self._report_if_nobody_waits(send_date, sender)
        if settled is not None:
            return settled
        self._refuse_outside_window()

        def tell_who_sends(holder: str) -> None:
            on_progress(Progress(0, 0, waiting_for=f"another run to finish ({holder})"))

        with (
            closing(self._connect()) as client,
            hold_sender(self._ledger, sender, run_id, self._terms.lease, self._clock, stop, tell_who_sends) as lease,
        ):
            return self._send_holding(lease, client, watched, send_date, run_id, stop, on_progress)

    def _send_holding(
        self,
        lease: Lease,
        client: MessageClient,
        watched: WatchedClock,
        send_date: date,
        run_id: str,
        stop: threading.Event,
        on_progress: Callable[[Progress], None],
    ) -> DateReport:
        finished = self._report_if_finished(send_date, lease.sender_id)
        if finished is not None:
            return finished
        with self._ledger.write() as connection:
            ready = self._resume_or_take(connection, lease, send_date, run_id)
        if ready.refusal is not None:
            ready.refusal.closed = ready.closed
            raise ready.refusal
        batch = ready.batch
        if batch is None:
            return self._report(send_date, lease.sender_id, DateEnd.NOBODY_WAITS, closed=ready.closed)
        terms = self._dispatch_terms(send_date, run_id)
        dispatch = Dispatch(
            self._ledger, client, self._calendar, self._clock, watched, lease, batch, terms, stop, on_progress
        )
        try:
            dispatch.run()
            self._refuse_held_up(batch)
        except CannotSendError as error:
            error.left = self._people_left(batch)
            error.closed = ready.closed
            raise
        finally:
            self._give_back_held_up(lease, batch)
        with self._ledger.write() as connection:
            lease.require(connection)
            close_batch(connection, batch, "nobody in it was left to send to", self._clock.now())
        return self._report(
            send_date,
            lease.sender_id,
            DateEnd.FINISHED,
            dispatch=dispatch,
            closed=ready.closed,
            before=ready.before,
        )

    def _refuse_dates_out_of_reach(self, send_date: date) -> None:
        today = self._calendar.date_of(self._clock.now())
        if send_date > today:
            msg = f"{send_date} is still to come (today is {today}); a batch is taken on its own date, not before."
            raise CannotSendError(msg, again_at=self._calendar.send_moment(send_date))
        if send_date < self._calendar.start_date:
            msg = f"{send_date} is before the first send date, {self._calendar.start_date} (CAMPAIGN_START_DATE)."
            raise CannotSendError(msg)

    def _refuse_outside_window(self) -> None:
        now = self._clock.now()
        if not self._calendar.window_is_open(now):
            opens = self._calendar.next_opening(now)
            msg = f"Outside the send window {self._calendar.window} nothing is sent; nobody was taken."
            raise CannotSendError(msg, again_at=opens)

    def _report_if_nobody_waits(self, send_date: date, sender: int) -> DateReport | None:
        """Before anything else is asked for: with nobody to send to, neither window nor account matter."""
        with self._ledger.read() as connection:
            something_to_do = (
                batch_of(connection, send_date) is not None
                or has_unfinished_before(connection, send_date)
                or anybody_waits(connection)
            )
        return None if something_to_do else self._report(send_date, sender, DateEnd.NOBODY_WAITS)

    def _refuse_another_cloud_api(self, connection: Connection, sender: int) -> None:
        bound_to = capacity.bind(connection, sender, self._terms.cloud_api)
        if bound_to is not None:
            raise another_cloud_api(bound_to, self._terms.cloud_api)

    def _report_if_finished(self, send_date: date, sender: int) -> DateReport | None:
        with self._ledger.read() as connection:
            batch = batch_of(connection, send_date)
        if batch is None or batch.is_open:
            return None
        return self._report(send_date, sender, DateEnd.WAS_FINISHED)

    def _resume_or_take(self, connection: Connection, lease: Lease, send_date: date, run_id: str) -> _Ready:
        """The batch to work on, or none when nobody waits or none may be taken."""
        lease.require(connection)
        self._refuse_another_cloud_api(connection, lease.sender_id)
        now = self._clock.now()
        # An ingest stores first and folds later: whoever was reached after all is not taken in between.
        fold_alone(connection)
        fold_what_blocks(connection, now)
        today = self._calendar.date_of(now)
        limit = limits.limit_in_force(connection, self._terms.limit_setting, now)
        before = capacity.capacity_at(connection, lease.sender_id, limit, now)
        standing = batch_of(connection, send_date)
        if standing is not None:
            doubt_unanswered(connection, standing, now)
            return _Ready(standing, before)
        closed = tuple(close_other_batches(connection, send_date, today, now))
        stopped = capacity.stop_of(connection, lease.sender_id)
        if stopped is not None and anybody_waits(connection):
            return _Ready(None, before, closed, stopped_sender(stopped))
        room = self._room_for(connection, lease.sender_id, send_date, limit)
        while True:
            batch = take_batch(connection, lease.sender_id, send_date, room, run_id, now, self._terms.consent)
            if batch is not None or not anybody_waits(connection):
                return _Ready(batch, before, closed)
            if not room:
                return _Ready(None, before, closed, self._no_room(connection, lease.sender_id, send_date, limit))
            # A campaign was resumed between the look at the queue and the question: its people can be taken now.

    def _room_for(self, connection: Connection, sender: int, send_date: date, limit: int) -> int:
        """How many people a date may take: today's within the wait that its window allows, a past one's at once."""
        now = self._clock.now()
        today = self._calendar.date_of(now)
        if send_date == today:
            _, closes = self._calendar.window_of(today)
            return capacity.capacity_at(connection, sender, limit, closes).free
        free = capacity.capacity_at(connection, sender, limit, now).free
        return max(0, free - need_of_date(connection, today, limit))

    def _no_room(self, connection: Connection, sender: int, send_date: date, limit: int) -> CannotSendError:
        now = self._clock.now()
        freed_at = capacity.next_freed(connection, sender, now)
        if limit == 0:
            return CannotSendError("The sender's limit is 0: nobody can be reached until it is raised.")
        if send_date < self._calendar.date_of(now):
            msg = (
                f"No capacity to spare for {send_date}: {limit} people in 24 hours, today's batch first. Nobody was "
                "taken; they are first in the queue for the next batch, so this date needs no repair."
            )
        else:
            msg = f"The limit of {limit} people in 24 hours is used up for today; nobody was taken."
        return CannotSendError(msg, again_at=freed_at)

    def _dispatch_terms(self, send_date: date, run_id: str) -> DispatchTerms:
        today = self._calendar.date_of(self._clock.now())
        is_today = send_date == today
        return DispatchTerms(
            limit_setting=self._terms.limit_setting,
            rate=self._terms.rate,
            concurrency=self._terms.concurrency,
            keep_free_for=None if is_today else today,
            may_wait_until=self._calendar.window_of(today)[1] if is_today else None,
            run_id=run_id,
            stop_rule=self._terms.stop_rule,
        )

    def _people_left(self, batch: Batch) -> int:
        with self._ledger.read() as connection:
            return people_left(connection, batch)

    def _refuse_held_up(self, batch: Batch) -> None:
        """Says so when people were left since their campaigns are paused by what WhatsApp has told."""
        with self._ledger.read() as connection:
            reasons = held_up(connection, batch)
        if reasons:
            told = " ".join(f"{slug} is paused: {reason}" for slug, reason in reasons.items())
            msg = f"{told} Then run the date again; if its day is over by then, its people go first in the next batch."
            raise CannotSendError(msg)

    def _give_back_held_up(self, lease: Lease, batch: Batch) -> None:
        with self._ledger.write() as connection:
            if lease.is_in_force(connection):
                release_held_up(connection, batch, self._clock.now())

    def _report(
        self,
        send_date: date,
        sender: int,
        end: DateEnd,
        *,
        dispatch: Dispatch | None = None,
        closed: tuple[Batch, ...] = (),
        before: Capacity | None = None,
    ) -> DateReport:
        now = self._clock.now()
        with self._ledger.read() as connection:
            limit = limits.limit_in_force(connection, self._terms.limit_setting, now)
            after = capacity.capacity_at(connection, sender, limit, now)
            return DateReport(
                send_date=send_date,
                end=end,
                batch=batch_of(connection, send_date),
                figures=batch_figures(connection, send_date),
                sent_now=dispatch.accepted if dispatch else 0,
                attempted_now=dispatch.attempted if dispatch else 0,
                closed=closed,
                before=before or after,
                after=after,
                held_back=waiting_in_held(connection) if end is DateEnd.NOBODY_WAITS else {},
            )


def _refuse_without_durability(connection: Connection) -> None:
    fault = durability_fault(connection)
    if fault is not None:
        raise forgetful_ledger(fault)
