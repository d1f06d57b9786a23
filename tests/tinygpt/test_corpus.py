"""Where a text comes from, and that it is the one that was asked for."""

import gc
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tinygpt import corpus
from tinygpt.corpus import Corpus, load
from tinygpt.source import CorpusError

PLAYS = "First Citizen:\nBefore we proceed any further, hear me speak.\n" * 3000


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def text_of(corpus: Corpus) -> str:
    """The text again, from its ids."""
    return corpus.tokenizer.decode(corpus.ids.tolist())


@dataclass
class Server:
    """A server on this machine that gives `content`, or fails with `status`."""

    content: bytes = PLAYS.encode()
    status: int = 200
    promised: int | None = None
    requests: list[str] = field(default_factory=list)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """Be the place that tiny_shakespeare is downloaded from; work in an empty directory."""
    about = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            about.requests.append(self.path)
            self.send_response(about.status)
            self.send_header("Content-Length", str(about.promised or len(about.content)))
            self.end_headers()
            self.wfile.write(about.content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{http.server_port}/input.txt"
        monkeypatch.setattr(corpus, "TINY_SHAKESPEARE_URL", url)
        monkeypatch.setattr(corpus, "TINY_SHAKESPEARE_SHA256", sha256(PLAYS.encode()))
        monkeypatch.setenv("no_proxy", "*")
        monkeypatch.delenv("TINYGPT_DATA", raising=False)
        monkeypatch.chdir(tmp_path)
        yield about
        http.shutdown()
        thread.join()
    gc.collect()  # a connection left open is reported here, not in whatever test comes later


def test_a_file_is_read_byte_for_byte_and_named_by_its_whole_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = "\ufeffline\r\nnaïve 🙂\n\n".encode()
    (tmp_path / "text.txt").write_bytes(data)
    monkeypatch.chdir(tmp_path)
    found = load("text.txt")
    assert text_of(found).encode() == data
    assert found.name == str((tmp_path / "text.txt").resolve())
    assert found.sha256 == sha256(data)


def test_python_docs_is_a_long_text_that_needs_no_network_and_is_always_the_same() -> None:
    found = load("python_docs")
    assert found.name == "python_docs"
    assert len(found) > 300_000
    assert "The standard type hierarchy" in text_of(found)
    assert load("python_docs", found.sha256) == found


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty; give it some text"),
        (b"\xff\xfe", "byte 0 is not UTF-8; convert the file"),
        (b"abc\xe9def", "byte 3 is not UTF-8; convert the file"),
        ("🙂".encode()[:3], "byte 0 is not UTF-8; convert the file"),
        (b"line\n" * 100 + b"\x80", "byte 500 is not UTF-8; convert the file"),
    ],
)
def test_a_file_that_is_no_text_is_refused_with_the_place(
    tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(content)
    with pytest.raises(CorpusError) as raised:
        load(str(path))
    assert str(raised.value).startswith(f"{path.resolve()}: {said}")


@pytest.mark.parametrize("name", ["missing.txt", "a.txt/b.txt", "x" * 300])
def test_a_file_that_cannot_be_read_is_refused_with_what_a_corpus_may_be(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(CorpusError) as raised:
        load(str(tmp_path / name))
    assert "cannot be read" in str(raised.value)
    assert "tiny_shakespeare, python_docs or auto" in str(raised.value)


def test_a_text_with_another_digest_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(b"one")
    pinned = load(str(path)).sha256
    assert text_of(load(str(path), pinned)) == "one"
    path.write_bytes(b"two")
    with pytest.raises(CorpusError) as raised:
        load(str(path), pinned)
    assert f"its sha256 is {sha256(b'two')[:12]}..., was {pinned[:12]}..." in str(raised.value)


def test_tiny_shakespeare_is_downloaded_once_and_kept_in_data(server: Server) -> None:
    said: list[str] = []
    found = load("tiny_shakespeare", say=said.append)
    assert found.name == "tiny_shakespeare"
    assert text_of(found) == PLAYS
    assert found.sha256 == sha256(PLAYS.encode())
    assert Path("data/tiny_shakespeare.txt").read_text() == PLAYS
    assert [line.partition(" ")[0] for line in said] == ["downloading"]
    assert load("tiny_shakespeare", say=said.append) == found
    assert (len(server.requests), len(said)) == (1, 1)


def test_tiny_shakespeare_is_taken_from_the_shared_place_before_any_download(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "tiny_shakespeare.txt").write_text(PLAYS)
    monkeypatch.setenv("TINYGPT_DATA", str(tmp_path / "shared"))
    assert text_of(load("tiny_shakespeare")) == PLAYS
    assert server.requests == []
    assert not Path("data").exists()


def test_the_own_data_directory_goes_before_the_shared_one(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("data").mkdir()
    Path("data/tiny_shakespeare.txt").write_text(PLAYS)
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "tiny_shakespeare.txt").write_text("something else")
    monkeypatch.setenv("TINYGPT_DATA", str(tmp_path / "shared"))
    assert text_of(load("tiny_shakespeare")) == PLAYS


@pytest.mark.parametrize("place", ["data", "shared"])
def test_a_file_that_is_not_the_published_text_is_refused_wherever_it_lies(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv("TINYGPT_DATA", str(tmp_path / "shared"))
    (tmp_path / place).mkdir()
    path = tmp_path / place / "tiny_shakespeare.txt"
    path.write_text(PLAYS[:-1])
    with pytest.raises(CorpusError, match="not the published Tiny Shakespeare"):
        load("tiny_shakespeare")
    assert server.requests == []
    assert path.read_text() == PLAYS[:-1], "a user's file must not be removed"


def test_the_digest_of_the_published_text_is_pinned_in_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the server above: the real constant refuses a text made up here."""
    (tmp_path / "tiny_shakespeare.txt").write_text(PLAYS)
    monkeypatch.setenv("TINYGPT_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CorpusError, match=sha256(PLAYS.encode())[:12]):
        load("tiny_shakespeare")


def test_a_download_with_another_digest_is_refused_and_not_kept(server: Server) -> None:
    server.content = b"<html>please log in</html>"
    with pytest.raises(CorpusError, match="not the published Tiny Shakespeare"):
        load("tiny_shakespeare")
    assert not Path("data/tiny_shakespeare.txt").exists()


def test_a_download_that_breaks_off_is_refused_and_not_kept(server: Server) -> None:
    server.content, server.promised = PLAYS.encode()[:-1000], len(PLAYS)
    with pytest.raises(CorpusError):
        load("tiny_shakespeare")
    assert not Path("data/tiny_shakespeare.txt").exists()


def test_a_failing_download_says_where_the_text_was_looked_for(server: Server) -> None:
    server.status = 503
    with pytest.raises(CorpusError) as raised:
        load("tiny_shakespeare")
    assert "neither in data/ nor in $TINYGPT_DATA, and the download failed" in str(raised.value)


def test_auto_takes_tiny_shakespeare_when_it_can_be_had(server: Server) -> None:
    assert load("auto").name == "tiny_shakespeare"
    assert Path("data/tiny_shakespeare.txt").exists()


@pytest.mark.parametrize("failure", ["status", "content", "refused"])
def test_auto_falls_back_to_python_docs_and_says_so_in_one_line(
    server: Server, monkeypatch: pytest.MonkeyPatch, failure: str
) -> None:
    if failure == "status":
        server.status = 404
    elif failure == "content":
        server.content = b"something else"
    else:
        monkeypatch.setattr(corpus, "TINY_SHAKESPEARE_URL", "http://127.0.0.1:1/input.txt")
    said: list[str] = []
    assert load("auto", say=said.append).name == "python_docs"
    *before, line = said
    assert [text.partition(" ")[0] for text in before] == ["downloading"]
    assert line.startswith("corpus: python_docs, since tiny_shakespeare cannot be had (")
    assert "\n" not in line


def test_auto_finds_a_corpus_where_a_download_cannot_be_kept(server: Server) -> None:
    Path("data").write_text("a file where the directory would be")
    assert load("auto").name in ("tiny_shakespeare", "python_docs")
