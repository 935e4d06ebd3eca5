"""A replay, ordered on the desk: the job `rebuild_delivery`, and what the desk shows of one."""

import dagster as dg
import pytest

from campaign_pipeline_tests.orchestration.desk import THE_DATE, OrchestrationDesk, metadata_of
from campaign_pipeline_tests.support.sending import people


@pytest.fixture
def delivered(desk: OrchestrationDesk) -> OrchestrationDesk:
    """A desk whose date was sent and read."""
    desk.campaign(people(4))
    assert desk.send().success
    desk.statuses()
    assert desk.materialize("delivery_statuses").success
    desk.show_ledger()
    return desk


def replay(desk: OrchestrationDesk, **config: bool) -> dg.ExecuteInProcessResult:
    """Runs the job."""
    return desk.definitions.resolve_job_def("rebuild_delivery").execute_in_process(
        run_config={"ops": {"derive_again": {"config": config}}}, instance=desk.instance, raise_on_error=False
    )


def test_a_replay_from_the_archive_brings_the_figures_back_and_shows_the_dates(delivered: OrchestrationDesk) -> None:
    """The store was lost: one run brings everything back, and the charts are right without more."""
    delivered.sql("DELETE FROM delivery_events", "DELETE FROM campaign_analytics")
    before = len(delivered.materializations("campaign_analytics", THE_DATE))
    assert not replay(delivered, from_archive=True, only_check=True).success
    assert replay(delivered, from_archive=True).success
    assert delivered.show_ledger() == 1
    told = delivered.materializations("campaign_analytics", THE_DATE)
    assert len(told) == before + 1
    assert metadata_of(told[0])["read"] == 4
    assert replay(delivered, only_check=True).success
    assert delivered.figures().read == 4


def test_a_file_of_the_archive_that_is_put_into_the_inbox_again_adds_nothing(delivered: OrchestrationDesk) -> None:
    """The other way of a replay, for one file: it must be as harmless as it is easy."""
    before = delivered.figures()
    folders = delivered.settings.status_folders
    for file in list(folders.archive.iterdir()):
        file.rename(folders.inbox / file.name)
    assert delivered.materialize("delivery_statuses").success
    assert delivered.figures() == before
    assert replay(delivered, only_check=True).success
