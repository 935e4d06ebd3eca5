"""What people write as a phone number, turned into the number to send to and the key of the person behind it.

Add here a spelling that people use, or a country in which one person has two valid spellings.
Keep out files, the database, and what WhatsApp answers: a `wa_id` is not always a valid number (reference section 5.1).
"""

import re
import unicodedata
from dataclasses import dataclass, field
from functools import cache
from typing import Final

import phonenumbers
from phonenumbers import CountryCodeSource, NumberParseException, PhoneNumberType, ValidationResult

_BRAZIL: Final = 55
_MEXICO: Final = 52
_ARGENTINA: Final = 54

_LONGEST_TEXT: Final = 250  # libphonenumber's own bound
_SURROUNDING: Final = "\"'`´‘’‚‛“”„«»= \t\r\n"
_PREFIX: Final = re.compile(r"(?:tel|whatsapp)\s*:\s*", re.IGNORECASE)
_DIGITS_ONLY: Final = re.compile(r"\+?[0-9]+")
_SCIENTIFIC: Final = re.compile(r"\+?\d+(?:[.,]\d+)?e[+-]?\d+", re.IGNORECASE)
_WHOLE_NUMBER_AS_DECIMAL: Final = re.compile(r"(\+?\d{7,15})\.0+")
_EXTENSION: Final = re.compile(r"\d[\s;,.(]*(?:ext(?:ension|n)?|x|#)[\s.:=]*\d+\)?$", re.IGNORECASE)
_NUMBER: Final = re.compile(r"[(\s]*\+?[\s\d().\-/]*")

_BRAZILIAN_MOBILE_OF_EIGHT_DIGITS: Final = re.compile(r"([1-9]{2})([6-9]\d{7})")
_MEXICAN_TRUNK_PREFIX: Final = re.compile(r"(?:01|04[45])(\d{10})")
_MEXICAN_MOBILE_ONE: Final = re.compile(r"1(\d{10})")
_ARGENTINE_MOBILE: Final = re.compile(r"9(\d{10})")
_LOOKS_LIKE_A_PHONE: Final = re.compile(r"\+\d[\d ().-]{5,22}\d|(?<![\w.-])\d{9,15}(?![\w-])")
_ARGENTINE_NINE_AND_FIFTEEN: Final = re.compile(r"9(\d{12})")

_SENTENCES: Final = {
    "empty": "There is no phone number; fill it in.",
    "not_a_number": "This is not a phone number; write one number, with + and the country code.",
    "letters": "The phone number contains letters; write it in digits.",
    "extension": "The phone number has an extension, which WhatsApp cannot reach; give a direct number.",
    "scientific_notation": "A spreadsheet has shortened the number and its digits are lost; "
    "format the column as text and export the list again.",
    "no_country": "The country cannot be told; write the number with + and a country code that exists.",
    "too_short": "The phone number has too few digits; write it in full, with its area code.",
    "too_long": "The phone number has too many digits; write one number only.",
    "ambiguous": "The digits are a number both with and without a country code; write + if they begin with one.",
    "not_valid": "No such number can exist in its country; check the digits.",
}

_MOBILE_TYPES: Final = (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE)

_PARSE_FAULTS: Final = {
    NumberParseException.INVALID_COUNTRY_CODE: "no_country",
    NumberParseException.NOT_A_NUMBER: "too_short",
    NumberParseException.TOO_SHORT_AFTER_IDD: "too_short",
    NumberParseException.TOO_SHORT_NSN: "too_short",
    NumberParseException.TOO_LONG: "too_long",
}
_LENGTH_FAULTS: Final = {
    ValidationResult.TOO_SHORT: "too_short",
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "too_short",
    ValidationResult.TOO_LONG: "too_long",
    ValidationResult.INVALID_COUNTRY_CODE: "no_country",
}


class InvalidPhone(ValueError):  # noqa: N818 - the name says what it is about; every rejection table uses the word
    """A text that is no phone number we may send to.

    Attributes:
        code: One short word for machines: empty, not_a_number, letters, extension, scientific_notation, no_country,
            too_short, too_long, ambiguous or not_valid.
    """

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(_SENTENCES[code])


@dataclass(frozen=True, slots=True)
class PhoneNumber:
    """A number that can be sent to, and whose it is.

    Attributes:
        e164: What is sent, as "+447911123456".
        person_key: The same for every spelling of one person; what UNIQUE (campaign, person) stands on. It looks like
            E.164, but for Argentina it is the number without the 9: compare it, never send to it.
        region: Two letters of ISO 3166 for the country or territory that the number belongs to; None for numbers of no
            country, such as +800.
    """

    e164: str
    person_key: str
    # Follows from the number, and so tells no two of them apart.
    region: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class _ValidNumber:
    """A number that can exist, and its region as libphonenumber has it."""

    number: phonenumbers.PhoneNumber
    region: str | None


def check_default_region(region: str | None) -> str | None:
    """Makes a default region ready for `parse_phone`.

    Args:
        region: Two letters of ISO 3166 in any case, or None when only international spellings are to be accepted.

    Returns:
        The two letters in capitals, or None.

    Raises:
        ValueError: There is no such region.
    """
    if region is None:
        return None
    letters = region.strip().upper()
    if letters not in phonenumbers.SUPPORTED_REGIONS:
        hint = " The United Kingdom is GB." if letters == "UK" else ""
        raise ValueError(f"Unknown region {region!r}: give two letters of ISO 3166, such as GB or BR.{hint}")
    return letters


def parse_phone(text: str, default_region: str | None) -> PhoneNumber:
    """Reads one phone number as people write or paste it.

    Which numbers exist is libphonenumber's knowledge; which spellings are one person is ours (reference section 5.2).

    Args:
        text: What stands in the list.
        default_region: As `check_default_region` returns it: where a number without a country code belongs. None
            refuses such numbers.

    Returns:
        The number to send to and the key of its person.

    Raises:
        InvalidPhone: No number can be read; its `code` and sentence say why.
        ValueError: The default region does not exist.
    """
    if default_region is not None and default_region not in phonenumbers.SUPPORTED_REGIONS:
        check_default_region(default_region)
        raise ValueError(f"Write the default region in capitals, not as {default_region!r}.")
    faults: list[InvalidPhone] = []
    for readings in _readings(_dialled_digits(text), default_region):
        valid: list[_ValidNumber] = []
        for reading in readings:
            try:
                valid.append(_valid_number(reading, default_region))
            except InvalidPhone as fault:
                faults.append(fault)
        if valid:
            return _phone_number(_the_one_meant(valid))
    raise faults[0] if faults else InvalidPhone("no_country")


def mask_phone(text: str) -> str:
    """Hides a phone number for logs and metadata: only the last two digits stay, and nothing tells its length."""
    digits = [character for character in text if character.isdecimal()]
    return "***" + ("".join(digits[-2:]) if len(digits) > 4 else "")


def hide_phones(text: str) -> str:
    """A text that a person has written, with whatever looks like a phone number in it masked."""
    return _LOOKS_LIKE_A_PHONE.sub(lambda found: mask_phone(found[0]), text)


def region_of(e164: str) -> str | None:
    """The region of a number as the ledger keeps it: two letters of ISO 3166; None where no country has it."""
    try:
        number = phonenumbers.parse(e164)
    except NumberParseException:
        return None
    return _country(phonenumbers.region_code_for_number(number))


def _country(region: str | None) -> str | None:
    """A region, unless it is libphonenumber's 001, which stands for the numbers of no country."""
    return region if region is not None and region.isalpha() else None


def _dialled_digits(text: str) -> str:
    """Takes off everything that is pasted along with a number, and leaves ASCII digits with or without a leading +."""
    if len(text) > _LONGEST_TEXT:
        raise InvalidPhone("too_long")
    if _DIGITS_ONLY.fullmatch(text):
        return text
    plain = text if text.isascii() else _as_typed(text)
    plain = _PREFIX.sub("", plain.strip(_SURROUNDING), count=1).strip(_SURROUNDING)
    if not plain:
        raise InvalidPhone("empty")
    if _SCIENTIFIC.fullmatch(plain):
        raise InvalidPhone("scientific_notation")
    # pandas and Excel write a column with a gap in it as decimals; taken as punctuation, the dot would add a digit.
    if decimal := _WHOLE_NUMBER_AS_DECIMAL.fullmatch(plain):
        plain = decimal[1]
    if not _NUMBER.fullmatch(plain):
        raise InvalidPhone(_what_does_not_belong(plain))
    digits = "".join(str(unicodedata.decimal(c)) for c in plain if c.isdecimal())
    if not digits:
        raise InvalidPhone("not_a_number")
    return "+" + digits if "+" in plain else digits


def _as_typed(text: str) -> str:
    """Replaces what word processors and chats put in: invisible marks, no-break spaces, dashes, full-width signs."""
    typed = (c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf")
    return "".join("-" if unicodedata.category(c) == "Pd" or c == "−" else c for c in typed)


def _what_does_not_belong(plain: str) -> str:
    """Names the fault of a text that holds more than a number."""
    if not any(character.isdecimal() for character in plain):
        return "not_a_number"
    if _EXTENSION.search(plain):
        return "extension"
    return "letters" if any(character.isalpha() for character in plain) else "not_a_number"


def _readings(digits: str, default_region: str | None) -> list[list[str]]:
    """Lists the ways in which a number can be meant.

    Returns:
        Groups, of which the first with a valid number counts; the readings within a group count alike.
    """
    if digits.startswith("+"):
        return [["+" + digits[1:].removeprefix("00")]]
    literal = [] if default_region is None else [digits]
    # Before the literal reading: people paste 00 where one dials abroad with 011, and Brazil's 00 with a carrier's code
    # would make a number in Peru of 0055 51.
    if digits.startswith("00"):
        return [["+" + digits[2:]], literal]
    if default_region is not None and digits.startswith(_country_code(default_region)):
        literal.append("+" + digits)
    return [literal]


@cache
def _country_code(region: str) -> str:
    return str(phonenumbers.country_code_for_region(region))


def _valid_number(reading: str, default_region: str | None) -> _ValidNumber:
    """Parses one reading, folds the old spellings of its country, and keeps it if such a number can exist."""
    try:
        parsed = phonenumbers.parse(reading, default_region, keep_raw_input=True)
    except NumberParseException as error:
        raise InvalidPhone(_PARSE_FAULTS[error.error_type]) from error
    number = _as_valid_today(parsed)
    # What `is_valid_number` does as well; finding the region is most of its work, and so it is kept.
    region = phonenumbers.region_code_for_number(number)
    if region is None or not phonenumbers.is_valid_number_for_region(number, region):
        raise InvalidPhone(_LENGTH_FAULTS.get(phonenumbers.is_possible_number_with_reason(number), "not_valid"))
    return _ValidNumber(number, region)


def _the_one_meant(numbers: list[_ValidNumber]) -> _ValidNumber:
    """Settles digits that are a number both with and without the country code at their start.

    4915123456789 is a German mobile with its country code, and as it stands also a possible number of East Frisia. The
    mobile is meant, if just one of them is a mobile; guessing further would write to a stranger.
    """
    if len(numbers) == 1 or len({_phone_number(number).e164 for number in numbers}) == 1:
        return numbers[0]
    mobiles = [each for each in numbers if phonenumbers.number_type(each.number) in _MOBILE_TYPES]
    if len(mobiles) != 1:
        raise InvalidPhone("ambiguous")
    return mobiles[0]


def _as_valid_today(number: phonenumbers.PhoneNumber) -> phonenumbers.PhoneNumber:
    """Rewrites spellings that were valid once, or that WhatsApp still uses, to the number of today."""
    country = number.country_code
    if country not in (_BRAZIL, _MEXICO, _ARGENTINA):
        return number
    national = phonenumbers.national_significant_number(number)
    # Area codes contain no 0, so that toll-free numbers (0800 7...) cannot be mistaken for mobiles.
    if country == _BRAZIL and (old := _BRAZILIAN_MOBILE_OF_EIGHT_DIGITS.fullmatch(national)):
        return phonenumbers.parse(f"+{_BRAZIL}{old[1]}9{old[2]}")
    if country == _MEXICO:
        old = _MEXICAN_TRUNK_PREFIX.fullmatch(national)
        # Without 52 before it, a 1 with ten digits is as likely a number of the United States.
        if number.country_code_source != CountryCodeSource.FROM_DEFAULT_COUNTRY:
            old = old or _MEXICAN_MOBILE_ONE.fullmatch(national)
        return phonenumbers.parse(f"+{_MEXICO}{old[1]}") if old else number
    # libphonenumber turns the domestic 15 into the 9, but not when both are written.
    if country == _ARGENTINA and (both := _ARGENTINE_NINE_AND_FIFTEEN.fullmatch(national)):
        return phonenumbers.parse(f"+{_ARGENTINA}{both[1]}")
    return number


def _phone_number(valid: _ValidNumber) -> PhoneNumber:
    """Writes a valid number in the forms that the ledger keeps."""
    e164 = phonenumbers.format_number(valid.number, phonenumbers.PhoneNumberFormat.E164)
    return PhoneNumber(e164=e164, person_key=_person_key(e164, valid.number), region=_country(valid.region))


def _person_key(e164: str, number: phonenumbers.PhoneNumber) -> str:
    """Folds the two valid spellings of an Argentine number; everywhere else E.164 is one person already."""
    if number.country_code == _ARGENTINA:
        # No area code begins with 9, and a mobile and a fixed line never share the ten digits behind it.
        mobile = _ARGENTINE_MOBILE.fullmatch(phonenumbers.national_significant_number(number))
        return f"+{_ARGENTINA}{mobile[1]}" if mobile else e164
    return e164
