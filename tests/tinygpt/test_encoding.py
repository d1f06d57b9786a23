"""Text to ids, piece by piece: the same as at once, in the smallest type."""

import hashlib
import sys
from collections.abc import Iterator

import pytest

from tinygpt.encoding import (
    ChangedError,
    NotTextError,
    Survey,
    encoded,
    kind_of,
    pieces,
    surveyed,
)
from tinygpt.tokenizer import CharTokenizer

MIXED = "\ufeffnaïve 🙂 text\r\nwith 日本 and \x00, \U0010ffff"


def cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def ids_of(text: str, size: int = 1 << 20) -> list[int]:
    """The ids of a text that is read in chunks of `size` bytes."""
    data = text.encode()
    survey = surveyed(pieces(cut(data, size)))
    ids = bytearray().join(encoded(pieces(cut(data, size)), survey))
    return memoryview(ids).cast(kind_of(len(survey.characters)).code).tolist()


def alphabet(size: int) -> str:
    """So many different characters, those of the highest code points."""
    points = [point for point in range(0x110000) if not 0xD800 <= point < 0xE000]
    return "".join(map(chr, points[-size:]))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 1000])
def test_wherever_a_text_is_cut_its_survey_and_its_ids_are_the_same(size: int) -> None:
    data = MIXED.encode()
    survey = surveyed(pieces(cut(data, size)))
    sha256 = hashlib.sha256(data).hexdigest()
    assert survey == Survey(sha256, CharTokenizer.of(MIXED).characters, len(MIXED))
    assert ids_of(MIXED, size) == CharTokenizer.of(MIXED).encode(MIXED)


@pytest.mark.parametrize("data", [b"", b"a", MIXED.encode()])
def test_pieces_are_the_chunks_and_their_characters(data: bytes) -> None:
    found = list(pieces(cut(data, 3)))
    assert b"".join(piece.data for piece in found) == data
    assert "".join(piece.text for piece in found) == data.decode()


@pytest.mark.parametrize("size", [1, 2, 3, 4, 1000])
@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b"\xff\xfe", 0),
        (b"abc\xe9def", 3),
        ("ab🙂".encode()[:-1], 2),
        ("🙂🙂".encode()[:-1] + b"a", 4),
        (b"line\n" * 100 + b"\x80", 500),
        ("é".encode() * 50 + b"\xc3", 100),
        (b"\xed\xa0\x80", 0),  # a surrogate is no character
    ],
)
def test_the_first_byte_that_is_not_utf8_is_counted_from_the_start(
    data: bytes, place: int, size: int
) -> None:
    with pytest.raises(NotTextError) as raised:
        list(pieces(cut(data, size)))
    assert raised.value.place == place


@pytest.mark.parametrize(
    ("size", "code", "width"),
    [
        (1, "B", 1),
        (256, "B", 1),
        (257, "H", 2),
        (40_000, "H", 2),
        (65_536, "H", 2),
        (65_537, "i", 4),
    ],
)
def test_ids_take_the_smallest_type_that_holds_them(size: int, code: str, width: int) -> None:
    assert kind_of(size).code == code
    assert memoryview(b"").cast(kind_of(size).code).itemsize == width
    assert ids_of(alphabet(size)) == list(range(size))


def test_wider_ids_are_in_the_byte_order_of_the_machine() -> None:
    text = alphabet(257)
    survey = surveyed(pieces([text.encode()]))
    *_, last = (part for part in encoded(pieces([text.encode()]), survey) if part)
    assert last[-2:] == (256).to_bytes(2, sys.byteorder)


@pytest.mark.parametrize("now", ["abca", "abcabcd", "abcabZ", "abcab日", "bacabc", ""])
def test_a_text_that_is_not_the_surveyed_one_is_refused(now: str) -> None:
    survey = surveyed(pieces([b"abcabc"]))
    with pytest.raises(ChangedError):
        list(encoded(pieces([now.encode()]), survey))
