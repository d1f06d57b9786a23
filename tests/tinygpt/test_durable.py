"""Operations on files: named before they are done, and clear when they fail."""

import errno
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tinygpt import durable
from tinygpt.durable import NoRoomError


@pytest.fixture
def operations() -> Iterator[list[tuple[str, str]]]:
    """The operations made so far, each with the name of its file."""
    made: list[tuple[str, str]] = []
    durable.failpoint = lambda name, path, data: made.append((name, path.name))
    yield made
    durable.failpoint = None


def test_a_new_file_is_made_written_and_synced(
    tmp_path: Path, operations: list[tuple[str, str]]
) -> None:
    durable.write_new(tmp_path / "file", b"data")
    assert (tmp_path / "file").read_bytes() == b"data"
    assert operations == [("create", "file"), ("write", "file"), ("sync", "file")]


def test_a_new_file_takes_the_place_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"there")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("file", "link"):
        with pytest.raises(FileExistsError):
            durable.write_new(tmp_path / name, b"data")
    assert (tmp_path / "file").read_bytes() == b"there"
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_that_is_appended_to_is_not_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="link"):
        durable.opened(tmp_path / "link")
    assert not (tmp_path / "elsewhere").exists()


def test_directories_are_made_with_their_names_on_the_disk(
    tmp_path: Path, operations: list[tuple[str, str]]
) -> None:
    durable.make_directory(tmp_path / "a" / "b")
    made = [
        ("make directory", "a"),
        ("sync directory", tmp_path.name),
        ("make directory", "b"),
        ("sync directory", "a"),
    ]
    assert operations == made
    durable.make_directory(tmp_path / "a" / "b")  # as after a kill before the last of these
    assert operations == [*made, ("sync directory", "a")]


def test_removing_what_is_not_there_is_no_operation(
    tmp_path: Path, operations: list[tuple[str, str]]
) -> None:
    durable.remove(tmp_path / "file")
    durable.remove_tree(tmp_path / "tree")
    assert operations == []
    (tmp_path / "tree" / "inner").mkdir(parents=True)
    (tmp_path / "file").touch()
    durable.remove(tmp_path / "file")
    durable.remove_tree(tmp_path / "tree")
    assert list(tmp_path.iterdir()) == []


def test_a_directory_behind_a_link_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(OSError, match="symbolic link"):
        durable.remove_tree(tmp_path / "link")
    assert (tmp_path / "real").exists()


def test_no_room_says_which_file_and_how_much_is_missing(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(NoRoomError) as raised:
            durable.write_new(tmp_path / "file", bytes(1500))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    error = raised.value
    assert (error.errno, error.needed) == (errno.EFBIG, 1500)
    assert error.filename == str(tmp_path / "file")


def test_other_failures_name_their_file(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with pytest.raises(OSError, match=r"pipe\.log") as raised:
        durable.append(writing, tmp_path / "pipe.log", b"row")
    os.close(writing)
    assert not isinstance(raised.value, NoRoomError)
