"""The template on the campaign's row, as it was last read: what previews, attempts and the next list go by.

Add here how it is kept.
Keep out the reading (`whatsapp.template_reading`) and what is found wrong with it (`preflight`).
"""

from datetime import datetime

from sqlalchemy import Connection, update

from campaign_pipeline.campaigns.catalogue import Campaign, get
from campaign_pipeline.ledger.schema import marketing_campaigns
from campaign_pipeline.whatsapp.templates import Template


def keep_template(connection: Connection, campaign: Campaign, template: Template, now: datetime) -> Campaign:
    """Keeps the template as it was read just now; gives the campaign as it stands then.

    Nothing is kept when the campaign's template was changed since it was looked up.
    """
    row = marketing_campaigns.c
    connection.execute(
        update(marketing_campaigns)
        .where(
            row.id == campaign.id,
            row.template_name == template.name,
            row.template_language == template.language,
        )
        .values(template=dict(template.raw), template_version=template.version, template_checked_at=now)
    )
    return get(connection, campaign.id)


NOTHING_KEPT: dict[str, None] = {"template": None, "template_version": None, "template_checked_at": None}
"""The columns of a campaign whose template nobody has looked up yet."""
