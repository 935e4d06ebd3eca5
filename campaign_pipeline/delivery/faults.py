"""Whether an error says something against what was read, or only that the ledger or the machine cannot work now.

Add here another error of which it is not plain what it speaks against. Keep out what is done about it.
"""

import errno
from typing import Final

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFreeError

_OF_THE_LEDGER: Final = (OperationalError, InterfaceError, NoConnectionFreeError)
_OF_THE_MACHINE: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.EIO)


def is_no_files_fault(error: Exception) -> bool:
    """Whether an error says nothing against a file: the ledger is away, or the machine is full or broken."""
    return isinstance(error, _OF_THE_LEDGER) or getattr(error, "errno", None) in _OF_THE_MACHINE


def reason_of(error: Exception) -> str:
    """Why a file or line cannot be taken in, as text that can be kept; without the values of a statement."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    words = " ".join(f"it cannot be taken in: {type(cause).__name__}: {cause}".replace("\0", " ").split())
    return words.encode("utf-8", "replace").decode()[:300]
