"""What was done outside Dagster, shown in it: campaigns become partitions, changes become materializations.

Add here a kind of outbox row that the desk should show.
Keep out doing anything: the row tells of what has been done.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final

import dagster as dg
from dagster import DagsterRun, DagsterRunStatus, RunsFilter
from sqlalchemy import Row, select, update

from campaign_pipeline.campaigns.catalogue import list_all
from campaign_pipeline.campaigns.figures import batch_figures, figures_by_campaign
from campaign_pipeline.delivery.analytics import refresh_date
from campaign_pipeline.delivery.rebuild import DELIVERY_REBUILT
from campaign_pipeline.delivery.status_file import FileReport
from campaign_pipeline.delivery.status_files import STATUSES_INGESTED
from campaign_pipeline.ledger.schema import outbox
from campaign_pipeline.orchestration import as_it_stands, metadata
from campaign_pipeline.orchestration.assets.sending import CAMPAIGN_ANALYTICS, DAILY_BATCH, DELIVERY_STATUSES
from campaign_pipeline.orchestration.groups import ANALYTICS_TAGS, LEDGER_VERSION
from campaign_pipeline.orchestration.partitions import CAMPAIGNS
from campaign_pipeline.orchestration.resources import Pipeline
from campaign_pipeline.recipients.identity import SAME_PERSON_SKIPPED
from campaign_pipeline.recipients.phone_numbers import hide_phones
from campaign_pipeline.sending.batches import BATCH_CLOSED, batch_of
from campaign_pipeline.sending.doubts import DOUBTS_RESOLVED
from campaign_pipeline.sending.limits import LIMIT_SET

_MOST_AT_ONCE: Final = 500

_BUDGET: Final = 20.0
"""Seconds; Dagster cuts a tick off at 60."""

_Target = tuple[str, str | None]
"""An asset and its partition: what a row is shown on."""

_COUNTS: Final = ("files", "events", "new_events", "words")

_LEDGER_TAGS: Final = {"dagster/data_version": LEDGER_VERSION.value}

_SHOWN_ON: Final[Mapping[str, tuple[str, ...]]] = {
    "list_added": ("recipient_list", "audience", "campaign_progress"),
    "person_removed": ("audience", "campaign_progress"),
    "campaign_activated": ("audience", "campaign_progress"),
    "campaign_edited": ("campaign_progress",),
    "campaign_paused": ("campaign_progress",),
    "campaign_resumed": ("campaign_progress",),
    "campaign_cancelled": ("audience", "campaign_progress"),
    "campaign_completed": ("campaign_progress",),
    DOUBTS_RESOLVED: ("campaign_progress",),
    SAME_PERSON_SKIPPED: ("audience", "campaign_progress"),
}

_CHANGES_THE_PLAN: Final = frozenset(
    {
        "list_added",
        "person_removed",
        "campaign_activated",
        "campaign_edited",
        "campaign_paused",
        "campaign_resumed",
        "campaign_cancelled",
        DOUBTS_RESOLVED,
        DELIVERY_REBUILT,
        LIMIT_SET,
        SAME_PERSON_SKIPPED,
    }
)
"""After these, who is foreseen for which date is not what it was."""


def report_ledger_events(instance: dg.DagsterInstance, pipeline: Pipeline, budget: float = _BUDGET) -> int:
    """Shows in Dagster what the outbox tells of; gives how many rows are done with.

    However many rows are about an asset and partition, it is reported once, as it stands now. Interrupted, it shows
    some again the next time: a materialization without a run, twice, does no harm.

    Args:
        instance: Where it is shown.
        pipeline: The ledger, and what its figures are derived with.
        budget: Seconds after which what is left waits for the next time; one row at least is always shown.
    """
    deadline = time.monotonic() + budget
    with pipeline.ledger.read() as connection:
        rows = connection.execute(
            select(outbox).where(outbox.c.reported_at.is_(None)).order_by(outbox.c.id).limit(_MOST_AT_ONCE)
        ).all()
        campaigns = {campaign.id: campaign.slug for campaign in list_all(connection)}
    if not rows:
        return 0
    match_partitions(instance, set(campaigns.values()))
    under_way = instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.STARTED]))
    rows = [row for row in rows if not any(_will_tell(run, row) for run in under_way)]
    targets = {row.id: _targets(instance, pipeline, row, campaigns) for row in rows}
    about: dict[_Target, list[Row[Any]]] = defaultdict(list)
    for row in rows:
        for target in targets[row.id]:
            about[target].append(row)
    shown: set[_Target] = set()
    waiting = {row.id for row in rows}
    for number, row in enumerate(rows):
        if number and time.monotonic() > deadline:
            break
        if row.id not in waiting:
            continue
        for target in targets[row.id]:
            if target not in shown:
                _show(instance, pipeline, target, about[target])
                shown.add(target)
        done = {each for each in waiting if shown.issuperset(targets[each])}
        with pipeline.ledger.write() as connection:
            connection.execute(update(outbox).where(outbox.c.id.in_(done)).values(reported_at=pipeline.now()))
        waiting -= done
    return len(rows) - len(waiting)


def match_partitions(instance: dg.DagsterInstance, campaigns: set[str]) -> None:
    """Adds the campaigns that are new and takes away drafts that were deleted or got another name."""
    name = str(CAMPAIGNS.name)
    shown = set(instance.get_dynamic_partitions(name))
    instance.add_dynamic_partitions(name, sorted(campaigns - shown))
    for gone in sorted(shown - campaigns):
        instance.delete_dynamic_partition(name, gone)


def _targets(
    instance: dg.DagsterInstance, pipeline: Pipeline, row: Row[Any], campaigns: Mapping[int, str]
) -> list[_Target]:
    """What a row has to be shown on; what its own run has told of is left out."""
    found: list[_Target] = []
    if row.campaign_slug in campaigns.values():
        found += [(asset, row.campaign_slug) for asset in _SHOWN_ON.get(row.kind, ())]
    dates: list[str] = []
    if row.kind == BATCH_CLOSED:
        dates = [row.send_date.isoformat()]
        found.append((DAILY_BATCH.to_user_string(), dates[0]))
    if row.kind in (DOUBTS_RESOLVED, DELIVERY_REBUILT, STATUSES_INGESTED):
        dates = row.details["dates"]
        if row.kind != STATUSES_INGESTED or not _ingest_was_told(instance, row):
            found += [(CAMPAIGN_ANALYTICS.to_user_string(), each) for each in dates]
            if row.kind == STATUSES_INGESTED:
                found.append((DELIVERY_STATUSES.to_user_string(), None))
    if row.kind in _CHANGES_THE_PLAN:
        found.append(("send_plan", None))
    found += [("campaign_progress", slug) for slug in _campaigns_on(pipeline, dates, campaigns)]
    return list(dict.fromkeys(found))


def _campaigns_on(pipeline: Pipeline, dates: Iterable[str], campaigns: Mapping[int, str]) -> list[str]:
    """The campaigns that have people in the batches of some dates."""
    with pipeline.ledger.read() as connection:
        ids = {each for day in dates for each in figures_by_campaign(connection, date.fromisoformat(day))}
    return sorted(campaigns[each] for each in ids if each in campaigns)


def _will_tell(run: DagsterRun, row: Row[Any]) -> bool:
    """Whether a run under way is doing what a row tells of: it will show that itself, and better."""
    partition = run.tags.get("dagster/partition")
    if row.kind == BATCH_CLOSED:
        return partition == row.send_date.isoformat()
    if row.kind == "list_added":
        return partition == row.campaign_slug
    return row.kind == STATUSES_INGESTED and DELIVERY_STATUSES in (run.asset_selection or ())


def _told_since(instance: dg.DagsterInstance, target: _Target, row: Row[Any]) -> Sequence[dg.EventLogEntry]:
    """What was reported of an asset and partition after a row was written, newest first."""
    asset, partition = target
    told = instance.fetch_materializations(
        dg.AssetRecordsFilter(
            asset_key=dg.AssetKey(asset),
            asset_partitions=None if partition is None else [partition],
            after_timestamp=row.created_at.timestamp(),
        ),
        limit=_MOST_AT_ONCE,
    )
    return [record.event_log_entry for record in told.records]


def _ingest_was_told(instance: dg.DagsterInstance, row: Row[Any]) -> bool:
    """Whether an ingest was done by a run, which has shown exactly this itself."""
    facts = _ingested([row])
    expected = {name: facts[name] for name in (*_COUNTS, "send_dates_touched")}
    for entry in _told_since(instance, (DELIVERY_STATUSES.to_user_string(), None), row):
        told = entry.asset_materialization
        if entry.run_id and told and all(told.metadata.get(name) == value for name, value in expected.items()):
            return True
    return False


def _show(instance: dg.DagsterInstance, pipeline: Pipeline, target: _Target, rows: Sequence[Row[Any]]) -> None:
    """Reports one asset and partition for all the rows that are about it."""
    match target:
        case ("delivery_statuses", None):
            _report(instance, target, _ingested(rows))
        case ("campaign_analytics", str(send_date)):
            with pipeline.ledger.write() as connection:
                analytics = refresh_date(connection, date.fromisoformat(send_date), pipeline.now())
            _report(instance, target, metadata.of_analytics(analytics), ANALYTICS_TAGS)
        case ("daily_batch", str()):
            _show_closed(instance, pipeline, target, rows[-1])
        case _ if any(entry.run_id for entry in _told_since(instance, target, rows[-1])):
            # A run has shown it as it was after the change; what is known of that run besides would be hidden.
            return
        case ("recipient_list", str(slug)):
            now_in = {"taken_in_now": len(rows), "rejected_now": "none"}
            _report(instance, target, {**_facts(rows), **as_it_stands.lists(pipeline, slug), **now_in})
        case ("audience", str(slug)):
            _report(instance, target, {**_facts(rows), **as_it_stands.audience(pipeline, slug)})
        case ("campaign_progress", str(slug)):
            _report(instance, target, {**_facts(rows), **as_it_stands.progress(pipeline, slug)})
        case _:
            _report(instance, target, as_it_stands.plan(pipeline))


def _facts(rows: Sequence[Row[Any]]) -> dict[str, Any]:
    """What was done, and the particulars of the newest row about the campaign itself that has any."""
    with_details = [row.details for row in rows if row.campaign_slug is not None and row.details]
    details = with_details[-1] if with_details else {}
    # What people have written may hold a number, which no event may show.
    facts = {
        name: hide_phones(value) if isinstance(value, str) else value
        for name, value in details.items()
        if isinstance(value, str | int | float)
    }
    return {**facts, "what": ", ".join(dict.fromkeys(row.kind.replace("_", " ") for row in rows))}


def _ingested(rows: Sequence[Row[Any]]) -> metadata.Metadata:
    """What some ingests have taken in, together."""
    return metadata.of_ingest(
        [FileReport(**file) for row in rows for file in row.details.get("by_file", ())],
        {name: sum(row.details.get(name, 0) for row in rows) for name in _COUNTS},
        rows[-1].details.get("not_ours"),
        sorted({each for row in rows for each in row.details["dates"]}),
    )


def _show_closed(instance: dg.DagsterInstance, pipeline: Pipeline, target: _Target, row: Row[Any]) -> None:
    """Shows a closed batch whose own run could not, since it was killed between the two: a finished date is not red."""
    if _told_since(instance, target, row):
        return
    with pipeline.ledger.read() as connection:
        batch = batch_of(connection, row.send_date)
        figures = batch_figures(connection, row.send_date)
    if batch is not None:
        _report(instance, target, metadata.of_closed(batch, figures), {})


def _report(
    instance: dg.DagsterInstance, target: _Target, facts: Mapping[str, Any], tags: Mapping[str, str] = _LEDGER_TAGS
) -> None:
    asset, partition = target
    instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=partition, metadata=facts, tags=tags))
