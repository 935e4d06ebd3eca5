"""What may never get into Dagster's event log: phone numbers and the token. Everybody who sees the web UI sees it."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from campaign_pipeline_tests.orchestration.desk import THE_DATE, OrchestrationDesk
from campaign_pipeline_tests.support.campaigns import phone
from campaign_pipeline_tests.support.clock import HandClock
from campaign_pipeline_tests.support.sending import people
from campaign_pipeline_tests.whatsapp.simulator_process import SimulatorProcess


@pytest.fixture
def desk(folder: Path, simulator: SimulatorProcess, clock: HandClock) -> Iterator[OrchestrationDesk]:
    """A desk whose instance writes its events to files, as a real one does."""
    with dg.instance_for_test(temp_dir=str(folder / "dagster")) as instance:
        made = OrchestrationDesk(folder, simulator, clock, instance, {})
        yield made
        made.close()


@pytest.fixture(autouse=True)
def storage(folder: Path) -> Path:
    """The folder that Dagster writes to."""
    made = folder / "dagster"
    made.mkdir()
    return made


def told(desk: OrchestrationDesk) -> str:
    """Everything that the runs have told, as text: events, logs, metadata and errors."""
    runs = desk.instance.get_runs()
    assert runs
    entries = [entry for run in runs for entry in desk.instance.all_logs(run.run_id)]
    runless = [
        record
        for asset in ("daily_batch", "campaign_analytics", "audience", "recipient_list", "delivery_statuses")
        for record in desk.materializations(asset)
    ]
    return "\n".join(dg.serialize_value(entry) for entry in [*entries, *runless])


def leaks(desk: OrchestrationDesk, numbers: Iterable[int], storage: Path) -> set[str]:
    """Which secrets are in the events, or in any file that Dagster wrote: digits of a phone number, or the token."""
    texts = [told(desk), *(file.read_bytes().decode("latin-1") for file in storage.rglob("*") if file.is_file())]
    digits = [phone(number).removeprefix("+44") for number in numbers]
    secrets = [*digits, desk.simulator.options.access_token]
    return {secret for secret in secrets for text in texts if secret in text}


def test_a_day_with_everything_in_it_tells_no_phone_number_and_no_token(desk: OrchestrationDesk, storage: Path) -> None:
    """A list, a batch with a refusal and a doubt, statuses, a plan: whoever sees them must not see who they are of."""
    numbers = people(30)
    desk.campaign(numbers)
    desk.show_ledger()
    desk.simulator.fault("refused", to=phone(numbers[3]))
    desk.simulator.fault("lost_answer", to=phone(numbers[7]))
    desk.unsubscribe(numbers[9])
    assert desk.materialize("recipient_list", "spring-sale").success
    assert desk.materialize("audience", "spring-sale").success
    assert desk.send().success
    desk.statuses()
    assert desk.materialize("delivery_statuses").success
    assert desk.materialize("send_plan").success
    preview = desk.definitions.resolve_job_def("preview_batch")
    assert preview.execute_in_process(instance=desk.instance, raise_on_error=False).success
    assert desk.materialize("campaign_progress", "spring-sale").success
    desk.show_ledger()
    assert "27 of 29" in told(desk), "what is searched holds what was told"
    assert leaks(desk, numbers, storage) == set()


@pytest.mark.parametrize("fault", ["account", "server_error", "html", "redirect", "no_wamid", "reset_before"])
def test_a_day_on_which_whatsapp_fails_tells_no_phone_number_and_no_token(
    desk: OrchestrationDesk, storage: Path, fault: str
) -> None:
    """Errors are written by others, who put whatever they have into them, and end up in the red partition."""
    numbers = people(20)
    desk.campaign(numbers)
    desk.simulator.fault(fault, share=1)
    assert not desk.send().success
    assert leaks(desk, numbers, storage) == set()


def test_a_day_on_which_the_database_fails_tells_no_phone_number_and_no_token(
    desk: OrchestrationDesk, storage: Path
) -> None:
    """A full disk in mid-batch: the driver's error shows the statement, and with it the row that it was about."""
    numbers = people(20)
    desk.campaign(numbers)
    desk.sql(
        "CREATE TRIGGER full_disk BEFORE INSERT ON send_attempts "
        "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
    )
    assert not desk.send().success
    assert desk.colour(THE_DATE) == "FAILED"
    assert "disk is full" in told(desk)
    assert leaks(desk, numbers, storage) == set()
