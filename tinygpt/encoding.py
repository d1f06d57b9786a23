"""Text to ids piece by piece, so that a text of any size needs little memory.

An id is the place of a character in the vocabulary, which is in the order of the code points.
"""

import codecs
import hashlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Literal, NamedTuple

Code = Literal["B", "H", "i"]
"""A type of ids as `memoryview.format` names it: uint8, uint16 or int32."""


class NotTextError(ValueError):
    """Bytes that are not UTF-8; `place` counts the bytes before the first such one."""

    def __init__(self, place: int) -> None:
        super().__init__(f"byte {place} is not UTF-8")
        self.place = place


class ChangedError(ValueError):
    """A text is not the one that was surveyed."""


class Piece(NamedTuple):
    """Some bytes of a text, and the characters that end in them."""

    data: bytes
    text: str


@dataclass(frozen=True)
class Survey:
    """What one pass over a text tells: the sha256 of its bytes, its different characters in the
    order of their code points, and how many characters it has."""

    sha256: str
    characters: str
    length: int


class Kind(NamedTuple):
    """A type of ids, and the codec that writes the character of code point n as n in that type."""

    code: Code
    codec: str


_END = "le" if sys.byteorder == "little" else "be"


def kind_of(vocabulary: int) -> Kind:
    """The smallest type for the ids of a vocabulary of that size."""
    if vocabulary <= 1 << 8:
        return Kind("B", "latin-1")
    return Kind("H", f"utf-16-{_END}") if vocabulary <= 1 << 16 else Kind("i", f"utf-32-{_END}")


def pieces(chunks: Iterable[bytes]) -> Iterator[Piece]:
    """Decode UTF-8 that comes in chunks, cut anywhere; raises NotTextError."""
    decoder, before = codecs.getincrementaldecoder("utf-8")(), 0
    for data in chain(chunks, [b""]):
        kept, _ = decoder.getstate()
        try:
            text = decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            raise NotTextError(before - len(kept) + error.start) from None
        before += len(data)
        yield Piece(data, text)


def surveyed(text: Iterable[Piece]) -> Survey:
    """Go through a text once."""
    digest, characters, length = hashlib.sha256(), set[str](), 0
    for piece in text:
        digest.update(piece.data)
        characters.update(piece.text)
        length += len(piece.text)
    return Survey(digest.hexdigest(), "".join(sorted(characters)), length)


def encoded(text: Iterable[Piece], survey: Survey) -> Iterator[bytes]:
    """The ids of a surveyed text, as its vocabulary's kind lies in memory.

    Raises ChangedError, at the end at the latest, if it is another text: nothing may be made of
    the ids before.
    """
    codec = kind_of(len(survey.characters)).codec
    table = {ord(character): i for i, character in enumerate(survey.characters)}
    digest = hashlib.sha256()
    for piece in text:
        digest.update(piece.data)
        try:
            # Some ids are code points of surrogates, which the wider codecs else refuse.
            yield piece.text.translate(table).encode(codec, "surrogatepass")
        except UnicodeEncodeError:
            break  # a character that is not in the vocabulary; the digest tells the rest
    if digest.hexdigest() != survey.sha256:
        raise ChangedError
