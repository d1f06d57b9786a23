"""Files of text as one text that can be read as often as needed, a chunk at a time."""

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tinygpt.encoding import NotTextError, Piece, pieces

CHUNK = 1 << 20
"""Bytes of a text in memory at a time."""


class CorpusError(ValueError):
    """A corpus that is missing, damaged, not text, or not the one that was asked for."""


def texts_below(directory: Path) -> list[Path]:
    """The .txt files at any depth in the order of their relative paths, none of them hidden; links
    to directories are not followed.

    Raises CorpusError if there is none or if one is a link that leads out of the directory, and
    OSError if a directory cannot be listed.
    """

    def refuse(error: OSError) -> None:
        raise error

    found: list[Path] = []
    for place, directories, names in os.walk(directory, onerror=refuse):
        directories[:] = [name for name in directories if not name.startswith(".")]
        entries = [*directories, *(name for name in names if not name.startswith("."))]
        found += [Path(place, name) for name in entries if name.endswith(".txt")]
    for path in found:
        _refuse_to_leave(directory, path)
    files = [path for path in found if stat.S_ISREG(path.stat().st_mode)]
    if not files:
        raise CorpusError(f"{directory}: holds no .txt file; put one there, or name a file")
    return sorted(files, key=lambda path: path.relative_to(directory).as_posix())


def _refuse_to_leave(directory: Path, path: Path) -> None:
    if path.is_symlink():
        target = Path(os.path.realpath(path))
        if not target.is_relative_to(os.path.realpath(directory)):
            raise CorpusError(
                f"{path}: is a link that leads out of {directory}, to {target}; put the text "
                "itself there, or name that file"
            )


def digest(files: Sequence[Path]) -> str:
    """The sha256 of the bytes of the files, one after another."""
    sha256 = hashlib.sha256()
    for path in files:
        for chunk in _chunks(path):
            sha256.update(chunk)
    return sha256.hexdigest()


def read(files: Sequence[Path]) -> Iterator[Piece]:
    """The text of the files, one after another; raises CorpusError if one is not UTF-8."""
    for path in files:
        yield from decoded(str(path), _chunks(path))


def decoded(name: str, chunks: Iterable[bytes]) -> Iterator[Piece]:
    """The text in some bytes; raises CorpusError with their name and the place if it is none."""
    try:
        yield from pieces(chunks)
    except NotTextError as error:
        raise CorpusError(f"{name}: {error}; convert the file, for instance with iconv") from None


def _chunks(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
