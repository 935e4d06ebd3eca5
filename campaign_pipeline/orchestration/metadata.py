"""Metadata: what a materialization shows on the desk. Numbers become plots over partitions by themselves.

Add here a picture or table of something that a room below has worked out. Phone numbers never get in here.
Keep out working anything out.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date

import dagster as dg

from campaign_pipeline.campaigns.figures import Figures, ReasonCount, figures_from
from campaign_pipeline.campaigns.send_schedule import ScheduledDate
from campaign_pipeline.delivery.analytics import DateAnalytics
from campaign_pipeline.delivery.status_file import FileReport
from campaign_pipeline.delivery.status_files import worst_first
from campaign_pipeline.orchestration import pictures
from campaign_pipeline.recipients.lists import RecipientList
from campaign_pipeline.sending.batches import Batch
from campaign_pipeline.sending.proof import Proof
from campaign_pipeline.sending.report import DateReport

Metadata = dict[str, dg.MetadataValue]

_LONGEST_TABLE = 100


def of_figures(figures: Figures) -> Metadata:
    """Each figure by its name; the states as one table."""
    numbers: Metadata = {
        name: dg.MetadataValue.float(value) if isinstance(value, float) else dg.MetadataValue.int(value)
        for name, value in figures.as_dict().items()
        if isinstance(value, int | float)
    }
    return {
        **numbers,
        "states": table([{"state": state, "people": people} for state, people in figures.states.items() if people]),
    }


def of_date(report: DateReport) -> Metadata:
    """What a run did with a send date, and what the window looked like before and after."""
    return {
        "summary": dg.MetadataValue.text(report.sentence),
        "dagster/row_count": dg.MetadataValue.int(report.figures.total),
        "sent_in_this_run": dg.MetadataValue.int(report.sent_now),
        "calls_in_this_run": dg.MetadataValue.int(report.attempted_now),
        "moved_on": dg.MetadataValue.int(report.batch.moved_on if report.batch else 0),
        "sender_limit": dg.MetadataValue.int(report.after.limit),
        "capacity_before": dg.MetadataValue.int(report.before.free),
        "capacity_after": dg.MetadataValue.int(report.after.free),
        "funnel": pictures.funnel(report.figures),
        **of_figures(report.figures),
    }


def of_closed(batch: Batch, figures: Figures) -> Metadata:
    """A batch that is closed, as the ledger has it."""
    summary = f"{batch.send_date}: {figures.sent} sent, {batch.moved_on} moved on to a later date."
    return {
        "summary": dg.MetadataValue.text(summary),
        "moved_on": dg.MetadataValue.int(batch.moved_on),
        **of_figures(figures),
    }


def of_reasons(reasons: Sequence[ReasonCount]) -> Metadata:
    """Why people failed or were skipped, as a table."""
    return {
        "failed_and_skipped_by_reason": table(
            [{"state": each.state, "reason": each.reason, "people": each.people} for each in reasons]
        )
    }


def of_days(schedule: Sequence[ScheduledDate], by_date: Mapping[date, Figures]) -> Metadata:
    """A campaign day by day, as a picture and as a table."""
    days = [
        pictures.DayFigures(
            each.send_date,
            each.planned_size,
            each.expected_size,
            figures.sent if (figures := by_date.get(each.send_date)) else None,
            figures.delivered if figures else None,
            figures.read if figures else None,
        )
        for each in schedule
    ]
    return {
        "progress": pictures.progress(days),
        **_table_of_dates("by_day", [{**asdict(day), "send_date": day.send_date.isoformat()} for day in days]),
    }


def of_end(schedule: Sequence[ScheduledDate]) -> Metadata:
    """How many dates a campaign still needs, and the last of them."""
    to_come = [each.send_date for each in schedule if each.expected_size is not None]
    return {
        "days_left": dg.MetadataValue.int(len(to_come)),
        "estimated_completion_date": dg.MetadataValue.text(str(max(to_come, default="nobody waits"))),
    }


def of_schedule(schedule: Sequence[ScheduledDate]) -> Metadata:
    """The plan as a table, and its end."""
    to_come = [each for each in schedule if each.expected_size is not None]
    rows = [
        {
            "campaign": each.campaign,
            "send_date": each.send_date.isoformat(),
            "batch_number": each.batch_number,
            "planned": each.planned_size,
            "expected": each.expected_size,
            "taken": each.batch_size,
            "sent": each.messages_sent,
            "remaining": each.messages_remaining,
        }
        for each in schedule
    ]
    return {
        "days_left": dg.MetadataValue.int(len({each.send_date for each in to_come})),
        "people_waiting": dg.MetadataValue.int(sum(each.expected_size or 0 for each in to_come)),
        "estimated_completion_date": dg.MetadataValue.text(
            max((each.send_date.isoformat() for each in to_come), default="nobody waits")
        ),
        **_table_of_dates("plan", rows),
    }


def of_lists(lists: Sequence[RecipientList]) -> Metadata:
    """One row a recipient list, the newest first."""
    rows = [
        {
            "list": each.name,
            "received": f"{each.received_at:%Y-%m-%d %H:%M} UTC",
            "state": each.state,
            **each.counts.as_dict(),
            "rejections_file": each.rejections_file,
        }
        for each in reversed(lists)
    ]
    return _table_named("by_list", rows)


def of_ingest(
    files: Sequence[FileReport], counts: Mapping[str, int], not_ours: int | None, dates: Sequence[str]
) -> Metadata:
    """Status files that were taken in: their counts, the dates that they touch, and one row a file, the worst first.

    Args:
        files: The files that are told of one by one.
        counts: The numbers of `files`, `events`, `new_events` and people's `words`, of all of them.
        not_ours: Events in the ledger that nobody here knows the message of; None when that is not known.
        dates: The send dates that they touch.
    """
    rows = [
        {
            "file": file.name,
            "state": file.state,
            "events": file.events,
            "new_events": file.new_events,
            "rejected_lines": file.rejected_lines,
            "reason": file.reason,
        }
        for file in worst_first(files)
    ]
    return {
        **{name: dg.MetadataValue.int(number) for name, number in counts.items()},
        **({"not_ours": dg.MetadataValue.int(not_ours)} if not_ours is not None else {}),
        "send_dates_touched": dg.MetadataValue.text(", ".join(dates) or "none"),
        **_table_named("by_file", rows, in_all=counts["files"]),
    }


def of_analytics(rows: Sequence[DateAnalytics]) -> Metadata:
    """The figures of one date over all campaigns, for the plots, and one row a campaign."""
    in_state = Counter[str]()
    for row in rows:
        in_state.update(row.figures.states)
    by_campaign = [
        {
            "campaign": row.campaign,
            **{name: value for name, value in row.figures.as_dict().items() if name != "states"},
        }
        for row in rows
    ]
    return {
        **of_figures(
            figures_from(
                in_state, sum(row.figures.sent for row in rows), replied=sum(row.figures.replied for row in rows)
            )
        ),
        **_table_named("campaigns", by_campaign),
    }


def of_proof(proof: Proof) -> Metadata:
    """Each promise with the ids of the first rows that break it, and what is not settled; no phone numbers."""
    promises = [
        {
            "promise": each.name,
            "part_of": each.part_of,
            "kept": "yes" if each.kept else "NO",
            "broken_by": each.offenders.count,
            "rows": f"{each.rows} {', '.join(map(str, each.offenders.ids))}" if not each.kept else None,
            "what_holds": each.sentence,
        }
        for each in proof.findings
    ]
    numbers = {
        "broken": len(proof.broken),
        "recipients": proof.recipients,
        "attempts": proof.attempts,
        "ordered_repeats": proof.ordered_repeats.count,
        "known_too_late": proof.known_too_late.count,
        "unfinished": proof.unfinished.count,
        "in_doubt": proof.in_doubt,
    }
    return {
        **{name: dg.MetadataValue.int(number) for name, number in numbers.items()},
        **_table_named("promises", promises),
        **_table_named(
            "in_doubt_by_date", [{"send_date": each.send_date, "attempts": each.attempts} for each in proof.doubts]
        ),
    }


def table(rows: Sequence[Mapping[str, object]]) -> dg.MetadataValue:
    """Rows as a table, with the type of each column; a long one is cut off."""
    if not rows:
        return dg.MetadataValue.text("nothing")
    shown = rows[:_LONGEST_TABLE]
    records = [dg.TableRecord({name: _cell(value) for name, value in row.items()}) for row in shown]
    columns = [dg.TableColumn(name, _type_of([row[name] for row in shown])) for name in rows[0]]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns))


def _table_named(name: str, rows: Sequence[Mapping[str, object]], in_all: int = 0) -> Metadata:
    """Rows as a table, which says how many there are in all when it does not show them."""
    shown, in_all = min(len(rows), _LONGEST_TABLE), max(len(rows), in_all)
    cut_off = {f"{name}_shown": dg.MetadataValue.text(f"the first {shown} of {in_all:,} rows")}
    return {name: table(rows), **(cut_off if in_all > shown else {})}


def _table_of_dates(name: str, rows: Sequence[Mapping[str, object]]) -> Metadata:
    """Rows of send dates as a table; a long one begins with the first date to come, or shows the newest dates."""
    if len(rows) <= _LONGEST_TABLE:
        return {name: table(rows)}
    by_date = sorted(rows, key=lambda row: str(row["send_date"]))
    to_come = (number for number, row in enumerate(by_date) if row["expected"] is not None)
    newest = len(by_date) - _LONGEST_TABLE
    shown = by_date[min(newest, next(to_come, newest)) :][:_LONGEST_TABLE]
    told = f"{_LONGEST_TABLE} of {len(rows):,} rows, from {shown[0]['send_date']} to {shown[-1]['send_date']}"
    return {name: table(shown), f"{name}_shown": dg.MetadataValue.text(told)}


def _cell(value: object) -> str | int | float | None:
    # A StrEnum is a str as well, and Dagster's event log takes none: everything but a number becomes plain text.
    return value if isinstance(value, int | float) or value is None else str(value)


def _type_of(values: Sequence[object]) -> str:
    present = [value for value in values if value is not None]
    if present and all(isinstance(value, int) for value in present):
        return "int"
    if present and all(isinstance(value, int | float) for value in present):
        return "float"
    return "string"
