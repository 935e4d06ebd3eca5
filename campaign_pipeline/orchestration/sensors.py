"""Sensors: what is noticed without anyone asking.

Add here something to look out for. A sensor lists, decides and requests a run; the work is done by the run.
Keep out anything that could take longer than a few seconds: Dagster cuts a tick off and keeps nothing of it.
"""

import time
from collections.abc import Container, Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

import dagster as dg
from dagster import DagsterRunStatus, RunsFilter

from campaign_pipeline.campaigns.catalogue import list_all
from campaign_pipeline.delivery.status_files import may_be_taken_in
from campaign_pipeline.orchestration.file_batches import next_batch
from campaign_pipeline.orchestration.jobs import INGEST_STATUSES, TAKE_IN_LISTS, ingest_statuses, take_in_lists
from campaign_pipeline.orchestration.ledger_events import match_partitions, report_ledger_events
from campaign_pipeline.orchestration.resources import Pipeline
from campaign_pipeline.orchestration.signs_of_life import Watch, end_silent_runs
from campaign_pipeline.orchestration.waiting_files import FinishedFiles, Look, as_text, first_by_name
from campaign_pipeline.orchestration.webhook_watch import LOOKED_EVERY, look_for_silence
from campaign_pipeline.recipients.folders import ListFolders
from campaign_pipeline.recipients.lists import campaigns_with_folders, refuse_unreadable, reject, waiting_lists

LOOK_EVERY: Final = 15
"""Seconds between two ticks."""

TICK_BUDGET: Final = 20.0
"""Seconds; a tick is cut off at 60, and what it has not reached is looked at by the next one."""

MOST_REQUESTS: Final = 10
"""Runs that a tick requests; each starts a process, and the next tick is near."""

PAUSE_AFTER_FAILURE: Final = timedelta(minutes=5)
"""A run that failed is tried again, but not without a breath."""

_UNDER_WAY: Final = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


@dg.sensor(
    name="ledger_sensor",
    minimum_interval_seconds=LOOK_EVERY,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Shows what was done outside Dagster, with the command line: new campaigns as partitions, added lists, pauses, "
        "ingested statuses and the plan that follows as materializations without a run."
    ),
)
def ledger_sensor(context: dg.SensorEvaluationContext, pipeline: dg.ResourceParam[Pipeline]) -> dg.SkipReason:
    """Empties the outbox into Dagster; it starts no run."""
    shown = report_ledger_events(context.instance, pipeline)
    return dg.SkipReason(f"{shown} changes of the ledger are shown now." if shown else "Nothing new in the ledger.")


@dg.sensor(
    name="recipient_list_sensor",
    job=take_in_lists,
    minimum_interval_seconds=LOOK_EVERY,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Takes in lists that are put into the folder `lists/<campaign>/` of the data folder, once they have stopped "
        "growing. A folder of no campaign, or a file that is no list, goes to `rejected` with its reason; everything "
        "else goes on."
    ),
)
def recipient_list_sensor(context: dg.SensorEvaluationContext, pipeline: dg.ResourceParam[Pipeline]) -> dg.SensorResult:
    """Requests one run for each campaign that has a finished list waiting."""
    deadline = time.monotonic() + TICK_BUDGET
    folders = pipeline.settings.list_folders
    with pipeline.ledger.read() as connection:
        known = {campaign.slug for campaign in list_all(connection)}
    match_partitions(context.instance, known)
    waiting, told = _waiting_by_campaign(folders)
    look = Look.at((path for paths in waiting.values() for path in paths), deadline)
    finished = set(look.finished_since(Look.from_cursor(context.cursor), pipeline.now()))
    requests: list[dg.RunRequest] = []
    for campaign, paths in waiting.items():
        if len(requests) == MOST_REQUESTS:
            told.append(f"{MOST_REQUESTS} runs are requested at once; the next tick goes on.")
            break
        if time.monotonic() > deadline and (told or requests):
            told.append("there was no time to look at all folders; the next tick goes on.")
            break
        ready = [path for path in paths if path in finished]
        if paths and not ready:
            told.append(f"{as_text(campaign)}: {len(paths)} still growing.")
            continue
        of_campaign = {"dagster/partition": campaign}
        held_up = _held_up_by(context.instance, pipeline, TAKE_IN_LISTS, "recipient_list", of_campaign)
        if campaign in known and held_up is not None:
            told.append(f"{campaign}: {held_up}")
            continue
        problems = {path: _turned_away(path, folders, known) for path in _within(deadline, ready)}
        told += [problem for problem in problems.values() if problem is not None]
        if lists := [path for path, problem in problems.items() if problem is None]:
            requests.append(dg.RunRequest(partition_key=campaign, run_config=_told_of("recipient_list", lists)))
    nothing = "No list waits." if not look.seen else "A list is still growing."
    return _result(context, requests, told, look.as_cursor(pipeline.now()), nothing)


@dg.sensor(
    name="delivery_status_sensor",
    job=ingest_statuses,
    minimum_interval_seconds=LOOK_EVERY,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Takes in the status files that wait in the folder `inbox` of the data folder: one run at a time for all of "
        "them, which brings the analytics of exactly the send dates that they touch up to date."
    ),
)
def delivery_status_sensor(
    context: dg.SensorEvaluationContext, pipeline: dg.ResourceParam[Pipeline]
) -> dg.SensorResult:
    """Requests one run for the first files that wait."""
    deadline = time.monotonic() + TICK_BUDGET
    now = pipeline.now()
    try:
        paths = first_by_name(pipeline.settings.status_folders.inbox, may_be_taken_in, deadline)
    except OSError as error:
        told = f"the inbox cannot be read, mend it: {error.strerror}."
        return dg.SensorResult(skip_reason=told, cursor=context.cursor)
    look = Look.at(paths, deadline)
    finished = look.finished_since(Look.from_cursor(context.cursor), now)
    cursor = look.as_cursor(now)
    nothing = "No status file waits." if not look.seen else "A status file is still growing."
    if not finished:
        return _result(context, [], [], cursor, nothing)
    held_up = _held_up_by(context.instance, pipeline, INGEST_STATUSES, "delivery_statuses", {})
    if held_up is not None:
        return _result(context, [], [held_up], cursor, nothing)
    batch = next_batch(context.instance, INGEST_STATUSES, "delivery_statuses", finished, now)
    requests = [dg.RunRequest(run_config=_told_of("delivery_statuses", batch.files))] if batch.files else []
    return _result(context, requests, batch.told, cursor, nothing)


@dg.sensor(
    name="webhook_watch_sensor",
    minimum_interval_seconds=LOOKED_EVERY,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Notes on `webhook_inbox` that statuses come in, or that none is due since no message is out. When they stay "
        "away while messages are out it notes nothing, and the freshness of `webhook_inbox` fails."
    ),
)
def webhook_watch_sensor(context: dg.SensorEvaluationContext, pipeline: dg.ResourceParam[Pipeline]) -> dg.SkipReason:
    """Looks once whether statuses come in; it starts no run."""
    return dg.SkipReason(look_for_silence(context.instance, pipeline))


def _waiting_by_campaign(folders: ListFolders) -> tuple[dict[str, list[Path]], list[str]]:
    """The files that wait in each folder, and a sentence for each folder that cannot be read."""
    waiting: dict[str, list[Path]] = {}
    unreadable: list[str] = []
    # An empty name is that of the folder above them: whoever puts a list there has to be told as well.
    for name in ("", *campaigns_with_folders(folders)):
        try:
            if paths := waiting_lists(folders, name):
                waiting[name] = paths
        except OSError as error:
            unreadable.append(f"lists/{as_text(name)} cannot be read, mend it or remove it: {error.strerror}")
    return waiting, unreadable


def _within(deadline: float, paths: Iterable[Path]) -> Iterator[Path]:
    """Some files until the time is over; at least one, so that ticks always get on."""
    for path in paths:
        yield path
        if time.monotonic() > deadline:
            return


def _told_of(asset: str, paths: Sequence[Path]) -> dg.RunConfig:
    return dg.RunConfig(ops={asset: FinishedFiles(names=[as_text(path.name) for path in paths])})


@dg.sensor(
    name="lost_run_sensor",
    minimum_interval_seconds=LOOK_EVERY,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Ends runs whose machine or process was lost: such a run stays started for ever, and with it the place that it "
        "holds. Every run shows a sign of life every few seconds; one that shows none for over a minute is gone."
    ),
)
def lost_run_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Looks once at the runs under way; it starts no run."""
    watch, ended = end_silent_runs(context.instance, Watch.from_cursor(context.cursor))
    told = f"Ended, since lost: {', '.join(run_id[:8] for run_id in ended)}." if ended else "No run was lost."
    return dg.SensorResult(skip_reason=told, cursor=watch.as_cursor())


def _held_up_by(
    instance: dg.DagsterInstance, pipeline: Pipeline, job_name: str, asset: str, tags: dict[str, str]
) -> str | None:
    """Why no run of a job is requested now: the asset is being made already, or the last run has only just failed."""
    under_way = instance.get_runs(RunsFilter(tags=tags, statuses=_UNDER_WAY))
    if any(run.job_name == job_name or dg.AssetKey(asset) in (run.asset_selection or ()) for run in under_way):
        return "a run that takes the files in is under way."
    last = instance.get_run_records(RunsFilter(job_name=job_name, tags=tags), limit=1)
    if last and last[0].dagster_run.status == DagsterRunStatus.FAILURE:
        again_at = last[0].update_timestamp + PAUSE_AFTER_FAILURE
        if pipeline.now() < again_at:
            return f"the last run failed; the files are taken in again after {again_at:%H:%M:%S} UTC."
    return None


def _turned_away(path: Path, folders: ListFolders, known: Container[str]) -> str | None:
    """Why a file is no list of a campaign, and has gone to the rejected ones; None when a run may take it in.

    One that cannot be moved stays where it is, and is told of at each tick.
    """
    campaign, name = as_text(path.parent.name), as_text(path.name)
    try:
        if path.parent == folders.waiting:
            reason = f"{name} is in no folder of a campaign: put it into lists/<campaign>/"
        elif path.parent.name not in known:
            reason = f"there is no campaign {campaign}: create it, then put {name} into lists/{campaign}/ again"
        elif name != path.name:
            reason = f"the name of {name} is not UTF-8: rename it, then put it into lists/{campaign}/ again"
        else:
            return refuse_unreadable(path, folders)
        reject(path, folders, reason)
    except FileNotFoundError:
        return f"{name} is gone again"
    except OSError as error:
        return f"{campaign}: {name} stays where it is, since it cannot be read or moved: {error.strerror}"
    return reason


def _result(
    context: dg.SensorEvaluationContext,
    requests: Sequence[dg.RunRequest],
    told: Sequence[str],
    cursor: str,
    nothing: str,
) -> dg.SensorResult:
    """What a tick ends with. Dagster shows a reason only when no run is requested; else it is in the tick's log."""
    sentence = "; ".join(told)
    if not requests:
        return dg.SensorResult(skip_reason=sentence or nothing, cursor=cursor)
    if sentence:
        context.log.warning(sentence)
    return dg.SensorResult(run_requests=list(requests), cursor=cursor)


SENSORS: Sequence[dg.SensorDefinition] = (
    ledger_sensor,
    recipient_list_sensor,
    delivery_status_sensor,
    webhook_watch_sensor,
    lost_run_sensor,
)
