"""What an activation is refused for, and the template that is kept with the campaign."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from campaign_pipeline.campaigns import lifecycle
from campaign_pipeline.campaigns.catalogue import CampaignChange, get
from campaign_pipeline.campaigns.errors import CampaignError
from campaign_pipeline.campaigns.kept_template import keep_template
from campaign_pipeline.campaigns.template_lookup import Absent, Found, TemplateLookup, Unreadable
from campaign_pipeline.campaigns.templates import TemplateParameter
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import marketing_campaigns
from campaign_pipeline_tests.ledger.rows import put
from campaign_pipeline_tests.support.campaigns import NOON, activate, add_people, calendar, draft, phone
from campaign_pipeline_tests.support.templates import body, template


def test_people_whose_values_whatsapp_refuses_stop_the_activation(ledger: Ledger) -> None:
    """They came in before the parameter was there; on day seventeen each of them would be a refusal."""
    campaign = draft(ledger)
    with ledger.write() as connection:
        for number, name in enumerate(["Ada", "Bob\n", "C     D"], start=1):
            waiting = {"parameters": {"name": name}, "state": "pending", "batch_id": None, "position": number}
            put(
                connection,
                "campaign_recipients",
                id=number,
                person_key=phone(number),
                campaign_id=campaign.id,
                **waiting,
            )
        change = CampaignChange(parameters=[TemplateParameter("1", "name")])
        lifecycle.edit(connection, campaign.id, change, actor="ada", now=NOON)
    with pytest.raises(
        CampaignError, match=r"2 people of spring-sale have a value for the template's 1 that cannot be"
    ):
        activate(ledger, campaign.slug)


def _look(*components: dict[str, Any], **changes: object) -> Found:
    return Found(template(*components, **changes))


def _activate_with(ledger: Ledger, campaign: int, lookup: TemplateLookup) -> None:
    with ledger.write() as connection:
        lifecycle.activate(
            connection, campaign, calendar=calendar(), sender_limit=250, actor="ada", now=NOON, lookup=lookup
        )


@pytest.mark.parametrize(
    ("lookup", "said"),
    [
        (_look(body("Hi"), status="PAUSED"), "is PAUSED, not approved"),
        (_look(body("Hi {{1}}")), "Nothing fills the variable 1 of the body"),
        (Absent(("de",)), "but not in en_US"),
        (Unreadable("no network."), "could not be looked at: no network"),
        (_look(body("Hi"), language="de"), "got another template"),
    ],
)
def test_a_campaign_whose_template_would_be_refused_is_not_activated(
    ledger: Ledger, tmp_path: Path, lookup: TemplateLookup, said: str
) -> None:
    """Found out by the first batch, it costs the day and, for a paused template, its next pause."""
    campaign = draft(ledger)
    add_people(ledger, campaign.slug, tmp_path, [1])
    with pytest.raises(CampaignError, match=said):
        _activate_with(ledger, campaign.id, lookup)
    with ledger.read() as connection:
        assert get(connection, campaign.id) == campaign


def test_the_template_is_kept_as_it_was_when_the_campaign_was_activated(ledger: Ledger, tmp_path: Path) -> None:
    """What people were sent can be shown next year, whatever the template says by then."""
    campaign = draft(ledger)
    add_people(ledger, campaign.slug, tmp_path, [1])
    lookup = _look(body("Hi"), category="UTILITY")
    _activate_with(ledger, campaign.id, lookup)
    with ledger.read() as connection:
        kept = get(connection, campaign.id)
        version = connection.execute(select(marketing_campaigns.c.template_version)).scalar_one()
    assert kept.template == lookup.template
    assert kept.template_checked_at == NOON
    assert version == lookup.template.version


def test_a_draft_that_gets_another_template_forgets_the_one_before(ledger: Ledger) -> None:
    """A preview of the old text under the new name would be believed."""
    campaign = draft(ledger)
    with ledger.write() as connection:
        kept = keep_template(connection, campaign, template(body("Hi")), NOON)
        assert kept.template is not None
        same = lifecycle.edit(connection, campaign.id, CampaignChange(priority=3), actor="ada", now=NOON)
        assert same.template == kept.template
        other = lifecycle.edit(connection, campaign.id, CampaignChange(template_language="de"), actor="ada", now=NOON)
        assert (other.template, other.template_checked_at) == (None, None)
        # Somebody who looked before the edit comes back after it.
        assert keep_template(connection, campaign, template(body("Hi")), NOON).template is None
        columns = select(marketing_campaigns.c["template", "template_version", "template_checked_at"])
        assert connection.execute(columns.where(marketing_campaigns.c.template.is_not(None))).all() == []
