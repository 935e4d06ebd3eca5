"""Activating a campaign: a look at its template at Meta, then the start of it, with what a person should know.

Add here a step of an activation that asks outside the ledger.
Keep out how it is asked for and shown, and the rules: `campaigns.lifecycle`, `campaigns.preflight`.
"""

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from campaign_pipeline.campaigns import catalogue, lifecycle
from campaign_pipeline.campaigns.catalogue import Campaign
from campaign_pipeline.campaigns.figures import campaign_figures
from campaign_pipeline.campaigns.preflight import template_findings
from campaign_pipeline.campaigns.send_schedule import Estimate
from campaign_pipeline.campaigns.template_lookup import NotLookedUp, TemplateLookup, Unreadable, in_language
from campaign_pipeline.interfaces.workplace import Workplace
from campaign_pipeline.ledger.states import CampaignStatus

if TYPE_CHECKING:
    from campaign_pipeline.settings import Settings


@dataclass(frozen=True, slots=True)
class Activation:
    """A campaign that has just been activated.

    Attributes:
        campaign: As it stands now.
        people: Everyone who waits in it.
        estimate: The dates that it takes.
        first_date: The date of the next batch.
        warnings: What a person should know of its template.
    """

    campaign: Campaign
    people: int
    estimate: Estimate
    first_date: date
    warnings: list[str]

    def as_dict(self) -> dict[str, object]:
        """The activation as programs read it."""
        return {
            "campaign": self.campaign.slug,
            "status": self.campaign.status,
            "people": self.people,
            "estimated_days": self.estimate.days,
            "first_send_date": self.first_date,
            "estimated_completion_date": self.estimate.last_date,
            "warnings": self.warnings,
        }


def activate(workplace: Workplace, campaign: str, *, even_if_unreadable: bool, actor: str) -> Activation:
    """Starts a draft, after its preflight.

    Args:
        workplace: Settings, ledger and clock.
        campaign: Slug, name or id.
        even_if_unreadable: Whether no answer of Meta's is as good as not having asked; else it refuses the activation.
        actor: Who activates it.

    Raises:
        CampaignError: It is no draft, has nobody in it, or WhatsApp would refuse its messages.
        PlanError: Under the sender's limit nobody could ever be reached.
    """
    lookup = _lookup_before_activation(workplace, campaign, even_if_unreadable=even_if_unreadable)
    with workplace.ledger.write() as connection:
        active, estimate = lifecycle.activate(
            connection,
            campaign,
            calendar=workplace.settings.calendar,
            sender_limit=workplace.sender_limit(connection),
            actor=actor,
            now=workplace.clock(),
            lookup=lookup,
        )
        people = campaign_figures(connection, active.id).pending
        first_date = workplace.first_open_date(connection)
    warnings = [finding.sentence for finding in template_findings(active.pattern, lookup, active.slug)]
    return Activation(active, people, estimate, first_date, warnings)


def look_up(settings: "Settings", campaign: Campaign) -> TemplateLookup:
    """Asks Meta for a campaign's template, if the settings say whose it is."""
    missing = [
        name
        for name, setting in {
            "WHATSAPP_ACCESS_TOKEN": settings.whatsapp_access_token,
            "WHATSAPP_PHONE_NUMBER_ID": settings.whatsapp_phone_number_id,
            "WHATSAPP_BUSINESS_ACCOUNT_ID": settings.whatsapp_business_account_id,
        }.items()
        if setting is None
    ]
    if missing:
        return NotLookedUp(f"set {', '.join(missing)}, so that a mistake shows before the first message.")
    # Loaded here: only who asks needs what makes calls.
    from campaign_pipeline.whatsapp.template_reading import TemplateReadError, read_templates

    try:
        templates = read_templates(
            settings.account, settings.whatsapp_business_account_id or "", campaign.template_name
        )
    except TemplateReadError as error:
        return Unreadable(str(error))
    return in_language(templates, campaign.template_language)


def _lookup_before_activation(workplace: Workplace, campaign: str, *, even_if_unreadable: bool) -> TemplateLookup:
    with workplace.ledger.read() as connection:
        found = catalogue.find(connection, campaign)
    if found.status != CampaignStatus.DRAFT:
        return lifecycle.NOBODY_LOOKED
    lookup = look_up(workplace.settings, found)
    if isinstance(lookup, Unreadable):
        if even_if_unreadable:
            return NotLookedUp(lookup.reason)
        advice = f"To go on all the same: `campaign activate {found.slug} --even-if-unreadable`."
        return Unreadable(f"{lookup.reason} {advice}")
    return lookup
