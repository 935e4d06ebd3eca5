"""Meta's error codes, and whose fault each is."""

from pathlib import Path

import pytest

from campaign_pipeline.whatsapp import error_table
from campaign_pipeline.whatsapp.errors import KNOWN_ERRORS, Arrival, ErrorClass, look_up

PROJECT = Path(__file__).parents[2]


@pytest.mark.parametrize("code", [130403, 130472, 131000, 131021, 131026, 131030, 131049, 131062, 132005, 132012])
def test_a_fault_of_the_person_is_one(code: int) -> None:
    """Taken for a fault of the account, one wrong number stops the batch."""
    assert look_up(code).class_in(Arrival.ANSWER) is ErrorClass.PERSON


@pytest.mark.parametrize("code", [2, 4, 80007, 130429, 131016, 131056, 131057, 133004, 2494100])
def test_a_throttle_is_one_in_an_answer_and_final_for_the_person_in_a_webhook(code: int) -> None:
    """Taken for a refusal, who was asked too fast is lost; tried again after a 200, the person has it twice."""
    error = look_up(code)
    assert error.class_in(Arrival.ANSWER) is ErrorClass.THROTTLE
    assert error.wait > 0
    assert error.class_in(Arrival.WEBHOOK) is ErrorClass.PERSON


@pytest.mark.parametrize(
    "code", [1, 100, 131008, 131009, 131053, 132000, 132001, 132007, 132015, 132016, 132018, 132068, 135000]
)
def test_a_fault_of_the_campaign_is_one(code: int) -> None:
    """Taken for a fault of the person, a paused template fails a whole audience in one morning."""
    assert look_up(code).class_in(Arrival.ANSWER) is ErrorClass.CAMPAIGN


@pytest.mark.parametrize(
    "code", [0, 3, 10, 33, 190, 200, 250, 299, 368, 131005, 131031, 131042, 131045, 131048, 131064, 133010]
)
def test_a_fault_of_the_account_is_one(code: int) -> None:
    """Taken for anything less, the next campaign runs into it too, and Meta takes note."""
    error = look_up(code)
    assert error.class_in(Arrival.ANSWER) is ErrorClass.ACCOUNT
    assert error.advice, "somebody has to mend it, and is not told how"


def test_what_means_something_else_in_a_webhook_is_read_so() -> None:
    """135000 after a held message is Meta blocking the account; 0 there is an error whose code could not be read."""
    assert look_up(135000).class_in(Arrival.WEBHOOK) is ErrorClass.ACCOUNT
    assert look_up(0).class_in(Arrival.WEBHOOK) is ErrorClass.UNKNOWN
    assert look_up(130497).class_in(Arrival.WEBHOOK) is ErrorClass.COUNTRY
    assert look_up(131050).class_in(Arrival.WEBHOOK) is ErrorClass.UNSUBSCRIBED


def test_a_code_that_is_in_no_table_is_unknown_and_points_beyond_the_person() -> None:
    """An invented explanation is worse than Meta's own text; and three in a row are no chance."""
    error = look_up(123456789)
    assert error.class_in(Arrival.ANSWER) is error.class_in(Arrival.WEBHOOK) is ErrorClass.UNKNOWN
    assert not error.only_here


@pytest.mark.parametrize("code", [100, 131008, 131009, 132018])
@pytest.mark.parametrize(
    ("details", "error_class"),
    [
        ("(#100) Invalid parameter: Param to must be a valid phone number", ErrorClass.PERSON),
        ("Param text cannot have new-line/tab characters or more than 4 consecutive spaces", ErrorClass.PERSON),
        ("Recipient phone number not valid", ErrorClass.PERSON),
        ("The parameter to is required.", ErrorClass.CAMPAIGN),
        ("Param template['name'] is required.", ErrorClass.CAMPAIGN),
        ("", ErrorClass.CAMPAIGN),
    ],
)
def test_a_parameter_of_one_person_is_that_persons_fault(code: int, details: str, error_class: ErrorClass) -> None:
    """One row with a line end in a name must not pause the campaign, day after day."""
    assert look_up(code, details).class_in(Arrival.ANSWER) is error_class


def test_the_page_of_the_codes_is_made_from_the_table() -> None:
    """Somebody looks a code up at night, and does what last year's table said."""
    assert (PROJECT / "docs" / "errors.md").read_text(encoding="utf-8") == error_table.page()


def test_an_object_that_the_token_may_not_see_is_a_fault_of_the_account() -> None:
    """A wrong phone number id pauses one campaign after the other, and each has to be resumed by itself."""
    text = (
        "Unsupported post request. Object with ID '1' does not exist, cannot be loaded due to missing permissions, or …"
    )
    assert look_up(100, text).class_in(Arrival.ANSWER) is ErrorClass.ACCOUNT


def test_each_code_stands_in_the_table_once() -> None:
    """Of two rows the later one would count, and the documentation would show both."""
    codes = [error.code for error in KNOWN_ERRORS]
    assert codes == sorted(set(codes))
