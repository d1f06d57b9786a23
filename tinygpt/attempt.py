"""Attempts at a run: each has a number in the run's lock file, and only the last one writes.

The lock alone keeps two processes apart as long as it is one file. Where it was removed, or the
file system forgets locks, the older attempt finds another number there and stops.
"""

import os
from pathlib import Path

from tinygpt.files import BusyError, note


class Attempt:
    """The newest attempt at a run, made by whoever holds its lock."""

    def __init__(self, lock: Path, descriptor: int) -> None:
        """`descriptor` is that of the held lock file."""
        self._lock, self._descriptor = lock, descriptor
        self.number = number_in(os.pread(descriptor, 32, 0)) + 1
        note(descriptor, f"attempt {self.number}")

    def check(self) -> None:
        """Raise BusyError if a later attempt has begun, or the lock file was removed."""
        if not self._is_there():
            raise BusyError(f"{self._lock}: was removed while this process held it")
        if number_in(os.pread(self._descriptor, 32, 0)) != self.number:
            raise BusyError(f"{self._lock}: another process has taken over this run")

    def _is_there(self) -> bool:
        return self._lock.exists() and os.path.samestat(
            self._lock.stat(), os.fstat(self._descriptor)
        )


def number_in(text: bytes) -> int:
    """The number of the last attempt by a lock file's text; 0 if there was none."""
    word, _, number = text.strip().partition(b" ")
    return int(number) if word == b"attempt" and number.isdigit() else 0
