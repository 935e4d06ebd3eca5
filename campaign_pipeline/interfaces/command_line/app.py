"""The command `campaign`, put together from the modules of its panels.

Add here a module of commands, or what is true of every command.
Keep out the commands themselves.
"""

import gc
from typing import Any, Final

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from campaign_pipeline.interfaces.command_line import (
    campaigns,
    delivery,
    doctor,
    doubts,
    limits,
    output,
    people,
    proof,
    senders,
    sending,
    serve,
    setup,
    subscriptions,
    templates,
    tokens,
)
from campaign_pipeline.interfaces.command_line.context import Workplace
from campaign_pipeline.interfaces.command_line.errors import sentence_for

_EPILOG = (
    "A campaign, from its first to its last day:\n"
    "  campaign init\n"
    "  campaign create 'Spring Sale' --template spring_sale\n"
    "  campaign add spring-sale customers.csv\n"
    "  campaign preflight spring-sale\n"
    "  campaign activate spring-sale\n"
    "  campaign send      (each day; Dagster's schedule does it at 09:00)\n"
    "  campaign ingest\n"
    "  campaign stats spring-sale"
)

_OBJECTS_PER_COLLECTION: Final = 50_000


class _OneLineErrors(TyperGroup):
    """Turns every error that was foreseen into one line on stderr and exit status 1."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - typer names its context twice, and the two do not match
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, TyperException):
            # Ends and usage errors are typer's own; looking at them would load the rooms for every --help.
            raise
        except Exception as error:
            sentence = sentence_for(error)
            if sentence is None:
                raise
            output.complain(sentence)
            raise typer.Exit(1) from error


app = typer.Typer(
    name="campaign",
    cls=_OneLineErrors,
    help="Sends a WhatsApp campaign a batch a day, and never the same message twice to anyone.",
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    # A traceback with local variables could show a token or a phone number.
    pretty_exceptions_enable=False,
)


@app.callback()
def _prepare(ctx: typer.Context) -> None:
    ctx.call_on_close(ctx.ensure_object(Workplace).close)


for panel in (
    campaigns,
    templates,
    people,
    subscriptions,
    sending,
    doubts,
    limits,
    senders,
    delivery,
    proof,
    serve,
    setup,
    tokens,
    doctor,
):
    app.add_typer(panel.commands)


def main() -> None:
    """Runs the command line; the entry point of `campaign`."""
    # Starting makes many objects and no garbage: at its usual pace the collector costs a tenth of the time.
    gc.set_threshold(_OBJECTS_PER_COLLECTION)
    app(prog_name="campaign")


if __name__ == "__main__":
    main()
