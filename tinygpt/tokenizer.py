"""Characters to ids and back."""

import json
from collections.abc import Iterable
from pathlib import Path

from tinygpt.files import RecordError, read_json, write_atomically


class UnseenCharacterError(ValueError):
    """A text holds a character that the corpus does not."""


class CharTokenizer:
    """A vocabulary of single characters; the id of a character is its place in `characters`."""

    def __init__(self, characters: Iterable[str]) -> None:
        self.characters = "".join(characters)
        self._ids = {character: i for i, character in enumerate(self.characters)}
        if len(self._ids) != len(self.characters):
            raise ValueError("a vocabulary must not hold a character twice")

    @classmethod
    def of(cls, text: str) -> "CharTokenizer":
        """The vocabulary of a text: its characters in the order of their code points."""
        return cls(sorted(set(text)))

    def __len__(self) -> int:
        return len(self.characters)

    def encode(self, text: str) -> list[int]:
        """The ids of a text; raises UnseenCharacterError naming the first unknown character."""
        try:
            return [self._ids[character] for character in text]
        except KeyError as error:
            character = error.args[0]
            raise UnseenCharacterError(
                f"the character {character!r} (U+{ord(character):04X}) at position "
                f"{text.index(character)} is not in the vocabulary of {len(self)} characters; "
                "leave it out"
            ) from None

    def decode(self, ids: Iterable[int]) -> str:
        return "".join(self.characters[i] for i in ids)

    def save(self, path: Path) -> None:
        write_atomically(path, self.to_json())

    def to_json(self) -> bytes:
        return (
            json.dumps({"characters": list(self.characters)}, ensure_ascii=False) + "\n"
        ).encode()

    @classmethod
    def load(cls, path: Path) -> "CharTokenizer":
        """Read what `save` wrote; raises RecordError if the file holds something else."""
        try:
            return cls(read_json(path)["characters"])
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise RecordError(f"{path}: not a saved vocabulary ({error})") from None
