"""The files that say how Dagster runs here: dagster.yaml, workspace.yaml and [tool.dg]."""

import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from campaign_pipeline.orchestration.instance import NoInstanceError, open_instance
from campaign_pipeline.orchestration.jobs import LONGEST_RUN_SECONDS

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def installed(folder: Path) -> Path:
    """A folder with the project's dagster.yaml."""
    shutil.copy(PROJECT / "dagster.yaml", folder)
    return folder


def test_workspace_and_dg_name_the_same_definitions() -> None:
    """`dagster dev` and `dg dev` would show two different installations, of which one is out of date."""
    workspace = yaml.safe_load((PROJECT / "workspace.yaml").read_text(encoding="utf-8"))
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["dg"]["project"]
    assert workspace == {
        "load_from": [
            {
                "python_module": {
                    "module_name": project["code_location_target_module"],
                    "location_name": project["code_location_name"],
                }
            }
        ]
    }
    assert project["code_location_target_module"] == "campaign_pipeline.definitions"


def test_one_send_runs_at_a_time_from_the_first_run_on(installed: Path) -> None:
    """By run instead of by op, the limit leaks on a fresh instance: four sends at once were seen."""
    with open_instance() as instance:
        pools = instance.get_concurrency_config().pool_config
    assert pools.pool_granularity is not None
    assert (pools.pool_granularity.value, pools.default_pool_limit) == ("op", 1)


def test_backfills_run_one_at_a_time_and_leave_room_for_the_rest(installed: Path) -> None:
    """Three dates that wait for the sender fill the queue, and no status is taken in until they are done."""
    with open_instance() as instance:
        queue = instance.get_concurrency_config().run_queue_config
    assert queue is not None
    assert list(queue.tag_concurrency_limits) == [{"key": "dagster/backfill", "limit": 1}]
    assert queue.max_concurrent_runs >= 2


def test_a_killed_run_gives_its_place_in_the_pool_back(installed: Path) -> None:
    """Without this, the day after a crash stays in the queue for ever."""
    with open_instance() as instance:
        assert instance.run_monitoring_enabled
        settings: dict[str, Any] = instance.run_monitoring_settings
    assert 0 < settings["free_slots_after_run_end_seconds"] <= 60
    # A run may wait all day for capacity, so only what is longer than any window may be ended.
    assert settings["max_runtime_seconds"] == LONGEST_RUN_SECONDS > 24 * 60 * 60


def test_no_run_is_tried_again_by_itself(installed: Path) -> None:
    """A send that was killed in the middle is gone on with by a person or by the next day."""
    with open_instance() as instance:
        assert instance.run_retries_max_retries == 0


def test_nothing_is_told_to_others_and_nothing_kept_outside_the_folder(installed: Path) -> None:
    """A marketer's machine reports to nobody, and history that lies in a temporary folder is gone tomorrow."""
    with open_instance() as instance:
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled
        instance.add_dynamic_partitions("campaign", ["spring-sale"])
    assert (installed / ".dagster_storage").is_dir()
    with open_instance() as instance:
        assert instance.get_dynamic_partitions("campaign") == ["spring-sale"]


def test_dagster_home_comes_before_the_present_folder(
    installed: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`dagster dev` obeys it; a command line that did not would send into a history that nobody looks at."""
    home = tmp_path_factory.mktemp("home")
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with open_instance() as instance:
        assert Path(instance.root_directory) == home


def test_without_a_dagster_yaml_it_says_where_to_go(folder: Path) -> None:
    """Typed in the wrong folder, `campaign send` would otherwise leave its history in a temporary one."""
    with pytest.raises(NoInstanceError, match=r"no dagster\.yaml in this folder"), open_instance():
        pass
