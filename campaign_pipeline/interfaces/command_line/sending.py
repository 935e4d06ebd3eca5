"""Commands about sending: plan, send, status.

Add here a command about dates and batches.
Keep out the process that sends (`send_process`) and what the day amounts to (`overview`).
"""

import sys
import time
from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Annotated, Final

import typer

from campaign_pipeline.interfaces.command_line import output
from campaign_pipeline.interfaces.command_line.arguments import JsonOption, date_from_text
from campaign_pipeline.interfaces.command_line.context import Workplace, workplace_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from campaign_pipeline.interfaces.overview import Concern, Day

PANEL = "Sending"

LOOK_EVERY: Final = 0.5
_LINE_EVERY: Final = 5.0
"""Seconds between two lines where there is no terminal to draw a bar on."""

commands = typer.Typer()


@commands.command(rich_help_panel=PANEL, epilog="Example: campaign plan spring-sale")
def plan(
    ctx: typer.Context,
    campaign: Annotated[
        str | None, typer.Argument(metavar="CAMPAIGN", help="Its short name, name or id; without it, all.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the dates of campaigns: as planned, as expected now, and as they were."""
    from campaign_pipeline.campaigns import catalogue, send_schedule

    workplace = workplace_of(ctx)
    with workplace.ledger.read() as connection:
        campaign_id = catalogue.find(connection, campaign).id if campaign is not None else None
        first_date, limit = workplace.first_open_date(connection), workplace.sender_limit(connection)
        schedule = send_schedule.read_schedule(connection, campaign_id, first_date, limit)
    if as_json:
        output.print_json([asdict(each) for each in schedule])
        return
    if not schedule:
        output.say("No date is planned: a campaign has dates once it is activated.")
        return
    numbers = ("no.", "planned", "expected", "batch", "sent", "remaining")
    output.print_table(
        ("campaign", "send date", *numbers),
        (
            (
                each.campaign,
                each.send_date,
                each.batch_number,
                each.planned_size,
                each.expected_size,
                each.batch_size,
                each.messages_sent,
                each.messages_remaining,
            )
            for each in schedule
        ),
        numbers,
    )


@commands.command(rich_help_panel=PANEL, epilog="Example: campaign send --date 2026-03-02")
def send(
    ctx: typer.Context,
    send_date: Annotated[
        date | None,
        typer.Option(
            "--date", metavar="YYYY-MM-DD", parser=date_from_text, help="The batch's date.", show_default="today"
        ),
    ] = None,
) -> None:
    """Send the batch of a date through Dagster; again, it goes on or says that it is finished."""
    from campaign_pipeline.interfaces.command_line import send_process

    workplace = workplace_of(ctx)
    settings, now = workplace.settings, workplace.clock()
    day = send_date or settings.calendar.date_of(now)
    files = send_process.files_for(settings.data_dir / "logs", day, settings.calendar.local(now))
    with output.progress(f"Sending {day}") as tell:
        end = send_process.run(
            send_process.command_for(day, files),
            files,
            look_every=LOOK_EVERY,
            on_look=_BatchProgress(workplace, day, tell).look,
            on_stopping=lambda: output.remark("Stopping: calls in flight are finished and recorded."),
        )
    if end.ok:
        output.say(end.sentence)
        return
    output.complain(end.sentence)
    for line in end.last_lines:
        output.remark(f"  {line}")
    output.remark(f"The log is {files.log}")
    raise typer.Exit(1)


@commands.command(rich_help_panel=PANEL, epilog="Example: campaign status")
def status(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """Show today, what is next, and what needs attention."""
    from campaign_pipeline.interfaces.overview import look_at_day

    workplace = workplace_of(ctx)
    with workplace.ledger.read() as connection:
        limit = workplace.sender_limit(connection)
        day = look_at_day(connection, workplace.settings.calendar, limit, workplace.clock())
    concerns = [*day.concerns, *_concerns_of_installation(workplace)]
    if as_json:
        output.print_json(_day_document(workplace, day, concerns))
    else:
        _tell_day(workplace, day, concerns)


class _BatchProgress:
    """How far a date's batch is, as the ledger has it: a bar on a terminal, elsewhere a line now and then."""

    def __init__(self, workplace: Workplace, send_date: date, tell: "Callable[[int, int | None], None]") -> None:
        self._workplace = workplace
        self._send_date = send_date
        self._tell = tell
        self._next_line = time.monotonic() + _LINE_EVERY

    def look(self) -> None:
        """Looks once."""
        from campaign_pipeline.campaigns.figures import batch_figures

        with self._workplace.ledger.read() as connection:
            states = batch_figures(connection, self._send_date).states
        total = sum(states.values())
        done = total - states["claimed"] - states["attempting"]
        self._tell(done, total or None)
        if not sys.stderr.isatty() and time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + _LINE_EVERY
            output.remark(f"{self._send_date}: {done:,} of {total:,}" if total else f"{self._send_date}: starting")


def _concerns_of_installation(workplace: Workplace) -> "list[Concern]":
    """What needs attention outside the ledger: settings, and files that wait."""
    from campaign_pipeline.delivery.status_files import waiting_files
    from campaign_pipeline.interfaces.overview import Concern
    from campaign_pipeline.settings import SettingsError

    concerns: list[Concern] = []
    try:
        _ = workplace.settings.account
    except SettingsError as error:
        concerns.append(Concern("account_missing", str(error)))
    waiting = len(waiting_files(workplace.settings.status_folders))
    if waiting:
        files = "1 status file waits" if waiting == 1 else f"{waiting:,} status files wait"
        concerns.append(Concern("status_files_waiting", f"{files} in the inbox: `campaign ingest` takes them in."))
    return concerns


def _day_document(workplace: Workplace, day: "Day", concerns: "list[Concern]") -> dict[str, object]:
    batch = None
    if day.batch is not None:
        batch = {
            "send_date": day.batch.send_date,
            "state": "open" if day.batch.is_open else "closed",
            "size": day.batch.size,
            "moved_on": day.batch.moved_on,
            "figures": day.figures.as_dict(),
        }
    calendar = workplace.settings.calendar
    return {
        "today": day.today,
        "timezone": str(calendar.timezone),
        "window": str(calendar.window),
        "window_open": day.window_is_open,
        "next_opening": day.next_opening,
        "batch": batch,
        "capacity": {
            "limit": day.capacity.limit,
            "used": day.capacity.used,
            "free": day.capacity.free,
            "next_freed": day.next_freed,
        },
        "next": {
            "send_date": day.coming.send_date,
            "send_at": day.coming.starts_at,
            "expected_size": day.coming.size,
            "campaigns": day.coming.sizes,
        },
        "attention": [asdict(concern) for concern in concerns],
    }


def _tell_day(workplace: Workplace, day: "Day", concerns: "list[Concern]") -> None:
    window = workplace.settings.calendar.window
    opens = "open now" if day.window_is_open else f"closed until {workplace.local(day.next_opening)}"
    output.say(f"Today      {day.today}, send window {window} ({opens})")
    output.say(f"Batch      {_batch_in_words(day)}")
    freed = f", the next free at {workplace.local(day.next_freed)}" if day.next_freed else ""
    capacity = day.capacity
    output.say(
        f"Capacity   {capacity.used:,} of {capacity.limit:,} people used in 24 hours, {capacity.free:,} free{freed}"
    )
    output.say(f"Next       {_next_in_words(workplace, day)}")
    output.say("Attention  " + ("nothing" if not concerns else concerns[0].sentence))
    for concern in concerns[1:]:
        output.say(f"           {concern.sentence}")


def _batch_in_words(day: "Day") -> str:
    if day.batch is None:
        return "none was taken today"
    figures = day.figures
    counted = {
        "sent": figures.sent,
        "delivered": figures.delivered,
        "read": figures.read,
        "failed": figures.failed,
        "in doubt": figures.in_doubt,
        "to be sent": figures.pending,
        "moved on": day.batch.moved_on,
    }
    parts = [f"{number:,} {word}" for word, number in counted.items() if number or word == "sent"]
    return f"{'unfinished' if day.batch.is_open else 'finished'}, {output.people(day.batch.size)}: {', '.join(parts)}"


def _next_in_words(workplace: Workplace, day: "Day") -> str:
    coming = day.coming
    if not coming.sizes:
        return "nothing to send"
    campaigns = ", ".join(f"{slug} {size:,}" for slug, size in coming.sizes.items())
    return f"{workplace.local(coming.starts_at)}: {output.people(coming.size)} ({campaigns})"
