import hashlib
import json
from pathlib import Path

import pytest

from analysis.records import UnreadableError, read_object, read_promised, read_rows


def test_torn_last_line_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n{"step": 2}\n{"step": 3, "loss')
    assert read_rows(path) == [{"step": 1}, {"step": 2}]


def test_last_line_without_newline_counts_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n{"step": 2}')
    assert read_rows(path) == [{"step": 1}, {"step": 2}]


def test_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n\xff\xfe\n{"step": 3}\n')
    with pytest.raises(UnreadableError, match=r"metrics\.jsonl:2: not a JSON object"):
        read_rows(path)


def test_missing_files_are_nothing_and_not_an_error(tmp_path: Path) -> None:
    assert read_rows(tmp_path / "metrics.jsonl") == []
    assert read_object(tmp_path / "result.json") is None


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"null", b"\xff", b"[" * 100_000])
def test_what_is_not_one_json_object_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(content)
    with pytest.raises(UnreadableError, match=r"result\.json"):
        read_object(path)


def with_digest(text: str) -> bytes:
    """As the trainer writes it, apart from white space."""
    value = json.loads(text)
    canonical = json.dumps(value, sort_keys=True, ensure_ascii=False).encode()
    return json.dumps({**value, "digest": hashlib.sha256(canonical).hexdigest()}).encode()


def test_an_object_with_its_digest_is_read_and_with_another_it_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    whole = with_digest('{"state": "complete", "value": 1.25, "reason": "schön"}')
    path.write_bytes(whole)
    assert read_object(path) == {"state": "complete", "value": 1.25, "reason": "schön"}
    path.write_bytes(whole.replace(b"1.25", b"1.24"))
    with pytest.raises(UnreadableError, match="not as it was written"):
        read_object(path)


def test_a_file_is_another_when_a_byte_is_or_when_it_came_or_went(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    promised = hashlib.sha256(b"rows").hexdigest()
    read_promised(path, None)
    path.write_bytes(b"rows")
    read_promised(path, promised)
    for content, sha256 in ((b"r0ws", promised), (b"rows", None)):
        path.write_bytes(content)
        with pytest.raises(UnreadableError, match=r"metrics\.jsonl: not as it was"):
            read_promised(path, sha256)
    path.unlink()
    with pytest.raises(UnreadableError):
        read_promised(path, promised)
