"""What happens at a point: nothing but counting, a death by SIGKILL, or a disk that is full."""

import errno
import os
import shutil
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

from tinygpt.durable import NoRoomError

Hook = Callable[[str, Path, bytes], None]
How = Literal["kill", "full once", "full"]

NEEDS_ROOM = ("create", "write", "sync", "rename", "make directory", "commit")
"""The operations that fail where a disk is full."""


class Fault(NamedTuple):
    """What happens at the hit of a number (from 1) in a process: None is the command itself, a
    number its worker that was started as that one (from 0)."""

    hit: int
    how: How = "kill"
    process: int | None = None

    def __str__(self) -> str:
        who = "" if self.process is None else f" of worker {self.process}"
        return f"{self.how} at hit {self.hit}{who}"


class Count:
    """Notes the points that a process passes in a file, a line each."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __call__(self, operation: str, path: Path, data: bytes) -> None:
        with open(self._file, "a") as file:
            file.write(f"{name_of(operation, path)}\n")


class Kill:
    """Ends this process at a point, in the middle of what was to be done there."""

    def __init__(self, hit: int, epitaph: Callable[[str], None]) -> None:
        """`epitaph` is called with the point's name just before."""
        self._left, self._epitaph = hit, epitaph

    def __call__(self, operation: str, path: Path, data: bytes) -> None:
        self._left -= 1
        if self._left == 0:
            self._epitaph(name_of(operation, path))
            begin(operation, path, data)
            os.kill(os.getpid(), signal.SIGKILL)


class NoRoom:
    """Has the disk full at a point, only there or from there on."""

    def __init__(self, hit: int, epitaph: Callable[[str], None], *, lasting: bool) -> None:
        """`epitaph` is called with the point's name when it is come to."""
        self._left, self._epitaph, self._lasting = hit, epitaph, lasting

    def __call__(self, operation: str, path: Path, data: bytes) -> None:
        self._left -= 1
        if self._left == 0:
            self._epitaph(name_of(operation, path))
        if operation in NEEDS_ROOM and (self._left == 0 or (self._lasting and self._left < 0)):
            begin(operation, path, data)
            raise refusal(operation, path, data)


def hook(fault: Fault, epitaph: Callable[[str], None]) -> Hook:
    """What makes a fault happen, for `durable.failpoint`."""
    if fault.how == "kill":
        return Kill(fault.hit, epitaph)
    return NoRoom(fault.hit, epitaph, lasting=fault.how == "full")


def name_of(operation: str, path: Path) -> str:
    """A point's name: the operation and the kind of file, without what tells one of a kind from
    another."""
    name = path.name.partition(".tmp-")[0].lstrip(".")
    return f"{operation} {'step' if name.startswith('step-') else name}"


def begin(operation: str, path: Path, data: bytes) -> None:
    """Do the first part of an operation that has parts."""
    if operation == "write":
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.write(descriptor, data[: len(data) // 2])
        os.close(descriptor)
    elif operation == "remove tree":
        for file in sorted(path.iterdir())[:1]:
            file.unlink() if file.is_file() else shutil.rmtree(file)


def refusal(operation: str, path: Path, data: bytes) -> Exception:
    """What the operation itself would raise on a full disk, after `begin`."""
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    if operation == "commit":
        from experiments.database import TROUBLE, StorageError

        return StorageError(f"{path}: {TROUBLE[sqlite3.SQLITE_FULL]}")
    if operation == "write":
        return NoRoomError(error, path, len(data) - len(data) // 2)
    if operation == "sync":
        return NoRoomError(error, path, path.stat().st_size)
    return error


def counted(names: list[str]) -> str:
    """The points by name with their numbers, the most frequent first."""
    return ", ".join(f"{name} {count}" for name, count in Counter(names).most_common())
