"""Files of a run as plain values, whatever a kill left of them."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Row = dict[str, Any]


class UnreadableError(ValueError):
    """A file is there and does not hold what it should; the message says where and what."""


def read_object(path: Path) -> Row | None:
    """Return the JSON object in `path` without its digest, None when there is no such file.

    Raises UnreadableError for anything that is not one JSON object in UTF-8, and for one whose
    `digest` (the sha256 of the rest as sorted JSON) is of something else.
    """
    content = read_bytes(path)
    return None if content is None else object_of(content, path)


def object_of(content: bytes, path: Path) -> Row:
    """Return the JSON object that `content` is, without its digest; see `read_object`."""
    try:
        value = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"{path}: {error}") from error
    if not isinstance(value, dict):
        raise UnreadableError(f"{path}: holds {type(value).__name__}, not an object")
    digest = value.pop("digest", None)
    if digest is not None and digest != _digest(value):
        raise UnreadableError(f"{path}: not as it was written")
    return value


def _digest(value: Row) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def read_promised(path: Path, sha256: object) -> bytes | None:
    """Return the bytes of `path`, None when there is no such file.

    Raises UnreadableError unless they have this digest; None: unless the file is not there.
    """
    content = read_bytes(path)
    there = None if content is None else hashlib.sha256(content).hexdigest()
    if there != sha256:
        raise UnreadableError(f"{path}: not as it was when its run ended")
    return content


def read_bytes(path: Path) -> bytes | None:
    """Return the bytes of `path`, None when there is no such file; raises UnreadableError."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnreadableError(f"{path}: {error}") from error


def read_rows(path: Path) -> list[Row]:
    """Return the rows of `path`; see `rows_of`."""
    return rows_of(read_bytes(path), path)


def rows_of(content: bytes | None, path: Path) -> list[Row]:
    """Return the JSON objects of `content`, one per line, in order; none of None.

    A torn last line is what a kill leaves behind and is skipped; any other line that is
    not an object raises UnreadableError, which names `path`.
    """
    *whole, torn = (content or b"").split(b"\n")
    lines = [line for line in whole if line.strip()]
    rows = _at_once(lines)
    if rows is None:
        rows = [_row(line, f"{path}:{n}") for n, line in enumerate(whole, 1) if line.strip()]
    last = _object(torn) if torn else None
    return rows if last is None else [*rows, last]


def _at_once(lines: list[bytes]) -> list[Row] | None:
    """The objects of lines, parsed together, which takes a third of the time; None where that
    cannot be told from other lines."""
    try:
        rows = json.loads(b"[%s]" % b",".join(lines))
    except (ValueError, RecursionError):
        return None
    # A line with a comma between two objects would be two rows.
    alike = len(rows) == len(lines) and all(type(row) is dict for row in rows)
    return rows if alike and all(line.startswith(b"{") for line in lines) else None


def at(value: Any, dotted: str) -> Any:
    """Return the value at a dotted key of a nested object, None when there is none."""
    for key in dotted.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _row(line: bytes, where: str) -> Row:
    row = _object(line)
    if row is None:
        raise UnreadableError(f"{where}: not a JSON object")
    return row


def _object(line: bytes) -> Row | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
