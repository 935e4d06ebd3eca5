"""Which errors a person caused or can mend: they become one line, all others keep their traceback.

Add here a class of errors whose message is a sentence for a person.
Keep out the sentences: they stand where it goes wrong.
"""

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError

_OS_SENTENCES = {
    errno.ENOENT: "There is no file {name}.",
    errno.EISDIR: "{name} is a folder, not a file.",
    errno.EACCES: "{name} may not be opened: its permissions do not allow it.",
}


def sentence_for(error: Exception) -> str | None:
    """What to tell the person about an error.

    Args:
        error: What a command raised.

    Returns:
        One line; None for an error that nobody foresaw.
    """
    if isinstance(error, BrokenPipeError):
        return None
    if isinstance(error, OSError):
        return _of_system(error)
    return _of_rooms(error) or _of_settings(error) or _of_database(error)


def _of_system(error: OSError) -> str | None:
    name = error.filename
    if error.errno == errno.ENOENT and isinstance(name, str) and not Path(name).parent.is_dir():
        return f"There is no folder {Path(name).parent}."
    sentence = _OS_SENTENCES.get(error.errno or 0)
    if sentence is not None and name is not None:
        return sentence.format(name=name)
    if error.strerror is None:
        return None
    return f"{name}: {error.strerror}." if name is not None else f"{error.strerror}."


def _of_rooms(error: Exception) -> str | None:
    # Loaded here: an error costs these imports, a command that goes well does not.
    from campaign_pipeline.campaigns.errors import CampaignError
    from campaign_pipeline.campaigns.plan import PlanError
    from campaign_pipeline.interfaces.rest_api.tokens import TokenError
    from campaign_pipeline.ledger.engine import LedgerError
    from campaign_pipeline.recipients.list_files import ListFileError
    from campaign_pipeline.recipients.phone_numbers import InvalidPhone
    from campaign_pipeline.sending.doubts import DoubtError
    from campaign_pipeline.sending.limits import LimitError

    foreseen = (CampaignError, PlanError, LedgerError, ListFileError, InvalidPhone, DoubtError, LimitError, TokenError)
    return _one_line(str(error)) if isinstance(error, foreseen) else None


def _of_settings(error: Exception) -> str | None:
    from pydantic import ValidationError

    from campaign_pipeline.settings import Settings, SettingsError

    if isinstance(error, SettingsError):
        return _one_line(str(error))
    if isinstance(error, ValidationError) and error.title == Settings.__name__:
        return f"The settings cannot be used: {'; '.join(_faults(error))}."
    return None


def _faults(error: "ValidationError") -> list[str]:
    """One phrase for each setting at fault; the value itself is never shown, since it may be a token."""
    return [_fault(fault["loc"], fault["msg"]) for fault in error.errors(include_input=False, include_url=False)]


def _fault(place: Sequence[int | str], message: str) -> str:
    said = _one_line(message.removeprefix("Value error, ")).rstrip(".")
    return f"{'.'.join(map(str, place))}: {said}" if place else said


def _of_database(error: Exception) -> str | None:
    from sqlalchemy.exc import ArgumentError, DatabaseError, OperationalError

    if isinstance(error, ArgumentError):
        return "CAMPAIGN_DATABASE_URL cannot be read: write it as in sqlite:///data/ledger.sqlite3."
    # DatabaseError itself is "not a database"; its other subclasses are faults of ours and keep their traceback.
    if isinstance(error, OperationalError) or type(error) is DatabaseError:
        return f"The ledger cannot be used: {_one_line(str(error.orig)).rstrip('.?')}."
    return None


def _one_line(text: str) -> str:
    return " ".join(text.split())
