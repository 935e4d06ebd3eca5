"""Sending a taken batch: admit a group, make its calls, record what came of them, until nobody is left or it must stop.

Add here what decides when the next call may start and when none may.
Keep out what is written in the ledger (`attempts`, `batches`) and the taking of batches (`sender`).

One thread does all the work on the ledger; a bounded pool of threads makes the calls and does nothing else.
"""

import random
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from sqlalchemy.exc import DBAPIError

from campaign_pipeline.campaigns.calendar import SendCalendar
from campaign_pipeline.delivery.consequences import act_on_webhooks
from campaign_pipeline.delivery.stop_rule import DEFAULT_RULE, StopRule
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.states import AttemptOutcome
from campaign_pipeline.sending.attempts import Admission, AdmittedCall, SettledCall, admit, settle
from campaign_pipeline.sending.batches import Batch, people_left
from campaign_pipeline.sending.clock import Clock, WatchedClock
from campaign_pipeline.sending.errors import CannotSendError, LeaseLostError, StoppedError, ledger_failed
from campaign_pipeline.sending.lease import Lease
from campaign_pipeline.sending.outcomes import Reaction, judge
from campaign_pipeline.sending.pace import BackOff, TokenBucket
from campaign_pipeline.sending.report import Progress
from campaign_pipeline.whatsapp.client import Answer, AnswerKind, MessageClient

DOUBTS_IN_A_ROW: Final = 3
"""So many answers lost one after the other stop the batch: each is a person whom we may not send to again."""

BACK_OFFS_IN_A_ROW: Final = 6
"""So many refusals to take a call stop the batch: a minute of trying, or some more when Meta asks for longer waits."""

LONGEST_WAIT: Final = 1.0
"""Seconds between two looks at pause, lease and stop."""


@dataclass(frozen=True, slots=True)
class DispatchTerms:
    """Under which terms a batch is sent.

    Attributes:
        limit_setting: People in 24 hours as the settings have it; each admission looks up what is in force.
        rate: Calls a second.
        concurrency: Calls in flight at most.
        keep_free_for: A date whose batch comes first, if this is a past date's batch.
        may_wait_until: Until when the batch may wait for capacity; None if it may not.
        run_id: Who makes the calls.
        stop_rule: When the failures of a campaign's last messages pause it.
    """

    limit_setting: int
    rate: float
    concurrency: int
    keep_free_for: date | None
    may_wait_until: datetime | None
    run_id: str
    stop_rule: StopRule = DEFAULT_RULE


class Dispatch:
    """One run's work on one batch.

    Attributes:
        attempted: Calls made.
        accepted: Calls that WhatsApp accepted.
    """

    def __init__(
        self,
        ledger: Ledger,
        client: MessageClient,
        calendar: SendCalendar,
        clock: Clock,
        watched: WatchedClock,
        lease: Lease,
        batch: Batch,
        terms: DispatchTerms,
        stop: threading.Event,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self.attempted = 0
        self.accepted = 0
        self._ledger = ledger
        self._client = client
        self._calendar = calendar
        self._clock = clock
        self._watched = watched
        self._lease = lease
        self._batch = batch
        self._terms = terms
        self._stop = stop
        self._on_progress = on_progress
        self._bucket = TokenBucket(terms.rate, clock.monotonic())
        self._back_off = BackOff()
        self._doubts = 0
        self._in_flight: dict[Future[Answer], AdmittedCall] = {}
        self._ended_by: CannotSendError | None = None
        self._nobody_to_admit = False

    def run(self) -> None:
        """Sends until nobody of the batch can be sent to any more.

        Raises:
            CannotSendError: It had to stop before that; every call that was made is recorded.
        """
        with ThreadPoolExecutor(self._terms.concurrency, thread_name_prefix="call") as pool:
            while True:
                self._record_finished()
                admission = self._admit_next() if self._may_start() else None
                if admission is not None:
                    self._start(pool, admission)
                if self._in_flight:
                    continue
                if self._ended_by is not None:
                    if self._nobody_left():
                        return
                    raise self._ended_by
                if admission is not None and self._is_done(admission):
                    return

    def _nobody_left(self) -> bool:
        """Whether the batch is through all the same: a reason to stop means nothing once nobody is left to send to."""
        try:
            with self._ledger.read() as connection:
                return people_left(connection, self._batch) == 0
        except DBAPIError:
            return False

    def _is_done(self, admission: Admission) -> bool:
        """Whether nobody is left; waits, with nothing in flight, when somebody is but cannot be sent to yet."""
        if admission.full:
            self._wait_for_capacity(admission)
            return False
        return not admission.calls

    def _may_start(self) -> bool:
        self._look_for_an_end()
        if self._ended_by is not None or len(self._in_flight) >= self._terms.concurrency:
            return False
        if self._nobody_to_admit and self._in_flight:
            # Asked again when an answer has come: somebody may have to be tried again.
            return False
        now = self._clock.monotonic()
        backing_off = self._back_off.seconds_left(now)
        wanting = 0.0 if self._bucket.available(now) else self._bucket.seconds_until_next()
        pause = max(backing_off, wanting)
        if pause and not self._in_flight:
            self._clock.wait(self._stop, min(pause, LONGEST_WAIT))
        return not pause

    def _look_for_an_end(self) -> None:
        if self._ended_by is not None:
            return
        if self._stop.is_set():
            self._end(StoppedError("Stopped on request."))
        elif not self._lease.is_live():
            detail = f" ({self._lease.beat_failure})" if self._lease.beat_failure else ""
            self._end(LeaseLostError(f"This run could not show that it is alive{detail}, so it starts no more calls."))
        else:
            self._look_at_the_time()

    def _look_at_the_time(self) -> None:
        try:
            now = self._watched.now()
        except CannotSendError as error:
            self._end(error)
            return
        if not self._calendar.window_is_open(now):
            opens = self._calendar.next_opening(now)
            self._end(CannotSendError(f"The send window {self._calendar.window} is over for today.", again_at=opens))

    def _end(self, error: CannotSendError) -> None:
        if self._ended_by is None:
            self._ended_by = error

    def _admit_next(self) -> Admission | None:
        size = min(self._bucket.available(self._clock.monotonic()), self._terms.concurrency - len(self._in_flight))
        try:
            with self._ledger.write() as connection:
                return admit(
                    connection,
                    self._lease,
                    self._batch,
                    size=size,
                    limit_setting=self._terms.limit_setting,
                    keep_free_for=self._terms.keep_free_for,
                    run_id=self._terms.run_id,
                    now=self._watched.now(),
                )
        except CannotSendError as error:
            self._end(error)
        except DBAPIError as error:
            self._end(ledger_failed(error))
        return None

    def _start(self, pool: ThreadPoolExecutor, admission: Admission) -> None:
        self._nobody_to_admit = not admission.calls
        self._bucket.take(len(admission.calls))
        self.attempted += len(admission.calls)
        for call in admission.calls:
            self._in_flight[pool.submit(self._call, call)] = call

    def _call(self, call: AdmittedCall) -> Answer:
        # The last look before the call: between the commit and here a machine can sleep for an hour.
        if not self._lease.is_live():
            return Answer(AnswerKind.NOT_SENT, error_text="the lease ran out before the call was made")
        return self._client.send(call.message)

    def _record_finished(self) -> None:
        if not self._in_flight:
            return
        finished, _ = wait(self._in_flight, timeout=self._until_next_start(), return_when=FIRST_COMPLETED)
        self._nobody_to_admit = False
        if not finished:
            return
        calls = [self._settled(future) for future in finished]
        try:
            with self._ledger.write() as connection:
                settle(connection, calls, self._clock.now(), self._terms.stop_rule)
                left = people_left(connection, self._batch)
        except DBAPIError as error:
            # The answers are kept and recorded at the next turn, for as long as this run holds the sender.
            self._end(ledger_failed(error))
            if not self._lease.is_live():
                raise
            self._clock.wait(self._stop, LONGEST_WAIT)
            return
        for future in finished:
            del self._in_flight[future]
        for call in calls:
            self._react(call)
        self._hear_of_failures()
        self._on_progress(Progress(self._batch.size - left - len(self._in_flight), self._batch.size))

    def _hear_of_failures(self) -> None:
        """Failed webhooks that came before the answers to their calls were matched by these answers."""
        try:
            act_on_webhooks(self._ledger, self._terms.stop_rule, self._clock.now)
        except DBAPIError as error:
            self._end(ledger_failed(error))

    def _settled(self, future: Future[Answer]) -> SettledCall:
        answer = future.result()
        return SettledCall(self._in_flight[future].attempt_id, answer, judge(answer))

    def _until_next_start(self) -> float:
        """How long to wait for an answer before looking whether another call may start; seconds."""
        no_more = self._ended_by is not None or self._nobody_to_admit
        if no_more or len(self._in_flight) >= self._terms.concurrency:
            return LONGEST_WAIT
        back_off = self._back_off.seconds_left(self._clock.monotonic())
        return min(LONGEST_WAIT, max(0.005, back_off, self._bucket.seconds_until_next()))

    def _react(self, call: SettledCall) -> None:
        answer, reaction = call.answer, call.verdict.reaction
        self.accepted += answer.kind is AnswerKind.ACCEPTED
        self._doubts = self._doubts + 1 if call.verdict.outcome is AttemptOutcome.IN_DOUBT else 0
        if reaction is Reaction.GO_ON:
            self._back_off.succeeded()
        elif reaction is Reaction.BACK_OFF:
            # Nothing here needs to be unguessable: jitter only spreads those who try again.
            self._back_off.failed(self._clock.monotonic(), random.random(), call.verdict.wait)  # noqa: S311
        elif reaction is Reaction.DOUBT and call.verdict.wait:
            self._back_off.wait(self._clock.monotonic(), call.verdict.wait)
        problem = self._problem_with(answer, reaction)
        if problem is not None:
            self._end(CannotSendError(problem))

    def _problem_with(self, answer: Answer, reaction: Reaction) -> str | None:
        """Why no further call may start after an answer; None when one may."""
        if reaction is Reaction.STOP:
            return (
                f"WhatsApp refuses every message, and the sender is stopped: {_in_words(answer)}. Mend that, then "
                "`campaign sender resume`, and run the date again."
            )
        if reaction is Reaction.BACK_OFF and self._back_off.failures >= BACK_OFFS_IN_A_ROW:
            return (
                f"WhatsApp took no call {self._back_off.failures} times in a row: {_in_words(answer)}. Nobody is lost; "
                "run the date again later."
            )
        if self._doubts >= DOUBTS_IN_A_ROW:
            return (
                f"{self._doubts} answers in a row were lost, the last with: {_in_words(answer)}. Those people are in "
                "doubt and are not sent to again; run the date again when WhatsApp answers."
            )
        return None

    def _wait_for_capacity(self, admission: Admission) -> None:
        """Waits a little for the window to have room, or ends the run when that comes too late for it."""
        freed_at = admission.freed_at
        if freed_at is None or self._terms.may_wait_until is None or freed_at >= self._terms.may_wait_until:
            self._end(
                CannotSendError(
                    f"The limit of {admission.limit} people in 24 hours is used up, and today's batch comes first."
                    if self._terms.keep_free_for is not None
                    else f"The limit of {admission.limit} people in 24 hours is used up.",
                    again_at=freed_at,
                )
            )
            return
        until = self._calendar.local(freed_at)
        self._on_progress(Progress(0, self._batch.size, waiting_for=f"capacity, until {until:%H:%M:%S}"))
        seconds = (freed_at - self._clock.now()).total_seconds()
        self._clock.wait(self._stop, max(0.01, min(seconds, LONGEST_WAIT)))


def _in_words(answer: Answer) -> str:
    code = f"error {answer.error_code}, " if answer.error_code is not None else ""
    return f"{code}{answer.error_text or 'no reason given'}"
