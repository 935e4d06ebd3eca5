"""The job `preview_batch`: who would be sent what for a date, shown as metadata of the run.

Keep out the foreseeing itself: `sending.preview`. No asset is made, nothing is called and nothing is taken.
"""

import json
from datetime import date
from typing import Final

import dagster as dg
from pydantic import Field

from campaign_pipeline.campaigns.calendar import SendCalendar
from campaign_pipeline.campaigns.send_schedule import first_open_date
from campaign_pipeline.orchestration import metadata
from campaign_pipeline.orchestration.resources import Pipeline
from campaign_pipeline.recipients.phone_numbers import mask_phone
from campaign_pipeline.sending.preview import BatchPreview, PreviewedPerson, preview_date

_SHOWN: Final = 25


class PreviewConfig(dg.Config):
    """Which date to look at."""

    send_date: str = Field(default="", description="YYYY-MM-DD; empty is the date of the next batch.")


@dg.op(description="Foresees one date's batch from the queue and the 24-hour window as they stand.")
def foresee_batch(context: dg.OpExecutionContext, config: PreviewConfig, pipeline: dg.ResourceParam[Pipeline]) -> None:
    """Shows the batch that a date would take if it were taken now.

    Raises:
        dg.Failure: There is no such send date.
    """
    now = pipeline.now()
    calendar = pipeline.settings.calendar
    with pipeline.ledger.read() as connection:
        next_date = first_open_date(connection, calendar, now)
        send_date = _date_in(config, calendar) or next_date
        preview = preview_date(
            connection, send_date, calendar=calendar, limit_setting=pipeline.settings.sender_limit, now=now
        )
    sentence = _sentence(preview, calendar.date_of(now), next_date)
    context.log.info(sentence)
    context.add_output_metadata(
        {
            "summary": sentence,
            "send_date": send_date.isoformat(),
            "people": len(preview.people),
            "skipped_as_unsubscribed": preview.unsubscribed,
            "sender_limit": preview.capacity.limit,
            "capacity": preview.capacity.free,
            "kept_free_for_today": preview.kept_free,
            "by_campaign": metadata.table(_by_campaign(preview)),
            "first_people": metadata.table([_row(person) for person in preview.people[:_SHOWN]]),
        }
    )


@dg.job(
    name="preview_batch",
    description=(
        "Who would be sent what for a date, if its batch were taken now: shown on the run, with masked numbers. "
        "Nothing is called, taken or written, and no asset is made."
    ),
    executor_def=dg.in_process_executor,
)
def preview_batch() -> None:
    """Looks ahead."""
    foresee_batch()


def _date_in(config: PreviewConfig, calendar: SendCalendar) -> date | None:
    """The date that is asked for; None when none is."""
    if not config.send_date:
        return None
    try:
        send_date = date.fromisoformat(config.send_date)
    except ValueError as error:
        msg = f"{config.send_date!r} is no date: write it like 2026-03-02, or leave it empty for the next batch."
        raise dg.Failure(msg, allow_retries=False) from error
    if send_date < calendar.start_date:
        msg = f"{send_date} is before the first send date, {calendar.start_date}."
        raise dg.Failure(msg, allow_retries=False)
    return send_date


def _sentence(preview: BatchPreview, today: date, next_date: date) -> str:
    if preview.standing is not None:
        state = "can be gone on with" if preview.standing.is_open else "is finished"
        return f"{preview.send_date}: a batch of {preview.standing.size} was taken and {state}; nobody else is taken."
    room = max(0, preview.capacity.free - preview.kept_free)
    if preview.people:
        would = f"{len(preview.people)} people would be taken"
    elif room:
        would = "nobody would be taken, since nobody waits in an active campaign"
    else:
        would = "nobody would be taken, since the 24-hour window has no room"
    if preview.send_date < today:
        return (
            f"{preview.send_date}, which is past: {would}. Today's batch keeps {preview.kept_free} places for itself."
        )
    if preview.send_date > next_date:
        return f"{preview.send_date}, if it were next: {would}. Dates before it take theirs first."
    return f"{preview.send_date}: {would}."


def _by_campaign(preview: BatchPreview) -> list[dict[str, object]]:
    slugs = [person.campaign for person in preview.people]
    return [{"campaign": slug, "people": slugs.count(slug)} for slug in dict.fromkeys(slugs)]


def _row(person: PreviewedPerson) -> dict[str, object]:
    template = person.request["template"]
    seen = {} if person.rendered is None else {"message": person.rendered.as_text()}
    return {
        "campaign": person.campaign,
        "place": person.place,
        "to": mask_phone(person.phone),
        "template": template["name"],
        "language": template["language"]["code"],
        "components": json.dumps(template.get("components", []), ensure_ascii=False),
        **seen,
    }
