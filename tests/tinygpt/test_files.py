"""Files that are whole or not there, and locks that live as long as their process."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tinygpt.files import (
    BusyError,
    RecordError,
    is_locked,
    json_line,
    locked,
    read_json,
    read_rows,
    sound_rows,
    write_atomically,
)

HOLD = """
import fcntl, os, sys
descriptor = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(descriptor, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""

Hold = Callable[[Path], "subprocess.Popen[str]"]


@pytest.fixture
def hold() -> Iterator[Hold]:
    """Start another process that holds the lock on a path."""
    started: list[subprocess.Popen[str]] = []

    def start(path: Path) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_written_file_replaces_the_old_one_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for data in (b"old", b"", b"new\x00"):
        write_atomically(path, data)
        assert path.read_bytes() == data
        assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "inside").touch()
    with pytest.raises(OSError, match="taken"):
        write_atomically(tmp_path / "taken", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")
    with path.open("rb") as reader:
        write_atomically(path, b"new")
        assert reader.read() == b"old"


def test_a_lock_keeps_every_other_process_out_and_ends_with_its_owner(
    tmp_path: Path, hold: Hold
) -> None:
    path = tmp_path / "lock"
    owner = hold(path)
    assert is_locked(path)
    with pytest.raises(BusyError, match="another process holds this lock"), locked(path):
        pytest.fail("two owners")
    owner.kill()
    owner.wait()
    assert not is_locked(path)
    with locked(path):
        assert is_locked(path)
    assert not is_locked(path)
    assert path.exists(), "a lock on a removed file protects nothing"


def test_a_lock_is_freed_by_an_exception(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locked(tmp_path / "lock"):
        raise KeyError
    assert not is_locked(tmp_path / "lock")


def test_asking_for_a_lock_makes_no_file(tmp_path: Path) -> None:
    assert not is_locked(tmp_path / "lock")
    assert list(tmp_path.iterdir()) == []


def test_a_lock_does_not_follow_a_link(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="lock"), locked(tmp_path / "lock"):
        pytest.fail("locked what the link names")
    assert not (tmp_path / "elsewhere").exists()


def test_a_lock_is_not_inherited_by_a_child(tmp_path: Path) -> None:
    with locked(tmp_path / "lock"):
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False)
    try:
        assert not is_locked(tmp_path / "lock")
    finally:
        child.communicate()


@pytest.mark.parametrize(
    "row",
    [
        {"loss": 0.1 + 0.2, "rate": 1e-300, "step": 10**15},
        {"text": 'quote " newline \n return \r tab \t \u2028 \x85 🙂 \x00'},
        {},
    ],
)
def test_a_row_is_one_line_and_is_read_as_it_was_written(
    tmp_path: Path, row: dict[str, Any]
) -> None:
    line = json_line(row)
    assert line.count(b"\n") == 1
    (tmp_path / "rows.jsonl").write_bytes(line * 2)
    assert read_rows(tmp_path / "rows.jsonl") == [row, row]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_row_never_holds_what_is_no_number(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_line({"loss": value})


@pytest.mark.parametrize(
    ("content", "steps"),
    [
        (b"", []),
        (b'{"step": 1}\n', [1]),
        (b'{"step": 1}\n{"step": 2}\n', [1, 2]),
        (b'{"step": 1}\n{"step": 2}', [1]),
        (b'{"step": 1}\n{"st', [1]),
        (b'{"st', []),
    ],
)
def test_a_torn_last_line_does_not_count(tmp_path: Path, content: bytes, steps: list[int]) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    assert [row["step"] for row in read_rows(path)] == steps
    assert path.read_bytes() == content, "reading changes nothing"


def test_a_missing_file_has_no_rows(tmp_path: Path) -> None:
    assert read_rows(tmp_path / "rows.jsonl") == []


def test_a_damaged_line_is_an_unusable_record_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"step": 1}\n\x00\x00\x00\x00\n{"step": 2}\n')
    with pytest.raises(RecordError, match=r"rows\.jsonl"):
        read_rows(path)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"{}}"])
def test_a_damaged_json_file_is_an_unusable_record_that_names_the_file(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(content)
    with pytest.raises(RecordError, match=r"result\.json: not readable as JSON"):
        read_json(path)


def test_a_json_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(json.dumps({"value": 1.5}))
    assert read_json(path) == {"value": 1.5}


def test_what_is_written_reaches_the_disk_before_its_name_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order that survives a power cut: contents, name, then the directory that holds it."""
    seen: list[str] = []
    fsync, rename = os.fsync, os.rename

    def watched_fsync(descriptor: int) -> None:
        directory = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        seen.append("directory" if directory else "contents")
        fsync(descriptor)

    def watched_rename(source: Path, target: Path) -> None:
        seen.append("name")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "rename", watched_rename)
    write_atomically(tmp_path / "file", b"data")
    assert seen == ["contents", "name", "directory"]


@pytest.mark.parametrize(
    ("content", "steps"),
    [
        (b'{"step": 1}\n{"step": 2}\n', [1, 2]),
        (b'{"step": 1}\n\x00\x00\x00"step": 2}\n{"step": 3}\n', [1]),
        (b'{"step": 1}\n{"st', [1]),
        (b"\x00\x00\n", []),
    ],
)
def test_of_a_run_that_goes_on_rows_count_up_to_the_first_that_was_spoilt(
    tmp_path: Path, content: bytes, steps: list[int]
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    assert [row["step"] for row in sound_rows(path)] == steps


def test_what_is_json_and_no_row_was_not_spoilt_but_written_by_something_else(
    tmp_path: Path,
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"[1]\n")
    with pytest.raises(RecordError, match=r"rows\.jsonl:1: not a row of JSON"):
        sound_rows(path)
