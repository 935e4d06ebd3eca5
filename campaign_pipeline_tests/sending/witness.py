"""What really happened in a test: who was called, who WhatsApp has accepted, and whether either was allowed just then.

Add here something that can be judged without the ledger. Keep out the ledger: a witness that asks the accused is none.
"""

import json
import threading
from collections import Counter
from dataclasses import dataclass

from campaign_pipeline.whatsapp.client import Answer, MessageClient
from campaign_pipeline.whatsapp.messages import TemplateMessage
from campaign_pipeline_tests.sending.fate import Fate
from campaign_pipeline_tests.support.clock import HandClock
from campaign_pipeline_tests.whatsapp.simulator_process import SimulatorProcess

DAY = 24 * 60 * 60
"""Seconds of the moving window."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call as it began, with what was in force at that moment; `at` is in seconds that no clock can set back."""

    person: int
    campaign: str
    at: float
    limit: int


class Witness:
    """Sees every call before it is made and reads the simulator's own record after it.

    Attributes:
        wrong: What should not have happened, in words.
        accepted: The calls that the simulator has accepted, in the order in which they began.
        limit: People in 24 hours, as last said.
        sendable: The campaigns that may be sent to now.
        unsubscribed: Who wants no messages now.
    """

    def __init__(self, simulator: SimulatorProcess, clock: HandClock, persons: dict[str, int], limit: int) -> None:
        self.wrong: list[str] = []
        self.accepted: list[Call] = []
        self.limit = limit
        self.sendable: set[str] = set()
        self.unsubscribed: set[int] = set()
        self._clock = clock
        self._persons = persons
        self._record = simulator.options.record
        self._read_to = self._record.stat().st_size
        self._calls: dict[str, Call] = {}
        self._used_elsewhere: list[tuple[float, int]] = []
        self._repeats: Counter[tuple[str, int]] = Counter()
        self._lock = threading.Lock()

    def client(self, client: MessageClient, fate: Fate) -> MessageClient:
        """A client whose calls are seen, and at whose calls the run may die."""
        return _WatchedClient(self, client, fate)

    def note_used_elsewhere(self, people: int, seconds_ago: float) -> None:
        """Other systems have reached people."""
        self._used_elsewhere.append((self._clock.elapsed - seconds_ago, people))

    def allow_repeat(self, attempt_id: str) -> None:
        """Somebody has said that a call reached nobody, and with that orders a repeat; it may never have been made."""
        call = self._calls.get(attempt_id)
        if call is not None:
            self._repeats[call.campaign, call.person] += 1

    def see(self, message: TemplateMessage) -> None:
        """Looks at a call that is about to be made."""
        person, campaign = self._persons[message.to], message.template_name
        call = Call(person, campaign, self._clock.elapsed, self.limit)
        with self._lock:
            if person in self.unsubscribed:
                self.wrong.append(f"{call} is made although the person has unsubscribed")
            if campaign not in self.sendable:
                self.wrong.append(f"{call} is made although the campaign is not active")
            if message.callback_data in self._calls:
                self.wrong.append(f"{call} is made with an attempt that another call has used")
            self._calls[message.callback_data] = call

    def read_record(self) -> None:
        """Judges whom the simulator has accepted since the last look; called while nobody sends."""
        with self._record.open("rb") as record:
            record.seek(self._read_to)
            lines = record.readlines()
        self._read_to += sum(map(len, lines))
        new = [self._calls[json.loads(line)["biz_opaque_callback_data"]] for line in lines]
        for call in sorted(new, key=lambda each: each.at):
            self._judge_repetition(call)
            self.accepted.append(call)
        for call in new:
            self._judge_window(call)

    def _judge_repetition(self, call: Call) -> None:
        times = sum(each.campaign == call.campaign and each.person == call.person for each in self.accepted)
        if times > self._repeats[call.campaign, call.person]:
            self.wrong.append(f"{call} reached a person who had been reached {times} times")

    def _judge_window(self, call: Call) -> None:
        """Whoever was not reached in the 24 hours before has to fit in under the limit of that very moment."""
        window = [each for each in self.accepted if call.at - DAY < each.at <= call.at]
        if any(each.person == call.person for each in window if each.at < call.at):
            return
        elsewhere = sum(people for at, people in self._used_elsewhere if call.at - DAY < at <= call.at)
        in_all = len({each.person for each in window}) + elsewhere
        if in_all > call.limit:
            self.wrong.append(f"{call} made {in_all} people in 24 hours")


class _WatchedClient:
    def __init__(self, witness: Witness, client: MessageClient, fate: Fate) -> None:
        self._witness = witness
        self._client = client
        self._fate = fate

    def send(self, message: TemplateMessage) -> Answer:
        self._fate.pass_by("call")
        self._witness.see(message)
        answer = self._client.send(message)
        self._fate.pass_by("answer")
        return answer

    def close(self) -> None:
        self._client.close()
