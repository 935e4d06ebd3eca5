"""Metrics for Prometheus: what the ledger says at the moment of the scrape, and what this server has counted.

Add here a figure that somebody is woken up by. Its labels have an end: campaigns that are watched, states, reasons.
Keep out what the figures mean (`campaigns.figures`, `delivery.standing`, `sending.capacity`), and single people.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from campaign_pipeline.campaigns.catalogue import Campaign, count_by_status, shown_lately
from campaign_pipeline.campaigns.figures import Figures, figures_of_campaigns
from campaign_pipeline.campaigns.journal import OutboxWaiting, outbox_waiting
from campaign_pipeline.delivery.standing import (
    DoubtsByAge,
    Silence,
    doubts_by_age,
    silence,
    unmatched_events,
)
from campaign_pipeline.interfaces.rest_api.callers import METRICS, Place
from campaign_pipeline.interfaces.rest_api.endpoint import look
from campaign_pipeline.interfaces.workplace import Workplace
from campaign_pipeline.ledger.states import CampaignStatus
from campaign_pipeline.sending.capacity import Capacity, capacity_at, sender_id_or_none, stop_of

if TYPE_CHECKING:
    from campaign_pipeline.interfaces.webhook_receiver.receiver import ReceiverCounts

router = APIRouter(tags=["metrics"])

MOST_CAMPAIGNS: Final = 100
"""Told one by one: of more the newest."""

ENDED_ARE_TOLD_FOR: Final = timedelta(days=7)

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LedgerStanding:
    """What the ledger says at one moment."""

    campaigns: list[Campaign]
    figures: Mapping[int, Figures]
    by_status: Mapping[CampaignStatus, int]
    capacity: Capacity
    is_stopped: bool
    doubts: DoubtsByAge
    silence: Silence
    unmatched: int
    outbox: OutboxWaiting


@look(router, METRICS, at_once=1, response_class=PlainTextResponse)
def metrics(request: Request, place: Place) -> Response:
    """Figures for Prometheus, in its text format. Without a ledger its figures stay away: `campaign_ledger_up` is 0."""
    state = request.app.state
    registry = CollectorRegistry()
    registry.register(_Told(list(_of_ledger(_standing_of(place)))))
    if state.receiver_counts is not None:
        registry.register(_Told(list(_of_receiver(state.receiver_counts()))))
    text = generate_latest(registry) + generate_latest(state.meter.registry)
    return Response(text, media_type=CONTENT_TYPE_PLAIN_0_0_4)


class _Told(Collector):
    """Figures that were read already."""

    def __init__(self, told: list[Metric]) -> None:
        self._told = told

    def collect(self) -> list[Metric]:
        return self._told


def look_at_ledger(connection: Connection, sender_limit: int, now: datetime) -> LedgerStanding:
    """Asks everything that is told, in a few queries that an index answers."""
    campaigns = shown_lately(connection, now - ENDED_ARE_TOLD_FOR, MOST_CAMPAIGNS)
    sender = sender_id_or_none(connection)
    capacity = Capacity(sender_limit, 0) if sender is None else capacity_at(connection, sender, sender_limit, now)
    return LedgerStanding(
        campaigns=campaigns,
        figures=figures_of_campaigns(connection, [each.id for each in campaigns]),
        by_status=count_by_status(connection),
        capacity=capacity,
        is_stopped=sender is not None and stop_of(connection, sender) is not None,
        doubts=doubts_by_age(connection, now),
        silence=silence(connection, now),
        unmatched=unmatched_events(connection),
        outbox=outbox_waiting(connection),
    )


def _standing_of(place: Workplace) -> LedgerStanding | None:
    try:
        with place.ledger.read() as connection:
            return look_at_ledger(connection, place.sender_limit(connection), place.clock())
    except SQLAlchemyError as error:
        _log.warning("Nothing can be told of the ledger: %s", type(error).__name__)
        return None


def _of_ledger(standing: LedgerStanding | None) -> Iterator[Metric]:
    yield _gauge("campaign_ledger_up", "Whether the ledger answers.", int(standing is not None))
    if standing is None:
        return
    yield from _of_campaigns(standing)
    yield from _of_sending(standing)
    yield from _of_statuses(standing)


def _of_campaigns(standing: LedgerStanding) -> Iterator[Metric]:
    people = GaugeMetricFamily(
        "campaign_people",
        "People of a campaign that is active or paused, or has ended in the last week, by state.",
        labels=("campaign", "state"),
    )
    for campaign in standing.campaigns:
        for state, number in standing.figures[campaign.id].states.items():
            people.add_metric((campaign.slug, state), number)
    yield people
    campaigns = GaugeMetricFamily("campaign_campaigns", "Campaigns, by status.", labels=("status",))
    for status, number in standing.by_status.items():
        campaigns.add_metric((status.value,), number)
    yield campaigns


def _of_sending(standing: LedgerStanding) -> Iterator[Metric]:
    yield _gauge("campaign_capacity_limit_people", "Whom the sender may reach in 24 hours.", standing.capacity.limit)
    yield _gauge("campaign_capacity_used_people", "Whom it has reached in 24 hours.", standing.capacity.used)
    yield _gauge("campaign_sender_stopped", "Whether the sender waits for a person.", int(standing.is_stopped))
    doubts = GaugeMetricFamily(
        "campaign_doubts_people", "Calls whose answer was lost, by how long ago they were made.", labels=("age",)
    )
    told = standing.doubts
    doubts.add_metric(("under_a_day",), told.people - told.over_a_day)
    doubts.add_metric(("a_day_to_a_week",), told.over_a_day - told.over_a_week)
    doubts.add_metric(("over_a_week",), told.over_a_week)
    yield doubts
    yield _gauge("campaign_outbox_waiting", "Rows that Dagster was not told of yet.", standing.outbox.rows)
    yield from _moment(
        "campaign_outbox_oldest_timestamp_seconds", "Since when the oldest of them waits.", standing.outbox.oldest_at
    )


def _of_statuses(standing: LedgerStanding) -> Iterator[Metric]:
    yield from _moment(
        "campaign_statuses_last_heard_timestamp_seconds",
        "When the newest status came in.",
        standing.silence.last_heard_at,
    )
    yield _gauge(
        "campaign_messages_unacknowledged",
        "Messages that WhatsApp has accepted in the last day and of which no status was heard.",
        standing.silence.out,
    )
    yield from _moment(
        "campaign_messages_unacknowledged_oldest_timestamp_seconds",
        "When the oldest of them was accepted.",
        standing.silence.oldest_accepted_at,
    )
    yield _gauge("campaign_statuses_unmatched", "Statuses of messages that are not known here.", standing.unmatched)


def _of_receiver(counts: "ReceiverCounts") -> Iterator[Metric]:
    received = CounterMetricFamily(
        "campaign_webhooks", "Webhooks, by what became of them since the start.", labels=("result",)
    )
    refusals = counts.refusals
    results = {
        "kept": counts.commits.durable,
        "not_kept": counts.commits.failed,
        "unsigned": refusals.unsigned,
        "without_secret": refusals.without_secret,
        "too_large": refusals.too_large,
        "too_busy": refusals.too_busy,
        "loop": refusals.loops,
    }
    for result, number in results.items():
        received.add_metric((result,), number)
    yield received
    yield _counter("campaign_webhook_disk_waits", "How often the disk was waited for.", counts.commits.groups)
    yield _counter("campaign_webhook_files", "Files of webhooks that went into the inbox.", counts.files_finished)
    yield _gauge(
        "campaign_webhook_disk_refuses", "Whether the disk refuses webhooks.", int(counts.commits.disk_is_refusing)
    )
    if counts.forwards is not None:
        passed_on = CounterMetricFamily(
            "campaign_webhook_forwards", "Webhooks to pass on, by what became of them.", labels=("result",)
        )
        forwards = {
            "passed_on": counts.forwards.passed_on,
            "refused": counts.forwards.refused,
            "given_up": counts.forwards.given_up,
            "dropped": counts.forwards_dropped,
        }
        for result, number in forwards.items():
            passed_on.add_metric((result,), number)
        yield passed_on
        yield _counter("campaign_webhook_forward_retries", "Calls made again.", counts.forwards.failed_tries)
    yield _gauge("campaign_webhook_forward_waiting_bytes", "What waits to be passed on.", counts.forwards_waiting_bytes)


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(name, meaning, value=value)


def _counter(name: str, meaning: str, value: float) -> Metric:
    return CounterMetricFamily(name, meaning, value=value)


def _moment(name: str, meaning: str, moment: datetime | None) -> Iterator[Metric]:
    """A moment in seconds since 1970; what has never been stays away."""
    if moment is not None:
        yield _gauge(name, meaning, moment.timestamp())
