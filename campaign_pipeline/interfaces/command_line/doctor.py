"""The command `campaign doctor`: whether everything that sending needs is as it should be.

Add here how the findings are shown.
Keep out what is looked at (`examination`) and how it is judged (`diagnosis`).
"""

from dataclasses import asdict
from typing import Final

import typer

from campaign_pipeline.interfaces.command_line import output
from campaign_pipeline.interfaces.command_line.arguments import JsonOption
from campaign_pipeline.interfaces.command_line.context import workplace_of

PANEL: Final = "Setting up"

commands = typer.Typer()


@commands.command(rich_help_panel=PANEL, epilog="Example: campaign doctor --json")
def doctor(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """Look at token, number, quality, limit, webhooks, ledger, clock and folders; status 1 when one has a problem."""
    from campaign_pipeline.interfaces.command_line.diagnosis import Level
    from campaign_pipeline.interfaces.command_line.examination import examine

    workplace = workplace_of(ctx)
    findings = examine(workplace.settings, workplace.clock)
    if as_json:
        output.print_json([asdict(finding) for finding in findings])
    else:
        longest = max(len(finding.name) for finding in findings)
        for finding in findings:
            output.say(f"{finding.level:<8} {finding.name.replace('_', ' '):<{longest}}  {finding.sentence}")
    if any(finding.level is Level.PROBLEM for finding in findings):
        raise typer.Exit(1)
