"""A webhook is taken for Meta's only if its bytes, as they came, are signed with the app's secret."""

import json

import pytest

from campaign_pipeline.whatsapp.signature import is_signed, signature_of

SECRET = "YOUR_APP_SECRET"
TEXT = (
    "Let's pretend this body is equal to the message object and can handle unicode characters like "
    "みどりいろ and J'ai mangé des pâtes"
)
ESCAPED = json.dumps(TEXT)[1:-1].encode()
"""As Meta writes it: non-ASCII as lower-case escapes."""

SIGNED = "sha256=0363007aabdf1ab579f35936651a460fb5fa1aaf40df98b1264446b72cc96688"


def test_the_known_signature_of_a_body_with_escaped_letters() -> None:
    """The test vector of another library (whatsapp-api-js): an own idea of the signature would agree with itself."""
    assert b"\\u307f" in ESCAPED
    assert signature_of(ESCAPED, SECRET) == SIGNED
    assert is_signed(ESCAPED, SIGNED, SECRET)


def test_the_same_text_in_utf_8_has_another_signature() -> None:
    """Whoever parses a body and writes it again refuses every message with an accent in it."""
    assert signature_of(TEXT.encode(), SECRET).startswith("sha256=5ab50fef")
    assert not is_signed(TEXT.encode(), SIGNED, SECRET)


@pytest.mark.parametrize(
    "header",
    [None, "", "sha256=", SIGNED.removeprefix("sha256="), SIGNED[:-1], SIGNED.replace("sha256", "sha1"), "sha256=é"],
)
def test_a_missing_or_wrong_signature_is_none(header: str | None) -> None:
    """Anybody who knows the address could make statuses up, and STOPs of people who want messages."""
    assert not is_signed(ESCAPED, header, SECRET)


def test_a_changed_body_and_another_secret_are_not_signed() -> None:
    """One byte, or the secret of another app."""
    assert not is_signed(ESCAPED + b" ", SIGNED, SECRET)
    assert not is_signed(ESCAPED, SIGNED, "another")


def test_an_empty_secret_signs_nothing() -> None:
    """A setting that was left empty would let in whoever signs with nothing."""
    assert not is_signed(b"{}", signature_of(b"{}", ""), "")


def test_capital_letters_and_space_around_do_not_matter() -> None:
    """Proxies have been seen to touch headers; the digits are the same."""
    assert is_signed(ESCAPED, f" {SIGNED.upper()} ", SECRET)
