"""Where status files come in, and where they end up.

Keep out what is in them: `status_files` takes them in.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class StatusFolders:
    """The folders of status files.

    Attributes:
        inbox: Files to be taken in; names that begin with a dot are still being written.
        archive: Files that were taken in, under their hash, as they came.
        rejected: Files, and lines of files, that cannot be read, with the reason beside them.
    """

    inbox: Path
    archive: Path
    rejected: Path
