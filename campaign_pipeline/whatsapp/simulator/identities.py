"""Who is who in a webhook: the business's own number, and the contact with a wa_id and a business-scoped user id.

Add here a name that Meta has for a person or for the business. Keep out what happens to a message (statuses.py).
Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/business-scoped-user-ids
"""

import hashlib
import re

from campaign_pipeline.whatsapp.simulator.options import Bsuid, SimulatorOptions

_SPELLINGS = (
    # Only eight digits that begin with 6 to 9 were mobiles before the ninth came; others would be somebody's landline.
    (re.compile(r"55([1-9][0-9])9([6-9][0-9]{7})"), r"55\1\2"),
    (re.compile(r"52([2-9][0-9]{9})"), r"521\1"),
    (re.compile(r"54([1-8][0-9]{9})"), r"549\1"),
)


def metadata_of(options: SimulatorOptions) -> dict[str, object]:
    """The `metadata` of a webhook that belongs to the business phone number.

    Args:
        options: the account's ids.
    """
    return {"display_phone_number": options.display_phone_number, "phone_number_id": options.phone_number_id}


def wa_id_of(phone: str) -> str:
    """The id that WhatsApp has for a person, the same for every spelling of the number.

    Brazilian mobiles lose their ninth digit, Mexican numbers have a 1 behind 52, Argentinian ones a 9 behind 54.

    Args:
        phone: the person's number, E.164.

    Returns:
        Digits only.
    """
    digits = phone.lstrip("+")
    for spelling, wa_id in _SPELLINGS:
        if spelling.fullmatch(digits):
            return spelling.sub(wa_id, digits)
    return digits


def shown_wa_id(phone: str, options: SimulatorOptions) -> str:
    """The wa_id that answers and webhooks show.

    Args:
        phone: the person's number, E.164.
        options: whether WhatsApp's own spelling is shown, or the number as it was given.
    """
    return wa_id_of(phone) if options.wa_id_spellings else phone.lstrip("+")


def contact_of(phone: str, options: SimulatorOptions) -> dict[str, object]:
    """The entry of `contacts` for one person.

    Args:
        phone: the person's number, E.164.
        options: the account's ids, and which ids of the person are shown.
    """
    wa_id = shown_wa_id(phone, options)
    contact: dict[str, object] = {"profile": {"name": f"Customer {wa_id[-4:]}"}}
    if options.bsuid is not Bsuid.INSTEAD:
        contact["wa_id"] = wa_id
    if options.bsuid is not Bsuid.NONE:
        contact["user_id"] = user_id_of(phone, options)
    return contact


def ids_of(phone: str, options: SimulatorOptions, *, wa_id_as: str, user_id_as: str) -> dict[str, object]:
    """The ids of one person beside a status or a message: the wa_id, the business-scoped user id, or both.

    Args:
        phone: the person's number, E.164.
        options: the account's ids, and which ids of the person are shown.
        wa_id_as: the name of the wa_id there, such as `recipient_id`.
        user_id_as: the name of the user id there, such as `recipient_user_id`.
    """
    ids: dict[str, object] = {}
    if options.bsuid is not Bsuid.INSTEAD:
        ids[wa_id_as] = shown_wa_id(phone, options)
    if options.bsuid is not Bsuid.NONE:
        ids[user_id_as] = user_id_of(phone, options)
    return ids


def user_id_of(phone: str, options: SimulatorOptions) -> str:
    """An id of Meta's form; ZZ, which ISO leaves to users, shows that its country is made up.

    Args:
        phone: the person's number, E.164.
        options: the account's ids: the user id of a person is another one for another business.
    """
    digest = hashlib.sha256(f"{options.business_account_id}:{wa_id_of(phone)}".encode()).digest()[:8]
    return f"ZZ.{int.from_bytes(digest)}"
