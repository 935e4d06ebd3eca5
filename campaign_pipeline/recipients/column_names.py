"""Names of columns as people write them, made comparable.

Keep out which names mean what: `list_files` knows the phone column, `consent` the columns of consent.
"""

import unicodedata


def without_accents(text: str) -> str:
    """The text in lower case and without accents: "Número" becomes "numero"."""
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def bare_name(name: str) -> str:
    """Reduces a column's name to its letters and digits: "WhatsApp-Number " and "whatsapp_number" are one."""
    return "".join(character for character in without_accents(name) if character.isalnum()) or name.strip()
