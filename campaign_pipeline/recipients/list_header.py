"""The header of a list: which column holds the phone number, which names are taken twice, and whether there is one.

Add here another usual name of the phone column. The rules are the same for every format.
Keep out how the first row of a file is found: that is its format's business.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from campaign_pipeline.recipients.column_names import bare_name
from campaign_pipeline.recipients.list_rows import ListFileError

_PHONE_NAMES: Final = frozenset(
    (  # noqa: SIM905 - a line of words is easier to add to than forty lines
        "phone phoneno phonenumber mobile mobileno mobilenumber mobilephone mobilephonenumber cell cellno cellnumber "
        "cellphone cellphonenumber msisdn whatsapp whatsappno whatsappnumber whatsappphone whatsappphonenumber waid "
        "telephone telephoneno telephonenumber tel telno telefon telefonnummer telefone telefono celular handy "
        "handynummer mobil mobilnummer mobiltelefon movil numero numerodetelefone numerodetelefono contactnumber "
        "contactno contactphone portable gsm"
    ).split()
)
_LOOKS_LIKE_A_PHONE: Final = re.compile(r"'?\+?[\d\s().\-/]{7,25}|\d([.,]\d+)?[eE]\+?\d+")
_TELLS_OF_A_PERSON: Final = re.compile(r"@|\d[\d\s().\-/]{4,}\d")
_NAMED_BY: Final = "name it with --phone-column"


@dataclass(frozen=True, slots=True)
class Header:
    """The columns of a list.

    Attributes:
        names: As written, stripped; without empty ones at the end.
        phone_index: The place of the one that holds the phone number.
        is_a_person: There is no header: the first row is a person, and the names are ours (column_1, column_2 ...).
    """

    names: tuple[str, ...]
    phone_index: int
    is_a_person: bool = False


def read_header(name: str, first_row: Sequence[str], phone_column: str | None, *, may_be_a_person: bool) -> Header:
    """Makes the header of a list from its first row.

    Args:
        name: The file's name, for sentences.
        first_row: The names of its columns, or its first person.
        phone_column: The column that holds the phone number, by name or by number counted from 1; None finds it by its
            usual names.
        may_be_a_person: The format has no names of its own, so that the first row may be a person.

    Raises:
        ListFileError: Names are taken twice, the phone column cannot be told, or there is no header and the phone
            column was not given by its number.
    """
    names = [each.strip() for each in first_row]
    while names and not names[-1]:
        names.pop()
    matches = _phone_columns(names, phone_column)
    if may_be_a_person:
        phones = [index for index in matches or range(len(names)) if looks_like_a_phone(names[index])]
        # A date may be the name of a column beside the one that was asked for, but nothing with a + can.
        phones = phones or [i for i, text in enumerate(names) if text.startswith("+") and looks_like_a_phone(text)]
        if phones and phones == matches and _number(phone_column) == phones[0] + 1:
            return Header(tuple(f"column_{place}" for place in range(1, len(first_row) + 1)), phones[0], True)
        if phones:
            raise ListFileError(
                f"{name} has no header, its first line holds a phone number: give --phone-column {phones[0] + 1} to "
                "read it so, or add a first line that names the columns, such as phone,first_name."
            )
    folded = [column.casefold() for column in names if column]
    if twice := sorted({column for column in names if column and folded.count(column.casefold()) > 1}):
        raise ListFileError(f"{name} has more than one column named {', '.join(twice)}: give each its own name.")
    return Header(tuple(names), _the_one_column(name, names, matches, phone_column))


def names_the_phone(text: str, phone_column: str | None) -> bool:
    """Whether a column of this name holds the phone number."""
    return bare_name(text) in (_PHONE_NAMES if phone_column is None else {bare_name(phone_column)})


def looks_like_a_phone(text: str) -> bool:
    """Whether a text is no name of a column, but a phone number, be it one that a spreadsheet has shortened."""
    return _LOOKS_LIKE_A_PHONE.fullmatch(text) is not None


def _phone_columns(names: Sequence[str], phone_column: str | None) -> list[int]:
    """Finds the columns that may be meant: one of just the given name, else of its like, else of the given number."""
    matches = [index for index, column in enumerate(names) if column and names_the_phone(column, phone_column)]
    matches = [index for index in matches if names[index] == phone_column] or matches
    number = _number(phone_column)
    return matches or [index for index in range(len(names)) if index + 1 == number]


def _number(phone_column: str | None) -> int | None:
    """Reads a column given by its number."""
    digits = (phone_column or "").strip()
    return int(digits) if digits.isdecimal() and len(digits) < 6 else None


def _the_one_column(name: str, names: Sequence[str], matches: Sequence[int], phone_column: str | None) -> int:
    if len(matches) == 1:
        return matches[0]
    if matches:
        both = " and ".join(names[index] for index in matches)
        raise ListFileError(f"{name} has {len(matches)} columns that could be the phone number, {both}: {_NAMED_BY}.")
    found = _columns_in_words(names)
    if phone_column is None:
        raise ListFileError(f"No column of {name} is known to hold the phone number: {_NAMED_BY}. It has: {found}.")
    raise ListFileError(f"{name} has no column {phone_column!r}: {_NAMED_BY} as one of these: {found}.")


def _columns_in_words(names: Sequence[str]) -> str:
    """The columns as they may be shown to everybody; where there is no header, the first row is a person's data."""
    if any(_TELLS_OF_A_PERSON.search(name) for name in names):
        return f"{len(names)} columns, and its first line looks like a person and not like a header"
    return ", ".join(name or "(no name)" for name in names)
