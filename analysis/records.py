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
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
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


def refuse_other(path: Path, sha256: object) -> None:
    """Raise UnreadableError unless the bytes of `path` have this digest; None: unless it is not
    there."""
    there = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
    if there != sha256:
        raise UnreadableError(f"{path}: not as it was when its run ended")


def read_rows(path: Path) -> list[Row]:
    """Return the JSON objects of `path`, one per line, in order; none when there is no such file.

    A torn last line is what a kill leaves behind and is skipped; any other line that is
    not an object raises UnreadableError.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UnreadableError(f"{path}: {error}") from error
    *whole, torn = lines
    rows = [_row(line, f"{path}:{number}") for number, line in enumerate(whole, 1) if line.strip()]
    last = _object(torn)
    return rows if last is None else [*rows, last]


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
