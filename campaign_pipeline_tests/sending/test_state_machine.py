"""Everything that can happen to campaigns, in any order, on both databases; the promises are asked after every step.

By default few orders are tried, the same in every run. STATE_MACHINE_EXAMPLES=2000 tries that many others; a failure
prints its steps, and `--hypothesis-seed` with the printed number repeats it.
"""

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from campaign_pipeline.campaigns.errors import CampaignError
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.sending.doubts import DoubtVerdict
from campaign_pipeline_tests.sending.fate import Fate
from campaign_pipeline_tests.sending.marketplace import CAMPAIGNS, PERSONS, SPELLINGS, Marketplace
from campaign_pipeline_tests.whatsapp.simulator_process import SimulatorProcess

MAY = {"pause": ("active",), "resume": ("paused",), "cancel": ("draft", "active", "paused")}

LONG_FORM = os.environ.get("STATE_MACHINE_EXAMPLES")

campaigns = st.sampled_from(CAMPAIGNS)
persons = st.integers(0, PERSONS - 1)
limits = st.integers(0, 12)
some_rows = st.lists(st.tuples(persons, st.integers(0, SPELLINGS - 1)), min_size=1, max_size=10)
many_rows = st.lists(st.tuples(persons, st.integers(0, SPELLINGS - 1)), min_size=12, max_size=30)
concurrencies = st.sampled_from([1, 3])
in_the_ledger = st.one_of(
    st.tuples(st.just("statement"), st.integers(1, 60)), st.tuples(st.just("commit"), st.integers(1, 14))
)
at_whatsapp = st.tuples(st.sampled_from(["answer", "call"]), st.integers(1, 3))
events_during = st.sampled_from(["pause", "pause and resume", "cancel", "unsubscribe", "limit", "stop", "clock"])
spans = st.sampled_from([{"minutes": 7}, {"hours": 5}, {"hours": 13}, {"hours": 24}, {"days": 2}])
faults = st.sampled_from(
    [
        ("lost_answer", None),
        ("server_error", True),
        ("server_error", False),
        ("no_wamid", False),
        ("html", True),
        ("reset_before", None),
        ("throttle", None),
        ("refused", None),
        ("account", None),
    ]
)


class CampaignMachine(RuleBasedStateMachine):
    """What people, machines and WhatsApp may do, one step after the other."""

    def __init__(self, market: Marketplace) -> None:
        super().__init__()
        self.market = market

    @initialize(spring=many_rows, summer=some_rows)
    def begin(self, spring: list[tuple[int, int]], summer: list[tuple[int, int]]) -> None:
        """Two campaigns in the queue, a third to come."""
        for campaign, rows in (("spring", spring), ("summer", summer)):
            self.market.add_list(campaign, rows)
            self.market.activate(campaign)

    # --- people and campaigns ---

    @rule(campaign=campaigns, rows=some_rows)
    def add_list(self, campaign: str, rows: list[tuple[int, int]]) -> None:
        """New people, the same ones again, or in another spelling."""
        if self.market.status(campaign) in ("completed", "cancelled"):
            with pytest.raises(CampaignError):
                self.market.add_list(campaign, rows)
        else:
            self.market.add_list(campaign, rows)
        if self.market.can_be_activated(campaign) and self.market.witness.limit:
            self.market.activate(campaign)

    @rule(campaign=campaigns, step=st.sampled_from(["pause", "resume", "pause", "resume", "resume", "cancel"]))
    def change_campaign(self, campaign: str, step: str) -> None:
        """A step that the campaign cannot take now has to be refused, and change nothing."""
        status = self.market.status(campaign)
        take = {"pause": self.market.pause, "resume": self.market.resume, "cancel": self.market.cancel}[step]
        if status in MAY[step]:
            take(campaign)
        elif status is not None:
            with pytest.raises(CampaignError):
                take(campaign)

    @rule(person=persons, wants=st.booleans())
    def change_subscription(self, person: int, wants: bool) -> None:
        """STOP and START."""
        if wants:
            self.market.subscribe(person)
        else:
            self.market.unsubscribe(person)

    # --- sending ---

    @rule(later=spans, concurrency=concurrencies)
    def send_later(self, later: dict[str, float], concurrency: int) -> None:
        """The schedule's tick, on time or not."""
        self.market.clock.forward(**later)
        self.market.send(self.market.today, concurrency=concurrency)

    @rule(days=st.integers(0, 3), concurrency=concurrencies)
    def send(self, days: int, concurrency: int) -> None:
        """Today again, or a backfill of one date."""
        self.market.send(self.market.today - timedelta(days=days), concurrency=concurrency)

    @rule(later=spans, boundary=in_the_ledger)
    def send_and_die_in_the_ledger(self, later: dict[str, float], boundary: tuple[str, int]) -> None:
        """Kill -9; with calls in flight nobody could say which statement is the n-th."""
        self.market.clock.forward(**later)
        self.market.send(self.market.today, concurrency=1, fate=Fate(*boundary))

    @rule(later=spans, boundary=at_whatsapp, again=st.booleans())
    def send_and_die_at_a_call(self, later: dict[str, float], boundary: tuple[str, int], again: bool) -> None:
        """A power cut with calls in flight; perhaps the date is run again at once."""
        self.market.clock.forward(**later)
        self.market.send(self.market.today, concurrency=3, fate=Fate(*boundary))
        if again:
            self.market.send(self.market.today, concurrency=3)

    @rule(later=spans, after=st.integers(1, 3), what=events_during, who=persons, limit=limits)
    def send_while(self, later: dict[str, float], after: int, what: str, who: int, limit: int) -> None:
        """Something happens in the middle of a run; with one call at a time, none is in flight then."""
        campaign = CAMPAIGNS[who % len(CAMPAIGNS)]

        def pause() -> None:
            if self.market.status(campaign) == "active":
                self.market.pause(campaign)

        def pause_and_resume() -> None:
            pause()
            if self.market.status(campaign) == "paused":
                self.market.resume(campaign)

        def cancel() -> None:
            if self.market.status(campaign) in MAY["cancel"]:
                self.market.cancel(campaign)

        happen: dict[str, Callable[[], object]] = {
            "pause": pause,
            "pause and resume": pause_and_resume,
            "cancel": cancel,
            "unsubscribe": lambda: self.market.unsubscribe(who),
            "limit": lambda: self.market.set_limit(limit),
            "stop": self.market.stop.set,
            "clock": lambda: self.market.clock_goes_astray(hours=30),
        }
        self.market.clock.forward(**later)
        self.market.send(self.market.today, concurrency=1, during=(after, happen[what]))

    # --- what WhatsApp does and tells ---

    @rule(faulty=st.lists(st.tuples(faults, persons), max_size=3))
    def faults(self, faulty: list[tuple[tuple[str, bool | None], int]]) -> None:
        """Some calls go wrong from now on, and the others go well again."""
        self.market.mend()
        for fault, person in faulty:
            self.market.order_fault(*fault, person)

    @rule(how=st.sampled_from(["all", "some", "some again", "twice"]), seed=st.integers(0, 999))
    def hear_statuses(self, how: str, seed: int) -> None:
        """In any order, late, twice, or only some of them."""
        self.market.hear(how, seed)

    @rule(which=st.integers(0, 9), verdict=st.sampled_from(DoubtVerdict))
    def settle_doubt(self, which: int, verdict: DoubtVerdict) -> None:
        """A person's word, which need not be true."""
        self.market.settle_doubt(which, verdict)

    # --- limit and time ---

    @rule(limit=limits)
    def set_limit(self, limit: int) -> None:
        """Meta raises a tier, or lowers it."""
        self.market.set_limit(limit)

    @rule(people=st.integers(1, 3), hours=st.integers(0, 23))
    def used_elsewhere(self, people: int, hours: int) -> None:
        """Another system has reached people."""
        self.market.note_used_elsewhere(people, hours)

    @rule(hours=st.integers(1, 6))
    def clock_is_set_back(self, hours: int) -> None:
        """By a person, or by a time server after a wrong start."""
        self.market.clock.jump(hours=-hours)

    # --- what holds after every step ---

    @invariant()
    def what_really_happened_was_allowed(self) -> None:
        assert self.market.witness.wrong == []

    @invariant()
    def everyone_is_in_one_state(self) -> None:
        for campaign in CAMPAIGNS:
            assert len(self.market.states(campaign)) == len(self.market.members[campaign])

    @invariant()
    def a_campaign_that_is_completed_has_nobody_unsettled(self) -> None:
        for campaign in CAMPAIGNS:
            if self.market.status(campaign) == "completed":
                assert {"pending", "claimed", "attempting", "in_doubt"}.isdisjoint(self.market.states(campaign))

    @invariant()
    def the_ledger_proves_every_promise(self) -> None:
        if self.market.is_changed:
            assert self.market.broken_promises() == []
            self.market.is_changed = False

    def teardown(self) -> None:
        """Lets everything come to its end, and looks whether anybody was lost."""
        self.market.settle_everything()
        for campaign in CAMPAIGNS:
            accepted = {call.person for call in self.market.witness.accepted if call.campaign == campaign}
            for person, state in self.market.state_of_each(campaign).items():
                if person in accepted:
                    assert state == "read", f"{person} was accepted for {campaign} and is {state}"
                else:
                    assert state != "read", f"{person} of {campaign} is read and was never accepted"
                    assert state != "attempting"
            if self.market.status(campaign) == "active":
                assert "in_doubt" in self.market.states(campaign), f"{campaign} does not come to its end"
                assert {"pending", "claimed"}.isdisjoint(self.market.states(campaign))
        self.what_really_happened_was_allowed()
        assert self.market.broken_promises() == []
        self.market.close()


def test_no_order_of_events_breaks_a_promise(
    ledger: Ledger, shared_simulator: SimulatorProcess, tmp_path: Path
) -> None:
    """Each guard is tried by itself elsewhere; what breaks promises in practice is three things that come together."""
    numbers = iter(range(1_000_000))

    def new_machine() -> CampaignMachine:
        return CampaignMachine(Marketplace(ledger, shared_simulator, tmp_path / str(next(numbers))))

    terms = settings(
        max_examples=int(LONG_FORM or 6),
        stateful_step_count=30,
        derandomize=LONG_FORM is None,
        deadline=None,
        print_blob=True,
        report_multiple_bugs=False,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(new_machine, settings=terms)
