"""Commands about campaigns: create, edit, delete, activate, pause, resume, cancel, list, show.

Add here a command about a campaign as a whole.
Keep out its template (`templates`), its people (`people`), its sending (`sending`) and its figures alone (`delivery`).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from campaign_pipeline.interfaces.command_line import output
from campaign_pipeline.interfaces.command_line.arguments import CampaignArgument, JsonOption, YesOption
from campaign_pipeline.interfaces.command_line.context import workplace_of
from campaign_pipeline.interfaces.documents import campaign_document

if TYPE_CHECKING:
    from campaign_pipeline.campaigns.figures import Figures
    from campaign_pipeline.campaigns.templates import TemplateParameter

PANEL = "Campaigns"

commands = typer.Typer()

_PARAMETER_HELP = (
    "Which list column fills which template variable; repeat it. Positional templates: 1=COLUMN. Elsewhere: "
    "header.1=COLUMN, header.image=COLUMN (a link or id:NUMBER), button.0=COLUMN. NAME:=TEXT is the same for all."
)


_AS_THE_SENDER = "sender: as many as the sender may reach, also when that changes."


@commands.command(
    rich_help_panel=PANEL,
    epilog="Example: campaign create 'Spring Sale' --template spring_sale --parameter first_name=name",
)
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="As people call it; spring-sale is made of Spring Sale.")],
    template: Annotated[str, typer.Option("--template", metavar="T", help="The template's name at Meta.")],
    language: Annotated[str, typer.Option("--language", help="The template's language, as Meta spells it.")] = "en_US",
    daily_limit: Annotated[
        str, typer.Option("--daily-limit", metavar="N", help=f"People of this campaign on one date. {_AS_THE_SENDER}")
    ] = "250",
    priority: Annotated[int, typer.Option("--priority", help="Who goes first; a higher number first.")] = 0,
    parameter: Annotated[
        list[str] | None, typer.Option("--parameter", metavar="NAME=COLUMN", help=_PARAMETER_HELP)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a campaign, in draft."""
    from campaign_pipeline.campaigns import catalogue, lifecycle

    workplace = workplace_of(ctx)
    people, follows = _daily_limit(daily_limit)
    draft = catalogue.CampaignDraft(
        name,
        template,
        language,
        _parameters(parameter or []),
        catalogue.DEFAULT_DAILY_LIMIT if people is None else people,
        priority,
        follows_sender_limit=follows,
    )
    with workplace.ledger.write() as connection:
        campaign = lifecycle.create(connection, draft, actor=workplace.actor, now=workplace.clock())
    if as_json:
        output.print_json(campaign_document(campaign))
        return
    output.say(f"{campaign.slug} is made, as a draft. Next: campaign add {campaign.slug} FILE")


@commands.command(rich_help_panel=PANEL, epilog="Example: campaign edit spring-sale --daily-limit 500 --priority 10")
def edit(
    ctx: typer.Context,
    campaign: CampaignArgument,
    name: Annotated[str | None, typer.Option("--name", help="Its short name follows it.")] = None,
    template: Annotated[str | None, typer.Option("--template", help="The template's name at Meta.")] = None,
    language: Annotated[str | None, typer.Option("--language", help="As Meta spells it.")] = None,
    daily_limit: Annotated[
        str | None, typer.Option("--daily-limit", metavar="N", help=f"People on one date. {_AS_THE_SENDER}")
    ] = None,
    priority: Annotated[int | None, typer.Option("--priority", help="A higher number goes first.")] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", metavar="NAME=COLUMN", help=f"{_PARAMETER_HELP} Replaces all there were."),
    ] = None,
    no_parameters: Annotated[bool, typer.Option("--no-parameters", help="The template has none.")] = False,
) -> None:
    """Change a campaign: a draft in everything, later only its daily limit and priority."""
    from campaign_pipeline.campaigns import catalogue, lifecycle

    if parameter and no_parameters:
        message = "--parameter and --no-parameters exclude each other."
        raise typer.BadParameter(message)
    people, follows = (None, None) if daily_limit is None else _daily_limit(daily_limit)
    change = catalogue.CampaignChange(
        name=name,
        template_name=template,
        template_language=language,
        parameters=_parameters(parameter or []) if parameter or no_parameters else None,
        daily_send_limit=people,
        follows_sender_limit=follows,
        priority=priority,
    )
    workplace = workplace_of(ctx)
    with workplace.ledger.write() as connection:
        edited = lifecycle.edit(connection, campaign, change, actor=workplace.actor, now=workplace.clock())
    changed = sorted(set(change.given) - {"daily_send_limit", "follows_sender_limit"})
    limit = [] if daily_limit is None else [f"daily limit {edited.daily_limit}"]
    output.say(f"{edited.slug} is changed: {', '.join([*limit, *changed])}.")


@commands.command(rich_help_panel=PANEL, epilog="Example: campaign delete spring-sale")
def delete(ctx: typer.Context, campaign: CampaignArgument, yes: YesOption = False) -> None:
    """Delete a draft with its lists and audience; what was active once stays."""
    from campaign_pipeline.campaigns import lifecycle

    workplace = workplace_of(ctx)
    slug = _slug(ctx, campaign)
    _ask(f"Delete {slug} with everybody in it?", yes=yes)
    with workplace.ledger.write() as connection:
        lifecycle.delete_draft(connection, campaign, actor=workplace.actor, now=workplace.clock())
    output.say(f"{slug} is deleted.")


@commands.command(rich_help_panel=PANEL, epilog="Example: campaign activate spring-sale")
def activate(
    ctx: typer.Context,
    campaign: CampaignArgument,
    even_if_unreadable: Annotated[
        bool, typer.Option("--even-if-unreadable", help="Go on although Meta does not show the template now.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Start a draft, after its preflight: its people join the queue, and the plan of days is kept."""
    from campaign_pipeline.interfaces.activation import activate as activate_draft

    workplace = workplace_of(ctx)
    activation = activate_draft(workplace, campaign, even_if_unreadable=even_if_unreadable, actor=workplace.actor)
    for warning in activation.warnings:
        output.remark(f"Warning: {warning}")
    if as_json:
        output.print_json(activation.as_dict())
        return
    active, estimate = activation.campaign, activation.estimate
    output.say(f"{active.slug} is active: {output.people(activation.people)}, {output.days(estimate.days)}.")
    output.say(f"The first batch is that of {activation.first_date}, the last is expected on {estimate.last_date}.")


@commands.command(
    rich_help_panel=PANEL, epilog="Example: campaign pause spring-sale --reason 'the offer has a mistake'"
)
def pause(
    ctx: typer.Context,
    campaign: CampaignArgument,
    reason: Annotated[str, typer.Option("--reason", help="Shown wherever the campaign is.")] = "",
) -> None:
    """Hold an active campaign before its next message; calls in flight go out."""
    from campaign_pipeline.campaigns import lifecycle

    workplace = workplace_of(ctx)
    with workplace.ledger.write() as connection:
        paused = lifecycle.pause(connection, campaign, actor=workplace.actor, now=workplace.clock(), reason=reason)
    output.say(f"{paused.slug} is paused ({paused.status_reason}). Go on: campaign resume {paused.slug}")


@commands.command(rich_help_panel=PANEL, epilog="Example: campaign resume spring-sale")
def resume(ctx: typer.Context, campaign: CampaignArgument) -> None:
    """Take a paused campaign up again; its people are still in their places."""
    from campaign_pipeline.campaigns import lifecycle

    workplace = workplace_of(ctx)
    with workplace.ledger.write() as connection:
        resumed = lifecycle.resume(connection, campaign, actor=workplace.actor, now=workplace.clock())
    output.say(f"{resumed.slug} is active again.")


@commands.command(rich_help_panel=PANEL, epilog="Example: campaign cancel spring-sale")
def cancel(ctx: typer.Context, campaign: CampaignArgument, yes: YesOption = False) -> None:
    """End a campaign for good: whoever was not sent to is skipped."""
    from campaign_pipeline.campaigns import lifecycle
    from campaign_pipeline.campaigns.figures import campaign_figures

    workplace = workplace_of(ctx)
    slug = _slug(ctx, campaign)
    _ask(f"Cancel {slug} for good?", yes=yes)
    with workplace.ledger.write() as connection:
        cancelled = lifecycle.cancel(connection, campaign, actor=workplace.actor, now=workplace.clock())
        figures = campaign_figures(connection, cancelled.id)
    output.say(f"{slug} is cancelled: {figures.sent:,} sent, {figures.skipped:,} skipped of {figures.total:,}.")


@commands.command("list", rich_help_panel=PANEL, epilog="Example: campaign list --json")
def list_campaigns(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """Show every campaign with its status and figures."""
    from campaign_pipeline.campaigns import catalogue
    from campaign_pipeline.campaigns.figures import campaign_figures

    with workplace_of(ctx).ledger.read() as connection:
        found = [(each, campaign_figures(connection, each.id)) for each in catalogue.list_all(connection)]
    if as_json:
        output.print_json([campaign_document(each, figures) for each, figures in found])
        return
    if not found:
        output.say("There is no campaign yet. Make one: campaign create NAME --template TEMPLATE")
        return
    numbers = ("id", "people", "pending", "sent", "delivered", "read", "failed", "progress")
    output.print_table(
        ("id", "campaign", "status", *numbers[1:]),
        (
            (each.id, each.slug, each.status, f.total, f.pending, f.sent, f.delivered, f.read, f.failed, _percent(f))
            for each, f in found
        ),
        numbers,
    )


@commands.command(rich_help_panel=PANEL, epilog="Example: campaign show spring-sale")
def show(ctx: typer.Context, campaign: CampaignArgument, as_json: JsonOption = False) -> None:
    """Show everything about one campaign: settings, figures and lists."""
    from campaign_pipeline.campaigns import catalogue
    from campaign_pipeline.campaigns.figures import campaign_figures
    from campaign_pipeline.interfaces.overview import lists_of

    workplace = workplace_of(ctx)
    with workplace.ledger.read() as connection:
        found = catalogue.find(connection, campaign)
        figures = campaign_figures(connection, found.id)
        lists = lists_of(connection, found.id)
    if as_json:
        output.print_json({**campaign_document(found, figures), "lists": lists})
        return
    parameters = ", ".join(each.written for each in found.parameters)
    facts = {
        "campaign": f"{found.slug} ({found.name}, id {found.id})",
        "status": found.status + (f": {found.status_reason}" if found.status_reason else ""),
        "template": f"{found.template_name} ({found.template_language})",
        "parameters": parameters or "none",
        "template read": workplace.local(found.template_checked_at) or "not yet (campaign preflight)",
        "daily limit": found.daily_limit,
        "priority": found.priority,
        "made": workplace.local(found.created_at),
        "activated": workplace.local(found.activated_at),
        "finished": workplace.local(found.finished_at),
    }
    output.print_facts(facts)
    output.print_figures(figures)
    counts = ("read", "added", "duplicate_in_list", "already_in_campaign", "invalid", "unsubscribed")
    headings = [count.replace("_", " ") for count in counts]
    rows = [(each["id"], each["name"], each["state"], *(each[count] for count in counts)) for each in lists]
    output.print_table(("list", "name", "state", *headings), rows, headings)


def _percent(figures: "Figures") -> str:
    return f"{figures.progress_percentage:.1f} %"


def _parameters(texts: Sequence[str]) -> "tuple[TemplateParameter, ...]":
    from campaign_pipeline.campaigns.templates import TemplateParameter

    return tuple(TemplateParameter.parse(text) for text in texts)


def _daily_limit(text: str) -> tuple[int | None, bool]:
    """A daily limit as it is typed: a number of people, and whether it follows the sender's limit instead."""
    from campaign_pipeline.campaigns.catalogue import SENDER_LIMIT

    word = text.strip().lower()
    if word == SENDER_LIMIT:
        return None, True
    try:
        return int(word), False
    except ValueError as error:
        message = f"a daily limit is a number of people, or the word {SENDER_LIMIT}, not {text!r}."
        raise typer.BadParameter(message) from error


def _slug(ctx: typer.Context, campaign: str) -> str:
    from campaign_pipeline.campaigns import catalogue

    with workplace_of(ctx).ledger.read() as connection:
        return catalogue.find(connection, campaign).slug


def _ask(question: str, *, yes: bool) -> None:
    if not yes:
        typer.confirm(question, abort=True, err=True)
