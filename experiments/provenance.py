"""The code that a run came from: the commit of its repository, and what was not committed."""

import hashlib
import json
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tinygpt.files import RecordError, mapping_in, write_atomically
from tinygpt.redaction import redacted

GIT_SECONDS = 20.0
LONGEST = 2_000_000
"""Characters of changes that are kept."""


@dataclass(frozen=True)
class Provenance:
    """A commit, where it can be fetched, and the changes on top of it, secrets hidden."""

    commit: str
    remote: str | None
    diff: str

    def facts(self) -> dict[str, Any]:
        """What a run's config says of it."""
        digest = hashlib.sha256(self.diff.encode()).hexdigest() if self.diff else None
        return {"commit": self.commit, "dirty": bool(self.diff), "diff_sha256": digest}


def found(directory: Path) -> Provenance | None:
    """The state of the repository around a directory; None if there is none, or no git."""
    commit = _git(directory, "rev-parse", "HEAD")
    if not commit:
        return None
    diff = redacted(_git(directory, "diff", "HEAD", "--no-color", "--no-ext-diff") or "")
    if len(diff) > LONGEST:
        diff = f"{diff[:LONGEST]}\n(cut off: {len(diff):,} characters)\n"
    remote = _git(directory, "remote", "get-url", "origin")
    return Provenance(commit.strip(), redacted(remote.strip()) if remote else None, diff)


def _git(directory: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(directory), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, timeout=GIT_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None


def write(path: Path, provenance: Provenance) -> None:
    """Remember it for a later upload."""
    write_atomically(path, (json.dumps(asdict(provenance), indent=2) + "\n").encode())


def read(path: Path) -> Provenance | None:
    """What was remembered; None if nothing, or nothing readable."""
    try:
        return Provenance(**mapping_in(path.read_bytes(), path))
    except (FileNotFoundError, RecordError, TypeError):
        return None
