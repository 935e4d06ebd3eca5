"""A simulator for each module, and the desk between it, a ledger and a clock."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline_tests.support.clock import HandClock
from campaign_pipeline_tests.support.sending import SendingDesk
from campaign_pipeline_tests.whatsapp.simulator_process import SimulatorProcess


@pytest.fixture
def simulator(shared_simulator: SimulatorProcess) -> Iterator[SimulatorProcess]:
    """The module's simulator, well again after each test."""
    yield shared_simulator
    shared_simulator.clear_faults()
    shared_simulator.clear_templates()
    shared_simulator.release()


@pytest.fixture
def desk(ledger: Ledger, simulator: SimulatorProcess, clock: HandClock, tmp_path: Path) -> Iterator[SendingDesk]:
    """A ledger, the simulator and a clock that is moved by hand."""
    made = SendingDesk(ledger, simulator, clock, tmp_path)
    yield made
    made.close()
