"""What programs read, the same from every way in: campaigns, figures and lists as JSON documents.

Add here a document that more than one way in gives.
Keep out what is in it: each room says that.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from campaign_pipeline.campaigns.catalogue import Campaign
    from campaign_pipeline.campaigns.figures import Figures
    from campaign_pipeline.interfaces.workplace import Workplace
    from campaign_pipeline.recipients.intake import IntakeReport


def to_json(document: object, indent: int | None = None) -> str:
    """A document as JSON text; moments in ISO 8601 and UTC, dates and paths as text."""
    return json.dumps(document, ensure_ascii=False, indent=indent, default=_plain)


def campaign_document(campaign: "Campaign", figures: "Figures | None" = None) -> dict[str, object]:
    """A campaign as programs read it."""
    from campaign_pipeline.campaigns.templates import to_rows

    template = None if campaign.template is None else campaign.template.raw
    document = {
        **asdict(campaign),
        "daily_limit": campaign.daily_limit,
        "parameters": to_rows(campaign.parameters),
        "template": template,
    }
    return document if figures is None else {**document, "figures": figures.as_dict()}


def stats_document(
    workplace: "Workplace", connection: "Connection", campaign: "Campaign"
) -> tuple[dict[str, object], str | None]:
    """The figures of a campaign with the date of its last batch; and why no such date can be told, if so."""
    from campaign_pipeline.campaigns.figures import campaign_figures
    from campaign_pipeline.interfaces.overview import completion_date, schedule_of
    from campaign_pipeline.ledger.states import RecipientState

    figures = campaign_figures(connection, campaign.id)
    first_date, limit = workplace.first_open_date(connection), workplace.sender_limit(connection)
    schedule, fault = schedule_of(connection, campaign.id, first_date, limit)
    ends = completion_date(campaign, figures.states[RecipientState.PENDING], schedule)
    document = {"campaign": campaign.slug, "status": campaign.status, **figures.as_dict()}
    return {**document, "estimated_completion_date": ends}, fault


def intake_totals(reports: "Sequence[IntakeReport]") -> dict[str, int]:
    """Where the rows of some lists ended, in all."""
    from campaign_pipeline.recipients.intake import IntakeCounts

    counts = [report.counts.as_dict() for report in reports]
    return {name: sum(each[name] for each in counts) for name in IntakeCounts().as_dict()}


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    msg = f"{type(value).__name__} has no place in a JSON document"
    raise TypeError(msg)
