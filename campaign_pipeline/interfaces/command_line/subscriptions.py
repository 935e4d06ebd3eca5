"""Commands about who wants messages: subscribe, unsubscribe, subscriptions.

Add here a command about a person's word on messages.
Keep out what words amount to: `recipients.subscription_rule`.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from campaign_pipeline.interfaces.command_line import output
from campaign_pipeline.interfaces.command_line.arguments import JsonOption, PhoneArgument, RegionOption
from campaign_pipeline.interfaces.command_line.context import Workplace, workplace_of

if TYPE_CHECKING:
    from campaign_pipeline.recipients.opt_out_files import OptOutReport

PANEL = "People"

commands = typer.Typer()


@commands.command(rich_help_panel=PANEL, epilog="Example: campaign subscribe +447911123456")
def subscribe(ctx: typer.Context, phone: PhoneArgument, region: RegionOption = None) -> None:
    """Note that a person wants messages, for campaigns to come."""
    from campaign_pipeline.recipients import subscriptions
    from campaign_pipeline.recipients.phone_numbers import mask_phone

    workplace = workplace_of(ctx)
    person = workplace.phone(phone, region)
    with workplace.ledger.write() as connection:
        is_news = subscriptions.subscribe(connection, person, source=workplace.actor, now=workplace.clock())
    output.say(f"{mask_phone(person.e164)} {'is subscribed' if is_news else 'was subscribed already'}.")


@commands.command(
    rich_help_panel=PANEL,
    epilog="Examples: campaign unsubscribe +447911123456; campaign unsubscribe --file opt-outs.csv",
)
def unsubscribe(
    ctx: typer.Context,
    phone: Annotated[str | None, typer.Argument(metavar="PHONE", help="In any usual spelling.")] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file", metavar="FILE", help="Everybody in a file, as lists are; with times and sources if any."
        ),
    ] = None,
    phone_column: Annotated[
        str | None,
        typer.Option("--phone-column", help="The file's column of numbers.", show_default="found by its usual names"),
    ] = None,
    region: RegionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Note that people want no messages, of any campaign, from now on."""
    if (phone is None) == (file is None):
        message = "give a PHONE, or --file with a file of them."
        raise typer.BadParameter(message)
    workplace = workplace_of(ctx)
    if file is not None:
        _tell_opt_outs(_take_in(workplace, file, phone_column, region), as_json=as_json)
    elif phone is not None:
        _unsubscribe_one(workplace, phone, region, as_json=as_json)


@commands.command(rich_help_panel=PANEL, epilog="Example: campaign subscriptions +447911123456")
def subscriptions(
    ctx: typer.Context, phone: PhoneArgument, region: RegionOption = None, as_json: JsonOption = False
) -> None:
    """Show what a person has said of messages, with all their numbers, and what shows that they agreed."""
    from campaign_pipeline.recipients.accounts import accounts_of
    from campaign_pipeline.recipients.opt_ins import evidence_of
    from campaign_pipeline.recipients.phone_numbers import mask_phone
    from campaign_pipeline.recipients.subscriptions import find_subscription, history_of

    workplace = workplace_of(ctx)
    person = workplace.phone(phone, region)
    with workplace.ledger.read() as connection:
        keys = {person.person_key}.union(*accounts_of(connection, {person.person_key}))
        standing, words = find_subscription(connection, person), history_of(connection, keys)
        evidence = evidence_of(connection, keys)
    if as_json:
        output.print_json(
            {
                "status": standing.status if standing else None,
                "since": standing.changed_at if standing else None,
                "source": standing.source if standing else None,
                "words": [
                    {
                        "at": each.word.at,
                        "status": each.word.status,
                        "by": each.word.voice,
                        "source": each.word.source,
                        "received_at": each.received_at,
                    }
                    for each in words
                ],
                "opt_ins": [{"at": each.at, "source": each.source, "text": each.text} for each in evidence],
            }
        )
        return
    who = mask_phone(person.e164)
    if standing is None:
        output.say(f"Nothing is known of what {who} wants.")
    else:
        output.say(f"{who} is {standing.status} since {workplace.local(standing.changed_at)}: {standing.source}.")
    if words:
        rows = [(workplace.local(each.word.at), each.word.status, each.word.voice, each.word.source) for each in words]
        output.print_table(("said at", "status", "by", "source"), rows)
    if evidence:
        rows = [(workplace.local(each.at), each.source, each.text) for each in evidence]
        output.print_table(("agreed at", "source", "text"), rows)


def _unsubscribe_one(workplace: Workplace, phone: str, region: str | None, *, as_json: bool) -> None:
    from campaign_pipeline.recipients import subscriptions
    from campaign_pipeline.recipients.phone_numbers import mask_phone

    person = workplace.phone(phone, region)
    with workplace.ledger.write() as connection:
        is_news = subscriptions.unsubscribe(connection, person, source=workplace.actor, now=workplace.clock())
    if as_json:
        output.print_json({"unsubscribed": int(is_news), "already": int(not is_news)})
    else:
        output.say(f"{mask_phone(person.e164)} {'is unsubscribed' if is_news else 'was unsubscribed already'}.")


def _take_in(workplace: Workplace, file: Path, phone_column: str | None, region: str | None) -> "OptOutReport":
    from campaign_pipeline.recipients.opt_out_files import take_in_opt_outs

    return take_in_opt_outs(
        workplace.ledger,
        file,
        folders=workplace.settings.list_folders,
        region=region or workplace.settings.default_region,
        phone_column=phone_column,
        actor=workplace.actor,
        clock=workplace.clock,
    )


def _tell_opt_outs(report: "OptOutReport", *, as_json: bool) -> None:
    counts = report.counts.as_dict()
    if as_json:
        output.print_json({"file": report.name, **counts, "rejections_file": report.rejections_file})
        return
    names = [name.replace("_", " ") for name in counts]
    output.print_table(("file", *names), [(report.name, *counts.values())], names)
    if report.rejections_file is not None:
        output.say(f"Rows that could not be read, and why: {report.rejections_file}")
    output.say(f"{output.people(report.counts.unsubscribed)} unsubscribed by {report.name}.")
