"""Metrics for Prometheus: the figures of the command line, in a text that its own parser reads."""

from pathlib import Path
from typing import Final

import requests
from prometheus_client.parser import text_string_to_metric_families

from campaign_pipeline.interfaces.rest_api.metrics import MOST_CAMPAIGNS
from campaign_pipeline.interfaces.webhook_receiver.receiver import Receiver, ReceiverOptions
from campaign_pipeline.ledger.states import ApiRole
from campaign_pipeline_tests.delivery.payloads import ndjson, payload, put, status
from campaign_pipeline_tests.interfaces.installation import Installation
from campaign_pipeline_tests.interfaces.rest_api.served import SPRING, ServedApi
from campaign_pipeline_tests.interfaces.test_doubts import with_doubts
from campaign_pipeline_tests.support.campaigns import phone
from campaign_pipeline_tests.support.waiting import PATIENCE

METRICS: Final = "/metrics"

Labels = frozenset[tuple[str, str]]


def _scraped(api: ServedApi) -> dict[tuple[str, Labels], float]:
    answer = api.get(METRICS)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def _of(name: str, **labels: str) -> tuple[str, Labels]:
    return name, frozenset(labels.items())


def test_the_figures_are_those_of_the_command_line(api: ServedApi, installation: Installation) -> None:
    """Somebody is woken up by a figure that nobody else can see."""
    empty = _scraped(api)
    assert (empty[_of("campaign_ledger_up")], empty[_of("campaign_capacity_limit_people")]) == (1, 250)
    with_doubts(installation)
    told = [payload(status("wamid.0", "delivered"), status("wamid.of-others", "sent"))]
    put(installation.folder / "data" / "inbox", "statuses.ndjson", ndjson(told))
    installation.clock.forward(hours=30)
    installation.must("ingest")
    found = _scraped(api)
    states = installation.must("stats", "spring-sale", "--json").json["states"]
    assert {each: found[_of("campaign_people", campaign="spring-sale", state=each)] for each in states} == states
    limit = installation.must("limit", "--json").json
    assert found[_of("campaign_capacity_used_people")] == limit["used"]
    assert found[_of("campaign_capacity_limit_people")] == limit["limit"]["people"]
    assert [
        found[_of("campaign_doubts_people", age=age)] for age in ("under_a_day", "a_day_to_a_week", "over_a_week")
    ] == [0, 2, 0]
    assert found[_of("campaign_sender_stopped")] == 0
    assert found[_of("campaign_statuses_unmatched")] == 1
    assert found[_of("campaign_statuses_last_heard_timestamp_seconds")] == installation.clock.now().timestamp()
    assert found[_of("campaign_outbox_waiting")] > 0
    oldest = found[_of("campaign_outbox_oldest_timestamp_seconds")]
    assert installation.clock.now().timestamp() - oldest == 30 * 3600
    assert found[_of("campaign_campaigns", status="active")] == 1


def test_a_sender_that_is_stopped_and_messages_without_a_word_are_seen(
    api: ServedApi, installation: Installation
) -> None:
    """These two are what a person is woken up for."""
    with_doubts(installation)
    with api.workplace.ledger.write() as connection:
        connection.exec_driver_sql("UPDATE senders SET stopped_at = '2026-03-02 08:00:00.000000'")
    began = installation.clock.now().timestamp()
    installation.clock.forward(hours=2)
    found = _scraped(api)
    assert found[_of("campaign_sender_stopped")] == 1
    assert found[_of("campaign_messages_unacknowledged")] == 2
    assert found[_of("campaign_messages_unacknowledged_oldest_timestamp_seconds")] == began
    assert _of("campaign_statuses_last_heard_timestamp_seconds") not in found


def test_requests_are_counted_by_the_address_that_the_contract_names(api: ServedApi) -> None:
    """Counted by what was asked for, whoever asks for enough different things fills the memory of both servers."""
    api.must("/marketing/campaigns", SPRING)
    for number in range(5):
        api.get(f"/marketing/campaigns/nobody-{number}")
        api.get(f"/nothing/{number}")
        requests.request("PROPFIND", f"{api.url}/odd/{number}", timeout=PATIENCE)
    found = _scraped(api)
    requests_total = "campaign_http_requests_total"
    one = {"method": "GET", "route": "/marketing/campaigns/{campaign}"}
    assert found[_of(requests_total, **one, status="404")] == 5
    assert found[_of("campaign_http_request_duration_seconds_count", **one)] == 5
    assert found[_of(requests_total, method="POST", route="/marketing/campaigns", status="201")] == 1
    assert found[_of(requests_total, method="GET", route="none", status="404")] == 5
    assert found[_of(requests_total, method="other", route="none", status="401")] == 5
    assert _of(requests_total, method="GET", route=METRICS, status="200") not in found
    assert _scraped(api)[_of(requests_total, method="GET", route=METRICS, status="200")] == 1


def test_of_many_campaigns_those_that_are_watched_are_told(api: ServedApi, installation: Installation) -> None:
    """After three years of them each scrape would bring a thousand series that nobody looks at."""
    installation.active_campaign(2)
    installation.must("create", "A draft", "--template", "summer")
    with api.workplace.ledger.write() as connection:
        for number in range(MOST_CAMPAIGNS + 5):
            ended = "2026-03-01" if number < MOST_CAMPAIGNS else "2026-02-01"
            connection.exec_driver_sql(
                "INSERT INTO marketing_campaigns (slug, name, template_name, template_language, template_parameters, "
                "daily_send_limit, priority, status, created_at, finished_at) VALUES "
                "(?, 'Ended', 't', 'en', '[]', 1, 0, 'completed', '2026-02-01 00:00:00.000000', ?)",
                (f"ended-{number}", f"{ended} 00:00:00.000000"),
            )
    shown = {dict(labels)["campaign"] for name, labels in _scraped(api) if name == "campaign_people"}
    assert len(shown) == MOST_CAMPAIGNS
    assert f"ended-{MOST_CAMPAIGNS}" not in shown
    assert "a-draft" not in shown


def test_without_a_ledger_the_rest_is_told_all_the_same(api: ServedApi) -> None:
    """`up` is 1 and every figure is gone: nobody knows whether the program or its database is down."""
    with api.workplace.ledger.write() as connection:
        connection.exec_driver_sql("ALTER TABLE outbox RENAME TO lost")
    found = _scraped(api)
    assert found[_of("campaign_ledger_up")] == 0
    assert _of("campaign_sender_stopped") not in found
    assert any(name == "process_resident_memory_bytes" for name, _ in found)


def test_it_takes_a_token_unless_a_setting_says_otherwise(installation: Installation) -> None:
    """Figures of a business are nobody else's; a Prometheus in the same closed network may be let in."""
    with ServedApi(installation.clock) as api:
        assert requests.get(f"{api.url}{METRICS}", timeout=PATIENCE).status_code == 401
        assert all(api.get(METRICS, role).ok for role in ApiRole)
    installation.set("CAMPAIGN_METRICS", "open")
    with ServedApi(installation.clock) as api:
        assert requests.get(f"{api.url}{METRICS}", timeout=PATIENCE).ok
        assert requests.post(f"{api.url}{METRICS}", timeout=PATIENCE).status_code == 405
        for path in ("/marketing/campaigns", "/metrics/", "/marketing/limits"):
            assert requests.get(f"{api.url}{path}", timeout=PATIENCE).status_code in (401, 404), path


def test_no_person_is_in_it(api: ServedApi, installation: Installation) -> None:
    """It goes to a system that many people read, and is kept for years."""
    with_doubts(installation)
    text = api.get(METRICS).text
    assert phone(0)[1:] not in text
    assert "***" not in text


def test_what_the_receiver_has_counted_stands_beside_it(api: ServedApi, tmp_path: Path) -> None:
    """A webhook that is refused is a status that never comes."""
    options = ReceiverOptions(
        inbox=tmp_path / "inbox",
        queue_folder=tmp_path / "queue",
        app_secrets=("secret",),
        takes_unsigned=False,
        verify_token=None,
        forward_url="http://127.0.0.1:9/webhook",
        file_bytes=1_000,
        file_seconds=5,
        queue_bytes=1_000_000,
    )
    receiver = Receiver(options)
    receiver.refusals.unsigned = 3
    api.app.state.receiver_counts = receiver.counts
    found = _scraped(api)
    assert found[_of("campaign_webhooks_total", result="unsigned")] == 3
    assert found[_of("campaign_webhooks_total", result="kept")] == 0
    assert found[_of("campaign_webhook_forwards_total", result="passed_on")] == 0
    assert found[_of("campaign_webhook_disk_refuses")] == 0
