"""Whether an error says something against what was read, or only that the ledger or the machine cannot work now.

Add here another error of which it is not plain what it speaks against. Keep out what is done about it.
"""

import errno
from typing import Final

from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFreeError

# Internal are, by PostgreSQL's driver: a server that is read-only since a failover, a damaged index.
_OF_THE_LEDGER: Final = (OperationalError, InterfaceError, InternalError, NoConnectionFreeError)

_OF_ITS_TABLES: Final = ("42501", "42P01")
"""SQLSTATE of a right that is missing, and of a table: https://www.postgresql.org/docs/current/errcodes-appendix.html"""

_OF_THE_MACHINE: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.EIO)


def is_no_files_fault(error: Exception) -> bool:
    """Whether an error says nothing against a file: the ledger is away, or the machine is full or broken."""
    if isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in _OF_ITS_TABLES:
        return True
    return isinstance(error, _OF_THE_LEDGER) or getattr(error, "errno", None) in _OF_THE_MACHINE


def reason_of(error: Exception) -> str:
    """Why a file or line cannot be taken in, as text that can be kept; without the values of a statement or row."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    # What PostgreSQL says further may be the whole row, with the number of its person.
    told = getattr(getattr(cause, "diag", None), "message_primary", None) or cause
    words = " ".join(f"it cannot be taken in: {type(cause).__name__}: {told}".replace("\0", " ").split())
    return words.encode("utf-8", "replace").decode()[:300]
