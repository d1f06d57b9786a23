"""How values and suggestions read in a message."""

import difflib
from collections.abc import Iterable

from tinygpt.redaction import redacted


def unknown(key: str, *groups: Iterable[str]) -> str:
    """The message for an unknown dotted key, with the one that was probably meant: one
    whose last part is the same, or else near, in the first group of known keys that has such."""
    last = key.rpartition(".")[2]
    for cutoff in (1.0, 0.6):
        for known in groups:
            by_last_part: dict[str, list[str]] = {}
            for name in known:
                by_last_part.setdefault(name.rpartition(".")[2], []).append(name)
            if near := difflib.get_close_matches(last, by_last_part, n=1, cutoff=cutoff):
                return f"unknown key{suggestion(key, by_last_part[near[0]], 0.0)}"
    return "unknown key"


def suggestion(value: object, choices: Iterable[object], cutoff: float = 0.6) -> str:
    """The choice that a text was probably meant to be, in words; nothing for other values."""
    names = [str(choice) for choice in choices]
    text = value if isinstance(value, str) else ""
    close = difflib.get_close_matches(text, names, n=1, cutoff=cutoff)
    return f" (did you mean {close[0]!r}?)" if close else ""


def shown(value: object) -> str:
    """A value as a message quotes it, shortened."""
    text = "nothing" if value is None else repr(value)
    if len(text) > 60:
        text = redacted(text)  # before it is cut: half a secret is not known for one
    return text if len(text) <= 60 else text[:57] + "..."


def either(choices: Iterable[object]) -> str:
    """Choices in words: a, b or c."""
    *rest, last = [str(choice) for choice in choices]
    return f"{', '.join(rest)} or {last}" if rest else last
