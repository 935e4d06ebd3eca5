"""What goes wrong when a campaign is asked for something it cannot do; the message is a sentence for a person.

Add here an error that callers tell apart. Keep out the words themselves: they stand where it goes wrong.
"""


class CampaignError(ValueError):
    """The campaign cannot do this; the message says why and what to do."""


class CampaignNotFoundError(CampaignError):
    """There is no campaign with this name or id."""


class CampaignStateError(CampaignError):
    """What was asked does not fit how this campaign, or another one, stands now."""
