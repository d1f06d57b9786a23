"""An append-only JSONL file whose length and digest a checkpoint can name."""

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

from tinygpt.files import RecordError, json_line, write_atomically


class Mark(TypedDict):
    """A place in a record: so many bytes, with this digest."""

    bytes: int
    sha256: str


START = Mark(bytes=0, sha256=hashlib.sha256().hexdigest())


class Record:
    """A file of rows, written by one process; opening it cuts off what lies behind a mark."""

    def __init__(self, path: Path, mark: Mark = START) -> None:
        """Raises RecordError, changing nothing, if the file does not begin as the mark says."""
        self.path = path
        self._digest = hashlib.sha256(verified(path, mark))
        self._descriptor = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_APPEND, 0o644
        )
        os.ftruncate(self._descriptor, mark["bytes"])
        self._bytes = mark["bytes"]

    def append(self, row: Mapping[str, Any]) -> None:
        line = json_line(row)
        written = 0
        while written < len(line):
            written += os.write(self._descriptor, line[written:])
        self._digest.update(line)
        self._bytes += len(line)

    def sync(self) -> Mark:
        """Wait until the disk has every row; return where the record stands."""
        os.fsync(self._descriptor)
        return Mark(bytes=self._bytes, sha256=self._digest.hexdigest())

    def close(self) -> None:
        os.close(self._descriptor)


def verified(path: Path, mark: Mark) -> bytes:
    """The bytes of a record up to a mark; raises RecordError if they are not what was marked."""
    data = path.read_bytes()[: mark["bytes"]] if path.exists() else b""
    if hashlib.sha256(data).hexdigest() != mark["sha256"]:
        raise RecordError(
            f"{path}: its first {mark['bytes']} bytes are not what the checkpoint saw"
        )
    return data


def _whole_lines(path: Path) -> list[bytes]:
    data = path.read_bytes() if path.exists() else b""
    return data[: data.rfind(b"\n") + 1].splitlines(keepends=True)


def _step(line: bytes) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf


def up_to(path: Path, step: int) -> Mark:
    """Drop a JSONL file's rows behind `step` and a torn last line; return where it then ends."""
    data = b"".join(line for line in _whole_lines(path) if _step(line) <= step)
    if path.exists():
        write_atomically(path, data)
    return Mark(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
