"""Characters to ids and back."""

from pathlib import Path

import pytest

from tinygpt.files import RecordError
from tinygpt.tokenizer import CharTokenizer, UnseenCharacterError


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "banana",
        "line\nbreak\r\n\ttab",
        "ünïcödé ß",
        "日本語",
        "🙂 beyond the plane 🙃",
        "\x00\x7f",
    ],
)
def test_what_is_encoded_is_decoded_to_the_same_text(text: str) -> None:
    tokenizer = CharTokenizer.of(text)
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_a_vocabulary_holds_each_character_once_in_the_order_of_code_points() -> None:
    tokenizer = CharTokenizer.of("hello 🙂 wörld\n")
    assert tokenizer.characters == "\n dehlorwö🙂"
    assert len(tokenizer) == 11
    assert tokenizer.encode("\n 🙂") == [0, 1, 10]


def test_the_order_of_the_text_does_not_matter() -> None:
    assert CharTokenizer.of("abcb").characters == CharTokenizer.of("cbab").characters


def test_an_empty_text_has_no_ids() -> None:
    tokenizer = CharTokenizer.of("ab")
    assert tokenizer.encode("") == []
    assert tokenizer.decode([]) == ""


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("z", "'z' (U+007A) at position 0"),
        ("abz?", "'z' (U+007A) at position 2"),
        ("ab\u00e9", "'é' (U+00E9) at position 2"),
        ("🙂", "(U+1F642) at position 0"),
    ],
)
def test_the_first_unseen_character_is_named_with_its_code_point_and_place(
    text: str, named: str
) -> None:
    with pytest.raises(UnseenCharacterError) as raised:
        CharTokenizer.of("ab").encode(text)
    assert named in str(raised.value)
    assert "vocabulary of 2 characters" in str(raised.value)


def test_a_vocabulary_with_a_character_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        CharTokenizer("aba")


def test_a_saved_vocabulary_is_loaded_as_it_was(tmp_path: Path) -> None:
    tokenizer = CharTokenizer.of('quote " backslash \\ newline \n 🙂 \u2028')
    tokenizer.save(tmp_path / "tokenizer.json")
    assert CharTokenizer.load(tmp_path / "tokenizer.json").characters == tokenizer.characters


@pytest.mark.parametrize(
    "content", ["", "{", "{}", "[]", "null", '{"characters": 7}', '{"characters": ["a", "a"]}']
)
def test_a_file_that_is_no_vocabulary_is_an_unusable_record(tmp_path: Path, content: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(content)
    with pytest.raises(RecordError, match=r"tokenizer\.json"):
        CharTokenizer.load(path)
