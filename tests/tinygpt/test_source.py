"""Directories of text files as one text."""

import hashlib
import os
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from tinygpt.corpus import load
from tinygpt.source import CorpusError, digest, read, texts_below


def write(directory: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(content)
    return directory


def test_a_directory_is_its_text_files_in_the_order_of_their_paths(tmp_path: Path) -> None:
    names = ["b.txt", "a/z.txt", "a.txt", "a/b/c.txt", "B.txt", "10.txt", "9.txt", "a-b.txt"]
    directory = write(tmp_path, {name: f"{name}\r\n".encode() for name in names})
    files = texts_below(directory)
    assert [path.relative_to(directory).as_posix() for path in files] == sorted(names)
    whole = "".join(f"{name}\r\n" for name in sorted(names))
    assert "".join(piece.text for piece in read(files)) == whole
    assert digest(files) == hashlib.sha256(whole.encode()).hexdigest()


@pytest.mark.parametrize(
    "name", [".hidden.txt", ".git/a.txt", "a/.b/c.txt", "a.md", "a.txt.gz", "txt", "a.txt/b.md"]
)
def test_hidden_and_other_files_are_left_out(tmp_path: Path, name: str) -> None:
    directory = write(tmp_path, {name: b"no", "z.txt": b"yes"})
    assert texts_below(directory) == [directory / "z.txt"]


@pytest.mark.parametrize("files", [{}, {"a.md": b"a", ".b.txt": b"b"}])
def test_a_directory_without_text_says_what_to_do(tmp_path: Path, files: dict[str, bytes]) -> None:
    with pytest.raises(CorpusError) as raised:
        texts_below(write(tmp_path, files))
    assert str(raised.value) == f"{tmp_path}: holds no .txt file; put one there, or name a file"


def test_links_to_files_are_read_and_links_to_directories_are_not(tmp_path: Path) -> None:
    write(tmp_path / "outside", {"a.txt": b"a"})
    directory = write(tmp_path / "corpus", {"c.txt": b"c", "d/a.txt": b"a"})
    (directory / "link.txt").symlink_to("d/a.txt")
    (directory / "up").symlink_to(tmp_path)
    (directory / "round").symlink_to(".")
    (directory / "round.txt").symlink_to("d")
    named = tmp_path / "named"
    named.symlink_to(directory)
    assert texts_below(named) == [named / "c.txt", named / "d/a.txt", named / "link.txt"]


@pytest.mark.parametrize("target", ["../secret.txt", "../outside", "../nowhere.txt", "/etc/passwd"])
@pytest.mark.parametrize("name", ["link.txt", "a/b/link.txt"])
def test_a_link_that_leads_out_of_the_directory_is_refused(
    tmp_path: Path, name: str, target: str
) -> None:
    write(tmp_path, {"secret.txt": b"secret", "outside/a.txt": b"a"})
    directory = write(tmp_path / "corpus", {"c.txt": b"c", "a/b/c.txt": b"c"})
    there = target if target.startswith("/") else str(tmp_path / target.removeprefix("../"))
    (directory / name).symlink_to(there)
    with pytest.raises(CorpusError) as raised:
        texts_below(directory)
    told = f"{directory / name}: is a link that leads out of {directory}, to {there}; "
    assert str(raised.value).startswith(told)


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    write(tmp_path, {"a.txt": b"a"})
    os.mkfifo(tmp_path / "pipe.txt")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket.txt"))
    assert texts_below(tmp_path) == [tmp_path / "a.txt"]


def test_a_link_to_itself_is_no_text(tmp_path: Path) -> None:
    (write(tmp_path, {"a.txt": b"a"}) / "b.txt").symlink_to("b.txt")
    with pytest.raises(OSError, match=r"b\.txt"):
        texts_below(tmp_path)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("https://user:hunter2@host/x.txt", "https://***@host/x.txt: is a URL; download it"),
        ("/dev/zero", "/dev/zero: is a device; name a text file"),
        ("round", "round: cannot be read (Too many levels of symbolic links)"),
        ("x" * 300, "cannot be read (File name too long)"),
    ],
)
def test_what_no_corpus_can_come_from_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("round").symlink_to("round")
    with pytest.raises(CorpusError) as raised:
        load(name)
    assert problem in str(raised.value)
    assert "hunter2" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_link_to_nothing_is_not_left_out_in_silence(tmp_path: Path) -> None:
    (write(tmp_path, {"a.txt": b"a"}) / "b.txt").symlink_to("nowhere.txt")
    with pytest.raises(FileNotFoundError):
        texts_below(tmp_path)


def test_a_file_that_is_not_utf8_is_named_with_its_own_place(tmp_path: Path) -> None:
    directory = write(tmp_path, {"a.txt": b"good", "b/c.txt": b"ba\xff", "d.txt": b"good"})
    with pytest.raises(CorpusError) as raised:
        list(read(texts_below(directory)))
    assert str(raised.value) == (
        f"{directory / 'b/c.txt'}: byte 2 is not UTF-8; convert the file, for instance with iconv"
    )
