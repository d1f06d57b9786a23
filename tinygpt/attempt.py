"""Attempts at a run: each signs the run's lock file, and only the last one writes.

The lock alone keeps two processes apart as long as it is one file. Where it was removed, or the
file system forgets locks, the older attempt finds another signature there and stops.
"""

import os
import secrets
from pathlib import Path

from tinygpt.files import BusyError, note


class Attempt:
    """The newest attempt at a run, made by whoever holds its lock."""

    def __init__(self, lock: Path, descriptor: int, hand: str = "") -> None:
        """`descriptor` is that of the held lock file; attempts of one `hand` compute the same
        bits."""
        self._lock, self._descriptor = lock, descriptor
        words = self._signature().split()
        self.number = number_in(self._signature()) + 1
        self.same_hand = len(words) < 4 or words[2] == hand.encode()
        """Whether the attempt before this one, if there was one, had the same hand."""
        note(descriptor, lock, f"attempt {self.number} {hand or '-'} {secrets.token_hex(4)}")
        self._signed = self._signature()

    def check(self) -> None:
        """Raise BusyError if a later attempt has begun, or the lock file was removed."""
        if not self._is_there():
            raise BusyError(f"{self._lock}: was removed while this process held it")
        if self._signature() != self._signed:
            raise BusyError(f"{self._lock}: another process has taken over this run")

    def _signature(self) -> bytes:
        return os.pread(self._descriptor, 128, 0)

    def _is_there(self) -> bool:
        try:
            return os.path.samestat(self._lock.stat(), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False


def number_in(text: bytes) -> int:
    """The number of the last attempt by a lock file's text; 0 if there was none."""
    words = text.split()
    return int(words[1]) if words[:1] == [b"attempt"] and words[1:2] and words[1].isdigit() else 0
