"""Commands about the tokens of the REST API: token create, token list, token revoke.

Add here a command about who may call.
Keep out how tokens are made and found: `rest_api.tokens`.
"""

from typing import Annotated

import typer

from campaign_pipeline.interfaces.command_line import output
from campaign_pipeline.interfaces.command_line.arguments import JsonOption
from campaign_pipeline.interfaces.command_line.context import workplace_of
from campaign_pipeline.ledger.states import ApiRole

PANEL = "Setting up"

commands = typer.Typer()
token = typer.Typer(help="Make, list and revoke the tokens of the REST API.", no_args_is_help=True)
commands.add_typer(token, name="token", rich_help_panel=PANEL)


@token.command(epilog="Example: campaign token create --role operator --name shop")
def create(
    ctx: typer.Context,
    role: Annotated[
        ApiRole,
        typer.Option(
            "--role",
            help="viewer looks, operator also acts and sees numbers, admin also sets limits and reads the audit log.",
        ),
    ],
    name: Annotated[
        str | None,
        typer.Option("--name", help="Of the program that uses it; the audit log names it.", show_default="made up"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token. It is shown this once: only its hash is kept."""
    from campaign_pipeline.interfaces.rest_api.tokens import create_token

    workplace = workplace_of(ctx)
    with workplace.ledger.write() as connection:
        made, text = create_token(connection, role, name=name, actor=workplace.actor, now=workplace.clock())
    if as_json:
        output.print_json({"token": text, **made.as_dict()})
        return
    output.remark(f"The token of {made.name}, role {made.role}. Keep it now: it is not shown again.")
    output.say(text)


@token.command("list", epilog="Example: campaign token list --json")
def list_tokens(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """Show every token there is or was, by its beginning."""
    from campaign_pipeline.interfaces.rest_api import tokens

    workplace = workplace_of(ctx)
    with workplace.ledger.read() as connection:
        found = tokens.list_tokens(connection)
    if as_json:
        output.print_json([each.as_dict() for each in found])
        return
    if not found:
        output.say("There is no token yet. Make one: campaign token create --role operator")
        return
    output.print_table(
        ("id", "name", "role", "begins with", "made", "last used", "revoked"),
        (
            (
                each.id,
                each.name,
                each.role,
                each.prefix,
                workplace.local(each.created_at),
                workplace.local(each.last_used_at),
                workplace.local(each.revoked_at),
            )
            for each in found
        ),
        ("id",),
    )


@token.command(epilog="Example: campaign token revoke shop")
def revoke(
    ctx: typer.Context, reference: Annotated[str, typer.Argument(metavar="TOKEN", help="Its name, or its id.")]
) -> None:
    """Revoke a token: from the next request on it is not known any more."""
    from campaign_pipeline.interfaces.rest_api.tokens import revoke_token

    workplace = workplace_of(ctx)
    with workplace.ledger.write() as connection:
        revoked = revoke_token(connection, reference, actor=workplace.actor, now=workplace.clock())
    output.say(f"The token of {revoked.name} is revoked.")
