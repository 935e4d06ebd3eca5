"""The messages endpoint, step by step: judge, meet a limit or a fault or neither, record, wait, answer.

Add here a step, or how a kind of fault shows itself in the answer. Keep out Meta's rules (judge.py), the choice of who
meets a fault (faults.py) and routes (app.py).
"""

import asyncio
import contextlib
import time
from datetime import UTC, datetime

from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from campaign_pipeline.whatsapp.simulator import graph_errors
from campaign_pipeline.whatsapp.simulator.account import Account
from campaign_pipeline.whatsapp.simulator.connections import NoAnswer
from campaign_pipeline.whatsapp.simulator.deliveries import WebhookDelivery
from campaign_pipeline.whatsapp.simulator.faults import Fault, FaultBook, FaultKind
from campaign_pipeline.whatsapp.simulator.graph_errors import GraphError
from campaign_pipeline.whatsapp.simulator.identities import shown_wa_id, wa_id_of
from campaign_pipeline.whatsapp.simulator.judge import SendRequest, TemplateMessage, judge
from campaign_pipeline.whatsapp.simulator.limits import Limits
from campaign_pipeline.whatsapp.simulator.options import SimulatorOptions
from campaign_pipeline.whatsapp.simulator.record import AcceptedMessage, Record
from campaign_pipeline.whatsapp.simulator.status_files import StatusQueue
from campaign_pipeline.whatsapp.simulator.statuses import (
    Failure,
    StatusEvent,
    course_of,
    course_to_failure,
    course_to_late_failure,
)
from campaign_pipeline.whatsapp.simulator.templates import TemplateRegistry

_REFUSALS = {
    FaultKind.SERVER_ERROR: graph_errors.unknown_error(),
    FaultKind.THROTTLE: graph_errors.throughput_reached(),
    FaultKind.REFUSED: graph_errors.undeliverable(),
    FaultKind.ACCOUNT: graph_errors.not_authenticated(),
}

_ACCEPTED = "accepted"
_HELD = "held_for_quality_assessment"

_BAD_GATEWAY = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


class Simulator:
    """One running simulator: what it accepted, the statuses to come, the faults ordered, the answers held back.

    Attributes:
        options: how it behaves.
        record: the accepted messages.
        statuses: the statuses that are not in the inbox yet.
        delivery: the webhooks that are to be posted.
        faults: what shall go wrong.
        limits: what Meta lets through, counted over the record of earlier runs too.
        held: the messages held for quality assessment; in memory only, as the statuses to come.
        account: the account that it is, with its token.
        templates: what was created.
        unanswered: how many requests are waiting for their answer now.
    """

    def __init__(self, options: SimulatorOptions) -> None:
        """Opens the record.

        Args:
            options: how the simulator behaves.
        """
        self.options = options
        self.record = Record(options.record, options.seed)
        self.delivery = WebhookDelivery(options)
        self.statuses = StatusQueue(options, self.delivery)
        self.faults = FaultBook(options.seed, options.fault_shares)
        self.limits = Limits(options)
        for message in self.record.messages:
            accepted_at = datetime.fromisoformat(message.accepted_at).timestamp()
            self.limits.note_accepted(wa_id_of(message.to), accepted_at)
        self.held: list[AcceptedMessage] = []
        self.account = Account(options)
        self.templates = TemplateRegistry(unknown_are_approved=options.unknown_templates == "approved")
        self.unanswered = 0
        self._requests = 0
        self._closing = asyncio.Event()
        self._answers_flow = asyncio.Event()
        self._answers_flow.set()

    @property
    def holding(self) -> bool:
        """Whether answers are held back now."""
        return not self._answers_flow.is_set()

    def hold(self) -> None:
        """Holds back every answer from now on; requests are still judged and recorded."""
        self._answers_flow.clear()

    def release(self) -> None:
        """Gives the answers that were held back."""
        self._answers_flow.set()

    def close(self) -> None:
        """Ends every wait: a request that is held or slow loses its connection, as when any server goes away."""
        self._closing.set()
        self._answers_flow.set()

    async def send(self, request: SendRequest, url: str) -> Response:
        """Takes one request to send a message.

        Args:
            request: the request as it came.
            url: the address that was called.

        Returns:
            Meta's answer, or a fault in its place.
        """
        self._requests += 1
        judgement = self.account.let_in(request.authorization) or judge(
            request, self.options.phone_number_id, self.options.access_token
        )
        if isinstance(judgement, GraphError):
            return self._refuse(judgement)
        misfit = self.templates.judge(judgement)
        if misfit is not None:
            return self._refuse(misfit)
        # Meta's own limits first: what they stop uses up none of the faults that were ordered.
        fault = self.limits.meet(wa_id_of(judgement.to), time.time()) or self.faults.meet(judgement.to)
        accepted = self._accept(judgement, fault) if fault is None or fault.message_goes_out else None
        slow = fault.seconds if fault is not None and fault.kind is FaultKind.SLOW else 0
        if not await self._may_answer_after(self.options.latency + slow):
            return NoAnswer()
        if fault is not None and fault.kind is not FaultKind.SLOW:
            return self._show(fault, judgement, accepted, url)
        return self._answer(judgement, accepted)

    def release_held(self) -> int:
        """Lets go of every message held for quality assessment: its statuses come as usual, counted from now.

        Returns:
            How many messages that were.
        """
        released, self.held = self.held, []
        for message in released:
            self.statuses.expect(message, course_of(message.wamid, self.options), datetime.now(UTC))
        return len(released)

    def drop_held(self, failure: Failure) -> int:
        """Drops every message held for quality assessment: each gets a `failed` webhook.

        Args:
            failure: why.

        Returns:
            How many messages that were.
        """
        dropped, self.held = self.held, []
        for message in dropped:
            course = course_to_failure(message.wamid, failure, self.options)
            self.statuses.expect(message, course, datetime.now(UTC))
        return len(dropped)

    def _accept(self, message: TemplateMessage, fault: Fault | None) -> AcceptedMessage:
        now = datetime.now(UTC)
        accepted = self.record.accept(message, now)
        self.limits.note_accepted(wa_id_of(message.to), now.timestamp())
        if fault is not None and fault.kind is FaultKind.HELD:
            self.held.append(accepted)
        else:
            self.statuses.expect(accepted, _course(accepted, fault, self.options), now)
        return accepted

    async def _may_answer_after(self, seconds: float) -> bool:
        """Waits for the seconds, then for as long as answers are held back; False if the server stopped meanwhile."""
        if seconds <= 0 and not self.holding:
            return True
        self.unanswered += 1
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), seconds)
            await self._answers_flow.wait()
        finally:
            self.unanswered -= 1
        return not self._closing.is_set()

    def _answer(
        self, message: TemplateMessage, accepted: AcceptedMessage | None, message_status: str = _ACCEPTED
    ) -> JSONResponse:
        contact = {"input": message.to, "wa_id": shown_wa_id(message.to, self.options)}
        answer: dict[str, object] = {"messaging_product": "whatsapp", "contacts": [contact]}
        if accepted is not None:
            answer["messages"] = [{"id": accepted.wamid, "message_status": message_status}]
        return JSONResponse(answer)

    def _show(self, fault: Fault, message: TemplateMessage, accepted: AcceptedMessage | None, url: str) -> Response:
        match fault.kind:
            case FaultKind.LOST_ANSWER:
                return NoAnswer()
            case FaultKind.RESET_BEFORE:
                return NoAnswer(reset=True)
            case FaultKind.NO_WAMID:
                return self._answer(message, None)
            case FaultKind.HTML:
                return HTMLResponse(_BAD_GATEWAY, status_code=502)
            case FaultKind.REDIRECT:
                # Back to where it was sent: a client that follows and posts again shows up in the record.
                return RedirectResponse(url, status_code=302)
            case FaultKind.FAILED | FaultKind.HELD:
                return self._answer(message, accepted, _HELD if fault.answer_says_held else _ACCEPTED)
            case FaultKind.ERROR if (error := fault.error) is not None:
                return self._refuse(graph_errors.error_of(error.code, error.status_of_refusal, error.details))
            case _:
                return self._refuse(_REFUSALS[fault.kind])

    def refusal(self, error: GraphError) -> Response:
        """Meta's refusal of a request that was not to send a message.

        Args:
            error: what is wrong with it.

        Returns:
            The answer.
        """
        self._requests += 1
        return self._refuse(error)

    def _refuse(self, error: GraphError) -> JSONResponse:
        return JSONResponse(error.envelope(f"{self.options.seed}:{self._requests}"), status_code=error.http_status)


def _course(accepted: AcceptedMessage, fault: Fault | None, options: SimulatorOptions) -> list[StatusEvent]:
    if fault is None or fault.kind is not FaultKind.FAILED or fault.error is None:
        return course_of(accepted.wamid, options)
    failure = Failure(fault.error.code, fault.error.details)
    if fault.after_sent:
        return course_to_late_failure(accepted.wamid, failure, options)
    return course_to_failure(accepted.wamid, failure, options)
