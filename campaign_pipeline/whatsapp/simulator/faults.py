"""What can go wrong on purpose: which kinds of fault there are, and which request meets one.

Add here a kind of fault that a sender must survive. Keep out how it is carried out over HTTP (app.py).
"""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from campaign_pipeline.whatsapp.simulator.chance import draw


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


# Whether the message goes out although the sender is not told so. Where Meta does not say, a test may choose.
_ACCEPTED_UNLESS_TOLD = {
    FaultKind.LOST_ANSWER: True,
    FaultKind.SLOW: True,
    FaultKind.NO_WAMID: True,
}
_ACCEPTANCE_IS_OPEN = frozenset({FaultKind.SERVER_ERROR, FaultKind.NO_WAMID, FaultKind.HTML})


@dataclass(frozen=True)
class Fault:
    """One thing that shall go wrong.

    Attributes:
        kind: what happens.
        accepted: whether the message goes out anyway; None is the rule of the kind. Free only where Meta leaves it
            open: a server error, an HTML page, an answer without a wamid.
        seconds: how long a slow answer takes.
    """

    kind: FaultKind
    accepted: bool | None = None
    seconds: float = 5.0

    def __post_init__(self) -> None:
        """Refuses what would contradict the kind.

        Raises:
            ValueError: `accepted` was given for a kind that settles it, or the seconds are negative.
        """
        if self.accepted is not None and self.kind not in _ACCEPTANCE_IS_OPEN:
            raise ValueError(f"Whether a message is accepted is settled for the fault {self.kind}; leave it out.")
        if self.seconds < 0:
            raise ValueError("seconds of a fault cannot be negative.")

    @property
    def message_goes_out(self) -> bool:
        """Whether the message is recorded as accepted."""
        return _ACCEPTED_UNLESS_TOLD.get(self.kind, False) if self.accepted is None else self.accepted


def check_shares(shares: Mapping[str, float]) -> None:
    """Refuses shares of faults that cannot be met.

    Args:
        shares: share of requests by kind of fault, 0 to 1.

    Raises:
        ValueError: a kind is unknown, a share is out of range, or they are more than 1 together.
    """
    for kind, share in shares.items():
        if kind not in set(FaultKind):
            raise ValueError(f"{kind!r} is not a fault; there are: {', '.join(FaultKind)}.")
        if not 0 <= share <= 1:
            raise ValueError(f"The share of {kind} is between 0 and 1, not {share}.")
    if sum(shares.values()) > 1:
        raise ValueError("The shares of all faults are together at most 1.")


class FaultBook:
    """The faults that are ordered now: the next few requests first, then single numbers, then shares of all."""

    def __init__(self, seed: int, shares: Mapping[str, float]) -> None:
        check_shares(shares)
        self._seed = seed
        self._shares: dict[Fault, float] = {Fault(FaultKind(kind)): share for kind, share in shares.items()}
        self._by_number: dict[str, Fault] = {}
        self._next: deque[Fault] = deque()
        self._requests: Counter[str] = Counter()

    def order_share(self, fault: Fault, share: float) -> None:
        """Lets a share of all requests meet a fault, in place of an earlier share of the same kind.

        Args:
            fault: what shall go wrong.
            share: for how many of all requests, 0 to 1.

        Raises:
            ValueError: the shares of all kinds would be more than 1.
        """
        others = {other: value for other, value in self._shares.items() if other.kind != fault.kind}
        check_shares({other.kind: value for other, value in others.items()} | {fault.kind: share})
        self._shares = {**others, fault: share}

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

    def clear(self) -> None:
        """Takes back every order, also the shares that the simulator was started with."""
        self._shares.clear()
        self._by_number.clear()
        self._next.clear()

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
