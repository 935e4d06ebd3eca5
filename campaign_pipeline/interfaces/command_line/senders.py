"""Commands about the sender: sender, sender stop, sender resume, sender hold, sender release.

Add here a command with which a person stops the sender, or lets it go on.
Keep out its limit (`limits`), and what stops it by itself: `delivery.consequences`.
"""

from dataclasses import asdict
from typing import Annotated

import typer

from campaign_pipeline.interfaces.command_line import output
from campaign_pipeline.interfaces.command_line.arguments import ByOption, JsonOption, known_region
from campaign_pipeline.interfaces.command_line.context import workplace_of
from campaign_pipeline.interfaces.command_line.limits import PANEL

commands = typer.Typer()

sender = typer.Typer(
    help="Show what keeps the sender from reaching people; stop it, or let it go on.",
    epilog="Example: campaign sender resume --by Ada",
    invoke_without_command=True,
)
commands.add_typer(sender, name="sender", rich_help_panel=PANEL)

CountryArgument = Annotated[
    str, typer.Argument(metavar="COUNTRY", callback=known_region, help="Two letters of ISO 3166, such as BR.")
]


@sender.callback()
def show(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """Show what keeps the sender from reaching people; stop it, or let it go on."""
    if ctx.invoked_subcommand is not None:
        return
    from campaign_pipeline.delivery.impediments import impediments

    workplace = workplace_of(ctx)
    with workplace.ledger.read() as connection:
        found = impediments(connection, workplace.clock())
    if as_json:
        output.print_json([asdict(each) for each in found])
        return
    for each in found:
        output.say(each.sentence)
    if not found:
        output.say("Nothing keeps the sender from reaching people.")


@sender.command("stop", epilog="Example: campaign sender stop --reason 'the shop is closed'")
def stop(
    ctx: typer.Context,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; every refused run repeats it.")],
    by: ByOption = None,
) -> None:
    """Let no message go out, of any campaign, until somebody resumes the sender; calls in flight go out."""
    from campaign_pipeline.delivery.consequences import stop_sender
    from campaign_pipeline.ledger.locks import hold_senders
    from campaign_pipeline.sending.capacity import sender_id

    workplace = workplace_of(ctx)
    actor = workplace.said_by(by)
    with workplace.ledger.write() as connection:
        sender_id(connection)
        hold_senders(connection)
        stop_sender(connection, f"{reason.rstrip('.')} (by {actor}).", actor=actor, now=workplace.clock())
    output.say("The sender is stopped: nothing is sent until `campaign sender resume`.")


@sender.command("resume", epilog="Example: campaign sender resume --by Ada")
def resume(ctx: typer.Context, by: ByOption = None) -> None:
    """Let a stopped sender go on, once what it was stopped for is mended; what failed before stops it no more."""
    from campaign_pipeline.delivery.consequences import resume_sender

    workplace = workplace_of(ctx)
    actor = workplace.said_by(by)
    with workplace.ledger.write() as connection:
        was_stopped_for = resume_sender(connection, actor=actor, now=workplace.clock())
    if was_stopped_for is None:
        output.say("The sender was not stopped.")
    else:
        output.say(f"The sender goes on. It had been stopped: {was_stopped_for}")


@sender.command("hold", epilog="Example: campaign sender hold BR --reason 'not verified there yet'")
def hold(
    ctx: typer.Context,
    country: CountryArgument,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why.")],
    by: ByOption = None,
) -> None:
    """Send to nobody in a country until it is released; its people keep their places in the queue."""
    from campaign_pipeline.campaigns.held_countries import hold_country
    from campaign_pipeline.sending.capacity import sender_id

    workplace = workplace_of(ctx)
    actor = workplace.said_by(by)
    with workplace.ledger.write() as connection:
        is_new = hold_country(connection, sender_id(connection), country, reason, actor=actor, now=workplace.clock())
    output.say(f"{country} is held{'' if is_new else ' already'}: nobody there is sent to.")


@sender.command("release", epilog="Example: campaign sender release BR")
def release(ctx: typer.Context, country: CountryArgument, by: ByOption = None) -> None:
    """Let people of a held country be sent to again; whom Meta has refused stays failed."""
    from campaign_pipeline.campaigns.held_countries import release_country

    workplace = workplace_of(ctx)
    actor = workplace.said_by(by)
    with workplace.ledger.write() as connection:
        release_country(connection, country, actor=actor, now=workplace.clock())
    output.say(f"{country} is released: its people are taken with the next batch.")
