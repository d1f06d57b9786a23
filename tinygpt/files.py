"""Files that survive a kill: whole or not at all, locked for as long as their owner lives."""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


class BusyError(RuntimeError):
    """A file is locked by another living process."""


class RecordError(RuntimeError):
    """What was saved cannot be used, and nothing was changed."""


def write_atomically(path: Path, data: bytes) -> None:
    """Replace `path` by `data` so that a reader finds the old bytes or the new ones, also after
    a power cut."""
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        write_synced(temporary, data)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def remove_leftovers(directory: Path) -> None:
    """Remove what writers that were killed left of their files; for the directory's owner only."""
    for path in directory.glob(".*.tmp-*"):
        path.unlink(missing_ok=True)


def write_synced(path: Path, data: bytes) -> None:
    """Write a new file and wait until the disk has it."""
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Wait until the disk has the names in a directory."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path`; the kernel frees it when the process dies.

    The file is never removed: a lock on a removed file protects nothing. Raises BusyError if
    another process holds it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        _take(descriptor, path)
        yield
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


def read_json(path: Path) -> Any:
    """The value in a JSON file; raises RecordError if it holds something else."""
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise RecordError(
            f"{path}: not readable as JSON ({error}); restore it from a copy"
        ) from None


def read_mapping(path: Path) -> dict[str, Any]:
    """The object in a JSON file; raises RecordError if it holds something else."""
    data = read_json(path)
    if not isinstance(data, dict):
        raise RecordError(f"{path}: must hold a JSON object; restore it from a copy")
    return data


def json_line(row: Mapping[str, Any]) -> bytes:
    """One line of a JSONL file; floats with every digit they have."""
    return (json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n").encode()


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSONL file; a torn last line does not count, a missing file has none.

    Raises RecordError naming the first line that holds something else.
    """
    data = path.read_bytes() if path.exists() else b""
    lines = data[: data.rfind(b"\n") + 1].splitlines()
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(_row(line))
        except ValueError:
            what = f"{path}:{number}: not a row of JSON"
            raise RecordError(f"{what}; restore it from a copy") from None
    return rows


def _row(line: bytes) -> dict[str, Any]:
    row = json.loads(line)
    if not isinstance(row, dict):
        raise ValueError
    return row
