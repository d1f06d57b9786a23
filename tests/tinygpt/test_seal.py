"""A sealed object is read as it was written, or not at all."""

import json
from pathlib import Path
from typing import Any

import pytest

from tinygpt.files import RecordError
from tinygpt.seal import sealed, unsealed

DATA: dict[str, Any] = {"step": 3, "loss": 0.1 + 0.2, "text": "schön", "inner": {"a": [1, None]}}


def test_what_was_sealed_is_read_without_its_digest(tmp_path: Path) -> None:
    path = tmp_path / "sealed.json"
    path.write_bytes(sealed(DATA))
    assert unsealed(path) == DATA
    assert list(json.loads(path.read_bytes()))[-1] == "digest"


def test_every_bit_and_every_length_counts(tmp_path: Path) -> None:
    path, whole = tmp_path / "sealed.json", sealed(DATA)
    flipped = [
        whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :]
        for place in range(len(whole))
        for bit in range(8)
    ]
    for damaged in [*flipped, *(whole[:length] for length in range(len(whole))), whole + b"\n"]:
        path.write_bytes(damaged)
        with pytest.raises(RecordError, match=r"sealed\.json"):
            unsealed(path)


def test_what_is_written_by_hand_has_no_digest_and_only_known_keys(tmp_path: Path) -> None:
    path = tmp_path / "sealed.json"
    path.write_text('{ "step": 3 }')
    assert unsealed(path, {"step", "loss"}) == {"step": 3}
    with pytest.raises(RecordError):
        unsealed(path)
    path.write_text('{"step": 3, "digesu": "00"}')
    with pytest.raises(RecordError):
        unsealed(path, {"step", "loss"})


@pytest.mark.parametrize(
    "text", ["[1]", "null", "{}", '{"a": NaN}', '{"a": "\\ud800"}', "[" * 9999]
)
def test_what_was_never_sealed_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "sealed.json"
    path.write_text(text)
    with pytest.raises(RecordError, match=r"sealed\.json"):
        unsealed(path)
