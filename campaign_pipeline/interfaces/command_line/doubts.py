"""Commands about attempts in doubt: doubts, resolve.

Add here a command with which a person looks at what nobody knows, or says what became of it.
Keep out what a word does to the ledger: `sending.doubts`.
"""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from campaign_pipeline.interfaces.command_line import output
from campaign_pipeline.interfaces.command_line.arguments import JsonOption, YesOption, date_from_text
from campaign_pipeline.interfaces.command_line.context import Workplace, workplace_of

if TYPE_CHECKING:
    from campaign_pipeline.sending.doubts import Choice, Doubt, Resolution
    from campaign_pipeline.sending.lease_watch import Sighting

PANEL = "In doubt"

commands = typer.Typer()


@commands.command(rich_help_panel=PANEL, epilog="Example: campaign doubts --date 2026-03-02")
def doubts(
    ctx: typer.Context,
    send_date: Annotated[
        date | None,
        typer.Option("--date", metavar="YYYY-MM-DD", parser=date_from_text, help="Only those of this date's batch."),
    ] = None,
    campaign: Annotated[
        str | None, typer.Option("--campaign", metavar="CAMPAIGN", help="Only those of this campaign.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the calls whose answer was lost, with what is known of each."""
    from campaign_pipeline.campaigns import catalogue
    from campaign_pipeline.sending.doubts import list_doubts

    workplace = workplace_of(ctx)
    with workplace.ledger.read() as connection:
        campaign_id = catalogue.find(connection, campaign).id if campaign is not None else None
        found = list_doubts(connection, send_date, campaign_id)
    now = workplace.clock()
    if as_json:
        output.print_json([each.as_dict(now) for each in found])
        return
    if not found:
        output.say("Nobody is in doubt.")
        return
    output.print_table(
        (
            "attempt",
            "campaign",
            "phone",
            "send date",
            "since",
            "age",
            "known",
            "run",
            "heard of its batch",
            "counts until",
        ),
        (
            (
                each.attempt_id,
                each.campaign,
                each.phone,
                each.send_date,
                workplace.local(each.since),
                _age(each.age(now)),
                _known(each),
                each.run_id,
                f"{each.heard_of_batch:,} of {each.accepted_of_batch:,}",
                workplace.local(each.counts_until),
            )
            for each in found
        ),
    )
    output.say()
    output.say(f"{output.people(len(found))} in doubt. A status settles one by itself: `campaign ingest`.")
    output.say("You know better? campaign resolve ATTEMPT… --reached | --not-reached --by NAME")


@commands.command(rich_help_panel=PANEL, epilog="Example: campaign resolve --all-of 2026-03-02 --not-reached --by Ada")
def resolve(
    ctx: typer.Context,
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who says so; kept in the audit log.")],
    attempts: Annotated[
        list[str] | None, typer.Argument(metavar="ATTEMPT", help="Their ids, from `campaign doubts`.")
    ] = None,
    all_of: Annotated[
        date | None,
        typer.Option(
            "--all-of", metavar="YYYY-MM-DD", parser=date_from_text, help="Everyone in doubt of this date's batch."
        ),
    ] = None,
    reached: Annotated[
        bool | None,
        typer.Option("--reached/--not-reached", help="Counted as sent, or sent to again.", show_default=False),
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="How they know; kept in the audit log.")] = "",
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say what became of calls whose answer was lost: all that are named, or none."""
    from campaign_pipeline.sending.doubts import AllOfDate, DoubtVerdict, TheseAttempts, count_chosen
    from campaign_pipeline.sending.doubts import resolve as resolve_doubts

    if bool(attempts) == (all_of is not None):
        message = "give either ATTEMPT… or --all-of DATE."
        raise typer.BadParameter(message)
    if reached is None:
        message = "say --reached or --not-reached."
        raise typer.BadParameter(message)
    workplace = workplace_of(ctx)
    choice = AllOfDate(all_of) if all_of is not None else TheseAttempts(tuple(attempts or ()))
    verdict = DoubtVerdict.REACHED if reached else DoubtVerdict.NOT_REACHED
    silent = None
    if verdict is DoubtVerdict.NOT_REACHED:
        with workplace.ledger.read() as connection:
            people = count_chosen(connection, choice)
        _warn(people, yes=yes)
        silent = _silent_caller(workplace, choice)
    with workplace.ledger.write() as connection:
        resolution = resolve_doubts(
            connection, choice, verdict, by=by, now=workplace.clock(), reason=reason, silent=silent
        )
    if as_json:
        output.print_json({"verdict": verdict, **asdict(resolution)})
    else:
        _tell(resolution)


def _warn(people: int, *, yes: bool) -> None:
    """Says what not reached risks, and asks; only a person at a terminal can be asked."""
    output.remark(f"{output.people(people)}: they may have got it; they will be sent to again.")
    if yes:
        return
    if not sys.stdin.isatty():
        message = "--not-reached risks a second message: without a terminal to ask at, say --yes."
        raise typer.BadParameter(message)
    typer.confirm("Are you sure that nobody of them was reached?", abort=True, err=True)


def _silent_caller(workplace: Workplace, choice: "Choice") -> "Sighting | None":
    from campaign_pipeline.sending.clock import SystemClock
    from campaign_pipeline.sending.doubts import watch_callers
    from campaign_pipeline.sending.lease import LeaseTerms

    terms = LeaseTerms()

    def tell(holder: str) -> None:
        output.remark(f"Looking whether the run that called is still alive ({holder}): {terms.silence:.0f} seconds.")

    return watch_callers(workplace.ledger, choice, terms, SystemClock(), tell)


def _tell(resolution: "Resolution") -> None:
    states = ", ".join(f"{people:,} {state}" for state, people in resolution.states.items())
    output.say(f"{output.people(len(resolution.attempt_ids))} settled, now {states}.")
    for slug in resolution.completed:
        output.say(f"{slug} is completed with that.")


def _known(doubt: "Doubt") -> str:
    said: Sequence[object] = (
        f"HTTP {doubt.http_status}" if doubt.http_status is not None else "no answer",
        doubt.error_code,
        doubt.error_text,
    )
    return " ".join(str(each) for each in said if each)


def _age(age: timedelta) -> str:
    """``3 days``, ``5 h``, ``12 min``: the largest that is not nothing."""
    minutes = int(age.total_seconds()) // 60
    if minutes >= 2 * 24 * 60:
        return output.days(minutes // (24 * 60))
    return f"{minutes // 60} h" if minutes >= 60 else f"{minutes} min"
