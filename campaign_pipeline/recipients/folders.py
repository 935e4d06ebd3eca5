"""Where recipient lists come in, are kept, and where their rejected rows go.

Keep out what is in them: `list_files` reads lists, `intake` takes them in.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LONGEST_NAME: Final = 180
"""Bytes of a file's name that are kept: a file system takes 255, and a hash and endings are added to it."""


@dataclass(frozen=True, slots=True)
class ListFolders:
    """The folders of recipient lists.

    Attributes:
        waiting: One folder a campaign; a list put there is to be taken in.
        kept: Every list as it came, under its hash.
        rejected: For each list, the rows that did not become recipients, with line and reason.
    """

    waiting: Path
    kept: Path
    rejected: Path


def shortened(name: str) -> str:
    """A name that something can be added to; a long one keeps its end, where its date and kind usually stand."""
    while len(os.fsencode(name)) > LONGEST_NAME:
        name = name[1:]
    return name
