"""Arguments and options that several commands share, so that they mean the same everywhere.

Add here one as soon as a second command needs it.
Keep out options of a single command.
"""

from datetime import date
from typing import Annotated

import typer


def date_from_text(text: str) -> date:
    """Reads a date as it is typed.

    Raises:
        BadParameter: It is none.
    """
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        message = f"a date is written 2026-03-02, not {text!r}."
        raise typer.BadParameter(message) from error


def known_region(text: str | None) -> str | None:
    """Reads a country as it is typed.

    Raises:
        BadParameter: There is no such country.
    """
    from campaign_pipeline.recipients.phone_numbers import check_default_region

    try:
        return check_default_region(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


CampaignArgument = Annotated[
    str, typer.Argument(metavar="CAMPAIGN", help="Its short name (spring-sale), its name, or its id.")
]

PhoneArgument = Annotated[str, typer.Argument(metavar="PHONE", help="In any usual spelling; best with + and country.")]

RegionOption = Annotated[
    str | None,
    typer.Option(
        "--region",
        metavar="GB",
        callback=known_region,
        help="The country of numbers without a country code.",
        show_default="CAMPAIGN_DEFAULT_REGION",
    ),
]

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document, for programs.")]

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

ByOption = Annotated[
    str | None,
    typer.Option(
        "--by", metavar="NAME", help="Who says so; kept in the audit log.", show_default="the user of this machine"
    ),
]
