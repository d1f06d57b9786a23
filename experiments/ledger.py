"""What the mirror has brought to W&B: `wandb/mirror.jsonl`, the newest row of a run counts."""

import os
import threading
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tinygpt import durable
from tinygpt.files import json_line, row_of, whole_lines


@dataclass(frozen=True)
class Entry:
    """One run: how often its id had to be renewed, because somebody deleted the run; once it is
    closed, what of (the digest of its result), where (a server's project; empty: offline), and in
    which directory of W&B's."""

    id: str
    generation: int = 1
    fingerprint: str | None = None
    place: str = ""
    directory: str | None = None

    @property
    def run_id(self) -> str:
        """What the run is called on W&B."""
        return self.id if self.generation == 1 else f"{self.id}-{self.generation}"


class Ledger:
    """Losing it costs time and nothing else: what it says was done is done again, and is the
    same."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        data = path.read_bytes() if path.exists() else b""
        lines = whole_lines(data)
        self._torn = bool(data) and not data.endswith(b"\n")
        self._entries = {entry.id: entry for entry in map(_entry, lines) if entry is not None}

    def entry(self, run: str) -> Entry:
        return self._entries.get(run, Entry(run))

    def is_closed(self, run: str, fingerprint: str, place: str) -> bool:
        """Whether all of a run's result is where it should be; what is on a server need not be
        offline too."""
        entry = self.entry(run)
        return entry.fingerprint == fingerprint and (not place or entry.place == place)

    def renew(self, run: str) -> None:
        """Take another id for a run whose own is spent."""
        self._write(Entry(run, self.entry(run).generation + 1))

    def close(self, run: str, fingerprint: str, place: str, directory: str) -> None:
        self._write(
            replace(self.entry(run), fingerprint=fingerprint, place=place, directory=directory)
        )

    def reopen(self, run: str) -> None:
        """Forget that a run was closed: the server lacks something of it."""
        self._write(replace(self.entry(run), fingerprint=None))

    def _write(self, entry: Entry) -> None:
        with self._lock:
            self._entries[entry.id] = entry
            descriptor = durable.opened(self._path)
            try:
                line = json_line(asdict(entry))
                durable.append(descriptor, self._path, b"\n" + line if self._torn else line)
            finally:
                os.close(descriptor)
            self._torn = False


def _entry(line: bytes) -> Entry | None:
    try:
        return Entry(**(row_of(line) or {}))
    except TypeError:
        return None
