"""Directories of text files as one text."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import pytest

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
    outside = write(tmp_path / "outside", {"a.txt": b"a", "b.txt": b"b"})
    directory = write(tmp_path / "corpus", {"c.txt": b"c"})
    (directory / "link.txt").symlink_to(outside / "a.txt")
    (directory / "up").symlink_to(tmp_path)
    assert texts_below(directory) == [directory / "c.txt", directory / "link.txt"]


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
