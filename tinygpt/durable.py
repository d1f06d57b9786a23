"""Every operation on a file that is meant to last, each under a name: nothing else in the trainer
and the driver changes what a run or a sweep is made of, all but its locks and logs.

Pillai et al. 2014, "All File Systems Are Not Created Equal", says what a file system may do with
an operation that was not waited for: contents, names and their order are each lost on their own.
"""

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

failpoint: Callable[[str, Path, bytes], None] | None = None
"""Called before each operation with its name, its path and its data; None outside of tests."""


class NoRoomError(OSError):
    """There is no room for `needed` bytes more of the file `filename`; 0: nobody knows how many."""

    def __init__(self, cause: OSError, path: Path, needed: int) -> None:
        super().__init__(cause.errno, cause.strerror, str(path))
        self.needed = needed


def announce(operation: str, path: Path, data: bytes = b"") -> None:
    """Say what is about to be done, to whoever tests what survives it."""
    if failpoint is not None:
        failpoint(operation, path, data)


def make_directory(path: Path) -> None:
    """Make a directory and those above it; their names survive a power cut. One that is there
    already is fine, though whoever made it may have been killed before its name was synced."""
    missing = [place for place in (path, *path.parents) if not place.is_dir()]
    for place in reversed(missing):
        announce("make directory", place)
        with telling(place):
            place.mkdir(exist_ok=True)
        sync_directory(place.parent)
    if not missing:
        sync_directory(path.parent)


def make_new_directory(path: Path) -> None:
    """Make a directory whose name need not last. Raises FileExistsError."""
    announce("make directory", path)
    with telling(path):
        os.mkdir(path)


def write_new(path: Path, data: bytes) -> None:
    """Write a file that is not there yet and wait until the disk has its contents, though not yet
    its name. Raises FileExistsError, NoRoomError."""
    announce("create", path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    # Whoever fails here removes what there is of the file: all of it is needed the next time.
    with telling(path, len(data)):
        descriptor = os.open(path, flags, 0o644)
        try:
            append(descriptor, path, data)
            sync(descriptor, path)
        finally:
            os.close(descriptor)


def opened(path: Path, mode: int = 0o644) -> int:
    """A descriptor that appends to a file, made if it is not there; a link is not followed."""
    if not path.exists():
        announce("create", path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    with telling(path):
        return os.open(path, flags, mode)


def append(descriptor: int, path: Path, data: bytes) -> None:
    """Write at the end of a file. Raises NoRoomError; a part may have been written then."""
    announce("write", path, data)
    left = memoryview(data)
    while left:
        with telling(path, len(left)):
            left = left[os.write(descriptor, left) :]


def sync(descriptor: int, path: Path) -> None:
    """Wait until the disk has the contents of a file. Raises NoRoomError."""
    announce("sync", path)
    with telling(path):
        if hasattr(fcntl, "F_FULLFSYNC"):  # on macOS fsync leaves them in the disk's own memory
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
        else:
            os.fsync(descriptor)


@contextlib.contextmanager
def telling(path: Path, needed: int = 0) -> Iterator[None]:
    """Raise errors with the path they are about, and with what is needed if a disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise NoRoomError(error, path, needed) from None
        raise OSError(error.errno, error.strerror, str(path)) from None


def truncate(descriptor: int, path: Path, size: int) -> None:
    """Cut a file to so many bytes, if it is longer."""
    if os.fstat(descriptor).st_size > size:
        announce("truncate", path, b"%d" % size)
        os.ftruncate(descriptor, size)


def sync_directory(path: Path) -> None:
    """Wait until the disk has the names in a directory."""
    announce("sync directory", path)
    with telling(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def rename(source: Path, target: Path) -> None:
    """Give a file or a directory another name; a file of that name is replaced."""
    announce("rename", source, os.fsencode(target))
    with telling(target):
        os.rename(source, target)


def remove(path: Path) -> None:
    """Remove a file; one that is not there is fine."""
    if os.path.lexists(path):
        announce("remove", path)
        path.unlink(missing_ok=True)


def remove_tree(path: Path) -> None:
    """Remove a directory and all below it; one that is not there is fine."""
    if os.path.lexists(path):
        announce("remove tree", path)
        shutil.rmtree(path)
