"""Meta's error codes, and whose fault each is."""

import pytest

from campaign_pipeline.whatsapp.errors import ErrorClass, classify, meaning


@pytest.mark.parametrize("code", [130403, 130472, 131021, 131026, 131030, 131050, 132012])
def test_a_fault_of_the_person_is_one(code: int) -> None:
    """Taken for a fault of the account, one wrong number stops the batch."""
    assert classify(code) is ErrorClass.PERSON
    assert meaning(code)


@pytest.mark.parametrize("code", [4, 80007, 130429, 131056, 131057])
def test_a_throttle_is_one(code: int) -> None:
    """Taken for a refusal, people who were only asked too fast are lost."""
    assert classify(code) is ErrorClass.THROTTLE
    assert meaning(code)


@pytest.mark.parametrize(
    "code",
    [
        *(0, 1, 3, 10, 33, 100, 190, 200, 368, 131005, 131008, 131031, 131042, 131045, 131048, 131064),
        *(132000, 132001, 132005, 132007, 132015, 132016, 133010, 135000, 123456789),
    ],
)
def test_everything_else_stops_the_batch(code: int) -> None:
    """A code that nobody here knows may mean the account, and the account is worth more than a day."""
    assert classify(code) is ErrorClass.STOP


def test_a_code_that_is_in_no_table_has_no_meaning() -> None:
    """An invented explanation is worse than Meta's own text."""
    assert meaning(123456789) is None
