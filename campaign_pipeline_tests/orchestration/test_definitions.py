"""Everything that Dagster loads: that it loads, what it is, and that its lineage has no loose ends."""

import importlib
import sys
from dataclasses import dataclass

import dagster as dg
import pytest
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._grpc.server import LoadedRepositories
from pydantic import ValidationError

from campaign_pipeline import definitions as front_door
from campaign_pipeline_tests.orchestration.desk import OrchestrationDesk


@dataclass(frozen=True)
class Seen:
    """An asset as the web UI shows it."""

    group: str
    parents: tuple[str, ...]
    owners: tuple[str, ...]
    kinds: tuple[str, ...]
    partitions: str | None
    pools: tuple[str, ...] = ()
    is_external: bool = False


MARKETING, DATA = "team:marketing", "team:data-engineering"
SNAPSHOT = {
    "uploaded_lists": Seen("recipients", (), (MARKETING,), ("csv",), None, is_external=True),
    "recipient_list": Seen("recipients", ("uploaded_lists",), (MARKETING,), ("csv",), "campaign"),
    "audience": Seen("recipients", ("recipient_list",), (MARKETING,), ("table",), "campaign"),
    "daily_batch": Seen("sending", ("audience",), (MARKETING, DATA), ("whatsapp",), "daily", ("whatsapp",)),
    "whatsapp_cloud_api": Seen("sending", ("daily_batch",), (DATA,), ("whatsapp",), None, is_external=True),
    "send_plan": Seen("sending", ("audience", "daily_batch"), (MARKETING,), ("table",), None),
    "proof": Seen("sending", ("daily_batch",), (DATA,), ("table",), None),
    "webhook_inbox": Seen("delivery", ("whatsapp_cloud_api",), (DATA,), ("json",), None, is_external=True),
    "delivery_statuses": Seen("delivery", ("daily_batch", "webhook_inbox"), (DATA,), ("json",), None),
    "campaign_analytics": Seen("delivery", ("delivery_statuses",), (MARKETING,), ("table",), "daily"),
    "campaign_progress": Seen("delivery", ("campaign_analytics",), (MARKETING,), ("table",), "campaign"),
}


def seen(graph: AssetGraph, name: str) -> Seen:
    """What the web UI shows of an asset."""
    node = graph.get(dg.AssetKey(name))
    partitions = node.partitions_def
    kind = partitions.name if isinstance(partitions, dg.DynamicPartitionsDefinition) else "daily"
    return Seen(
        group=node.group_name,
        parents=tuple(sorted(parent.to_user_string() for parent in node.parent_keys)),
        owners=tuple(node.owners),
        kinds=tuple(sorted(node.kinds)),
        partitions=kind if partitions is not None else None,
        pools=tuple(sorted(node.pools or ())),
        is_external=node.is_external,
    )


def test_the_code_location_loads_as_dagsters_server_loads_it() -> None:
    """The functions can all be right, and `dagster dev` still shows an empty page with an error."""
    origin = LoadableTargetOrigin(executable_path=sys.executable, module_name="campaign_pipeline.definitions")
    loaded = LoadedRepositories(origin, container_image=None, entry_point=["dagster"], container_context=None)
    assert len(loaded.loadable_repository_symbols) == 1
    repository = next(iter(loaded.definitions_by_name.values()))
    assert {"daily_send", "ingest_statuses"} <= set(repository.job_names)


def test_the_definitions_are_valid(desk: OrchestrationDesk) -> None:
    """A selection of an asset that is not there, or a resource that nobody gives, is found only when a run starts."""
    dg.Definitions.validate_loadable(desk.definitions)


def test_importing_the_front_door_reads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong setting must show up where it is used, in one sentence, and not as an import that fails."""
    monkeypatch.setenv("CAMPAIGN_TIMEZONE", "Middle/Earth")
    importlib.reload(front_door)
    with pytest.raises(ValidationError, match="Middle/Earth"):
        front_door.defs()


def test_every_asset_is_as_it_was_agreed(desk: OrchestrationDesk) -> None:
    """A key that changes by accident loses its history; an owner or a group that does is missed by whoever looks."""
    graph = desk.definitions.resolve_asset_graph()
    found = {key.to_user_string(): seen(graph, key.to_user_string()) for key in graph.get_all_asset_keys()}
    assert found == SNAPSHOT


def test_every_asset_says_what_it_is(desk: OrchestrationDesk) -> None:
    """An operator who did not write it has only this text."""
    graph = desk.definitions.resolve_asset_graph()
    short = [key for key in graph.get_all_asset_keys() if len(graph.get(key).description or "") < 80]
    assert short == []


def test_the_checks_stand_on_the_assets_that_they_are_about(desk: OrchestrationDesk) -> None:
    """A check on another asset, or under another name, is one that nobody misses when it is gone."""
    graph = desk.definitions.resolve_asset_graph()
    assert {key.to_user_string() for key in graph.asset_check_keys} == {
        "daily_batch:nobody_twice",
        "daily_batch:within_limits",
        "daily_batch:states_sum",
        "daily_batch:nobody_in_doubt",
        "proof:promises_kept",
        "delivery_statuses:nobody_left_behind",
        "delivery_statuses:doubts_by_age",
        "delivery_statuses:statuses_come_in",
        "delivery_statuses:nothing_waits_for_a_person",
        "delivery_statuses:one_account_each",
    }


def test_every_job_makes_what_it_was_agreed_to_make(desk: OrchestrationDesk) -> None:
    """One job sends, and no other may have `daily_batch` among what it makes."""
    repository = desk.definitions.get_repository_def()
    jobs = {name: repository.get_job(name) for name in repository.job_names if not name.startswith("__")}
    made = {name: {key.to_user_string() for key in job.asset_layer.executable_asset_keys} for name, job in jobs.items()}
    assert made == {
        "daily_send": {"daily_batch"},
        "take_in_lists": {"recipient_list", "audience"},
        "ingest_statuses": {"delivery_statuses"},
        "refresh_plan": {"send_plan"},
        "standing_checks": set(),
        "prove_promises": {"proof"},
        "preview_batch": set(),
        "rebuild_delivery": set(),
    }
    assert all(job.description for job in jobs.values())


def test_sends_are_never_tried_again_and_ingestion_comes_before_them(desk: OrchestrationDesk) -> None:
    """A retry sends again what was sent; a list that waits behind forty dates is taken in tomorrow."""
    tags = {
        name: desk.definitions.resolve_job_def(name).tags for name in ("daily_send", "take_in_lists", "ingest_statuses")
    }
    assert tags["daily_send"]["dagster/max_retries"] == "0"
    assert int(tags["daily_send"]["dagster/max_runtime"]) > 24 * 60 * 60
    assert "dagster/priority" not in tags["daily_send"]
    assert int(tags["take_in_lists"]["dagster/priority"]) > 0
    assert int(tags["ingest_statuses"]["dagster/priority"]) > 0


def test_schedules_and_sensors_are_on_and_start_what_they_say(desk: OrchestrationDesk) -> None:
    """Dagster's own default is off: an installation that was set up in the evening would send nothing at nine."""
    repository = desk.definitions.get_repository_def()
    assert {each.name: each.job_name for each in repository.schedule_defs} == {
        "daily_send_schedule": "daily_send",
        "refresh_plan_schedule": "refresh_plan",
        "standing_checks_schedule": "standing_checks",
        "prove_promises_schedule": "prove_promises",
    }
    assert {each.name: [target.job_name for target in each.targets] for each in repository.sensor_defs} == {
        "ledger_sensor": [],
        "recipient_list_sensor": ["take_in_lists"],
        "delivery_status_sensor": ["ingest_statuses"],
        "webhook_watch_sensor": [],
        "lost_run_sensor": [],
    }
    assert {each.default_status for each in repository.schedule_defs} == {dg.DefaultScheduleStatus.RUNNING}
    assert {each.default_status for each in repository.sensor_defs} == {dg.DefaultSensorStatus.RUNNING}


def test_the_batch_has_no_policy_that_would_send_by_itself(desk: OrchestrationDesk) -> None:
    """A retry or a range in one run turns "at most once" into "as often as Dagster likes"."""
    node = desk.definitions.resolve_asset_graph().get(dg.AssetKey("daily_batch"))
    assert node.backfill_policy is None
    assert node.automation_condition is None
    op = desk.definitions.resolve_job_def("daily_send").get_node_named("daily_batch").definition
    assert isinstance(op, dg.OpDefinition)
    assert op.retry_policy is None


def test_the_lineage_has_no_loose_ends(desk: OrchestrationDesk) -> None:
    """A box that nothing leads to or from, or a dependency on a name that nobody makes, is a picture that lies."""
    graph = desk.definitions.resolve_asset_graph()
    keys = set(graph.get_all_asset_keys())
    for key in keys:
        node = graph.get(key)
        neighbours = set(node.parent_keys) | set(node.child_keys)
        assert neighbours <= keys
        if node.is_external:
            assert any(graph.get(each).is_materializable for each in neighbours), f"{key} hangs in the air"
    reached = {dg.AssetKey("uploaded_lists")}
    while further := {child for key in reached for child in graph.get(key).child_keys} - reached:
        reached |= further
    assert reached == keys, "everything comes from the lists that people give"


def test_edges_between_campaigns_and_dates_say_how_their_partitions_meet(desk: OrchestrationDesk) -> None:
    """Without it Dagster matches "spring-sale" with "2026-03-02", and every run fails on an invalid partition."""
    graph = desk.definitions.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        child = graph.get(key)
        for parent_key in child.parent_keys:
            parent = graph.get(parent_key)
            if (
                child.partitions_def is None
                or parent.partitions_def is None
                or child.partitions_def == parent.partitions_def
            ):
                continue
            mapping = graph.get_partition_mapping(key, parent_key)
            assert not isinstance(mapping, dg.IdentityPartitionMapping), f"{parent_key} to {key}"
