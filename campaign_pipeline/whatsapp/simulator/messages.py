"""The messages endpoint, step by step: judge, meet a fault or not, record, wait, answer.

Add here a step, or how a kind of fault shows itself in the answer. Keep out Meta's rules (judge.py), the choice of who
meets a fault (faults.py) and routes (app.py).
"""

import asyncio
import contextlib
from datetime import UTC, datetime

from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from campaign_pipeline.whatsapp.simulator import graph_errors
from campaign_pipeline.whatsapp.simulator.connections import NoAnswer
from campaign_pipeline.whatsapp.simulator.faults import Fault, FaultBook, FaultKind
from campaign_pipeline.whatsapp.simulator.graph_errors import GraphError
from campaign_pipeline.whatsapp.simulator.judge import SendRequest, TemplateMessage, judge
from campaign_pipeline.whatsapp.simulator.options import SimulatorOptions
from campaign_pipeline.whatsapp.simulator.record import AcceptedMessage, Record
from campaign_pipeline.whatsapp.simulator.status_files import StatusQueue

_REFUSALS = {
    FaultKind.SERVER_ERROR: graph_errors.unknown_error(),
    FaultKind.THROTTLE: graph_errors.throughput_reached(),
    FaultKind.REFUSED: graph_errors.undeliverable(),
    FaultKind.ACCOUNT: graph_errors.not_authenticated(),
}

_BAD_GATEWAY = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


class Simulator:
    """One running simulator: what it accepted, the statuses to come, the faults ordered, the answers held back.

    Attributes:
        options: how it behaves.
        record: the accepted messages.
        statuses: the statuses that are not in the inbox yet.
        faults: what shall go wrong.
        unanswered: how many requests are waiting for their answer now.
    """

    def __init__(self, options: SimulatorOptions) -> None:
        """Opens the record.

        Args:
            options: how the simulator behaves.
        """
        self.options = options
        self.record = Record(options.record, options.seed)
        self.statuses = StatusQueue(options)
        self.faults = FaultBook(options.seed, options.fault_shares)
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
        judgement = judge(request, self.options.phone_number_id, self.options.access_token)
        if isinstance(judgement, GraphError):
            return self._refuse(judgement)
        fault = self.faults.meet(judgement.to)
        accepted = self._accept(judgement) if fault is None or fault.message_goes_out else None
        slow = fault.seconds if fault is not None and fault.kind is FaultKind.SLOW else 0
        if not await self._may_answer_after(self.options.latency + slow):
            return NoAnswer()
        if fault is not None and fault.kind is not FaultKind.SLOW:
            return self._show(fault, judgement, url)
        return JSONResponse(_answer(judgement, accepted))

    def _accept(self, message: TemplateMessage) -> AcceptedMessage:
        accepted = self.record.accept(message, datetime.now(UTC))
        self.statuses.expect(accepted)
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

    def _show(self, fault: Fault, message: TemplateMessage, url: str) -> Response:
        match fault.kind:
            case FaultKind.LOST_ANSWER:
                return NoAnswer()
            case FaultKind.RESET_BEFORE:
                return NoAnswer(reset=True)
            case FaultKind.NO_WAMID:
                return JSONResponse(_answer(message, None))
            case FaultKind.HTML:
                return HTMLResponse(_BAD_GATEWAY, status_code=502)
            case FaultKind.REDIRECT:
                # Back to where it was sent: a client that follows and posts again shows up in the record.
                return RedirectResponse(url, status_code=302)
            case _:
                return self._refuse(_REFUSALS[fault.kind])

    def _refuse(self, error: GraphError) -> JSONResponse:
        return JSONResponse(error.envelope(f"{self.options.seed}:{self._requests}"), status_code=error.http_status)


def _answer(message: TemplateMessage, accepted: AcceptedMessage | None) -> dict[str, object]:
    answer: dict[str, object] = {
        "messaging_product": "whatsapp",
        "contacts": [{"input": message.to, "wa_id": message.to.lstrip("+")}],
    }
    if accepted is not None:
        answer["messages"] = [{"id": accepted.wamid, "message_status": "accepted"}]
    return answer
