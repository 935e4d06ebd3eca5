"""The bodies that the control API takes: orders of faults, of the end of a hold and of webhooks, and what each means.

Add here the body of a new order. Keep out routes (app.py) and what an order brings about (faults.py, messages.py).
"""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from campaign_pipeline.whatsapp.simulator.account_webhooks import WebhookField
from campaign_pipeline.whatsapp.simulator.faults import CodedError, Fault, FaultBook, FaultKind
from campaign_pipeline.whatsapp.simulator.inbound import ButtonTap, InboundMessage
from campaign_pipeline.whatsapp.simulator.statuses import Failure

_PRINTED_AS_TEXT = frozenset({132015})  # so on Meta's page on template pacing


class FaultStep(BaseModel):
    """A fault without a target: one step of a sequence.

    Attributes:
        fault: what shall go wrong.
        accepted: whether the message goes out anyway, where the fault leaves it open.
        seconds: how long a slow answer takes.
        code: Meta's error code, for `error` and `failed`.
        http_status: HTTP status of an `error`; None is the usual one of the code.
        details: text for `error_data.details`; None is what Meta says with the code.
        after_sent: whether `failed` comes behind `sent` instead of in its place.
        held: whether the answer to a message that will fail says `held_for_quality_assessment`.
    """

    model_config = ConfigDict(extra="forbid")

    fault: FaultKind
    accepted: bool | None = None
    seconds: float = 5.0
    code: int | None = None
    http_status: int | None = None
    details: str | None = None
    after_sent: bool = False
    held: bool = False

    def meant(self) -> Fault:
        """The fault that is ordered.

        Raises:
            ValueError: the fields contradict the kind of fault.
        """
        if self.code is None and (self.http_status is not None or self.details is not None):
            raise ValueError("http_status and details belong to an error; say its code.")
        error = None
        if self.code is not None:
            error = CodedError(code=self.code, details=self.details, http_status=self.http_status)
        return Fault(self.fault, self.accepted, self.seconds, error, self.after_sent, self.held)


class FaultOrder(FaultStep):
    """The body of `POST /simulator/faults`: a fault, and exactly one of `share`, `to` and `next`.

    Attributes:
        share: for which share of all requests, 0 to 1.
        to: for every request to this number, E.164.
        next: for so many of the next requests.
    """

    share: float | None = Field(default=None, ge=0, le=1)
    to: str | None = None
    next: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _has_one_target(self) -> Self:
        given = [target for target in (self.share, self.to, self.next) if target is not None]
        if len(given) != 1:
            raise ValueError("Say whom the fault shall meet: exactly one of share, to and next.")
        return self

    def enter(self, faults: FaultBook) -> None:
        """Orders the fault.

        Args:
            faults: the faults that are ordered now.

        Raises:
            ValueError: the order contradicts itself or the shares ordered before.
        """
        fault = self.meant()
        if self.share is not None:
            faults.order_share(fault, self.share)
        elif self.to is not None:
            faults.order_for(fault, self.to)
        elif self.next is not None:
            faults.order_next(fault, self.next)


class FaultSequence(BaseModel):
    """The other body of `POST /simulator/faults`: what the next requests meet, one after the other.

    Attributes:
        sequence: one step for each request; null lets a request through.
    """

    model_config = ConfigDict(extra="forbid")

    sequence: list[FaultStep | None] = Field(min_length=1)

    def enter(self, faults: FaultBook) -> None:
        """Orders the faults, all of them or none.

        Args:
            faults: the faults that are ordered now.

        Raises:
            ValueError: a step contradicts itself.
        """
        faults.order_sequence([None if step is None else step.meant() for step in self.sequence])


class DropOrder(BaseModel):
    """The body of `POST /simulator/held/drop`.

    Attributes:
        code: 132015 as when feedback paused the template, 135000 as when the portfolio was found suspicious.
    """

    model_config = ConfigDict(extra="forbid")

    code: Literal[132015, 135000]

    def meant(self) -> Failure:
        """Why the held messages fail."""
        return Failure(self.code, code_is_text=self.code in _PRINTED_AS_TEXT)


class WebhookOrder(BaseModel):
    """The body of `POST /simulator/webhooks`.

    Attributes:
        field: what the webhook is about.
        value: what it says, in Meta's own shape.
    """

    model_config = ConfigDict(extra="forbid")

    field: WebhookField
    value: dict[str, Any]


class _Button(BaseModel):
    model_config = ConfigDict(extra="forbid")

    payload: str
    text: str


class InboundOrder(BaseModel):
    """The body of `POST /simulator/inbound`: what a person writes, as exactly one of `text` and `button`.

    Attributes:
        sender: the person's number, E.164; called `from` in the body, as in Meta's webhook.
        text: what the person writes.
        button: the button of a template that the person taps.
        context: wamid of the message that it answers; without it the webhook names none, which also happens.
    """

    model_config = ConfigDict(extra="forbid")

    sender: str = Field(alias="from", pattern=r"^\+[1-9][0-9]{6,14}$")
    text: str | None = None
    button: _Button | None = None
    context: str | None = None

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if (self.text is None) == (self.button is None):
            raise ValueError("Say what the person does: exactly one of text and button.")
        return self

    def meant(self) -> InboundMessage:
        """The message that is ordered."""
        said = self.text if self.button is None else ButtonTap(self.button.payload, self.button.text)
        return InboundMessage(self.sender, said or "", self.context)
