"""The composition root: one function that puts assets, checks, jobs, schedules and resources together.

Production, tests and `campaign send` all call it; what differs is given as an override.
Keep out the parts themselves.
"""

import dagster as dg

from campaign_pipeline.orchestration.assets.delivery import delivery_assets
from campaign_pipeline.orchestration.assets.recipients import recipient_assets
from campaign_pipeline.orchestration.assets.sending import SENDER_POOL, sending_assets
from campaign_pipeline.orchestration.checks import batch_checks, standing_checks
from campaign_pipeline.orchestration.jobs import JOBS
from campaign_pipeline.orchestration.partitions import send_dates
from campaign_pipeline.orchestration.resources import Pipeline
from campaign_pipeline.orchestration.schedules import daily_send_schedule, overview_schedules
from campaign_pipeline.orchestration.sensors import SENSORS
from campaign_pipeline.orchestration.signs_of_life import pipeline_resource
from campaign_pipeline.settings import Settings


def build_definitions(
    settings: Settings | None = None, pipeline: Pipeline | None = None, sender_pool: str | None = SENDER_POOL
) -> dg.Definitions:
    """Everything Dagster loads.

    Args:
        settings: The configuration; read from the environment and `.env` when not given.
        pipeline: What runs get as their resource; made from the settings when not given.
        sender_pool: The pool in which sends of the queue wait for each other; None for a run that no daemon watches.
    """
    configured = settings or Settings()
    dates = send_dates(configured.calendar)
    return dg.Definitions(
        assets=[*recipient_assets(), *sending_assets(dates, sender_pool), *delivery_assets(dates)],
        asset_checks=[*batch_checks(dates), *standing_checks()],
        jobs=JOBS,
        schedules=[daily_send_schedule(configured.calendar), *overview_schedules(configured.calendar)],
        sensors=SENSORS,
        resources={"pipeline": pipeline_resource(pipeline or Pipeline(configured))},
        # One process a run: a batch is 250 HTTP calls of a thread pool, and needs no process a step.
        executor=dg.in_process_executor,
    )
