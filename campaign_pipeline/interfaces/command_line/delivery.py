"""Commands about what became of messages: ingest, stats.

Add here a command about statuses and figures.
Keep out figures' definitions: `campaigns.figures`.
"""

from typing import TYPE_CHECKING, Final

import typer

from campaign_pipeline.interfaces.command_line import output
from campaign_pipeline.interfaces.command_line.arguments import CampaignArgument, JsonOption
from campaign_pipeline.interfaces.command_line.context import workplace_of
from campaign_pipeline.ledger.states import RecipientState

if TYPE_CHECKING:
    from campaign_pipeline.delivery.status_files import IngestReport

PANEL = "Delivery"

SHOWN: Final = 20
"""Files in the table."""

commands = typer.Typer()


@commands.command(rich_help_panel=PANEL, epilog="Example: campaign ingest")
def ingest(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """Take in the status files that wait in the inbox, each event once."""
    from campaign_pipeline.delivery.status_files import ingest_waiting
    from campaign_pipeline.sending.account_events import act_on_account_events

    workplace = workplace_of(ctx)
    with output.progress("status files") as tell:
        settings = workplace.settings
        report = ingest_waiting(
            workplace.ledger, settings.status_folders, workplace.clock, tell, rule=settings.stop_rule
        )
    words = act_on_account_events(workplace.ledger, settings.account_terms, workplace.clock)
    if as_json:
        output.print_json({**_ingest_document(report), "account": words})
        return
    for sentence in words:
        output.say(sentence)
    if not report.files:
        output.say(f"No status file waits in {workplace.settings.status_folders.inbox}.")
        return
    # A busy inbox holds hundreds: then only those are shown that a person should look at.
    shown = [each for each in report.files if len(report.files) <= SHOWN or each.reason or each.rejected_lines]
    rows = [(each.name, each.state, each.events, each.new_events, each.rejected_lines, each.reason) for each in shown]
    if rows:
        numbers = ("events", "new", "rejected lines")
        output.print_table(("file", "state", *numbers, "reason"), rows, numbers)
    dates = ", ".join(map(str, report.dates)) or "no date of ours"
    files = "1 file" if len(report.files) == 1 else f"{len(report.files):,} files"
    output.say(f"{files}: {report.events:,} events, {report.new_events:,} of them new, about {dates}.")
    if report.unmatched:
        output.say(f"{report.unmatched:,} events are kept of messages that nobody here knows.")


@commands.command(rich_help_panel=PANEL, epilog="Example: campaign stats spring-sale --json")
def stats(ctx: typer.Context, campaign: CampaignArgument, as_json: JsonOption = False) -> None:
    """Show the figures of a campaign, and when it is expected to be through."""
    from campaign_pipeline.campaigns import catalogue
    from campaign_pipeline.campaigns.figures import campaign_figures
    from campaign_pipeline.interfaces.command_line.overview import completion_date, schedule_of

    workplace = workplace_of(ctx)
    with workplace.ledger.read() as connection:
        found = catalogue.find(connection, campaign)
        figures = campaign_figures(connection, found.id)
        first_date, limit = workplace.first_open_date(connection), workplace.sender_limit(connection)
        schedule, fault = schedule_of(connection, found.id, first_date, limit)
    ends = completion_date(found, figures.states[RecipientState.PENDING], schedule)
    if fault is not None:
        output.remark(f"No last date can be told: {fault}")
    if as_json:
        document = {"campaign": found.slug, "status": found.status, **figures.as_dict()}
        output.print_json({**document, "estimated_completion_date": ends})
        return
    output.say(f"{found.slug} is {found.status}" + (f": {found.status_reason}." if found.status_reason else "."))
    output.print_figures(figures)
    output.print_table(("state", "people"), [row for row in figures.states.items() if row[1]], ("people",))
    output.say(f"Last batch: {ends or 'none is foreseen'}.")


def _ingest_document(report: "IngestReport") -> dict[str, object]:
    files = [
        {
            "name": each.name,
            "state": each.state,
            "events": each.events,
            "new_events": each.new_events,
            "rejected_lines": each.rejected_lines,
            "reason": each.reason,
        }
        for each in report.files
    ]
    return {
        "files": files,
        "events": report.events,
        "new_events": report.new_events,
        "unmatched": report.unmatched,
        "dates": report.dates,
    }
