"""Installations for whole processes, each with a Cloud API of its own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from campaign_pipeline_tests.end_to_end.installation import Installation
from campaign_pipeline_tests.whatsapp.simulator_process import SimulatorProcess, simulator_options

InstallationMaker = Callable[..., Installation]


@pytest.fixture
def new_installation(tmp_path: Path) -> Iterator[InstallationMaker]:
    """Makes an installation with a simulator that is as slow as the test wants it."""
    with ExitStack() as running:

        def make(latency: float = 0.0, **settings: str) -> Installation:
            options = simulator_options(tmp_path / "data", latency=latency)
            simulator = running.enter_context(SimulatorProcess(options))
            return Installation(tmp_path, simulator, settings)

        yield make
