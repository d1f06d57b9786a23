"""An append-only file whose length and digest a checkpoint can name."""

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tinygpt import durable
from tinygpt.files import RecordError, json_line, read_rows
from tinygpt.record import START, DivergedRecordError, Mark, Record, up_to, verified

ROWS = [{"step": step, "text": f"row {step}"} for step in range(5)]


def mark_of(data: bytes) -> Mark:
    return Mark(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


@contextlib.contextmanager
def durable_operations() -> Iterator[list[str]]:
    """The names of the operations on files that are made meanwhile."""
    operations: list[str] = []
    durable.failpoint = lambda name, path, data: operations.append(name)
    try:
        yield operations
    finally:
        durable.failpoint = None


def write(path: Path, steps: range, mark: Mark = START) -> Mark:
    record = Record(path, mark)
    for step in steps:
        record.append(ROWS[step])
    mark = record.sync()
    record.close()
    return mark


def test_a_mark_names_the_bytes_written_so_far(path: Path) -> None:
    record = Record(path)
    assert record.sync() == START
    for row in ROWS:
        record.append(row)
        assert record.sync() == mark_of(path.read_bytes())
    record.close()
    assert read_rows(path) == ROWS


@pytest.mark.parametrize("behind", [b"", b'{"step": 3}\n', b'{"st', b"\x00" * 100])
def test_opening_at_a_mark_cuts_off_what_lies_behind_it(path: Path, behind: bytes) -> None:
    mark = write(path, range(2))
    path.write_bytes(path.read_bytes() + behind)
    assert write(path, range(2, 5), mark) == mark_of(path.read_bytes())
    assert path.read_bytes() == b"".join(json_line(row) for row in ROWS)


@pytest.mark.parametrize("stands", range(4))
def test_rows_that_are_computed_again_prove_equal_to_those_that_stand_there(
    path: Path, stands: int
) -> None:
    mark = write(path, range(1))
    write(path, range(1, 1 + stands), mark)
    before = path.stat()
    with durable_operations() as operations:
        again = write(path, range(1, 5), mark)
    assert again == mark_of(path.read_bytes())
    assert path.read_bytes() == b"".join(json_line(row) for row in ROWS)
    assert path.stat().st_ino == before.st_ino
    assert operations.count("write") == 4 - stands


def test_a_row_that_is_computed_again_with_other_values_is_loud_and_stays_so(path: Path) -> None:
    mark = write(path, range(1))
    write(path, range(1, 3), mark)
    before = path.read_bytes()
    for _ in range(2):
        record = Record(path, mark)
        record.append(ROWS[1])
        with pytest.raises(DivergedRecordError, match=rf"{path.name}:3: computed again, this row"):
            record.append({"step": 2, "text": "another"})
        record.close()
        assert path.read_bytes() == before


def test_without_comparison_all_behind_the_mark_is_cut_off(path: Path) -> None:
    mark = write(path, range(1))
    write(path, range(1, 3), mark)
    Record(path, mark, compare=False).close()
    assert read_rows(path) == ROWS[:1]


def test_the_end_of_a_record_is_the_row_appended_last(path: Path) -> None:
    write(path, range(5))
    record = Record(path)
    record.append(ROWS[0])
    record.end()
    record.close()
    assert read_rows(path) == ROWS[:1]


def test_opening_at_the_start_empties_the_file(path: Path) -> None:
    path.write_bytes(b"what a killed run left")
    Record(path).close()
    assert path.read_bytes() == b""


@pytest.mark.parametrize("place", [0, 10, -1])
def test_a_file_that_does_not_begin_as_marked_is_refused_and_left_alone(
    path: Path, place: int
) -> None:
    mark = write(path, range(3))
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(RecordError, match=f"its first {mark['bytes']} bytes are not what"):
        Record(path, mark)
    assert path.read_bytes() == data


def test_a_file_shorter_than_marked_is_refused(path: Path) -> None:
    mark = write(path, range(3))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RecordError):
        verified(path, mark)


def test_a_file_that_a_mark_names_and_that_is_gone_is_an_unusable_record(path: Path) -> None:
    mark = write(path, range(3))
    path.unlink()
    with pytest.raises(RecordError, match=r"metrics\.jsonl"):
        verified(path, mark)


def test_an_empty_mark_asks_for_no_file(path: Path) -> None:
    assert verified(path, START) == b""


@pytest.mark.parametrize(("step", "left"), [(-1, 0), (0, 1), (2, 3), (4, 5), (9, 5)])
def test_rows_behind_a_step_and_a_torn_line_are_dropped(path: Path, step: int, left: int) -> None:
    write(path, range(5))
    path.write_bytes(path.read_bytes() + b'{"step": 5, "te')
    mark = up_to(path, step)
    assert read_rows(path) == ROWS[:left]
    assert mark == mark_of(path.read_bytes())


def test_dropping_rows_of_a_missing_file_makes_none(path: Path) -> None:
    assert up_to(path, 3) == START
    assert not path.exists()
