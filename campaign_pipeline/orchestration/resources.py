"""Resources: what assets need from outside, made when a run first asks for it.

Add here a connection or a client. Nothing is read or opened before a run wants it, and no secret gets into run config.
Keep out asset logic.
"""

from datetime import UTC, datetime
from functools import cached_property

from campaign_pipeline.ledger.engine import Ledger, open_ledger
from campaign_pipeline.sending.sender import Sender, SenderTerms
from campaign_pipeline.settings import Settings
from campaign_pipeline.whatsapp.account import cloud_api_of
from campaign_pipeline.whatsapp.client import CloudApiClient


class Pipeline:
    """The pipeline as one run sees it: settings, ledger and sender.

    Attributes:
        settings: The configuration.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger, opened once."""
        return open_ledger(self.settings.ledger_url)

    @cached_property
    def sender(self) -> Sender:
        """What sends a date; it looks for a token only when there is somebody to send to."""
        terms = SenderTerms(
            cloud_api=cloud_api_of(self.settings.whatsapp_base_url),
            limit_setting=self.settings.sender_limit,
            rate=self.settings.sender_rate,
            stop_rule=self.settings.stop_rule,
            consent=self.settings.consent,
            account=self.settings.account_terms,
        )
        return Sender(
            self.ledger,
            lambda: CloudApiClient(self.settings.account, terms.concurrency),
            self.settings.calendar,
            terms,
        )

    def now(self) -> datetime:
        """The moment, in UTC."""
        return datetime.now(UTC)
