"""The text to learn: found, downloaded once or taken from Python itself, checked by its digest."""

import hashlib
import http.client
import importlib
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tinygpt.files import write_atomically
from tinygpt.schema import Problem
from tinygpt.tokenizer import CharTokenizer, UnseenCharacterError

TINY_SHAKESPEARE_URL = (
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
)
TINY_SHAKESPEARE_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
CONNECT_SECONDS = 5.0

Say = Callable[[str], None]


class CorpusError(ValueError):
    """A corpus that is missing, damaged, not text, or not the one that was asked for."""


@dataclass(frozen=True)
class Corpus:
    """A text, the name it was found under (a path where it came from a file of the user's), and
    the sha256 of its UTF-8 bytes."""

    name: str
    text: str
    sha256: str


def load(name: str, sha256: str = "", say: Say = lambda line: None) -> Corpus:
    """The corpus of that name; `say` gets a line about a download or a choice.

    Raises CorpusError if it cannot be had, is empty, is not UTF-8, or if its digest is not `sha256`
    (empty: any).
    """
    match name:
        case "auto":
            corpus = _auto(say)
        case "tiny_shakespeare":
            corpus = _decoded(name, _tiny_shakespeare(say))
        case "python_docs":
            corpus = _decoded(name, _python_docs())
        case _:
            corpus = _file(Path(name))
    if sha256 and corpus.sha256 != sha256:
        raise CorpusError(
            f"{name}: the corpus is not the one this run began with (its sha256 is "
            f"{corpus.sha256[:12]}..., was {sha256[:12]}...); restore it or start a new run"
        )
    return corpus


def misfits(
    text: Corpus, *, val_fraction: float, block_size: int, prompt: str
) -> Iterator[Problem]:
    """What of a run config, by dotted key, does not go with a text."""
    held_out = round(len(text.text) * val_fraction)
    shorter = min(held_out, len(text.text) - held_out)
    if shorter < block_size + 1:
        yield Problem(
            ("model", "block_size"),
            f"{text.name}: its shorter split has {shorter} characters, a window of block_size "
            f"{block_size} needs {block_size + 1}; take a longer corpus, a smaller block_size or "
            "another data.val_fraction",
        )
    try:
        CharTokenizer.of(text.text).encode(prompt)
    except UnseenCharacterError as error:
        yield Problem(("sample", "prompt"), str(error))


def _auto(say: Say) -> Corpus:
    try:
        return _decoded("tiny_shakespeare", _tiny_shakespeare(say))
    except CorpusError as error:
        say(f"corpus: python_docs, since tiny_shakespeare cannot be had ({error})")
        return _decoded("python_docs", _python_docs())


def _decoded(name: str, data: bytes) -> Corpus:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{name}: byte {error.start} is not UTF-8; convert the file, for instance with iconv"
        ) from None
    if not text:
        raise CorpusError(f"{name}: the file is empty; give it some text")
    return Corpus(name, text, hashlib.sha256(data).hexdigest())


def _file(path: Path) -> Corpus:
    try:
        return _decoded(str(path.resolve()), path.read_bytes())
    except OSError as error:
        raise CorpusError(
            f"{path}: cannot be read ({error.strerror}); data.corpus is the path of a text file, "
            "tiny_shakespeare, python_docs or auto"
        ) from None


def _python_docs() -> bytes:
    """The language reference that CPython carries, topic by topic in alphabetical order."""
    topics: dict[str, str] = importlib.import_module("pydoc_data.topics").topics
    return "\n\n".join(topics[name].strip("\n") for name in sorted(topics)).encode()


def _tiny_shakespeare(say: Say) -> bytes:
    home = os.environ.get("TINYGPT_DATA")
    places = [Path("data"), *([Path(home)] if home else [])]
    for path in (place / "tiny_shakespeare.txt" for place in places):
        if path.is_file():
            return _genuine(path.read_bytes(), path)
    data = _genuine(_download(say), TINY_SHAKESPEARE_URL)
    _keep(places[0], data, say)
    return data


def _keep(place: Path, data: bytes, say: Say) -> None:
    try:
        place.mkdir(exist_ok=True)
        write_atomically(place / "tiny_shakespeare.txt", data)
    except OSError as error:
        say(f"corpus: the download cannot be kept in {place}/ ({error.strerror})")


def _genuine(data: bytes, source: Path | str) -> bytes:
    digest = hashlib.sha256(data).hexdigest()
    if digest != TINY_SHAKESPEARE_SHA256:
        raise CorpusError(
            f"{source}: not the published Tiny Shakespeare (its sha256 is {digest[:12]}...); "
            + ("remove the file" if isinstance(source, Path) else "the download broke, try again")
        )
    return data


def _download(say: Say) -> bytes:
    say(f"downloading {TINY_SHAKESPEARE_URL}")
    try:
        with urllib.request.urlopen(TINY_SHAKESPEARE_URL, timeout=CONNECT_SECONDS) as response:
            return _read_with_progress(response)
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise CorpusError(
            "tiny_shakespeare: neither in data/ nor in $TINYGPT_DATA, and the download failed "
            f"({reason})"
        ) from None


def _read_with_progress(response: http.client.HTTPResponse) -> bytes:
    total, data = int(response.headers.get("Content-Length", 0)), bytearray()
    while chunk := response.read(1 << 16):
        data += chunk
        if sys.stderr.isatty():
            share = f"{len(data) / total:4.0%}" if total else ""
            print(f"\r{len(data):,} bytes {share}", end="", file=sys.stderr)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    return bytes(data)
