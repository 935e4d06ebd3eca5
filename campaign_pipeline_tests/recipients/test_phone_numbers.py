"""One person has one key, however the number is spelled, and what is no number says why."""

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from campaign_pipeline.recipients.phone_numbers import (
    InvalidPhone,
    PhoneNumber,
    check_default_region,
    mask_phone,
    parse_phone,
    region_of,
)

_tried_widely = settings(max_examples=500)


def _example_numbers() -> list[tuple[str, phonenumbers.PhoneNumber]]:
    found = []
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for number_type in PhoneNumberType.values():
            number = phonenumbers.example_number_for_type(region, number_type)
            if number is not None and phonenumbers.is_valid_number(number):
                found.append((region, number))
    return found


_EXAMPLES = _example_numbers()


@pytest.mark.parametrize(
    "spelling",
    [
        "+447911123456",
        "+44 7911 123456",
        "+44 (0)7911 123456",
        "(+44) 7911-123-456",
        "00447911123456",
        "00 44 7911 123456",
        "+00447911123456",
        "447911123456",
        "4407911123456",
        "07911123456",
        "7911123456",
        "07911.123.456",
        "07911/123456",
        "07911–123–456",
        "\u202a+44 7911 123456\u202c",
        "\u200e07911\u00a0123456",
        "\ufeff07911123456",
        "'07911123456",
        '"+447911123456"',
        '="07911123456"',
        "tel:+447911123456",
        "TEL: 07911 123456",
        "whatsapp:+447911123456",
        "+44７９１１１２３４５６",
        "٠٧٩١١١٢٣٤٥٦",
        "447911123456.0",
        " 07911\t123456 ",
    ],
)
def test_every_way_to_write_a_british_mobile_is_one_person(spelling: str) -> None:
    """Someone whose number was pasted in two ways would get the campaign twice."""
    assert parse_phone(spelling, "GB") == PhoneNumber("+447911123456", "+447911123456")


@pytest.mark.parametrize(
    "spelling",
    [
        "+55 11 98765-4321",
        "+55 11 8765-4321",
        "551187654321",
        "5511987654321",
        "005511987654321",
        "00 55 11 8765 4321",
        "(11) 98765-4321",
        "(11) 8765-4321",
        "011 8765-4321",
        "0 15 11 98765-4321",
        "+55 (011) 8765-4321",
    ],
)
def test_brazils_ninth_digit_makes_no_second_person(spelling: str) -> None:
    """Lists and WhatsApp's own ids mix the old and the new spelling; both reach the same phone."""
    assert parse_phone(spelling, "BR") == PhoneNumber("+5511987654321", "+5511987654321")


@pytest.mark.parametrize(
    "spelling",
    [
        "+52 55 1234 5678",
        "+52 1 55 1234 5678",
        "5215512345678",
        "525512345678",
        "00525512345678",
        "0052 1 55 1234 5678",
        "55 1234 5678",
        "044 55 1234 5678",
        "045 55 1234 5678",
        "01 55 1234 5678",
        "+52 01 55 1234 5678",
    ],
)
def test_mexicos_old_one_makes_no_second_person(spelling: str) -> None:
    """The 1 after 52 was dropped in 2019, and WhatsApp's ids still carry it."""
    assert parse_phone(spelling, "MX") == PhoneNumber("+525512345678", "+525512345678")


@pytest.mark.parametrize(
    ("spelling", "sent"),
    [
        ("+54 9 11 2345-6789", "+5491123456789"),
        ("5491123456789", "+5491123456789"),
        ("005491123456789", "+5491123456789"),
        ("011 15-2345-6789", "+5491123456789"),
        ("11 15 2345 6789", "+5491123456789"),
        ("+54 11 15 2345-6789", "+5491123456789"),
        ("+54 9 11 15 2345-6789", "+5491123456789"),
        ("+54 11 2345-6789", "+541123456789"),
        ("541123456789", "+541123456789"),
        ("011 2345-6789", "+541123456789"),
    ],
)
def test_argentinas_nine_makes_no_second_person_but_is_sent_as_given(spelling: str, sent: str) -> None:
    """Both spellings are valid numbers, so only the key may fold them: a changed number might not be reachable."""
    assert parse_phone(spelling, "AR") == PhoneNumber(sent, "+541123456789")


@pytest.mark.parametrize(
    ("text", "region", "e164"),
    [
        ("+55 11 3234-5678", None, "+551132345678"),
        ("(11) 3234-5678", "BR", "+551132345678"),
        ("0800 712 3456", "BR", "+558007123456"),
        ("+52 800 123 4567", None, "+528001234567"),
        ("+54 800 123 4567", None, "+548001234567"),
        ("+44 20 7946 0123", None, "+442079460123"),
        ("+39 06 1234 5678", None, "+390612345678"),
    ],
)
def test_a_fixed_line_keeps_its_digits(text: str, region: str | None, e164: str) -> None:
    """A ninth digit put into a fixed line makes it somebody else's number."""
    assert parse_phone(text, region) == PhoneNumber(e164, e164)


@pytest.mark.parametrize(
    ("text", "e164"),
    [("99 9988-7766", "+5599999887766"), ("5599887766", "+5555999887766"), ("0055 51 98765-4321", "+5551987654321")],
)
def test_brazils_area_55_and_carrier_codes_are_not_taken_for_country_codes(text: str, e164: str) -> None:
    """55 is an area of Brazil too, and 0055 is how a Brazilian carrier is chosen, so that 51 would be Peru."""
    assert parse_phone(text, "BR").e164 == e164


def test_a_bare_one_before_ten_digits_is_not_made_mexican() -> None:
    """1 551 234 5678 without a plus is as likely from New Jersey; a stranger in Mexico would get the message."""
    with pytest.raises(InvalidPhone, match="too many digits"):
        parse_phone("15512345678", "MX")


def test_a_german_mobile_without_its_plus_is_no_fixed_line_of_east_frisia() -> None:
    """Exports leave out the plus; read literally, 4915... is a possible number of an area that begins with 49."""
    assert parse_phone("4915123456789", "DE").e164 == "+4915123456789"


def test_digits_that_are_two_numbers_are_refused() -> None:
    """Stockholm 08-12 34 56 with 46 before it is a number of the area 046 as well; guessing writes to a stranger."""
    with pytest.raises(InvalidPhone) as refusal:
        parse_phone("468123456", "SE")
    assert refusal.value.code == "ambiguous"


@pytest.mark.parametrize("text", ["0044 7911 123456", "011 44 7911 123456", "+44 7911 123456"])
def test_a_foreign_number_is_read_where_one_dials_abroad_with_011(text: str) -> None:
    """A Canadian business pastes British customers as 00 44 ...; they would be lost as invalid."""
    assert parse_phone(text, "CA").e164 == "+447911123456"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "empty"),
        (" \u00a0 ", "empty"),
        ("\u200e", "empty"),
        ("'", "empty"),
        ("tel:", "empty"),
        ("n/a", "not_a_number"),
        ("unknown", "not_a_number"),
        ("-", "not_a_number"),
        ("+", "not_a_number"),
        ("07911 123456, 07911 123457", "not_a_number"),
        ("0791+1123456", "not_a_number"),
        ("07911\x00123456", "not_a_number"),
        ("0800 FLOWERS", "letters"),
        ("0791112345O", "letters"),
        ("+44 20 7946 0123 ext. 12", "extension"),
        ("020 7946 0123 x12", "extension"),
        ("020 7946 0123#12", "extension"),
        ("tel:+44-20-7946-0123;ext=12", "extension"),
        ("4.479E+11", "scientific_notation"),
        ("4,47911E+11", "scientific_notation"),
        ("4e11", "scientific_notation"),
        ("+999 123 456 789", "no_country"),
        ("+07911123456", "no_country"),
        ("7", "too_short"),
        ("07911", "too_short"),
        ("+44", "too_short"),
        ("0044", "too_short"),
        ("07911 123456 789", "too_long"),
        ("+44 7911 123456 07911 123457", "too_long"),
        ("9" * 100_000, "too_long"),
        ("07011 12345", "not_valid"),
        ("+44 1111 111111", "not_valid"),
    ],
)
def test_what_is_no_number_says_why(text: str, code: str) -> None:
    """A rejection without its reason cannot be repaired by the person who owns the list."""
    with pytest.raises(InvalidPhone) as refusal:
        parse_phone(text, "GB")
    assert refusal.value.code == code
    assert str(refusal.value).endswith(".")


@pytest.mark.parametrize("text", ["07911123456", "447911123456", "7911123456"])
def test_without_a_default_region_only_international_spellings_are_read(text: str) -> None:
    """A number put into a guessed country is a stranger's number."""
    with pytest.raises(InvalidPhone) as refusal:
        parse_phone(text, None)
    assert refusal.value.code == "no_country"
    assert parse_phone("0044 7911 123456", None) == parse_phone("+447911123456", None)


def test_regions_are_two_letters_in_any_case() -> None:
    """A typing error in the settings would refuse every national number of every list."""
    assert check_default_region(" gb ") == "GB"
    assert check_default_region(None) is None


@pytest.mark.parametrize(("region", "says"), [("UK", "is GB"), ("", "Unknown region"), ("Britain", "Unknown region")])
def test_an_unknown_region_is_named(region: str, says: str) -> None:
    """UK is what people type, and libphonenumber silently knows no numbers there."""
    with pytest.raises(ValueError, match=says):
        check_default_region(region)
    with pytest.raises(ValueError, match=says) as refusal:
        parse_phone("+447911123456", region)
    assert not isinstance(refusal.value, InvalidPhone)


@pytest.mark.parametrize(
    ("text", "masked"),
    [("+44 7911 123456", "***56"), ("Ann 07911123456 (home)", "***56"), ("12", "***"), ("", "***"), ("n/a", "***")],
)
def test_a_masked_number_shows_two_digits_and_nothing_else(text: str, masked: str) -> None:
    """Logs are read by more people than the list; a phone column may hold a name as well."""
    assert mask_phone(text) == masked


@_tried_widely
@given(
    example=st.sampled_from(_EXAMPLES),
    style=st.sampled_from([PhoneNumberFormat.E164, PhoneNumberFormat.INTERNATIONAL, PhoneNumberFormat.NATIONAL]),
    prefix=st.sampled_from(["", "'", "tel:", "whatsapp:", "\u202a", " "]),
    gap=st.sampled_from([" ", "-", ".", "\u00a0", "", "  "]),
)
def test_national_and_international_spellings_of_every_region_are_one_person(
    example: tuple[str, phonenumbers.PhoneNumber], style: int, prefix: str, gap: str
) -> None:
    """A country whose national spelling gave another key would be messaged twice, and nobody would try all 245."""
    region, number = example
    spelling = prefix + phonenumbers.format_number(number, style).replace(" ", gap)
    international = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    assert parse_phone(spelling, region).person_key == parse_phone(international, None).person_key


@_tried_widely
@given(example=st.sampled_from(_EXAMPLES), elsewhere=st.sampled_from(["GB", "BR", "MX", "AR", "CA", "JP", None]))
def test_a_number_once_read_reads_as_itself_whatever_the_default_region(
    example: tuple[str, phonenumbers.PhoneNumber], elsewhere: str | None
) -> None:
    """The ledger's numbers are read again from exports; they must not wander to another person."""
    read = parse_phone(phonenumbers.format_number(example[1], PhoneNumberFormat.E164), None)
    assert parse_phone(read.e164, elsewhere) == read
    assert parse_phone("00" + read.e164[1:], elsewhere) == read


@_tried_widely
@given(text=st.text(max_size=40) | st.text(alphabet="+0123456789 ()-.eEx'\u200e", max_size=25))
def test_whatever_stands_in_the_column_is_a_valid_number_or_a_refusal(text: str) -> None:
    """One odd cell must not end the reading of a list of a million."""
    try:
        number = parse_phone(text, "BR")
    except InvalidPhone as refusal:
        assert refusal.code
    else:
        assert phonenumbers.is_valid_number(phonenumbers.parse(number.e164))
        assert parse_phone(number.e164, None) == number


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("+447400123456", "GB"),
        ("+447911123456", "GG"),
        ("+12015550123", "US"),
        ("+18002345678", "US"),
        ("+15062345678", "CA"),
        ("+18762101234", "JM"),
        ("+17872345678", "PR"),
        ("+5511987654321", "BR"),
        ("+80012345678", None),
    ],
)
def test_a_number_knows_its_country(text: str, region: str | None) -> None:
    """+1 alone says nothing: the United States get no marketing messages, and Canada and Jamaica do."""
    assert parse_phone(text, None).region == region
    assert region_of(text) == region


@_tried_widely
@given(st.sampled_from(_EXAMPLES))
def test_the_region_found_while_reading_is_that_of_the_number_as_it_is_kept(
    example: tuple[str, phonenumbers.PhoneNumber],
) -> None:
    """An audience would be in other countries than the one that the migration has written for the same numbers."""
    phone = parse_phone(phonenumbers.format_number(example[1], PhoneNumberFormat.E164), None)
    assert phone.region == region_of(phone.e164)
    assert phone.region is None or len(phone.region) == 2


def test_what_is_no_number_has_no_country() -> None:
    """Old rows of a ledger are read by the migration, which must not end at one of them."""
    assert region_of("nonsense") is None
