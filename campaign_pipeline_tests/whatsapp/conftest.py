"""A simulator for the tests that neither stop it nor need other options."""

from collections.abc import Iterator

import pytest

from campaign_pipeline_tests.whatsapp.simulator_process import SimulatorProcess


@pytest.fixture
def simulator(shared_simulator: SimulatorProcess) -> Iterator[SimulatorProcess]:
    """The module's simulator, well again after each test."""
    yield shared_simulator
    shared_simulator.clear_faults()
    shared_simulator.release()
    shared_simulator.release_held()
