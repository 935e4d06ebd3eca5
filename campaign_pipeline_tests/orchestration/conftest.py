"""A simulator for each module, and an operator's desk for each test."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from campaign_pipeline.ledger.engine import open_ledger
from campaign_pipeline_tests.orchestration.desk import DeskMaker, OrchestrationDesk
from campaign_pipeline_tests.support.clock import HandClock
from campaign_pipeline_tests.whatsapp.simulator_process import SimulatorProcess, simulator_options


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without any setting of the machine that the tests run on; the present one of each test."""
    for name in os.environ:
        if name.startswith(("CAMPAIGN_", "WHATSAPP_", "WEBHOOK_", "DAGSTER_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def shared_simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    """One simulator for all these tests; starting one takes most of a second."""
    with SimulatorProcess(simulator_options(tmp_path_factory.mktemp("simulator"))) as process:
        yield process


@pytest.fixture
def simulator(shared_simulator: SimulatorProcess) -> Iterator[SimulatorProcess]:
    """The simulator, well again and with an empty inbox after each test."""
    yield shared_simulator
    shared_simulator.clear_faults()
    shared_simulator.release()
    shared_simulator.wait_for_statuses()
    for file in shared_simulator.options.inbox.glob("*"):
        file.unlink()


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with its tables and nothing in them; copying it is faster than making it."""
    path = tmp_path_factory.mktemp("ledger") / "ledger.sqlite3"
    open_ledger(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def new_desk(folder: Path, simulator: SimulatorProcess, clock: HandClock, empty_ledger: Path) -> Iterator[DeskMaker]:
    """Makes desks with settings of a test's own, on an instance that ends with the test."""
    (folder / "data").mkdir()
    shutil.copy(empty_ledger, folder / "data")
    made: list[OrchestrationDesk] = []
    with dg.DagsterInstance.ephemeral() as instance:

        def make(**changed: str) -> OrchestrationDesk:
            made.append(OrchestrationDesk(folder, simulator, clock, instance, changed))
            return made[-1]

        yield make
        for each in made:
            each.close()


@pytest.fixture
def desk(new_desk: DeskMaker) -> OrchestrationDesk:
    """An installation that sends at any hour, 250 people a day."""
    return new_desk()
