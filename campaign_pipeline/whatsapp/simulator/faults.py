"""What can go wrong on purpose: which kinds of fault there are, and which request meets one.

Add here a kind of fault that a sender must survive. Keep out how it is carried out over HTTP (messages.py).
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from campaign_pipeline.whatsapp.simulator.chance import draw
from campaign_pipeline.whatsapp.simulator.error_table import words_for

_SERVER_ERRORS = range(500, 600)
_ERRORS = range(400, 600)


class FaultKind(StrEnum):
    """The ways in which a call can go wrong, as the sender meets them."""

    LOST_ANSWER = "lost_answer"  # accepted, then the connection ends without an answer
    RESET_BEFORE = "reset_before"  # not accepted, the connection is reset
    SERVER_ERROR = "server_error"  # 500 with Graph error 131000
    THROTTLE = "throttle"  # 400 with Graph error 130429
    REFUSED = "refused"  # 400 with Graph error 131026: this person cannot be reached
    ACCOUNT = "account"  # 401 with Graph error 190: nobody can be reached
    SLOW = "slow"  # accepted, answered late
    NO_WAMID = "no_wamid"  # 200 without messages
    HTML = "html"  # 502 from something that is not the Graph API
    REDIRECT = "redirect"  # 302
    ERROR = "error"  # a refusal with the Graph error of a code
    FAILED = "failed"  # accepted, and a `failed` webhook with a code comes later
    HELD = "held"  # accepted, held for quality assessment: no status until the message is released or dropped


# Whether the message goes out although the sender is not told so. Where Meta does not say, a test may choose.
_ACCEPTED_UNLESS_TOLD = {
    FaultKind.LOST_ANSWER: True,
    FaultKind.SLOW: True,
    FaultKind.NO_WAMID: True,
    FaultKind.FAILED: True,
    FaultKind.HELD: True,
}
_ACCEPTANCE_IS_OPEN = frozenset({FaultKind.SERVER_ERROR, FaultKind.NO_WAMID, FaultKind.HTML})
_WITH_CODE = frozenset({FaultKind.ERROR, FaultKind.FAILED})


@dataclass(frozen=True, kw_only=True)
class CodedError:
    """The error that a fault of the kinds `error` and `failed` gives.

    Attributes:
        code: Meta's error code, or any other.
        details: what stands in `error_data.details`; None is what Meta says with the code.
        http_status: status of a refusal, 400 to 599; None is the usual one of the code.
    """

    code: int
    details: str | None = None
    http_status: int | None = None

    def __post_init__(self) -> None:
        """Refuses an HTTP status that is no error.

        Raises:
            ValueError: it is not between 400 and 599.
        """
        if self.http_status is not None and self.http_status not in _ERRORS:
            raise ValueError(f"http_status of an error is between 400 and 599, not {self.http_status}.")

    @property
    def status_of_refusal(self) -> int:
        """The HTTP status with which a request is refused."""
        return words_for(self.code).http_status if self.http_status is None else self.http_status


@dataclass(frozen=True)
class Fault:
    """One thing that shall go wrong.

    Attributes:
        kind: what happens.
        accepted: whether the message goes out anyway; None is the rule of the kind. Free only where Meta leaves it
            open: a server error, an HTML page, an answer without a wamid.
        seconds: how long a slow answer takes.
        error: what `error` and `failed` say; None for every other kind.
        after_sent: whether a `failed` status comes behind a `sent` one instead of in its place.
        held: whether the answer to a message that will fail says that it is held for quality assessment.
    """

    kind: FaultKind
    accepted: bool | None = None
    seconds: float = 5.0
    error: CodedError | None = None
    after_sent: bool = False
    held: bool = False

    def __post_init__(self) -> None:
        """Refuses what would contradict the kind.

        Raises:
            ValueError: `accepted` was given for a kind that settles it, the seconds are negative, a code is missing,
                or something was given that means nothing for the kind.
        """
        if (self.error is not None) != (self.kind in _WITH_CODE):
            raise ValueError(f"A code belongs to the faults error and failed, and to no other; this is {self.kind}.")
        if self.accepted is not None and not self._acceptance_is_open:
            raise ValueError(f"Whether a message is accepted is settled for the fault {self.kind}; leave it out.")
        if self.seconds < 0:
            raise ValueError("seconds of a fault cannot be negative.")
        if self.kind is not FaultKind.FAILED and (self.after_sent or self.held):
            raise ValueError(f"after_sent and held belong to the fault failed; this is {self.kind}.")
        if self.kind is not FaultKind.ERROR and self.error is not None and self.error.http_status is not None:
            raise ValueError(f"http_status belongs to the fault error; this is {self.kind}.")

    @property
    def _acceptance_is_open(self) -> bool:
        if self.kind is FaultKind.ERROR and self.error is not None:
            return self.error.status_of_refusal in _SERVER_ERRORS
        return self.kind in _ACCEPTANCE_IS_OPEN

    @property
    def message_goes_out(self) -> bool:
        """Whether the message is recorded as accepted."""
        return _ACCEPTED_UNLESS_TOLD.get(self.kind, False) if self.accepted is None else self.accepted

    @property
    def name(self) -> str:
        """The fault as the command line names it: its kind, with `:CODE` behind it where it has one."""
        return self.kind.value if self.error is None else f"{self.kind}:{self.error.code}"

    @property
    def answer_says_held(self) -> bool:
        """Whether the answer carries `held_for_quality_assessment`."""
        return self.held or self.kind is FaultKind.HELD


def fault_named(name: str) -> Fault:
    """Reads a fault as the command line names it: a kind, with `:CODE` behind it where the kind needs one.

    Args:
        name: such as `lost_answer` or `failed:131049`.

    Returns:
        The fault, with everything else as usual.

    Raises:
        ValueError: the kind is unknown, or its code is missing or too much.
    """
    kind, _, code = name.partition(":")
    if kind not in set(FaultKind):
        raise ValueError(f"{kind!r} is not a fault; there are: {', '.join(FaultKind)}.")
    return Fault(FaultKind(kind), error=CodedError(code=int(code)) if code else None)


def faults_of(shares: Mapping[str, float]) -> dict[Fault, float]:
    """Reads shares of faults, and refuses those that cannot be met.

    Args:
        shares: share of requests by the name of the fault, 0 to 1.

    Returns:
        The shares by fault.

    Raises:
        ValueError: a fault is unknown, a share is out of range, or they are more than 1 together.
    """
    faults = {fault_named(name): share for name, share in shares.items()}
    _check(faults)
    return faults


def _check(shares: Mapping[Fault, float]) -> None:
    for fault, share in shares.items():
        if not 0 <= share <= 1:
            raise ValueError(f"The share of {fault.kind} is between 0 and 1, not {share}.")
    if sum(shares.values()) > 1:
        raise ValueError("The shares of all faults are together at most 1.")


@dataclass(frozen=True)
class OrderedFault:
    """One fault that is ordered.

    Attributes:
        target: which requests meet it, in words.
        fault: what goes wrong; None lets the request through whatever else is ordered.
    """

    target: str
    fault: Fault | None


class FaultBook:
    """The faults that are ordered now: the next few requests first, then single numbers, then shares of all."""

    def __init__(self, seed: int, shares: Mapping[str, float]) -> None:
        self._seed = seed
        self._shares = faults_of(shares)
        self._by_number: dict[str, Fault] = {}
        self._next: deque[Fault | None] = deque()
        self._requests: Counter[str] = Counter()

    def order_share(self, fault: Fault, share: float) -> None:
        """Lets a share of all requests meet a fault, in place of an earlier share of the same kind and code.

        Args:
            fault: what shall go wrong.
            share: for how many of all requests, 0 to 1.

        Raises:
            ValueError: the shares of all faults would be more than 1.
        """
        others = {other: value for other, value in self._shares.items() if not _are_alike(other, fault)}
        shares = {**others, fault: share}
        _check(shares)
        self._shares = shares

    def order_for(self, fault: Fault, to: str) -> None:
        """Lets every request to one number meet a fault, until the faults are cleared.

        Args:
            fault: what shall go wrong.
            to: the recipient, E.164.
        """
        self._by_number[to] = fault

    def order_next(self, fault: Fault, count: int) -> None:
        """Lets the next requests meet a fault, after those ordered before.

        Args:
            fault: what shall go wrong.
            count: how many requests.
        """
        self._next.extend([fault] * count)

    def order_sequence(self, faults: Sequence[Fault | None]) -> None:
        """Lets the next requests meet these faults one after the other, after those ordered before.

        Args:
            faults: one for each request; None lets a request through whatever else is ordered.
        """
        self._next.extend(faults)

    def clear(self) -> None:
        """Takes back every order, also the shares that the simulator was started with."""
        self._shares.clear()
        self._by_number.clear()
        self._next.clear()

    def in_force(self) -> list[OrderedFault]:
        """What is ordered now, in the order in which it is met."""
        coming: list[OrderedFault] = []
        place = 0
        for fault, alike in groupby(self._next):
            first, place = place + 1, place + len(list(alike))
            target = f"request {first} from now" if first == place else f"requests {first} to {place} from now"
            coming.append(OrderedFault(target, fault))
        numbers = [OrderedFault(f"every request to {to}", fault) for to, fault in self._by_number.items()]
        shares = [OrderedFault(f"{share:.1%} of all requests", fault) for fault, share in self._shares.items()]
        return coming + numbers + shares

    def meet(self, to: str) -> Fault | None:
        """Decides what happens to a well-formed request.

        Shares are drawn from the number and how often it was asked for, not from the order of arrival: parallel
        senders meet the same faults in every run.

        Args:
            to: the recipient of the request, E.164.

        Returns:
            The fault, or None if all goes well.
        """
        earlier = self._requests[to]
        self._requests[to] += 1
        if self._next:
            return self._next.popleft()
        if to in self._by_number:
            return self._by_number[to]
        chance = draw(self._seed, "fault", to, earlier)
        for fault, share in self._shares.items():
            if chance < share:
                return fault
            chance -= share
        return None


def _are_alike(one: Fault, other: Fault) -> bool:
    codes = [fault.error.code if fault.error is not None else None for fault in (one, other)]
    return one.kind == other.kind and codes[0] == codes[1]
