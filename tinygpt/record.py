"""An append-only JSONL file whose length and digest a checkpoint can name."""

import hashlib
import json
import math
import os
from collections import deque
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any, TypedDict

from tinygpt import durable
from tinygpt.files import RecordError, json_line, row_of, rows_in, whole_lines, write_atomically


class Mark(TypedDict):
    """A place in a record: so many bytes, with this digest."""

    bytes: int
    sha256: str


START = Mark(bytes=0, sha256=hashlib.sha256().hexdigest())


class DivergedRecordError(RecordError):
    """A step was computed twice with different results."""


class Record:
    """A file of rows, written by one process.

    What lies behind the mark where it is opened will be computed again: each row that is appended
    is compared with the one that stands there, which costs nothing and proves them equal. A torn
    row, or one that is not of the step that comes, is cut off with all that follows it.
    """

    def __init__(self, path: Path, mark: Mark = START, *, compare: bool = True) -> None:
        """Without `compare` all behind the mark is cut off. Raises RecordError, changing nothing,
        if the file does not begin as the mark says."""
        self.path = path
        begun = verified(path, mark)
        self.rows = rows_in(begun, path)
        """Those up to the mark."""
        self._digest, self._bytes = hashlib.sha256(begun), len(begun)
        self._lines = len(self.rows)
        self._ahead = deque(_rows_behind(path, mark) if compare else [])
        self._descriptor = durable.opened(path)
        durable.truncate(self._descriptor, path, self._bytes + sum(map(len, self._ahead)))

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a row. Raises DivergedRecordError if it is known with other values."""
        line = json_line(row)
        if not self._stands(line):
            durable.append(self._descriptor, self.path, line)
        self._digest.update(line)
        self._bytes += len(line)
        self._lines += 1

    def sync(self) -> Mark:
        """Wait until the disk has every row; return where the record stands."""
        durable.sync(self._descriptor, self.path)
        return Mark(bytes=self._bytes, sha256=self._digest.hexdigest())

    def end(self) -> None:
        """Make the last row appended the last of the file."""
        self._ahead.clear()
        durable.truncate(self._descriptor, self.path, self._bytes)

    def close(self) -> None:
        os.close(self._descriptor)

    def _stands(self, line: bytes) -> bool:
        """Whether the row stands in the file already; what no run would have written there is cut
        off."""
        recorded = self._ahead[0] if self._ahead else None
        if recorded == line:
            self._ahead.popleft()
            return True
        if recorded is not None and _place(recorded) == _place(line):
            was, now = (one.decode().strip() for one in (recorded, line))
            raise DivergedRecordError(
                f"{self.path}:{self._lines + 1}: computed again, this row is {now}, was {was}; the "
                "machine, a library or the file has changed: remove the row and those behind it to "
                "go on with the new ones"
            )
        self._ahead.clear()
        durable.truncate(self._descriptor, self.path, self._bytes)
        return False


def settle(path: Path) -> None:
    """Have the disk hold a JSONL file up to its last sound row, and nothing behind that."""
    if path.exists():
        descriptor = durable.opened(path)
        durable.truncate(descriptor, path, sum(map(len, _rows_behind(path, START))))
        durable.sync(descriptor, path)
        os.close(descriptor)


def _place(line: bytes) -> tuple[Any, Any]:
    row = row_of(line) or {}
    return row.get("kind"), row.get("step")


def _rows_behind(path: Path, mark: Mark) -> list[bytes]:
    data = path.read_bytes()[mark["bytes"] :] if path.exists() else b""
    return list(takewhile(lambda line: row_of(line) is not None, whole_lines(data)))


def verified(path: Path, mark: Mark) -> bytes:
    """The bytes of a record up to a mark; raises RecordError if they are not what was marked."""
    data = path.read_bytes()[: mark["bytes"]] if path.exists() else b""
    if hashlib.sha256(data).hexdigest() != mark["sha256"]:
        raise RecordError(f"{path}: its first {mark['bytes']} bytes are not what was written")
    return data


def _step(line: bytes) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return math.inf


def up_to(path: Path, step: int) -> Mark:
    """Drop a JSONL file's rows behind `step` and a torn last line; return where it then ends."""
    before = path.read_bytes() if path.exists() else b""
    data = b"".join(line for line in whole_lines(before) if _step(line) <= step)
    if data != before:
        write_atomically(path, data)
    return Mark(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
