"""Meta's own limits on sending: people in a moving 24 hours, messages a second, messages to one person.

Add here a limit that Meta enforces by itself. Keep out faults that a test orders (faults.py) and clocks: the time comes
in as an argument. No page says what Meta answers above the messaging limit, so the options choose.
Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/messaging-limits
"""

from collections import OrderedDict, deque

from campaign_pipeline.whatsapp.simulator.faults import CodedError, Fault, FaultKind, fault_named
from campaign_pipeline.whatsapp.simulator.options import SimulatorOptions

_WINDOW_SECONDS = 24 * 60 * 60
_THROUGHPUT_SECONDS = 1

_THROUGHPUT_REACHED = Fault(FaultKind.ERROR, error=CodedError(code=130429))
_PAIR_RATE_HIT = Fault(FaultKind.ERROR, error=CodedError(code=131056))


class PeopleReached:
    """The different people reached in the last 24 hours, at any moment."""

    def __init__(self) -> None:
        self._last_reached: OrderedDict[str, float] = OrderedDict()

    def count(self, now: float) -> int:
        """How many they are.

        Args:
            now: seconds since 1970 in UTC.
        """
        while self._last_reached and next(iter(self._last_reached.values())) <= now - _WINDOW_SECONDS:
            self._last_reached.popitem(last=False)
        return len(self._last_reached)

    def has_room_for(self, wa_id: str, limit: int, now: float) -> bool:
        """Whether a message to this person stays within a limit; a person reached already costs nothing more.

        Args:
            wa_id: the person.
            limit: so many different people in 24 hours.
            now: seconds since 1970 in UTC.
        """
        return self.count(now) < limit or wa_id in self._last_reached

    def note(self, wa_id: str, now: float) -> None:
        """Counts a person from now on.

        Args:
            wa_id: the person.
            now: seconds since 1970 in UTC.
        """
        self._last_reached[wa_id] = now
        self._last_reached.move_to_end(wa_id)


class Limits:
    """What Meta lets through now; a limit that no option sets lets everything through."""

    def __init__(self, options: SimulatorOptions) -> None:
        self._options = options
        self._above_limit = fault_named(options.limit_answer)
        self._people = PeopleReached()
        self._last_second: deque[float] = deque()
        self._pair_is_free_from: dict[str, float] = {}

    def people_reached(self, now: float) -> int:
        """How many different people count against the messaging limit.

        Args:
            now: seconds since 1970 in UTC.
        """
        return self._people.count(now)

    def note_accepted(self, wa_id: str, now: float) -> None:
        """Counts an accepted message, unless the limit had no room for it: then it will fail and reaches nobody.

        Args:
            wa_id: the person.
            now: seconds since 1970 in UTC.
        """
        if self._has_room_for(wa_id, now):
            self._people.note(wa_id, now)

    def meet(self, wa_id: str, now: float) -> Fault | None:
        """Decides whether a limit stands in the way of a well-formed request; if none does, its rates are used up.

        Args:
            wa_id: the person.
            now: seconds since 1970 in UTC.

        Returns:
            What Meta makes of the request, or None if it is let through.
        """
        if not self._is_below_throughput(now):
            return _THROUGHPUT_REACHED
        if not self._is_below_pair_rate(wa_id, now):
            return _PAIR_RATE_HIT
        if not self._has_room_for(wa_id, now):
            return self._above_limit
        self._use_up_rates(wa_id, now)
        return None

    def _has_room_for(self, wa_id: str, now: float) -> bool:
        limit = self._options.messaging_limit
        return limit is None or self._people.has_room_for(wa_id, limit, now)

    def _is_below_throughput(self, now: float) -> bool:
        while self._last_second and self._last_second[0] <= now - _THROUGHPUT_SECONDS:
            self._last_second.popleft()
        limit = self._options.messages_per_second
        return limit is None or len(self._last_second) < limit

    def _is_below_pair_rate(self, wa_id: str, now: float) -> bool:
        seconds = self._options.pair_seconds
        if seconds is None:
            return True
        borrowed = self._pair_is_free_from.get(wa_id, now) - now
        return borrowed <= (self._options.pair_burst - 1) * seconds

    def _use_up_rates(self, wa_id: str, now: float) -> None:
        if self._options.messages_per_second is not None:
            self._last_second.append(now)
        if self._options.pair_seconds is not None:
            # A burst borrows from the future: each message moves the moment from which all is paid back.
            self._pair_is_free_from[wa_id] = max(now, self._pair_is_free_from.get(wa_id, now)) + (
                self._options.pair_seconds
            )
