"""Schedules: the daily send.

Add here something that happens by the clock. A tick reads the ledger and says in one line what it did or why not.
Keep out the rules about dates: `campaigns.calendar`.
"""

from collections.abc import Sequence

import dagster as dg

from campaign_pipeline.campaigns.calendar import SendCalendar
from campaign_pipeline.orchestration.jobs import daily_send, prove_promises, refresh_plan, standing_checks
from campaign_pipeline.orchestration.resources import Pipeline
from campaign_pipeline.sending.batches import anybody_waits, batch_of, has_unfinished_before


def daily_send_schedule(calendar: SendCalendar) -> dg.ScheduleDefinition:
    """Starts the day's batch at the send time, in the business's time zone.

    The date comes from the tick's own time, and not from the last partition: with today's partition included, that one
    would be wrong at midnight and on days left out (dagster-io/dagster#33551).
    """

    @dg.schedule(
        name="daily_send_schedule",
        job=daily_send,
        cron_schedule=f"{calendar.send_time.minute} {calendar.send_time.hour} * * *",
        execution_timezone=calendar.timezone.key,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=(
            "Sends today's batch. A tick that comes after the send window, or finds nobody waiting, skips and says so."
        ),
    )
    def schedule(
        context: dg.ScheduleEvaluationContext, pipeline: dg.ResourceParam[Pipeline]
    ) -> dg.RunRequest | dg.SkipReason:
        now = pipeline.now()
        send_date = calendar.date_of(context.scheduled_execution_time)
        if send_date < calendar.start_date:
            return dg.SkipReason(f"{send_date} is before the first send date, {calendar.start_date}.")
        if calendar.date_of(now) != send_date or not calendar.window_is_open(now):
            return dg.SkipReason(f"Too late for {send_date}: it is past the send window {calendar.window}.")
        with pipeline.ledger.read() as connection:
            batch = batch_of(connection, send_date)
            something_to_do = anybody_waits(connection) or has_unfinished_before(connection, send_date)
        if batch is not None and not batch.is_open:
            return dg.SkipReason(f"{send_date} is finished already.")
        if batch is None and not something_to_do:
            return dg.SkipReason(f"Nobody waits in an active campaign on {send_date}.")
        return dg.RunRequest(run_key=send_date.isoformat(), partition_key=send_date.isoformat())

    return schedule


def overview_schedules(calendar: SendCalendar) -> Sequence[dg.ScheduleDefinition]:
    """What keeps the overview true without anyone asking: plan and proof every night, standing checks every hour."""
    zone = calendar.timezone.key
    return [
        dg.ScheduleDefinition(
            name="refresh_plan_schedule",
            job=refresh_plan,
            cron_schedule="10 0 * * *",
            execution_timezone=zone,
            default_status=dg.DefaultScheduleStatus.RUNNING,
            description="Derives the plan anew just after midnight, when yesterday's dates have become past.",
        ),
        dg.ScheduleDefinition(
            name="prove_promises_schedule",
            job=prove_promises,
            cron_schedule="20 4 * * *",
            execution_timezone=zone,
            default_status=dg.DefaultScheduleStatus.RUNNING,
            description="Proves every night, when nothing is sent, that every promise was kept by all that was sent.",
        ),
        dg.ScheduleDefinition(
            name="standing_checks_schedule",
            job=standing_checks,
            cron_schedule="40 * * * *",
            execution_timezone=zone,
            default_status=dg.DefaultScheduleStatus.RUNNING,
            description="Looks every hour for people left behind, old doubts, and statuses that stay away.",
        ),
    ]
