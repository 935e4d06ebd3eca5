"""What an error of Meta's says is kept without what must be kept nowhere."""

import pytest

from campaign_pipeline.whatsapp.client import read_answer
from campaign_pipeline.whatsapp.graph_answers import text_of, without_token

TOKEN = "EAAGm0PX4ZCpsBAKZBxZCZAZCZCx7Pq0WZAv"


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (f"Malformed access token {TOKEN}", "Malformed access token …"),
        (f"access_token={TOKEN}&x=1", "access_token=…&x=1"),
        (f"Bearer {TOKEN}, twice {TOKEN}", "Bearer …, twice …"),
        ('Cannot parse "Authorization: Bearer any-secret_word.1" here', 'Cannot parse "Authorization: Bearer …" here'),
        ("EACH of them, and NEAR the bearer", "EACH of them, and NEAR the bearer"),
    ],
)
def test_no_words_hold_the_token(said: str, kept: str) -> None:
    """It would stand in the ledger, in logs and in a terminal that is shared."""
    assert without_token(said) == kept
    error = {"code": 190, "message": "No", "error_data": {"details": said}}
    assert text_of(error) == f"No: {kept}"
    assert read_answer(401, {"error": error}).error_text == f"No: {kept}"
