"""Commands about the people of a campaign: add, remove, recipients.

Add here a command about who is in a campaign.
Keep out who wants messages (`subscriptions`), and how rows become recipients: `recipients.intake`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from campaign_pipeline.interfaces.command_line import output
from campaign_pipeline.interfaces.command_line.arguments import (
    CampaignArgument,
    JsonOption,
    PhoneArgument,
    RegionOption,
)
from campaign_pipeline.interfaces.command_line.context import Workplace, workplace_of
from campaign_pipeline.interfaces.command_line.errors import sentence_for
from campaign_pipeline.interfaces.documents import intake_totals
from campaign_pipeline.ledger.states import RecipientState

if TYPE_CHECKING:
    from campaign_pipeline.recipients.audience import RecipientRow
    from campaign_pipeline.recipients.intake import IntakeReport

PANEL = "People"

SHOWN: Final = 50
"""People in the table; a file has them all."""

commands = typer.Typer()


@commands.command(rich_help_panel=PANEL, epilog="Example: campaign add spring-sale customers.csv --region GB")
def add(
    ctx: typer.Context,
    campaign: CampaignArgument,
    files: Annotated[list[Path] | None, typer.Argument(metavar="FILE", help="CSV in UTF-8 with a header line.")] = None,
    phone_column: Annotated[
        str | None,
        typer.Option("--phone-column", help="The column of phone numbers.", show_default="found by its usual names"),
    ] = None,
    region: RegionOption = None,
    subscribed: Annotated[bool, typer.Option("--subscribed", help="Also add everyone who is subscribed.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Add the people of lists to a campaign; nobody is added twice."""
    from campaign_pipeline.campaigns import catalogue

    if not files and not subscribed:
        message = "give at least one FILE, or --subscribed."
        raise typer.BadParameter(message)
    workplace = workplace_of(ctx)
    with workplace.ledger.read() as connection:
        slug = catalogue.find(connection, campaign).slug
    reports: list[tuple[str, IntakeReport]] = []
    unread: list[dict[str, str]] = []
    for path in files or []:
        try:
            reports.append((str(path), _take_in(workplace, slug, path, phone_column, region)))
        except _unreadable() as error:
            sentence = sentence_for(error) or str(error)
            output.complain(sentence)
            unread.append({"file": str(path), "error": sentence})
    if subscribed:
        reports.append(_add_subscribed(workplace, slug))
    if as_json:
        output.print_json(_intake_document(slug, reports, unread))
    else:
        _tell_intake(slug, [report for _, report in reports])
    if unread:
        raise typer.Exit(1)


@commands.command(rich_help_panel=PANEL, epilog="Example: campaign remove spring-sale '+44 7911 123456'")
def remove(ctx: typer.Context, campaign: CampaignArgument, phone: PhoneArgument, region: RegionOption = None) -> None:
    """Take one person out of a campaign, if nothing was sent to them yet."""
    from campaign_pipeline.recipients.audience import remove_person
    from campaign_pipeline.recipients.phone_numbers import mask_phone

    workplace = workplace_of(ctx)
    person = workplace.phone(phone, region)
    with workplace.ledger.write() as connection:
        remove_person(connection, campaign, person, actor=workplace.actor, now=workplace.clock())
    output.say(f"{mask_phone(person.e164)} is removed from {campaign}.")


@commands.command(
    rich_help_panel=PANEL, epilog="Example: campaign recipients spring-sale --status failed --csv failed.csv"
)
def recipients(
    ctx: typer.Context,
    campaign: CampaignArgument,
    state: Annotated[RecipientState | None, typer.Option("--status", help="Only who is in this state.")] = None,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write everybody to a CSV file; - is stdout.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show where each person of a campaign stands, and the date of their message."""
    from campaign_pipeline.campaigns import catalogue
    from campaign_pipeline.campaigns.figures import campaign_figures
    from campaign_pipeline.interfaces import recipient_files
    from campaign_pipeline.interfaces.overview import schedule_of
    from campaign_pipeline.recipients.audience import RecipientRow, read_recipients

    workplace = workplace_of(ctx)
    with workplace.ledger.read() as connection:
        found = catalogue.find(connection, campaign)
        limit = workplace.sender_limit(connection)
        schedule, fault = schedule_of(connection, found.id, workplace.first_open_date(connection), limit)
        if fault is not None:
            output.remark(f"No expected dates can be told: {fault}")
        rows = read_recipients(connection, found.id, state=state, schedule=schedule)
        if as_json:
            recipient_files.stream_json(rows)
        elif csv_file is not None:
            columns = [field.name for field in fields(RecipientRow)]
            written = recipient_files.write_csv(rows, columns, csv_file, workplace.settings.calendar.local)
            target = "stdout" if csv_file == recipient_files.STDOUT else csv_file
            output.remark(f"{output.people(written)} of {found.slug} written to {target}.")
        else:
            figures = campaign_figures(connection, found.id)
            _show_people(workplace, rows, figures.total if state is None else figures.states[state])


def _unreadable() -> tuple[type[Exception], ...]:
    from campaign_pipeline.recipients.list_files import ListFileError

    return ListFileError, OSError


def _take_in(
    workplace: Workplace, campaign: str, path: Path, phone_column: str | None, region: str | None
) -> "IntakeReport":
    from campaign_pipeline.recipients.intake import add_file

    with output.progress(path.name, in_bytes=True) as tell:
        return add_file(
            workplace.ledger,
            campaign,
            path,
            folders=workplace.settings.list_folders,
            region=region or workplace.settings.default_region,
            phone_column=phone_column,
            actor=workplace.actor,
            clock=workplace.clock,
            us_numbers=workplace.settings.us_numbers,
            consent=workplace.settings.consent,
            on_progress=tell,
        )


def _add_subscribed(workplace: Workplace, campaign: str) -> "tuple[str, IntakeReport]":
    from campaign_pipeline.recipients.intake import add_subscribed

    report = add_subscribed(
        workplace.ledger,
        campaign,
        us_numbers=workplace.settings.us_numbers,
        consent=workplace.settings.consent,
        actor=workplace.actor,
        now=workplace.clock(),
    )
    return report.name, report


def _intake_document(
    campaign: str, reports: "Sequence[tuple[str, IntakeReport]]", unread: list[dict[str, str]]
) -> dict[str, object]:
    lists = [
        {"file": file, "list_id": each.list_id, **each.counts.as_dict(), "rejections_file": each.rejections_file}
        for file, each in reports
    ]
    totals = intake_totals([each for _, each in reports])
    return {"campaign": campaign, "lists": lists, **totals, "errors": unread}


def _tell_intake(campaign: str, reports: "Sequence[IntakeReport]") -> None:
    if not reports:
        return
    names = list(reports[0].counts.as_dict())
    rows = [(each.name, *each.counts.as_dict().values()) for each in reports]
    if len(rows) > 1:
        rows.append(("in all", *intake_totals(reports).values()))
    output.print_table(
        ("list", *(name.replace("_", " ") for name in names)), rows, [n.replace("_", " ") for n in names]
    )
    for each in reports:
        if each.rejections_file is not None:
            output.say(f"Who was not added from {each.name}, and why: {each.rejections_file}")
    output.say(f"{output.people(intake_totals(reports)['added'])} added to {campaign}.")


def _show_people(workplace: Workplace, rows: "Iterable[RecipientRow]", in_all: int) -> None:
    shown = list(islice(rows, SHOWN))
    output.print_table(
        ("phone", "status", "send date", "accepted", "delivered", "read", "reason", "list"),
        (
            (
                each.phone,
                each.state,
                each.send_date or (f"{each.expected_date} expected" if each.expected_date else None),
                workplace.local(each.accepted_at),
                workplace.local(each.delivered_at),
                workplace.local(each.read_at),
                " ".join(str(part) for part in (each.error_code, each.reason) if part),
                f"{each.list_name}:{each.line_number}" if each.line_number else each.list_name,
            )
            for each in shown
        ),
    )
    if in_all > len(shown):
        output.say(f"{output.people(in_all - len(shown))} more: --csv FILE writes them all.")
