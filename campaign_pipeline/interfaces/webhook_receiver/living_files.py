"""Files that one living process writes: locked as long as it lives, grown by whole groups, each on the disk.

Add here what is true of every file that must survive the process which writes it.
Keep out what the files hold: `inbox_files` and `forward_queue`.

The lock is the kernel's (flock), so it is gone with the process, however that ends: a file that can be locked was left
behind. A file gets its name only once it is locked, so that nobody takes a file for left behind that was just made.
"""

import contextlib
import errno
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

from campaign_pipeline.interfaces.webhook_receiver.seldom import Seldom

_BEING_MADE: Final = ".being-made-"
_UNBORN_SECONDS: Final = 60
_WHOLE_DATA_SYNC = getattr(os, "fdatasync", os.fsync)

_seldom = Seldom(logging.getLogger(__name__), seconds=3600)


class LivingFile:
    """A file that this process alone writes.

    Attributes:
        path: Where it is.
        end: Bytes that are whole and on the disk; what may stand behind them was never vouched for.
        is_trusted: False once the disk has refused in a way that leaves open what it holds: then write no more.
    """

    def __init__(self, path: Path, descriptor: int, end: int) -> None:
        """Takes over an open file that is locked; see `create` and `claim`."""
        self.path = path
        self.end = end
        self.is_trusted = True
        self._descriptor = descriptor

    @classmethod
    def create(cls, path: Path, beginning: bytes = b"") -> Self:
        """Makes a file, locked from the moment at which it has its name; its name survives a power cut.

        Raises:
            OSError: There is no room for it, or it may not be made.
        """
        make_folder(path.parent)
        nameless = path.with_name(f"{_BEING_MADE}{os.getpid()}-{path.name.lstrip('.')}")
        descriptor = os.open(nameless, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o640)
        made = cls(nameless, descriptor, 0)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            made.append(beginning)
            made.move(path)
            sync_folder(path.parent)
        except OSError:
            made.delete()
            raise
        return made

    @classmethod
    def claim(cls, path: Path) -> Self | None:
        """Takes over a file that was left behind; None when its process lives, or somebody was faster.

        Raises:
            OSError: It may not be opened.
        """
        try:
            descriptor = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Between the look and the lock its owner may have given it another name and let it go.
            is_still_there = os.path.samestat(path.stat(), os.fstat(descriptor))
        except (BlockingIOError, FileNotFoundError):
            is_still_there = False
        if not is_still_there:
            os.close(descriptor)
            return None
        return cls(path, descriptor, os.fstat(descriptor).st_size)

    def append(self, data: bytes) -> None:
        """Writes behind the end, down to the disk; when that fails, the file is as it was before.

        Raises:
            OSError: It did not reach the disk, or nobody will find it there.
        """
        try:
            self._write(data, self.end)
            self._sync()
            self._make_sure_of_its_name()
        except OSError:
            self.cut(self.end)
            raise
        self.end += len(data)

    def overwrite(self, data: bytes, offset: int) -> None:
        """Writes over a place before the end, without waiting for the disk.

        Raises:
            OSError: It could not be written.
        """
        self._write(data, offset)

    def read(self, length: int, offset: int) -> bytes:
        """Reads at most so many bytes."""
        pieces: list[bytes] = []
        while length > 0 and (piece := os.pread(self._descriptor, length, offset)):
            pieces.append(piece)
            length -= len(piece)
            offset += len(piece)
        return b"".join(pieces)

    def cut(self, end: int) -> None:
        """Takes away what stands behind an offset; a file that cannot be cut is no longer trusted."""
        try:
            os.ftruncate(self._descriptor, end)
        except OSError:
            self.is_trusted = False
        self.end = min(self.end, end)

    def move(self, path: Path) -> None:
        """Gives it another name in the same folder; after a power cut it may have the old one again.

        Raises:
            OSError: It keeps its name.
        """
        self.path = self.path.rename(path)

    def delete(self) -> None:
        """Takes it away, if it is still there."""
        self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Lets it go: from now on whoever finds it may claim it."""
        os.close(self._descriptor)

    def _write(self, data: bytes, offset: int) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self._descriptor, view, offset)
            view = view[written:]
            offset += written

    def _sync(self) -> None:
        try:
            _WHOLE_DATA_SYNC(self._descriptor)
        except OSError:
            # The kernel may say so once and forget which pages it lost: a second try that goes well proves nothing.
            self.is_trusted = False
            raise

    def _make_sure_of_its_name(self) -> None:
        if os.fstat(self._descriptor).st_nlink == 0:
            self.is_trusted = False
            raise FileNotFoundError(errno.ENOENT, "the file was deleted while it was written", str(self.path))


def left_behind(folder: Path, prefix: str, suffix: str) -> list[Path]:
    """The files of a folder that may have been left behind, by name; none when there is no such folder."""
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.name.startswith(prefix))
    except FileNotFoundError:
        return []
    return [folder / name for name in names if name.endswith(suffix)]


def claim_all(paths: list[Path]) -> Iterator[LivingFile]:
    """Takes over those of some files that were left behind; one that may not be opened holds up no other."""
    for path in paths:
        try:
            claimed = LivingFile.claim(path)
        except OSError as error:
            _seldom.error("A file was left behind and stays so, as it cannot be opened: %s: %s", path, error.strerror)
            continue
        if claimed is not None:
            yield claimed


def delete_unborn(folder: Path) -> None:
    """Takes away files that were never given their name: their process was killed before anybody was told of them."""
    for claimed in claim_all([path for path in left_behind(folder, _BEING_MADE, "") if _is_old(path)]):
        claimed.delete()


def _is_old(path: Path) -> bool:
    """Whether nobody can be making a file any more; one that is being made at this moment is not locked yet."""
    with contextlib.suppress(FileNotFoundError):
        return time.time() - path.stat().st_mtime >= _UNBORN_SECONDS
    return False


def make_folder(folder: Path) -> None:
    """Makes a folder, with those above it that are missing; their names survive a power cut.

    Raises:
        OSError: It cannot be made.
    """
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Waits until the names in a folder are on the disk.

    Raises:
        OSError: The disk cannot say so.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
