"""Files that survive a kill: whole or not at all, locked for as long as their owner lives."""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

from tinygpt import durable


class BusyError(RuntimeError):
    """A file is locked by another living process."""


class RecordError(RuntimeError):
    """What was saved cannot be used, and nothing was changed."""


def write_atomically(path: Path, data: bytes) -> None:
    """Replace `path` by `data` so that a reader finds the old bytes or the new ones, also after
    a power cut."""
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    remove_leftovers(path.parent, path.name)
    try:
        durable.write_new(temporary, data)
        durable.rename(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    durable.sync_directory(path.parent)


def remove_leftovers(directory: Path, name: str = "*") -> None:
    """Remove what writers that were killed left of a file, or of all; for their owner only."""
    for path in directory.glob(f".{name}.tmp-*"):
        durable.remove(path)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[int]:
    """Hold an exclusive lock on `path`, whose descriptor this gives; the kernel frees it when the
    process dies.

    The file is never removed: a lock on a removed file protects nothing. Raises BusyError if
    another process holds it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        _take(descriptor, path)
        yield descriptor
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: Path) -> None:
    # Whoever asks `is_locked` holds the lock for an instant, so one refusal proves nothing.
    for pause in (0.01, 0.05, 0.1, None):
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if pause is None:
                raise BusyError(f"{path}: another process holds this lock") from None
            time.sleep(pause)


def is_locked(path: Path) -> bool:
    """Whether some process holds the lock on `path`; changes nothing."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def note(descriptor: int, path: Path, text: str) -> None:
    """Have a held lock file say something of its holder."""
    data = f"{text}\n".encode()
    with durable.telling(path, len(data)):
        os.pwrite(descriptor, data, 0)
        os.ftruncate(descriptor, len(data))


def read_json(path: Path) -> Any:
    """The value in a JSON file; raises RecordError if it holds something else."""
    return _value(path.read_bytes(), path)


def _value(data: bytes, path: Path) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RecordError(
            f"{path}: not readable as JSON ({error}); restore it from a copy"
        ) from None


def read_mapping(path: Path) -> dict[str, Any]:
    """The object in a JSON file; raises RecordError if it holds something else."""
    return mapping_in(path.read_bytes(), path)


def mapping_in(data: bytes, path: Path) -> dict[str, Any]:
    """The object in the bytes of a JSON file; raises RecordError if they hold something else."""
    value = _value(data, path)
    if not isinstance(value, dict):
        raise RecordError(f"{path}: must hold a JSON object; restore it from a copy")
    return value


def json_line(row: Mapping[str, Any]) -> bytes:
    """One line of a JSONL file; floats with every digit they have."""
    return (json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n").encode()


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSONL file; a torn last line does not count, a missing file has none.

    Raises RecordError naming the first line that holds something else.
    """
    return rows_in(path.read_bytes() if path.exists() else b"", path)


def rows_in(data: bytes, path: Path) -> list[dict[str, Any]]:
    """The rows in the bytes of a JSONL file, as `read_rows`."""
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(whole_lines(data), start=1):
        if (row := row_of(line)) is None:
            what = f"{path}:{number}: not a row of JSON"
            raise RecordError(f"{what}; restore it from a copy")
        rows.append(row)
    return rows


def sound_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSONL file before the first line that is no JSON, such as a power cut leaves.

    Raises RecordError if a line before that is JSON and no row."""
    lines = whole_lines(path.read_bytes() if path.exists() else b"")
    sound: list[bytes] = list(takewhile(_is_json, lines))
    return rows_in(b"".join(sound), path)


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def whole_lines(data: bytes) -> list[bytes]:
    """The lines that end, each with its end."""
    return data[: data.rfind(b"\n") + 1].splitlines(keepends=True)


def row_of(line: bytes) -> dict[str, Any] | None:
    """The row in a line, None if it holds something else."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None
