"""The ids beside a text: made once, trusted only if they are whole."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tinygpt.corpus import Corpus, in_memory, load
from tinygpt.source import CorpusError

TEXT = "Im Anfang war das Wort,\r\nund das Wort war bei Gott 🙂\n" * 50


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "book.txt"
    path.write_bytes(TEXT.encode())
    return path


def cache_of(source: Path) -> Path:
    return source.with_name(f".{source.name}.{load(str(source)).sha256[:16]}.ids")


def identity(path: Path) -> tuple[int, int]:
    """What changes when a file is made again."""
    return path.stat().st_ino, path.stat().st_mtime_ns


def hidden(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if path.name.startswith("."))


def as_in_memory(corpus: Corpus, text: str = TEXT) -> bool:
    """Whether a corpus has the vocabulary and the ids of a text that was never on the disk."""
    other = in_memory("text", text.encode())
    same = corpus.tokenizer.characters == other.tokenizer.characters and len(corpus) == len(other)
    return same and torch.equal(corpus.ids, other.ids)


def test_loading_writes_nothing_and_the_ids_are_kept_beside_the_text(book: Path) -> None:
    found = load(str(book))
    assert hidden(book.parent) == []
    assert as_in_memory(found)
    assert hidden(book.parent) == [cache_of(book).name]
    assert as_in_memory(load(str(book)))


def test_what_is_there_is_used_and_not_made_again(book: Path) -> None:
    load(str(book)).encode()
    before = identity(cache_of(book))
    again = load(str(book))
    assert again == load(str(book))
    assert as_in_memory(again)
    assert identity(cache_of(book)) == before


def test_the_ids_are_the_pages_of_the_file_and_writing_to_them_changes_it_not(book: Path) -> None:
    load(str(book)).encode()
    data = cache_of(book).read_bytes()
    load(str(book)).ids.zero_()
    assert cache_of(book).read_bytes() == data
    assert as_in_memory(load(str(book)))


def swap_characters(data: bytes) -> bytes:
    return data.replace("🙂".encode(), "🙃".encode())


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "no checksum": lambda data: data[:64],
    "header cut off": lambda data: data[:100],
    "last id cut off": lambda data: data[:-1],
    "one more id": lambda data: data + b"\0",
    "first id": lambda data: data[: -len(TEXT)] + b"\1" + data[-len(TEXT) + 1 :],
    "last id": lambda data: data[:-1] + b"\xff",
    "checksum": lambda data: b"0" * 64 + data[64:],
    "vocabulary": swap_characters,
    "something else": lambda data: b"[1, 2]\n" * 100,
    "zeros": lambda data: bytes(len(data)),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_cache_is_made_again(book: Path, damage: Callable[[bytes], bytes]) -> None:
    load(str(book)).encode()
    path = cache_of(book)
    data = path.read_bytes()
    assert damage(data) != data
    path.write_bytes(damage(data))
    assert as_in_memory(load(str(book)))
    assert path.read_bytes() == data


def test_the_whole_cache_of_another_text_is_not_taken(book: Path) -> None:
    other = book.with_name("other.txt")
    other.write_bytes(TEXT.swapcase().encode())
    for path in (book, other):
        load(str(path)).encode()
    cache_of(book).write_bytes(cache_of(other).read_bytes())
    assert as_in_memory(load(str(book)))


@pytest.mark.parametrize("planted", ["link", "link to nothing", "pipe", "directory"])
def test_what_somebody_planted_in_its_place_is_neither_read_nor_followed(
    book: Path, tmp_path: Path, planted: str
) -> None:
    victim, path = tmp_path / "victim", cache_of(book)
    victim.write_bytes(b"precious")
    match planted:
        case "link":
            path.symlink_to(victim)
        case "link to nothing":
            path.symlink_to(tmp_path / "nothing")
        case "pipe":
            os.mkfifo(path)
        case _:
            path.mkdir()
    assert as_in_memory(load(str(book)))
    assert victim.read_bytes() == b"precious"
    assert not (tmp_path / "nothing").exists()


def sound(body: bytes) -> bytes:
    """A file of the cache whose digest is right."""
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def about(data: bytes, **changes: Any) -> bytes:
    """The body of a file of the cache, with other words about the ids."""
    line, _, ids = data[65:].partition(b"\n")
    return json.dumps({**json.loads(line), **changes}).encode() + b"\n" + ids


FORGED: dict[str, Callable[[bytes], bytes]] = {
    "no JSON": lambda data: b"x\n",
    "no object": lambda data: b"[1]\n",
    "no vocabulary": lambda data: about(data, characters=None),
    "a character twice": lambda data: about(data, characters="aa"),
    "another count": lambda data: about(data, count=7),
    "cut off": lambda data: data[65:-1],
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED.keys())
def test_a_file_that_is_whole_and_makes_no_sense_is_made_again(
    book: Path, forge: Callable[[bytes], bytes]
) -> None:
    load(str(book)).encode()
    cache_of(book).write_bytes(sound(forge(cache_of(book).read_bytes())))
    assert as_in_memory(load(str(book)))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_whole_cache_of_another_user_is_not_trusted(book: Path) -> None:
    load(str(book)).encode()
    data = cache_of(book).read_bytes()
    cache_of(book).write_bytes(sound(data[65:-4] + bytes(4)))
    assert not as_in_memory(load(str(book))), "nothing but its owner tells it from a genuine one"
    os.chown(cache_of(book), 12345, -1)
    assert as_in_memory(load(str(book)))


def test_the_cache_is_for_nobody_else_to_read(book: Path) -> None:
    load(str(book)).encode()
    assert cache_of(book).stat().st_mode & 0o077 == 0


def test_caches_of_older_contents_go_and_no_other_file_does(book: Path) -> None:
    kept = [
        ".book.txt.0123456789abcdef.ids.bak",
        ".book.txt.0123456789abcde.ids",
        ".book.txt.0123456789ABCDEF.ids",
        ".bookxtxt.0123456789abcdef.ids",
        ".other.txt.0123456789abcdef.ids",
        "book.txt.0123456789abcdef.ids",
    ]
    killed = ".book.txt.0123456789abcdef.a_b1c2d3.ids"
    for name in (*kept, killed):
        (book.parent / name).write_bytes(b"")
    old = load(str(book))
    old.encode()
    book.write_bytes(TEXT.upper().encode())
    new = load(str(book))
    assert as_in_memory(new, TEXT.upper())
    names = {path.name for path in book.parent.iterdir()}
    assert names == {*kept, "book.txt", cache_of(book).name}


def test_a_text_that_changes_after_it_was_loaded_is_refused(book: Path) -> None:
    found = load(str(book))
    book.write_bytes(TEXT.replace("Wort", "Sinn").encode())
    with pytest.raises(CorpusError) as raised:
        _ = found.ids
    assert str(raised.value) == (
        f"{book}: was changed while it was read; run the same command again"
    )
    assert hidden(book.parent) == []


def test_where_no_cache_can_be_kept_the_ids_are_in_a_file_without_a_name(tmp_path: Path) -> None:
    """A name so long that the cache's would be too long stands for a place that refuses it; unlike
    permissions it does so for root too."""
    book = tmp_path / ("x" * 240 + ".txt")
    book.write_bytes(TEXT.encode())
    assert as_in_memory(load(str(book)))
    assert list(tmp_path.iterdir()) == [book]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_that_may_not_be_written_to_is_left_as_it_is(book: Path) -> None:
    book.parent.chmod(0o555)
    try:
        assert as_in_memory(load(str(book)))
        assert hidden(book.parent) == []
    finally:
        book.parent.chmod(0o755)


def test_where_no_file_at_all_can_be_made_the_error_goes_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = tmp_path / ("x" * 240 + ".txt")
    book.write_bytes(TEXT.encode())
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(OSError, match="nowhere"):
        load(str(book)).encode()


def test_a_full_disk_leaves_no_half_of_a_cache(book: Path) -> None:
    """A limit on the size of files does what a full disk does."""
    script = (
        "import resource, sys; from tinygpt.corpus import load\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))\n"
        "try: load(sys.argv[1]).encode()\n"
        "except OSError as error: print(error.strerror)\n"
    )
    assert run(script, book) == "File too large"
    assert hidden(book.parent) == []


def run(script: str, *arguments: str | Path) -> str:
    return ended(begun(script, *arguments))


def begun(script: str, *arguments: str | Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> str:
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return out.strip()


def test_processes_that_encode_at_once_all_have_the_same_ids(tmp_path: Path) -> None:
    book = tmp_path / "book.txt"
    book.write_bytes(TEXT.encode() * 400)
    script = (
        "import hashlib, sys; from tinygpt.corpus import load\n"
        "print(hashlib.sha256(load(sys.argv[1]).encode()).hexdigest())\n"
    )
    processes = [begun(script, book) for _ in range(4)]
    (only,) = {ended(process) for process in processes}
    assert only == run(script, book)
    assert hidden(tmp_path) == [cache_of(book).name]


def test_a_directory_is_the_text_of_its_files_with_the_cache_beside_it(tmp_path: Path) -> None:
    parts = {"b.txt": "b\r\n", "a/a.txt": "\ufeffa", "c.txt": "日"}
    for name, part in parts.items():
        path = tmp_path / "books" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(part.encode())
    whole = "".join(parts[name] for name in sorted(parts))
    (tmp_path / "whole.txt").write_bytes(whole.encode())
    found, file = load(str(tmp_path / "books")), load(str(tmp_path / "whole.txt"))
    assert as_in_memory(found, whole)
    assert found.name == str((tmp_path / "books").resolve())
    assert found.sha256 == file.sha256
    assert hidden(tmp_path) == [cache_of(tmp_path / "books").name]
    (tmp_path / "books" / "d.txt").write_text("more")
    assert as_in_memory(load(str(tmp_path / "books")), f"{whole}more")
    assert hidden(tmp_path) == [cache_of(tmp_path / "books").name]


@pytest.mark.parametrize(("size", "kind"), [(300, torch.uint16), (40_000, torch.uint16)])
def test_any_alphabet_is_kept_and_mapped(tmp_path: Path, size: int, kind: torch.dtype) -> None:
    text = "".join(chr(0x10000 + 3 * i) for i in range(size))
    (tmp_path / "book.txt").write_bytes(text.encode())
    for _ in range(2):
        found = load(str(tmp_path / "book.txt"))
        assert found.ids.dtype == kind
        assert found.ids.unfold(0, 2, 1)[torch.tensor([size - 2])].tolist() == [
            [size - 2, size - 1]
        ]
        assert as_in_memory(found, text)


def test_a_large_text_needs_little_memory(tmp_path: Path) -> None:
    book, size = tmp_path / "book.txt", 16 << 20
    line = "The cat sat on the mat, naïve as ever, and said “so be it”.\n".encode()
    book.write_bytes(line * (size // len(line)))
    script = (
        "import resource, sys; from tinygpt.corpus import load\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak(); ids = load(sys.argv[1]).encode(); print(peak() - before)\n"
    )
    # A process begins with the peak of the one that starts it, which must therefore be small.
    small = "import subprocess, sys; subprocess.run([sys.executable, '-c', *sys.argv[1:]])"
    unit = 1 if sys.platform == "darwin" else 1024
    for _ in ("encoded", "loaded"):
        assert int(run(small, script, book)) * unit < size
