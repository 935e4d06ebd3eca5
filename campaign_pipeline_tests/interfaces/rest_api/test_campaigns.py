"""Campaigns over the REST API: the same as with the commands, and safe to ask twice."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import update

from campaign_pipeline.ledger.schema import marketing_campaigns
from campaign_pipeline.ledger.states import ApiRole
from campaign_pipeline_tests.interfaces.installation import Installation
from campaign_pipeline_tests.interfaces.rest_api.served import SPRING, ServedApi
from campaign_pipeline_tests.support.postgres import PostgresServer
from campaign_pipeline_tests.support.waiting import wait_until

CAMPAIGNS = "/marketing/campaigns"


def test_a_campaign_is_made_as_the_command_makes_it(api: ServedApi, installation: Installation) -> None:
    """Two ways in that make different campaigns are two programs."""
    answer = api.post(CAMPAIGNS, {**SPRING, "daily_send_limit": 500, "priority": 2})
    assert (answer.status_code, answer.headers["Location"]) == (201, f"{CAMPAIGNS}/1")
    made = answer.json()
    assert (made["id"], made["status"], made["daily_send_limit"]) == (1, "draft", 500)
    typed = installation.must("create", "Typed", "--template", "spring_sale", "--json").json
    assert made.keys() == typed.keys()
    log = api.workplace.ledger
    with log.read() as connection:
        actors = connection.exec_driver_sql("SELECT actor FROM audit_log WHERE action = 'campaign_created'").scalars()
        assert next(iter(actors)).endswith("(API)")


def test_the_figures_are_those_of_the_command(api: ServedApi, installation: Installation) -> None:
    """Whoever compares the two would trust neither."""
    installation.active_campaign()
    assert api.get(f"{CAMPAIGNS}/spring-sale/stats").json() == installation.must("stats", "1", "--json").json
    plan = api.get(f"{CAMPAIGNS}/1/plan").json()
    assert plan["dates"] == installation.must("plan", "1", "--json").json


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("sort", ["id", "name", "status", "priority", "created_at"])
def test_pages_show_every_campaign_once(api: ServedApi, sort: str, order: str) -> None:
    """A campaign between two pages would be in none."""
    names = [f"Sale {letter}" for letter in "cabed"]
    for number, name in enumerate(names):
        api.must(CAMPAIGNS, {**SPRING, "name": name, "priority": number % 2})
    shown, cursor = [], ""
    while cursor is not None:
        page = api.get(f"{CAMPAIGNS}?limit=2&sort={sort}&order={order}{cursor and f'&cursor={cursor}'}").json()
        shown += [each["name"] for each in page["campaigns"]]
        cursor = page["next_cursor"]
    assert sorted(shown) == sorted(names)
    by_id = {"id": names, "name": sorted(names), "created_at": names, "status": names}
    if sort in by_id:
        assert shown == (by_id[sort] if order == "asc" else by_id[sort][::-1])


def test_a_cursor_is_taken_only_as_it_was_given(api: ServedApi) -> None:
    """Made up, it could skip campaigns without a word."""
    for name in "abc":
        api.must(CAMPAIGNS, {**SPRING, "name": name})
    cursor = api.get(f"{CAMPAIGNS}?limit=1&sort=name").json()["next_cursor"]
    assert api.get(f"{CAMPAIGNS}?limit=1&sort=name&cursor={cursor}").status_code == 200
    for moment in ("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"):
        mark = json.dumps({"by": "created_at", "order": "asc", "id": 1, "value": moment}).encode()
        odd = base64.urlsafe_b64encode(mark).decode().rstrip("=")
        assert api.get(f"{CAMPAIGNS}?sort=created_at&cursor={odd}").status_code == 404
    for query in (f"sort=id&cursor={cursor}", f"sort=name&order=desc&cursor={cursor}", "cursor=e30", "cursor=_"):
        assert api.get(f"{CAMPAIGNS}?{query}").status_code == 404, query


def test_campaigns_are_listed_by_their_status(api: ServedApi, installation: Installation) -> None:
    """The page of active campaigns shows no drafts."""
    installation.active_campaign()
    api.must(CAMPAIGNS, {**SPRING, "name": "Later"})
    active = api.get(f"{CAMPAIGNS}?status=active").json()["campaigns"]
    assert [(each["slug"], each["figures"]["total"]) for each in active] == [("spring-sale", 10)]


@pytest.mark.parametrize(
    ("steps", "status"),
    [
        (["activate", "activate"], "active"),
        (["activate", "pause", "pause"], "paused"),
        (["activate", "pause", "resume", "resume"], "active"),
        (["cancel", "cancel"], "cancelled"),
    ],
)
def test_every_step_can_be_asked_for_twice(
    api: ServedApi, installation: Installation, steps: list[str], status: str
) -> None:
    """A program that lost the answer asks again, and must not be told that it failed."""
    api.must(CAMPAIGNS, SPRING)
    installation.must("add", "spring-sale", installation.list_of(range(10)))
    answers = [api.must(f"{CAMPAIGNS}/1/{step}") for step in steps]
    for answer in answers:
        # Meta is asked for the template when a campaign is activated, and not again.
        answer.pop("warnings", None)
    assert answers[-1] == answers[-2]
    assert answers[-1]["status"] == status


@pytest.mark.parametrize(
    ("before", "step", "change"),
    [
        ([], "activate", {"status": "active", "activated_at": datetime(2026, 3, 2, 8, tzinfo=UTC)}),
        (["activate"], "pause", {"status": "paused", "paused_by": "person"}),
        (["activate", "pause"], "resume", {"status": "active", "paused_by": None}),
        ([], "cancel", {"status": "cancelled"}),
    ],
)
def test_every_step_can_be_asked_for_twice_at_once(
    installation: Installation,
    postgres: PostgresServer,
    migrated_postgres: str,
    before: list[str],
    step: str,
    change: dict[str, object],
) -> None:
    """Two people press the same button; the slower one has waited for the row, and is told that it failed."""
    installation.set("CAMPAIGN_DATABASE_URL", postgres.new_database(migrated_postgres))
    with ServedApi(installation.clock) as api, ThreadPoolExecutor(1) as asking:
        api.must(CAMPAIGNS, SPRING)
        installation.must("add", "spring-sale", installation.list_of(range(3)))
        for each in before:
            api.must(f"{CAMPAIGNS}/1/{each}")
        with api.workplace.ledger.write() as connection:
            connection.execute(update(marketing_campaigns).values(change))
            slower = asking.submit(api.post, f"{CAMPAIGNS}/1/{step}")
            wait_until(lambda: _somebody_waits(api), "it to wait for the row")
        assert (slower.result().status_code, slower.result().json()["status"]) == (200, change["status"])


def _somebody_waits(api: ServedApi) -> bool:
    with api.workplace.ledger.read() as connection:
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        return connection.exec_driver_sql(waiting).scalar_one() > 0


def test_an_activation_repeated_later_tells_the_plan_as_it_was(api: ServedApi, installation: Installation) -> None:
    """Three days from 2 March do not begin on the 4th and end on the 4th."""
    api.must(CAMPAIGNS, {**SPRING, "daily_send_limit": 1})
    installation.must("add", "spring-sale", installation.list_of(range(3)))
    first = api.must(f"{CAMPAIGNS}/1/activate")
    installation.clock.forward(hours=48)
    assert {**api.must(f"{CAMPAIGNS}/1/activate"), "warnings": first["warnings"]} == first


@pytest.mark.parametrize("step", ["pause", "resume", "activate"])
def test_a_step_that_does_not_fit_is_refused_with_a_sentence(api: ServedApi, step: str) -> None:
    """An error without a reason is a call to whoever wrote the program."""
    api.must(CAMPAIGNS, SPRING)
    refused = api.post(f"{CAMPAIGNS}/spring-sale/{step}")
    assert refused.status_code == 409
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert "spring-sale" in refused.json()["detail"]


def test_whoever_may_only_look_changes_nothing(api: ServedApi, installation: Installation) -> None:
    """A token on a screen in the office must not stop a campaign."""
    installation.active_campaign()
    for step in ("pause", "cancel", "activate", "resume"):
        assert api.post(f"{CAMPAIGNS}/1/{step}", role=ApiRole.VIEWER).status_code == 403
    assert api.get(f"{CAMPAIGNS}/1").json()["status"] == "active"
