"""Commands about what became of messages: ingest, rebuild, stats.

Add here a command about statuses and figures.
Keep out figures' definitions: `campaigns.figures`.
"""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from campaign_pipeline.interfaces.command_line import output
from campaign_pipeline.interfaces.command_line.arguments import CampaignArgument, JsonOption
from campaign_pipeline.interfaces.command_line.context import workplace_of

if TYPE_CHECKING:
    from campaign_pipeline.delivery.rebuild import RebuildReport
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
            workplace.ledger,
            settings.status_folders,
            workplace.clock,
            tell,
            rule=settings.stop_rule,
            inbound=settings.inbound_terms,
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
    if report.words:
        output.say(f"{report.words:,} messages and changes of people: stop, start, preferences, new numbers, replies.")
    if report.unmatched:
        output.say(f"{report.unmatched:,} events are kept of messages that nobody here knows.")


@commands.command(rich_help_panel=PANEL, epilog="Example: campaign rebuild --check")
def rebuild(
    ctx: typer.Context,
    from_archive: Annotated[
        bool, typer.Option("--from-archive", help="First put back what the store lacks of the archived status files.")
    ] = False,
    only_check: Annotated[
        bool, typer.Option("--check", help="Change nothing: say whether it would come out the same.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Throw away what was derived from statuses and derive it again; exit status 1 if it comes out another way.

    States, figures and analytics are derived from the stored events. Sends and ingests may go on meanwhile, and it may
    be stopped at any moment and run again. Nobody goes back to the queue, and no consequence is drawn again.
    """
    from campaign_pipeline.delivery import rebuild as rebuilding

    workplace = workplace_of(ctx)
    archive = workplace.settings.status_folders.archive if from_archive else None
    with output.progress("rebuilding") as tell:

        def on_progress(_what: str, done: int, in_all: int) -> None:
            tell(done, in_all)

        if only_check:
            report = rebuilding.check(workplace.ledger, archive, workplace.clock, on_progress=on_progress)
        else:
            report = rebuilding.rebuild(
                workplace.ledger, archive, workplace.clock, actor=workplace.actor, on_progress=on_progress
            )
    if as_json:
        output.print_json(
            {**report.as_details(), "parts_before": report.before.parts, "parts_after": report.after.parts}
        )
    else:
        _tell_rebuild(report)
    if not report.agrees:
        output.complain(_why_it_differs(report, only_check=only_check))
        raise typer.Exit(1)


def _tell_rebuild(report: "RebuildReport") -> None:
    if report.archive is not None:
        archive = report.archive
        output.say(
            f"Archive: {archive.files:,} files, {archive.events:,} events, {archive.put_back:,} of them put back."
        )
        for each in archive.unreadable:
            output.remark(f"Not put back, or not wholly: {each}")
    derived = report.derived
    output.say(
        f"{derived.events:,} events, {derived.attempts:,} attempts and {len(derived.dates):,} send dates were gone "
        "through."
    )
    output.say(f"Before  {report.before.whole}")
    output.say(f"After   {report.after.whole}")
    if report.agrees:
        output.say("It came out the same.")


def _why_it_differs(report: "RebuildReport", *, only_check: bool) -> str:
    told = f"It came out another way in: {', '.join(report.differs_in)}."
    if report.disturbed:
        return f"{told} Something came in meanwhile, so that this means nothing: run it again when all is quiet."
    if only_check:
        return f"{told} `campaign rebuild` brings it right."
    return f"{told} What stands there now is what follows from the evidence; `campaign rebuild --check` agrees now."


@commands.command(rich_help_panel=PANEL, epilog="Example: campaign stats spring-sale --json")
def stats(ctx: typer.Context, campaign: CampaignArgument, as_json: JsonOption = False) -> None:
    """Show the figures of a campaign, and when it is expected to be through."""
    from campaign_pipeline.campaigns import catalogue
    from campaign_pipeline.campaigns.figures import campaign_figures
    from campaign_pipeline.interfaces.documents import stats_document

    workplace = workplace_of(ctx)
    with workplace.ledger.read() as connection:
        found = catalogue.find(connection, campaign)
        document, fault = stats_document(workplace, connection, found)
        figures = campaign_figures(connection, found.id)
    if fault is not None:
        output.remark(f"No last date can be told: {fault}")
    if as_json:
        output.print_json(document)
        return
    output.say(f"{found.slug} is {found.status}" + (f": {found.status_reason}." if found.status_reason else "."))
    output.print_figures(figures)
    output.print_table(("state", "people"), [row for row in figures.states.items() if row[1]], ("people",))
    output.say(f"Last batch: {document['estimated_completion_date'] or 'none is foreseen'}.")


def _ingest_document(report: "IngestReport") -> dict[str, object]:
    files = [
        {
            "name": each.name,
            "state": each.state,
            "events": each.events,
            "new_events": each.new_events,
            "rejected_lines": each.rejected_lines,
            "words": each.words,
            "reason": each.reason,
        }
        for each in report.files
    ]
    return {
        "files": files,
        "events": report.events,
        "new_events": report.new_events,
        "words": report.words,
        "unmatched": report.unmatched,
        "dates": report.dates,
    }
