"""The text to learn: found, downloaded once or taken from Python itself, checked by its digest."""

import functools
import hashlib
import http.client
import importlib
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tinygpt.cache import Cache, Encode
from tinygpt.encoding import ChangedError, Piece, Survey, encoded, kind_of, surveyed
from tinygpt.files import write_atomically
from tinygpt.redaction import redacted
from tinygpt.schema import Problem
from tinygpt.source import CorpusError, decoded, digest, read, texts_below
from tinygpt.tokenizer import CharTokenizer, UnseenCharacterError

TINY_SHAKESPEARE_URL = (
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
)
TINY_SHAKESPEARE_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
CONNECT_SECONDS = 5.0

if TYPE_CHECKING:
    from torch import Tensor

Say = Callable[[str], None]


@dataclass(frozen=True)
class Corpus:
    """A text by the name it was found under (a path where it came from files of the user's), the
    sha256 of its UTF-8 bytes, its vocabulary and its length in characters.

    The text itself is not held. `encode` gives its ids, (N,) in the type of `encoding.kind_of`, and
    keeps them beside the text for whoever loads it next. It raises CorpusError if the text has
    changed since it was loaded, and OSError if there is no room for the ids.
    """

    name: str
    sha256: str
    tokenizer: CharTokenizer = field(compare=False)
    length: int
    encode: Callable[[], memoryview] = field(compare=False, repr=False)

    def __len__(self) -> int:
        return self.length

    @functools.cached_property
    def ids(self) -> "Tensor":
        """What `encode` gives, as a tensor (N,) of uint8, uint16 or int32 over the same memory."""
        import torch  # takes a second to load, and whoever does not train needs no tensor

        kinds = {"B": torch.uint8, "H": torch.uint16, "i": torch.int32}
        ids = self.encode()
        return torch.frombuffer(ids, dtype=kinds[ids.format])


def load(name: str, sha256: str = "", say: Say = lambda line: None) -> Corpus:
    """The corpus of that name; `say` gets a line about a download or a choice.

    Raises CorpusError if it cannot be had, is empty, is not UTF-8, or if its digest is not `sha256`
    (empty: any).
    """
    match name:
        case "auto":
            corpus = _auto(say)
        case "tiny_shakespeare":
            corpus = _tiny_shakespeare(say)
        case "python_docs":
            corpus = in_memory(name, _python_docs())
        case _ if "://" in name:
            raise CorpusError(f"{redacted(name)}: is a URL; download it, and name the file")
        case _:
            corpus = _of_the_user(Path(name))
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
    held_out = round(len(text) * val_fraction)
    shorter = min(held_out, len(text) - held_out)
    if shorter < block_size + 1:
        yield Problem(
            ("model", "block_size"),
            f"{text.name}: its shorter split has {shorter} characters, a window of block_size "
            f"{block_size} needs {block_size + 1}; take a longer corpus, a smaller block_size or "
            "another data.val_fraction",
        )
    try:
        text.tokenizer.encode(prompt)
    except UnseenCharacterError as error:
        yield Problem(("sample", "prompt"), str(error))


def in_memory(name: str, data: bytes) -> Corpus:
    """The corpus of some UTF-8, kept nowhere; raises CorpusError if there is none."""
    return _surveyed(name, lambda: decoded(name, [data]), _held)


def _auto(say: Say) -> Corpus:
    try:
        return _tiny_shakespeare(say)
    except CorpusError as error:
        say(f"corpus: python_docs, since tiny_shakespeare cannot be had ({error})")
        return in_memory("python_docs", _python_docs())


def _of_the_user(path: Path) -> Corpus:
    try:
        source = Path(os.path.realpath(path))
        if source.is_dir():
            return _stored(str(source), source, texts_below(source))
        if source.is_file():
            return _stored(str(source), source, [source])
        if source.is_char_device() or source.is_block_device():
            raise CorpusError(f"{source}: is a device; name a text file")
        return in_memory(str(source), path.read_bytes())  # a pipe can be read only once
    except OSError as error:
        where = error.filename if os.path.isdir(path) else path
        raise CorpusError(
            f"{where}: cannot be read ({error.strerror}); data.corpus is the path of a text file "
            "or of a directory of .txt files, tiny_shakespeare, python_docs or auto"
        ) from None


def _stored(name: str, source: Path, files: Sequence[Path]) -> Corpus:
    """The corpus of the files, one after another; its ids are kept beside `source`."""
    sha256 = digest(files)
    if (found := Cache(source, sha256).read()) is not None:
        tokenizer = CharTokenizer(found.characters)
        return Corpus(name, sha256, tokenizer, len(found.ids), lambda: found.ids)

    def keep(survey: Survey, encode: Encode) -> memoryview:
        return Cache(source, survey.sha256).write(survey, encode)

    return _surveyed(name, lambda: read(files), keep)


Text = Callable[[], Iterator[Piece]]
Keep = Callable[[Survey, Encode], memoryview]


def _surveyed(name: str, text: Text, keep: Keep) -> Corpus:
    """The corpus of what `text` reads each time it is called, once now and once for the ids."""
    survey = surveyed(text())
    if survey.length == 0:
        raise CorpusError(f"{name}: is empty; give it some text")

    def encode() -> memoryview:
        try:
            return keep(survey, lambda: encoded(text(), survey))
        except ChangedError:
            raise CorpusError(
                f"{name}: was changed while it was read; run the same command again"
            ) from None

    return Corpus(name, survey.sha256, CharTokenizer(survey.characters), survey.length, encode)


def _held(survey: Survey, encode: Encode) -> memoryview:
    ids = bytearray().join(encode())
    return memoryview(ids).cast(kind_of(len(survey.characters)).code)


def _python_docs() -> bytes:
    """The language reference that CPython carries, topic by topic in alphabetical order."""
    topics: dict[str, str] = importlib.import_module("pydoc_data.topics").topics
    return "\n\n".join(topics[name].strip("\n") for name in sorted(topics)).encode()


def _tiny_shakespeare(say: Say) -> Corpus:
    home = os.environ.get("TINYGPT_DATA")
    places = [Path("data"), *([Path(home)] if home else [])]
    for path in (place / "tiny_shakespeare.txt" for place in places):
        if path.is_file():
            _refuse_other(digest([path]), path)
            return _stored("tiny_shakespeare", path.resolve(), [path.resolve()])
    data = _download(say)
    _refuse_other(hashlib.sha256(data).hexdigest(), TINY_SHAKESPEARE_URL)
    _keep(places[0], data, say)
    return in_memory("tiny_shakespeare", data)


def _keep(place: Path, data: bytes, say: Say) -> None:
    try:
        place.mkdir(exist_ok=True)
        write_atomically(place / "tiny_shakespeare.txt", data)
    except OSError as error:
        say(f"corpus: the download cannot be kept in {place}/ ({error.strerror})")


def _refuse_other(sha256: str, source: Path | str) -> None:
    if sha256 != TINY_SHAKESPEARE_SHA256:
        raise CorpusError(
            f"{source}: not the published Tiny Shakespeare (its sha256 is {sha256[:12]}...); "
            + ("remove the file" if isinstance(source, Path) else "the download broke, try again")
        )


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
            f"({redacted(str(reason))})"
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
