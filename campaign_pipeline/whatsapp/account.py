"""Who calls the Cloud API, and where it is.

Keep out the calls: `client`. Settings import this module, and a command that makes no call should not load what calls.
"""

from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class CloudApiAccount:
    """Where the Cloud API is and who calls it.

    Attributes:
        base_url: ``https://graph.facebook.com``, or a simulator's.
        api_version: ``v25.0``; always given, since without it Meta takes whichever is newest.
        phone_number_id: Meta's id of the business phone number.
        access_token: A system user's token; never shown.
    """

    base_url: str
    api_version: str
    phone_number_id: str
    access_token: str

    def __repr__(self) -> str:
        return f"CloudApiAccount({self.base_url}, {self.api_version}, {self.phone_number_id})"

    @property
    def messages_url(self) -> str:
        """The address that messages are posted to."""
        return f"{self.base_url.rstrip('/')}/{self.api_version}/{self.phone_number_id}/messages"


def cloud_api_of(base_url: str) -> str:
    """Which Cloud API an address is of, in one word: its host, or "simulator" for any on this machine."""
    return "simulator" if is_this_machine(base_url) else urlsplit(base_url).hostname or base_url


def is_this_machine(base_url: str) -> bool:
    """Whether an address is of this machine itself: localhost, or any loopback address."""
    host = urlsplit(base_url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
