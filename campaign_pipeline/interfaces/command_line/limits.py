"""Commands about the sender's limit: limit, limit set, limit from-meta, limit used-elsewhere.

Add here a command with which a person looks at the limit or says something about it.
Keep out what holds when: `sending.limits`.
"""

from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Annotated

import typer

from campaign_pipeline.interfaces.command_line import output
from campaign_pipeline.interfaces.command_line.arguments import ByOption, JsonOption, date_from_text
from campaign_pipeline.interfaces.command_line.context import Workplace, workplace_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from campaign_pipeline.interfaces.limit_in_force import LimitInForce
    from campaign_pipeline.sending.limits import Limit

PANEL = "The sender's limit"

commands = typer.Typer()

limit = typer.Typer(
    help="Show how many people may be reached in 24 hours, who said so, and what is used; or set it.",
    epilog="Example: campaign limit set 2000 --from 2026-03-10",
    invoke_without_command=True,
)
commands.add_typer(limit, name="limit", rich_help_panel=PANEL)


@limit.callback()
def show(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """Show how many people may be reached in 24 hours, who said so, and what is used; or set it."""
    if ctx.invoked_subcommand is not None:
        return
    from campaign_pipeline.interfaces.limit_in_force import look_at_limit

    workplace = workplace_of(ctx)
    now = workplace.clock()
    with workplace.ledger.read() as connection:
        found = look_at_limit(connection, workplace.settings.sender_limit, now)
    if as_json:
        output.print_json(found.as_dict())
    else:
        _tell(workplace, found)
        _tell_history(workplace, found.history, now)


@limit.command("set", epilog="Example: campaign limit set 2000 --from 2026-03-10 --by Ada")
def set_(
    ctx: typer.Context,
    people: Annotated[int, typer.Argument(metavar="N", min=0, help="People in 24 hours; 0 stops all sending.")],
    from_date: Annotated[
        date | None,
        typer.Option(
            "--from", metavar="YYYY-MM-DD", parser=date_from_text, help="From this date on.", show_default="now"
        ),
    ] = None,
    by: ByOption = None,
) -> None:
    """Set the limit; it holds until CAMPAIGN_SENDER_LIMIT is changed, or a later word."""
    from campaign_pipeline.sending.limits import set_limit

    workplace = workplace_of(ctx)
    now = workplace.clock()
    effective_from = workplace.settings.calendar.from_date_on(from_date, now)
    with workplace.ledger.write() as connection:
        word = set_limit(
            connection,
            people,
            effective_from,
            by=workplace.said_by(by),
            setting=workplace.settings.sender_limit,
            now=now,
        )
    when = "now" if effective_from == now else workplace.local(effective_from)
    output.say(f"From {when} on, {output.people(word.people)} may be reached in 24 hours, by {word.source}'s word.")


@limit.command("from-meta", epilog="Example: campaign limit from-meta --ceiling 2000")
def from_meta(
    ctx: typer.Context,
    ceiling: Annotated[
        int | None,
        typer.Option(
            "--ceiling",
            metavar="N",
            min=0,
            help="Take over no more than this.",
            show_default="CAMPAIGN_LIMIT_CEILING, else what was set last",
        ),
    ] = None,
) -> None:
    """Read the portfolio's limit from Meta and take it over from now on, up to a ceiling."""
    from contextlib import closing

    from campaign_pipeline.sending.capacity import sender_id
    from campaign_pipeline.sending.limits import FROM_META, LimitError, take_over_limit
    from campaign_pipeline.whatsapp.account_reading import AccountReader, AccountReadingError

    workplace = workplace_of(ctx)
    settings = workplace.settings
    with closing(AccountReader(settings.account)) as reader:
        try:
            told = reader.phone_number().limit
        except AccountReadingError as error:
            message = f"The limit cannot be read: {error}. `campaign doctor` says more."
            raise LimitError(message) from error
    if told is None or told.people is None:
        message = f"Meta names no limit that is known here ({told.name if told else 'none'}); nothing was changed."
        raise LimitError(message)
    now = workplace.clock()
    with workplace.ledger.write() as connection:
        word = take_over_limit(
            connection,
            sender_id(connection),
            told.people,
            settings.limit_ceiling if ceiling is None else ceiling,
            now,
            f"{FROM_META}{told.name}",
            setting=settings.sender_limit,
        )
        in_force = workplace.sender_limit(connection)
    if word is None:
        output.say(f"Meta says {told.name}; {output.people(in_force)} in 24 hours stay in force.")
        if in_force < told.people:
            output.say("To go higher: --ceiling, CAMPAIGN_LIMIT_CEILING or `campaign limit set`.")
        return
    output.say(f"Meta says {told.name}: from now on, {output.people(word.people)} may be reached in 24 hours.")


@limit.command("used-elsewhere", epilog="Example: campaign limit used-elsewhere 40 --at '2026-03-02 08:30'")
def used_elsewhere_(
    ctx: typer.Context,
    people: Annotated[int, typer.Argument(metavar="N", min=1, help="How many people.")],
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="TIME",
            help="When the last of them was reached, in the business's time zone: 08:30, or with its date.",
            show_default="now",
        ),
    ] = None,
    by: ByOption = None,
) -> None:
    """Note people whom another system of the same portfolio has reached; they use capacity for 24 hours."""
    from campaign_pipeline.sending.limits import note_used_elsewhere

    workplace = workplace_of(ctx)
    now = workplace.clock()
    used_at = now if at is None else _moment(workplace, at, now)
    with workplace.ledger.write() as connection:
        noted = note_used_elsewhere(connection, people, used_at, by=workplace.said_by(by), now=now)
    output.say(
        f"{output.people(noted.people)} reached elsewhere use capacity for 24 hours from {workplace.local(used_at)}."
    )


def _moment(workplace: Workplace, text: str, now: datetime) -> datetime:
    """A time as a person types it: one of today, one with its date, or one with its offset as programs write it."""
    calendar = workplace.settings.calendar
    try:
        written = (
            datetime.combine(calendar.date_of(now), time.fromisoformat(text))
            if ":" in text[:3]
            else datetime.fromisoformat(text)
        )
    except ValueError as error:
        message = f"a time is written 08:30 or '2026-03-02 08:30', not {text!r}."
        raise typer.BadParameter(message) from error
    if written.tzinfo is None:
        # Of the two that the hour has when clocks go back, the later one: its people are counted longer.
        written = written.replace(tzinfo=calendar.timezone, fold=1)
    return written.astimezone(UTC)


def _tell(workplace: Workplace, found: "LimitInForce") -> None:
    word, capacity, elsewhere, tests = found.word, found.capacity, found.used_elsewhere, found.test_sends
    since = f", since {workplace.local(word.effective_from)}" if word.effective_from is not None else ""
    output.say(f"Limit  {output.people(word.people)} in 24 hours, by {word.source}{since}")
    of_these = sum(each.people for each in elsewhere)
    by = [f"{of_these:,} of them by other systems"] if of_these else []
    by += [f"{tests:,} by test sends" if by else f"{tests:,} of them by test sends"] if tests else []
    output.say("Used   " + ", ".join([f"{capacity.used:,}", *by]))
    freed = f", the next at {workplace.local(found.freed[0].at)}" if found.freed else ""
    output.say(f"Free   {capacity.free:,}{freed}")
    for each in elsewhere:
        output.say(
            f"       {output.people(each.people)} elsewhere at {workplace.local(each.used_at)}, by {each.source}"
        )


def _tell_history(workplace: Workplace, said: "Sequence[Limit]", now: datetime) -> None:
    if not said:
        return
    output.say()
    rows = (
        (
            each.people,
            workplace.local(each.effective_from)
            + (" (to come)" if each.effective_from is not None and each.effective_from > now else ""),
            each.source,
        )
        for each in said
    )
    output.print_table(("limit", "from", "by"), rows, ("limit",))
