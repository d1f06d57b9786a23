"""JSON objects that carry their own digest, so that no damage to them goes unseen."""

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tinygpt.files import RecordError, mapping_in

KEY = "digest"


def sealed(data: Mapping[str, Any]) -> bytes:
    """The bytes of a file that holds `data` and, as its last key, the digest of the rest."""
    whole = {**data, KEY: _digest(data)}
    return (json.dumps(whole, indent=2, ensure_ascii=False) + "\n").encode()


def unsealed(
    path: Path, by_hand: Collection[str] = (), advice: str = "restore it from a copy"
) -> dict[str, Any]:
    """What was sealed in a file, without the digest.

    Whoever writes such a file by hand leaves the digest out: then every key must be among
    `by_hand`. Raises RecordError with the advice if the file holds anything else, OSError if it
    cannot be read.
    """
    written = path.read_bytes()
    data = mapping_in(written, path)
    handmade = bool(data) and KEY not in data and data.keys() <= set(by_hand)
    data.pop(KEY, None)
    if not handmade and written != _sealed_again(data):
        raise RecordError(f"{path}: not as it was written; {advice}")
    return data


def _sealed_again(data: Mapping[str, Any]) -> bytes | None:
    try:
        return sealed(data)
    except ValueError:  # what `sealed` never writes: numbers that are none, half characters
        return None


def _digest(data: Mapping[str, Any]) -> str:
    canonical = json.dumps(data, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
