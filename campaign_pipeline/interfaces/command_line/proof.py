"""The command that shows whether the promises were kept: prove.

Add here how a proof is shown to people and to programs.
Keep out what is asked of the rows: `sending.promises`.
"""

from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from campaign_pipeline.interfaces.command_line import output
from campaign_pipeline.interfaces.command_line.arguments import JsonOption
from campaign_pipeline.interfaces.command_line.context import Workplace, workplace_of

if TYPE_CHECKING:
    from campaign_pipeline.sending.proof import Finding, Found, Proof

PANEL = "Proof"

commands = typer.Typer()


@commands.command(rich_help_panel=PANEL, epilog="Example: campaign prove spring-sale")
def prove(
    ctx: typer.Context,
    campaign: Annotated[
        str | None,
        typer.Argument(
            metavar="CAMPAIGN",
            help="Its short name, name or id; without it, all. Batches and the limit are always those of all.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Ask every promise of the rows as they are stored; exit status 1 when one was broken."""
    from campaign_pipeline.sending import proof

    workplace = workplace_of(ctx)
    found = proof.prove(workplace.ledger, campaign)
    if as_json:
        output.print_json(_document(found))
    else:
        _tell(workplace, found)
    if not found.kept:
        output.complain(
            f"{len(found.broken)} of {len(found.findings)} promises are broken. Pause what is active, and look at the "
            "rows that are named before anything more is sent."
        )
        raise typer.Exit(1)


def _document(proof: "Proof") -> dict[str, object]:
    promises = [
        {
            "name": each.name,
            "part_of": each.part_of,
            "sentence": each.sentence,
            "kept": each.kept,
            "of_all_campaigns": each.of_all or proof.campaign is None,
            "rows": each.rows,
            **asdict(each.offenders),
        }
        for each in proof.findings
    ]
    return {
        "kept": proof.kept,
        "campaign": proof.campaign,
        "recipients": proof.recipients,
        "attempts": proof.attempts,
        "promises": promises,
        "ordered_repeats": asdict(proof.ordered_repeats),
        "known_too_late": asdict(proof.known_too_late),
        "unfinished": asdict(proof.unfinished),
        "in_doubt": {
            "count": proof.in_doubt,
            "oldest_started_at": min((each.oldest_started_at for each in proof.doubts), default=None),
            "by_date": [asdict(each) for each in proof.doubts],
        },
    }


def _tell(workplace: Workplace, proof: "Proof") -> None:
    for part, findings in groupby(proof.findings, lambda finding: finding.part_of):
        output.say(part.capitalize())
        for each in findings:
            output.say(_line(each, of_one=proof.campaign is not None))
    output.say()
    for sentence, found, rows in (
        ("Sent to again because a person had ordered it, and reached both times", proof.ordered_repeats, "recipients"),
        ("Past the limit by what others had used and nobody had noted yet", proof.known_too_late, "attempts"),
        ("Under way, or of a run that ended before the answer came", proof.unfinished, "attempts"),
    ):
        if found.count:
            output.say(f"{sentence}: {_named(found, rows)}.")
    output.say(_doubts(workplace, proof))
    whose = f"of {proof.campaign}" if proof.campaign is not None else "of all campaigns"
    looked_at = f"{proof.recipients:,} recipients and {proof.attempts:,} attempts {whose} were looked at"
    output.say(f"{'Every promise is kept' if proof.kept else 'Not every promise is kept'}; {looked_at}.")


def _line(finding: "Finding", *, of_one: bool) -> str:
    scope = " (of all campaigns)" if of_one and finding.of_all else ""
    if finding.kept:
        return f"  ok      {finding.sentence}{scope}"
    return f"  BROKEN  {finding.sentence}{scope}\n          {finding.name}: {_named(finding.offenders, finding.rows)}"


def _named(found: "Found", rows: str) -> str:
    """How many rows, and the ids of the first of them."""
    more = f" and {found.count - len(found.ids):,} more" if found.count > len(found.ids) else ""
    return f"{rows} {', '.join(map(str, found.ids))}{more}"


def _doubts(workplace: Workplace, proof: "Proof") -> str:
    if not proof.doubts:
        return "In doubt: nobody."
    by_date = ", ".join(f"{each.attempts:,} of {each.send_date}" for each in proof.doubts)
    since = workplace.local(min(each.oldest_started_at for each in proof.doubts))
    return f"In doubt: {by_date}; the oldest since {since}. `campaign doubts` lists them."
