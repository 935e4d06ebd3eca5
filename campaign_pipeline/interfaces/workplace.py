"""What commands and the REST API work with: settings, ledger, clock and who acts, each made when first asked for.

Add here what several of them need from outside. A test brings its own clock.
Keep out what only one needs, and everything that takes long to import at the top.
"""

import getpass
import os
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from campaign_pipeline.ledger.engine import Ledger
    from campaign_pipeline.recipients.phone_numbers import PhoneNumber
    from campaign_pipeline.settings import Settings


def _now() -> datetime:
    return datetime.now(UTC)


class Workplace:
    """The settings, the ledger and the clock of one command, or of one server."""

    def __init__(self, clock: Callable[[], datetime] = _now) -> None:
        """Makes a workplace without touching anything yet.

        Args:
            clock: Gives the moment, UTC.
        """
        self.clock = clock

    @cached_property
    def settings(self) -> "Settings":
        """The configuration.

        Raises:
            SettingsError: `.env` is no text in UTF-8.
            ValidationError: A setting cannot be used.
        """
        from campaign_pipeline.settings import Settings, SettingsError

        try:
            return Settings()
        except UnicodeDecodeError as error:
            msg = ".env cannot be read: save it as text in UTF-8."
            raise SettingsError(msg) from error

    @cached_property
    def ledger(self) -> "Ledger":
        """The ledger, ready for use.

        Raises:
            LedgerError: It cannot be used as it is.
        """
        from campaign_pipeline.ledger.engine import open_ledger

        return open_ledger(self.settings.ledger_url)

    @cached_property
    def actor(self) -> str:
        """Who is at the keyboard, for the audit log."""
        try:
            return getpass.getuser()
        except (KeyError, OSError):
            # A container may run under a number that no user has.
            return f"uid {os.getuid()}"

    def said_by(self, name: str | None) -> str:
        """Whose word it is: the name that was given, else who is at the keyboard."""
        return self.actor if name is None else name

    def local(self, moment: datetime | None) -> str:
        """A moment as the business's clocks show it, with its zone; nothing for None."""
        return f"{self.settings.calendar.local(moment):%Y-%m-%d %H:%M %Z}" if moment is not None else ""

    def sender_limit(self, connection: "Connection") -> int:
        """People whom the sender may reach in 24 hours."""
        from campaign_pipeline.sending.limits import limit_in_force

        return limit_in_force(connection, self.settings.sender_limit, self.clock())

    def first_open_date(self, connection: "Connection") -> date:
        """The date of the next batch to be taken."""
        from campaign_pipeline.campaigns.send_schedule import first_open_date

        return first_open_date(connection, self.settings.calendar, self.clock())

    def phone(self, text: str, region: str | None) -> "PhoneNumber":
        """Reads a phone number as a person types it.

        Raises:
            InvalidPhone: It is none.
        """
        from campaign_pipeline.recipients.phone_numbers import parse_phone

        return parse_phone(text, region or self.settings.default_region)

    def close(self) -> None:
        """Closes the ledger, if it was opened."""
        if "ledger" in self.__dict__:
            self.ledger.close()
