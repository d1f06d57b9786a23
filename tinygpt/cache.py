"""The ids of a text in a file beside it: made once, mapped by every process that learns the text.

The file holds the sha256 of all that follows, a line about the ids, and the ids as they lie in
memory. One that is damaged, cut off or of another text is not used.
"""

import contextlib
import fcntl
import hashlib
import json
import mmap
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from tinygpt.encoding import Code, Survey, kind_of
from tinygpt.files import is_locked, json_line

FORMAT = 1
ALIGNMENT = 64
CHUNK = 1 << 20

Encode = Callable[[], Iterator[bytes]]


class Cached(NamedTuple):
    """A vocabulary, and the (N,) ids of a text in the type that `kind_of` gives for it.

    The ids are pages of a file, shared with whoever else maps it; writing to them changes no file.
    """

    characters: str
    ids: memoryview


class Cache:
    """The place of the ids of a text that lies at `source` and has that sha256."""

    def __init__(self, source: Path, sha256: str) -> None:
        self.source, self.sha256 = source, sha256
        self.path = source.with_name(f".{source.name}.{sha256[:16]}.ids")

    def read(self) -> Cached | None:
        """What is there; None if there is nothing that can be trusted."""
        try:
            with open(self.path, "rb", opener=_as_it_is) as file:
                return self._verified(file)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def write(self, survey: Survey, encode: Encode) -> memoryview:
        """Keep the ids that `encode` yields, and remove what is kept of older texts at `source`.

        Where that place is not writable or full, they go into a file without a name. Raises what
        `encode` raises, and OSError if there is no room for such a file either.
        """
        try:
            return self._write_beside(survey, encode)
        except OSError:
            with tempfile.TemporaryFile() as file:
                return _fill(file, survey, encode)

    def _verified(self, file: IO[bytes]) -> Cached | None:
        # Whoever may write here could have made a sound file of other ids.
        if os.fstat(file.fileno()).st_uid not in (os.geteuid(), 0):
            return None
        promised = file.readline(65).strip()
        if _digest(file).encode() != promised:
            return None
        file.seek(65)
        about = json.loads(file.readline())
        expected = {"format": FORMAT, "source": self.sha256, "byteorder": sys.byteorder}
        if any(about.get(key) != value for key, value in expected.items()):
            return None
        characters = about["characters"]
        ids = _mapped(file, kind_of(len(characters)).code)
        sound = len(set(characters)) == len(characters) and len(ids) == about["count"]
        return Cached(characters, ids) if sound else None

    def _write_beside(self, survey: Survey, encode: Encode) -> memoryview:
        # mkstemp opens no file or link that is there, and for nobody else: the text may be private.
        descriptor, name = tempfile.mkstemp(
            dir=self.path.parent, prefix=f"{self.path.stem}.", suffix=".ids"
        )
        with open(descriptor, "w+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                ids = _fill(file, survey, encode)
                os.fsync(file.fileno())
                os.replace(name, self.path)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
            fcntl.flock(file, fcntl.LOCK_UN)  # else held for as long as the ids are mapped
        self._remove_others()
        return ids

    def _remove_others(self) -> None:
        """Remove caches of older texts, and what writers that were killed left; living ones hold a
        lock."""
        name = re.escape(self.source.name)
        ours = re.compile(rf"\.{name}\.[0-9a-f]{{16}}(\.[a-z0-9_]{{8}})?\.ids")
        for path in self.path.parent.iterdir():
            if path != self.path and ours.fullmatch(path.name) and path.is_file():
                # One of another user may be neither readable nor removable.
                with contextlib.suppress(OSError):
                    if not is_locked(path):
                        path.unlink()


def _as_it_is(path: str, flags: int) -> int:
    """Open without following a link or waiting for the other end of a pipe."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _fill(file: IO[bytes], survey: Survey, encode: Encode) -> memoryview:
    code, header = kind_of(len(survey.characters)).code, _header(survey)
    digest = hashlib.sha256(header)
    file.write(b"0" * 64 + b"\n" + header)
    for part in encode():
        digest.update(part)
        file.write(part)
    file.seek(0)
    file.write(digest.hexdigest().encode())
    file.flush()
    return _mapped(file, code)


def _header(survey: Survey) -> bytes:
    about: dict[str, Any] = {
        "format": FORMAT,
        "source": survey.sha256,
        "byteorder": sys.byteorder,
        "count": survey.length,
        "characters": survey.characters,
    }
    line = json_line(about).rstrip(b"\n")
    return line + b" " * (-(65 + len(line) + 1) % ALIGNMENT) + b"\n"


def _digest(file: IO[bytes]) -> str:
    """The sha256 of the rest of a file, read and not mapped: pages that were only checked shall
    not count as this process's memory."""
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def _mapped(file: IO[bytes], code: Code) -> memoryview:
    file.seek(65)
    start = 65 + len(file.readline())
    # A private mapping: torch takes no memory that cannot be written to without a warning.
    whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    return memoryview(whole)[start:].cast(code)
