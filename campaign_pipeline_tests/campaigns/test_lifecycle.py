"""A campaign goes from draft to its end by the steps that there are, and each of them is written down."""

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, Row, func, select, update

from campaign_pipeline.campaigns import lifecycle
from campaign_pipeline.campaigns.catalogue import Campaign, CampaignChange, find, get
from campaign_pipeline.campaigns.errors import CampaignError, CampaignNotFoundError
from campaign_pipeline.campaigns.plan import PlanError
from campaign_pipeline.campaigns.templates import TemplateParameter
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import (
    audit_log,
    campaign_recipients,
    campaign_send_schedule,
    marketing_campaigns,
    outbox,
    recipient_lists,
    recipient_rejections,
    subscriptions,
)
from campaign_pipeline.ledger.states import UNSETTLED, CampaignStatus, RecipientState
from campaign_pipeline.recipients.intake import add_file
from campaign_pipeline_tests.ledger.rows import put
from campaign_pipeline_tests.support.campaigns import (
    NOON,
    activate,
    active_campaign,
    add_people,
    calendar,
    draft,
    folders,
    phone,
)

LATER = NOON + timedelta(hours=1)

Step = Callable[[Connection, int], object]


def _activate(connection: Connection, campaign: int) -> object:
    return lifecycle.activate(connection, campaign, calendar=calendar(), sender_limit=250, actor="ada", now=LATER)


def _edit(change: CampaignChange) -> Step:
    return lambda connection, campaign: lifecycle.edit(connection, campaign, change, actor="ada", now=LATER)


STEPS: Mapping[str, Step] = {
    "activate": _activate,
    "pause": lambda connection, campaign: lifecycle.pause(connection, campaign, actor="ada", now=LATER),
    "resume": lambda connection, campaign: lifecycle.resume(connection, campaign, actor="ada", now=LATER),
    "cancel": lambda connection, campaign: lifecycle.cancel(connection, campaign, actor="ada", now=LATER),
    "delete": lambda connection, campaign: lifecycle.delete_draft(connection, campaign, actor="ada", now=LATER),
    "edit the limit": _edit(CampaignChange(daily_send_limit=100)),
    "edit the priority": _edit(CampaignChange(priority=7)),
    "edit the name": _edit(CampaignChange(name="Winter Sale")),
    "edit the template": _edit(CampaignChange(template_name="winter_sale")),
    "edit the language": _edit(CampaignChange(template_language="de")),
    "edit the parameters": _edit(CampaignChange(parameters=[TemplateParameter("1", "first_name")])),
    "edit limit and name": _edit(CampaignChange(daily_send_limit=100, name="Winter Sale")),
}

ACTION_OF: Mapping[str, str] = {
    "activate": "campaign_activated",
    "pause": "campaign_paused",
    "resume": "campaign_resumed",
    "cancel": "campaign_cancelled",
    "delete": "campaign_deleted",
}
"""Every other step is `campaign_edited`."""

ANY_EDIT = {step: "draft" for step in STEPS if step.startswith("edit")}

ALLOWED: Mapping[str, Mapping[str, str | None]] = {
    # From each status, the steps there are and where they lead; every other step is refused.
    "draft": {"activate": "active", "cancel": "cancelled", "delete": None, **ANY_EDIT},
    "active": {"pause": "paused", "cancel": "cancelled", "edit the limit": "active", "edit the priority": "active"},
    "paused": {"resume": "active", "cancel": "cancelled", "edit the limit": "paused", "edit the priority": "paused"},
    "completed": {},
    "cancelled": {},
}


def _campaign_in(ledger: Ledger, root: Path, status: str) -> Campaign:
    """A campaign that has come to a status by the steps that lead there."""
    campaign = draft(ledger)
    add_people(ledger, campaign.slug, root, [1, 2])
    if status != "draft":
        activate(ledger, campaign.slug)
    with ledger.write() as connection:
        if status == "paused":
            lifecycle.pause(connection, campaign.id, actor="test", now=NOON)
        if status == "cancelled":
            lifecycle.cancel(connection, campaign.id, actor="test", now=NOON)
        if status == "completed":
            connection.execute(update(campaign_recipients).values(state="failed", reason="for the test"))
            assert lifecycle.complete_settled(connection, NOON) == [campaign.slug]
        assert get(connection, campaign.id).status == status
    return campaign


def _status(connection: Connection, campaign_id: int) -> str | None:
    query = select(marketing_campaigns.c.status).where(marketing_campaigns.c.id == campaign_id)
    return connection.execute(query).scalar_one_or_none()


def _newest(connection: Connection) -> tuple[Row, Row]:
    """The last rows of the audit log and of the outbox."""
    audit = connection.execute(select(audit_log).order_by(audit_log.c.id.desc()).limit(1)).one()
    word = connection.execute(select(outbox).order_by(outbox.c.id.desc()).limit(1)).one()
    return audit, word


def _journal_length(connection: Connection) -> tuple[int, int]:
    audit = connection.execute(select(func.count()).select_from(audit_log)).scalar_one()
    return audit, connection.execute(select(func.count()).select_from(outbox)).scalar_one()


@pytest.mark.parametrize("status", list(CampaignStatus))
def test_from_each_status_exactly_these_steps_lead_on(ledger: Ledger, tmp_path: Path, status: str) -> None:
    """A cancelled campaign that can be resumed sends to people who were told that it is over."""
    campaign = _campaign_in(ledger, tmp_path, status)
    for name, step in STEPS.items():
        with ledger.write() as connection:
            length = _journal_length(connection)
            trial = connection.begin_nested()
            if name in ALLOWED[status]:
                step(connection, campaign.id)
                assert _status(connection, campaign.id) == ALLOWED[status][name], name
                assert _journal_length(connection) == (length[0] + 1, length[1] + 1), name
                audit, word = _newest(connection)
                action = ACTION_OF.get(name, "campaign_edited")
                assert (audit.action, audit.actor, audit.at, word.kind) == (action, "ada", LATER, action), name
                assert audit.subject == word.campaign_slug
                assert (word.created_at, word.reported_at) == (LATER, None)
            else:
                with pytest.raises(CampaignError, match=rf"spring-sale is {status}: \S+"):
                    step(connection, campaign.id)
                assert _status(connection, campaign.id) == status, name
                assert _journal_length(connection) == length, name
            trial.rollback()


def test_two_campaigns_never_share_a_slug(ledger: Ledger) -> None:
    """An audience added to the wrong one of two is found out when it has been sent."""
    draft(ledger, "Spring Sale")
    other = draft(ledger, "Summer Sale")
    with pytest.raises(CampaignError, match="There is a campaign 'spring-sale' already"):
        draft(ledger, "SPRING   sale")
    with pytest.raises(CampaignError, match="There is a campaign 'spring-sale' already"), ledger.write() as connection:
        lifecycle.edit(connection, other.id, CampaignChange(name="spring sale!"), actor="test", now=NOON)
    with ledger.write() as connection:
        renamed = lifecycle.edit(connection, other.id, CampaignChange(name="SUMMER Sale"), actor="test", now=NOON)
    assert (renamed.slug, renamed.name) == ("summer-sale", "SUMMER Sale")


def test_a_draft_can_be_changed_in_everything(ledger: Ledger) -> None:
    """Until it is activated nothing has been promised to anybody."""
    campaign = draft(ledger)
    change = CampaignChange("Winter Sale", "winter_sale", "de", [TemplateParameter("1", "name")], 100, -1)
    with ledger.write() as connection:
        changed = lifecycle.edit(connection, campaign.id, change, actor="ada", now=LATER)
        assert (changed.id, changed.slug, changed.name) == (campaign.id, "winter-sale", "Winter Sale")
        assert (changed.template_name, changed.template_language) == ("winter_sale", "de")
        assert changed.parameters == (TemplateParameter("1", "name"),)
        assert (changed.daily_send_limit, changed.priority, changed.status) == (100, -1, "draft")
        assert _newest(connection)[0].details == {
            "changed": [
                "daily_send_limit",
                "name",
                "parameters",
                "priority",
                "template_language",
                "template_name",
            ]
        }
        bare = lifecycle.edit(connection, campaign.id, CampaignChange(parameters=[]), actor="ada", now=LATER)
        assert (bare.parameters, bare.template_name) == ((), "winter_sale")
        zero = lifecycle.edit(connection, campaign.id, CampaignChange(priority=0), actor="ada", now=LATER)
        assert zero.priority == 0
        with pytest.raises(CampaignError, match="Nothing to change was given"):
            lifecycle.edit(connection, campaign.id, CampaignChange(), actor="ada", now=LATER)
        with pytest.raises(CampaignError, match="at least 1"):
            lifecycle.edit(connection, campaign.id, CampaignChange(daily_send_limit=0), actor="ada", now=LATER)
        assert get(connection, campaign.id) == zero


def test_activating_tells_how_many_days_it_takes_and_the_last_date(ledger: Ledger, tmp_path: Path) -> None:
    """This is what the marketer plans the offer by: 600 people at 250 a day from tomorrow on are three days."""
    campaign = draft(ledger)
    add_people(ledger, campaign.slug, tmp_path, range(600))
    with ledger.write() as connection:
        active, estimate = lifecycle.activate(
            connection, "Spring Sale", calendar=calendar(), sender_limit=250, actor="ada", now=NOON
        )
        assert (estimate.days, estimate.last_date) == (3, date(2026, 3, 5))
        assert (active.status, active.activated_at, active.finished_at) == ("active", NOON, None)
        audit, word = _newest(connection)
        assert audit.details == word.details == {"days": 3, "last_date": "2026-03-05"}


def test_an_empty_campaign_is_not_activated(ledger: Ledger, tmp_path: Path) -> None:
    """It would be completed at once, before its list is there."""
    campaign = draft(ledger)
    with pytest.raises(CampaignError, match="has nobody in it: `campaign add spring-sale FILE` first"):
        activate(ledger, campaign.slug)
    add_people(ledger, campaign.slug, tmp_path, [1])
    activate(ledger, campaign.slug)


def test_a_campaign_whose_template_lacks_values_is_not_activated(ledger: Ledger, tmp_path: Path) -> None:
    """Meta refuses a message with an empty parameter, one by one, after the day's batch was taken."""
    campaign = draft(ledger)
    path = tmp_path / "list.csv"
    path.write_text(f"phone,name,city\n{phone(1)},Ada,Bern\n{phone(2)},,Bern\n{phone(3)},Eve,\n", encoding="utf-8")
    add_file(
        ledger,
        campaign.slug,
        path,
        folders=folders(tmp_path),
        region=None,
        phone_column=None,
        actor="ada",
        clock=lambda: NOON,
    )

    def with_parameters(*parameters: str) -> None:
        change = CampaignChange(parameters=[TemplateParameter.parse(each) for each in parameters])
        with ledger.write() as connection:
            lifecycle.edit(connection, campaign.id, change, actor="ada", now=NOON)

    with_parameters("1=name")
    with pytest.raises(CampaignError, match="1 people of spring-sale have no value in the column 'name'"):
        activate(ledger, campaign.slug)
    with_parameters("town=city", "street=street")
    with pytest.raises(CampaignError, match=r"1 people of spring-sale have no value in the column 'city'.*town"):
        activate(ledger, campaign.slug)
    with_parameters("street=street")
    with pytest.raises(CampaignError, match="3 people of spring-sale have no value in the column 'street'"):
        activate(ledger, campaign.slug)
    with_parameters()
    activate(ledger, campaign.slug)


def test_a_column_of_any_name_can_fill_a_template(ledger: Ledger) -> None:
    """The value is looked up in JSON, and databases give some characters of a path a meaning of their own."""
    columns = ["name", "first name", "first.name", "Prénom", "Имя", "o'brien", 'the "name"', "$", "[0]", "1", "a->b"]
    refused: dict[str, str] = {}
    for number, column in enumerate([*columns, "%s", ":name", "\\"]):
        full = draft(ledger, f"Full {number}", parameters=[TemplateParameter("1", column)])
        lacking = draft(ledger, f"Lacking {number}", parameters=[TemplateParameter("1", f"{column}?")])
        with ledger.write() as connection:
            waiting = {"parameters": {column: "Zoë"}, "state": "pending", "batch_id": None}
            put(connection, "campaign_recipients", id=2 * number, campaign_id=full.id, **waiting)
            put(connection, "campaign_recipients", id=2 * number + 1, campaign_id=lacking.id, **waiting)
        try:
            activate(ledger, full.slug)
        except CampaignError as error:
            refused[column] = str(error)
        with pytest.raises(CampaignError, match=f"1 people of {lacking.slug} have no value"):
            activate(ledger, lacking.slug)
    assert refused == {}


def test_a_campaign_that_could_reach_nobody_is_not_activated(ledger: Ledger, tmp_path: Path) -> None:
    """With a sender limit of 0 its plan has no end; it stays a draft, as if nothing had been tried."""
    campaign = draft(ledger)
    add_people(ledger, campaign.slug, tmp_path, [1])
    with pytest.raises(PlanError, match="raise CAMPAIGN_SENDER_LIMIT"):
        activate(ledger, campaign.slug, limit=0)
    with ledger.read() as connection:
        assert get(connection, campaign.id) == campaign
        assert connection.execute(select(campaign_send_schedule)).all() == []


def test_pausing_keeps_its_reason_until_the_campaign_goes_on(ledger: Ledger, tmp_path: Path) -> None:
    """A campaign that stands still has to say why and because of whom."""
    campaign = active_campaign(ledger, tmp_path, [1])
    with ledger.write() as connection:
        assert lifecycle.pause(connection, campaign.id, actor="ada", now=NOON).status_reason == "paused by ada"
        assert lifecycle.resume(connection, campaign.id, actor="ada", now=NOON).status_reason is None
        paused = lifecycle.pause(connection, campaign.id, actor="ada", now=NOON, reason="132001: no such template")
        assert paused.status_reason == "132001: no such template"


def _put_each_state(connection: Connection, campaign_id: int) -> None:
    """One person in each state there is."""
    put(connection, "senders")
    put(connection, "batches")
    for number, state in enumerate(RecipientState, start=101):
        put(
            connection,
            "campaign_recipients",
            id=number,
            campaign_id=campaign_id,
            person_key=phone(number),
            position=number,
            state=state,
            reason="for the test",
            batch_id=None if state == RecipientState.PENDING else 1,
        )


def test_cancelling_skips_whoever_was_not_attempted_and_nobody_else(ledger: Ledger, tmp_path: Path) -> None:
    """A call in flight cannot be called back: its person stays what the answer will say."""
    campaign = active_campaign(ledger, tmp_path, [1])
    other = active_campaign(ledger, tmp_path, [1], name="Other")
    states = select(campaign_recipients.c.state, campaign_recipients.c.reason).order_by(campaign_recipients.c.id)
    with ledger.write() as connection:
        _put_each_state(connection, campaign.id)
        cancelled = lifecycle.cancel(connection, campaign.id, actor="ada", now=LATER)
        assert (cancelled.status, cancelled.finished_at) == ("cancelled", LATER)
        assert cancelled.status_reason == "cancelled by ada"
        mine = connection.execute(states.where(campaign_recipients.c.campaign_id == campaign.id)).all()
        assert connection.execute(states.where(campaign_recipients.c.campaign_id == other.id)).one().state == "pending"
        assert _newest(connection)[0].details == {"skipped": 3}
    # The first is the one who was there before; the others stand in the order of the states.
    not_attempted = (RecipientState.PENDING, RecipientState.CLAIMED)
    assert [(row.state, row.reason) for row in mine] == [
        ("skipped", "campaign_cancelled"),
        *(
            ("skipped", "campaign_cancelled") if state in not_attempted else (state, "for the test")
            for state in RecipientState
        ),
    ]


@pytest.mark.parametrize("status", ["active", "paused"])
def test_a_campaign_is_completed_with_its_last_unsettled_person_and_not_before(
    ledger: Ledger, tmp_path: Path, status: str
) -> None:
    """`completed` promises that nobody is left; an answer in doubt is somebody."""
    campaign = active_campaign(ledger, tmp_path, [1])
    other = active_campaign(ledger, tmp_path, [1], name="Other")
    with ledger.write() as connection:
        if status == "paused":
            lifecycle.pause(connection, campaign.id, actor="ada", now=NOON)
        _put_each_state(connection, campaign.id)
        length = _journal_length(connection)
        mine = campaign_recipients.c.campaign_id == campaign.id
        for state in UNSETTLED:
            assert lifecycle.complete_settled(connection, LATER) == [], state
            assert _status(connection, campaign.id) == status
            of_state = update(campaign_recipients).where(mine, campaign_recipients.c.state == state)
            assert connection.execute(of_state.values(state="failed")).rowcount >= 1
        assert _journal_length(connection) == length
        assert lifecycle.complete_settled(connection, LATER) == [campaign.slug]
        completed = get(connection, campaign.id)
        assert (completed.status, completed.finished_at, completed.status_reason) == ("completed", LATER, None)
        audit, word = _newest(connection)
        assert (audit.action, audit.subject) == (word.kind, word.campaign_slug) == ("campaign_completed", campaign.slug)
        assert lifecycle.complete_settled(connection, LATER) == []
        assert _status(connection, other.id) == "active"


def test_a_draft_or_a_cancelled_campaign_is_never_completed(ledger: Ledger, tmp_path: Path) -> None:
    """An empty draft has nobody unsettled either."""
    unready = draft(ledger, "Unready")
    cancelled = _campaign_in(ledger, tmp_path, "cancelled")
    with ledger.write() as connection:
        assert lifecycle.complete_settled(connection, LATER) == []
        assert (_status(connection, unready.id), _status(connection, cancelled.id)) == ("draft", "cancelled")


def test_deleting_a_draft_takes_its_lists_and_people_with_it_and_nothing_else(ledger: Ledger, tmp_path: Path) -> None:
    """What people have said about messages outlives the campaign that they said it to."""
    campaign = draft(ledger)
    add_people(ledger, campaign.slug, tmp_path, [1, 2, 2])
    kept = draft(ledger, "Kept")
    add_people(ledger, kept.slug, tmp_path, [2, 3, 3])
    with ledger.write() as connection:
        lifecycle.delete_draft(connection, campaign.id, actor="ada", now=LATER)
        owners = {
            table.name: set(connection.execute(select(table.c.campaign_id)).scalars())
            for table in (campaign_recipients, recipient_lists)
        }
        assert owners == {"campaign_recipients": {kept.id}, "recipient_lists": {kept.id}}
        assert connection.execute(select(func.count()).select_from(recipient_rejections)).scalar_one() == 1
        assert connection.execute(select(func.count()).select_from(subscriptions)).scalar_one() == 3
        with pytest.raises(CampaignNotFoundError):
            find(connection, campaign.slug)
    again = draft(ledger)
    assert again.slug == campaign.slug
    assert add_people(ledger, again.slug, tmp_path, [1, 2]).counts.added == 2
