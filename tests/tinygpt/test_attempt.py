"""Of several attempts at a run the last one writes."""

from pathlib import Path

import pytest

from tinygpt.attempt import Attempt
from tinygpt.files import BusyError, locked


def test_attempts_are_numbered_and_each_may_write_while_it_is_the_last(tmp_path: Path) -> None:
    lock = tmp_path / "run.lock"
    for number in (1, 2, 3):
        with locked(lock) as descriptor:
            attempt = Attempt(lock, descriptor)
            assert attempt.number == number
            attempt.check()


@pytest.mark.parametrize("text", ["", "77\n", "attempt \n", "attempt -3\n", "nonsense"])
def test_a_lock_file_that_names_no_attempt_has_seen_none(tmp_path: Path, text: str) -> None:
    lock = tmp_path / "run.lock"
    lock.write_text(text)
    with locked(lock) as descriptor:
        assert Attempt(lock, descriptor).number == 1
    assert lock.read_text().startswith("attempt 1 - ")


def test_an_attempt_whose_lock_was_lost_is_fenced_off_once_another_begins(tmp_path: Path) -> None:
    lock = tmp_path / "run.lock"
    with locked(lock) as first:
        attempt = Attempt(lock, first)
        lock.unlink()
        with pytest.raises(BusyError, match="was removed while this process held it"):
            attempt.check()
        with locked(lock) as second:
            assert Attempt(lock, second).number == 1
            with pytest.raises(BusyError, match="was removed while this process held it"):
                attempt.check()


def test_an_attempt_knows_whether_the_one_before_it_computed_the_same_bits(tmp_path: Path) -> None:
    lock = tmp_path / "run.lock"
    seen = []
    for hand in ("here", "here", "there", "here"):
        with locked(lock) as descriptor:
            seen.append(Attempt(lock, descriptor, hand).same_hand)
    assert seen == [True, True, False, False]


def test_an_attempt_that_a_file_system_forgot_is_fenced_off_by_its_number(tmp_path: Path) -> None:
    lock = tmp_path / "run.lock"
    with locked(lock) as descriptor:
        first, second = Attempt(lock, descriptor), Attempt(lock, descriptor)
        second.check()
        with pytest.raises(BusyError, match="another process has taken over this run"):
            first.check()
