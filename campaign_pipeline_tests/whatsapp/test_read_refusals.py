"""Every question of ours reads a refusal in the same way."""

import pytest

from campaign_pipeline.whatsapp.read_refusals import ReadRefusal, refusal_by


@pytest.mark.parametrize(
    ("code", "refusal"),
    [
        *((code, ReadRefusal.TOKEN) for code in (0, 104, 190)),
        *((code, ReadRefusal.PERMISSION) for code in (3, 10, 200, 299, 131005)),
        *((code, ReadRefusal.WRONG_ID) for code in (33, 100, 803)),
        *((code, ReadRefusal.TOO_FAST) for code in (2, 4, 80007)),
        *((code, ReadRefusal.OTHER) for code in (1, 368, 424242)),
    ],
)
def test_a_refused_question_points_to_what_has_to_be_mended(code: int, refusal: ReadRefusal) -> None:
    """With 803 somebody makes one new token after the other, while a digit of the id is wrong."""
    assert refusal_by(code) is refusal
