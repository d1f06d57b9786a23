"""What the workers of a trial wrote into its `worker.log`, the end of it."""

import os
from pathlib import Path

from tinygpt.redaction import redacted

MAX_LINES = 20
MAX_CHARACTERS = 4000


def last_line(log: Path) -> str:
    """What a worker wrote last, in one line."""
    return (tail(log).splitlines() or ["it said nothing"])[-1]


def tail(log: Path) -> str:
    """The last lines of a log, however long it is, without secrets."""
    if not log.exists():
        return ""
    with open(log, "rb") as file:
        # No character takes more than four bytes.
        file.seek(-min(4 * MAX_CHARACTERS, file.seek(0, os.SEEK_END)), os.SEEK_END)
        text = redacted(file.read().decode(errors="replace").strip())
    return "\n".join(text.splitlines()[-MAX_LINES:])[-MAX_CHARACTERS:]
