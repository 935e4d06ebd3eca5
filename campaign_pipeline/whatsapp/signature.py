"""The signature of a webhook: whether a body came from Meta, or from whoever found the address.

Add here another signature of Meta's. Everything is pure.
Keep out the receiving of webhooks, and what they say.

Source: developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/create-webhook-endpoint, read
2026-09-11. Signed are the bytes as they are sent, in which non-ASCII is written as lower-case escapes: a body that was
parsed and written again has another signature.
"""

import hashlib
import hmac
from typing import Final

HEADER: Final = "X-Hub-Signature-256"

_PREFIX: Final = "sha256="


def signature_of(body: bytes, app_secret: str) -> str:
    """The value of the header that a body is sent with: HMAC-SHA256 under the app's secret, in hexadecimal."""
    return _PREFIX + hmac.new(app_secret.encode(), body, hashlib.sha256).hexdigest()


def is_signed(body: bytes, header: str | None, app_secret: str) -> bool:
    """Whether a body is signed with the app's secret; compared in a time that tells nothing of it.

    Args:
        body: The bytes of the request, before anything was parsed.
        header: The value of `HEADER`; None when it is missing.
        app_secret: Of the app that the webhooks are subscribed by. An empty one signs nothing.
    """
    if not app_secret or header is None:
        return False
    return hmac.compare_digest(signature_of(body, app_secret).encode(), header.strip().lower().encode())
