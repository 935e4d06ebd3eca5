"""Tokens of the REST API: made, found, listed and revoked. The ledger keeps their hashes, nobody keeps a token.

Add here what is true of a token in the ledger. Keep out who may do what with one.
"""

import hashlib
import hmac
import secrets
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Row, insert, or_, select, update

from campaign_pipeline.campaigns.journal import audit
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import api_tokens
from campaign_pipeline.ledger.states import ApiRole

LONGEST_NAME: Final = 100
_BYTES: Final = 32
"""So many random bytes cannot be tried through, which is why their hash is a plain SHA-256."""
_SHOWN: Final = 9
_LARGEST_ID_DIGITS: Final = 18


class TokenError(ValueError):
    """A token cannot be made or revoked so; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token as the ledger knows it."""

    id: int
    name: str
    role: ApiRole
    prefix: str
    created_at: datetime
    created_by: str
    last_used_at: datetime | None
    revoked_at: datetime | None

    def as_dict(self) -> dict[str, object]:
        """The token as programs read it; the token itself is in no place."""
        return asdict(self)


def create_token(
    connection: Connection, role: ApiRole, *, name: str | None, actor: str, now: datetime
) -> tuple[Token, str]:
    """Makes a token.

    Args:
        connection: A transaction that writes.
        role: What it allows.
        name: Of the program that will use it; None makes one of role and prefix.
        actor: Who makes it.
        now: The moment, UTC.

    Returns:
        The row, and the token's text, which is kept nowhere.

    Raises:
        TokenError: The name is taken or cannot be used.
    """
    text = f"cp_{secrets.token_urlsafe(_BYTES)}"
    prefix = prefix_of(text)
    called = f"{role}-{prefix.removeprefix('cp_')}" if name is None else name.strip()
    if not called or len(called) > LONGEST_NAME or not called.isprintable() or called.isdigit():
        msg = f"A token's name has 1 to {LONGEST_NAME} printable characters, not only digits: name its program."
        raise TokenError(msg)
    if connection.execute(select(api_tokens.c.id).where(api_tokens.c.name == called)).first() is not None:
        msg = f"There is, or was, a token {called!r}: choose another name, so that the audit log stays clear."
        raise TokenError(msg)
    values = {"name": called, "role": role, "prefix": prefix, "created_at": now, "created_by": actor}
    row = connection.execute(insert(api_tokens).values(sha256=_hash(text), **values).returning(*api_tokens.c)).one()
    audit(connection, "token_created", called, actor=actor, now=now, details={"role": role})
    return _token(row), text


def find_token(ledger: Ledger, text: str) -> Token | None:
    """The token with this text, unless it was revoked.

    It is looked up by its hash, so that how long the look takes says nothing about the token: whoever guesses does not
    know the hash of a guess that would be nearer.
    """
    digest = _hash(text)
    with ledger.read() as connection:
        row = connection.execute(select(api_tokens).where(api_tokens.c.sha256 == digest)).one_or_none()
    if row is None or not hmac.compare_digest(row.sha256, digest) or row.revoked_at is not None:
        return None
    return _token(row)


def list_tokens(connection: Connection) -> list[Token]:
    """Every token there is or was, in the order in which they were made."""
    return [_token(row) for row in connection.execute(select(api_tokens).order_by(api_tokens.c.id))]


def revoke_token(connection: Connection, reference: str, *, actor: str, now: datetime) -> Token:
    """Revokes a token by its name or id; from the next request on it is not known any more.

    Raises:
        TokenError: There is none.
    """
    number = int(reference) if reference.isdecimal() and len(reference) <= _LARGEST_ID_DIGITS else None
    matches = or_(api_tokens.c.name == reference, api_tokens.c.id == number)
    row = connection.execute(select(api_tokens).where(matches)).one_or_none()
    if row is None:
        msg = f"There is no token {reference!r}: `campaign token list` shows those that there are."
        raise TokenError(msg)
    if row.revoked_at is None:
        connection.execute(update(api_tokens).where(api_tokens.c.id == row.id).values(revoked_at=now))
        audit(connection, "token_revoked", row.name, actor=actor, now=now)
    return _token(connection.execute(select(api_tokens).where(api_tokens.c.id == row.id)).one())


def note_use(ledger: Ledger, token_id: int, now: datetime) -> None:
    """Writes down that a token was used."""
    with ledger.write() as connection:
        connection.execute(update(api_tokens).where(api_tokens.c.id == token_id).values(last_used_at=now))


def prefix_of(text: str) -> str:
    """The beginning of a token, which may be shown."""
    return text[:_SHOWN]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _token(row: Row) -> Token:
    return Token(
        row.id,
        row.name,
        ApiRole(row.role),
        row.prefix,
        row.created_at,
        row.created_by,
        row.last_used_at,
        row.revoked_at,
    )
