"""What the ledger holds now, as the metadata of the asset that shows it, whoever reports it: a run or the sensor.

Add here an asset that shows how things stand.
Keep out how tables and pictures are made (`metadata`) and what a run has just done (the asset itself).
"""

import dagster as dg

from campaign_pipeline.campaigns.catalogue import find
from campaign_pipeline.campaigns.figures import campaign_figures, figures_by_date
from campaign_pipeline.campaigns.plan import PlanError
from campaign_pipeline.campaigns.send_schedule import first_open_date, read_schedule, read_schedule_of
from campaign_pipeline.orchestration import metadata, pictures
from campaign_pipeline.orchestration.resources import Pipeline
from campaign_pipeline.recipients.lists import read_lists
from campaign_pipeline.sending.limits import limit_in_force


def lists(pipeline: Pipeline, campaign: str) -> metadata.Metadata:
    """All lists of a campaign, with where their rows ended.

    Raises:
        CampaignError: There is no such campaign.
    """
    with pipeline.ledger.read() as connection:
        found = read_lists(connection, find(connection, campaign).id)
    return {"lists": dg.MetadataValue.int(len(found)), **metadata.of_lists(found)}


def audience(pipeline: Pipeline, campaign: str) -> metadata.Metadata:
    """How many people of a campaign are in which state.

    Raises:
        CampaignError: There is no such campaign.
    """
    with pipeline.ledger.read() as connection:
        figures = campaign_figures(connection, find(connection, campaign).id)
    return {"dagster/row_count": dg.MetadataValue.int(figures.total), **metadata.of_figures(figures)}


def progress(pipeline: Pipeline, campaign: str) -> metadata.Metadata:
    """A campaign's figures, its days, and its expected end; under limits that no plan ends with, why there is none.

    Raises:
        CampaignError: There is no such campaign.
    """
    now = pipeline.now()
    with pipeline.ledger.read() as connection:
        found = find(connection, campaign)
        figures = campaign_figures(connection, found.id)
        limit = limit_in_force(connection, pipeline.settings.sender_limit, now)
        first_date = first_open_date(connection, pipeline.settings.calendar, now)
        try:
            schedule = read_schedule(connection, found.id, first_date, limit)
        except PlanError as error:
            schedule = read_schedule_of(connection, found.id, [])
            end: metadata.Metadata = {"estimated_completion_date": dg.MetadataValue.text(str(error))}
        else:
            end = metadata.of_end(schedule)
        by_date = figures_by_date(connection, found.id)
    return {
        "status": dg.MetadataValue.text(found.status.value),
        "daily_limit": dg.MetadataValue.text(str(found.daily_limit)),
        **end,
        "funnel": pictures.funnel(figures),
        **metadata.of_figures(figures),
        **metadata.of_days(schedule, by_date),
    }


def plan(pipeline: Pipeline) -> metadata.Metadata:
    """The plan of all campaigns; under limits that no plan comes to an end with, why there is none."""
    now = pipeline.now()
    with pipeline.ledger.read() as connection:
        limit = limit_in_force(connection, pipeline.settings.sender_limit, now)
        first_date = first_open_date(connection, pipeline.settings.calendar, now)
        try:
            return metadata.of_schedule(read_schedule(connection, None, first_date, limit))
        except PlanError as error:
            # A limit of nobody is a decision, and no failure of whoever shows it.
            return {"plan": dg.MetadataValue.text(str(error))}
