"""Numbers and values as a reader wants them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.frames import missing, number

MISSING = "\N{EN DASH}"


def loss(value: float) -> str:
    """Four decimals: differences between good trials are in the third."""
    return f"{value:.4f}" if math.isfinite(value) else MISSING


def signed(value: float) -> str:
    """A difference with its sign; exactly none is 0."""
    if not math.isfinite(value):
        return MISSING
    return "0" if value == 0 else f"{value:+.4f}"


def measure(value: float, is_loss: bool = True) -> str:
    """What was measured: a loss, or a number of any size with four digits."""
    if is_loss:
        return loss(value)
    size = number(value)
    return f"{size:.4g}" if abs(size) < 1e3 else count(value)


def difference(value: float, is_loss: bool = True) -> str:
    """A difference of measures with its sign."""
    if is_loss or not value > 0:
        return signed(value) if is_loss else measure(value, False)
    return f"+{measure(value, False)}"


def count(value: Any) -> str:
    """A count with k, M or G from a thousand on, three digits."""
    size = number(value)
    if not math.isfinite(size):
        return MISSING
    for suffix, unit in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(size) >= unit:
            return f"{size / unit:.3g} {suffix}"
    return f"{size:.0f}"


def duration(seconds: float) -> str:
    """Seconds as h:mm:ss, or as seconds below a minute."""
    if not math.isfinite(seconds):
        return MISSING
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def percent(share: float) -> str:
    """A share of a whole in percent, with one decimal below ten."""
    if not math.isfinite(share):
        return MISSING
    return f"{share:.0%}" if abs(share) >= 0.0995 or share == 0 else f"{share:.1%}"


def setting(value: Any) -> str:
    """A parameter's value: four digits are enough to tell two settings apart."""
    if missing(value):
        return MISSING
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def line(text: str, limit: int = 160) -> str:
    """Any text as one printable line of at most `limit` characters."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return flat if len(flat) <= limit else flat[: limit - 3] + "..."


def listed(words: Sequence[object]) -> str:
    """Some words as English lists them: a, b and c."""
    texts = [str(word) for word in words]
    return " and ".join(part for part in (", ".join(texts[:-1]), *texts[-1:]) if part)


def settings(values: object) -> str:
    """A nested mapping as one line; what is not set is left out."""
    given = values.items() if isinstance(values, Mapping) else ()
    parts = [f"{key} {text}" for key, value in given if (text := _part(value))]
    return ", ".join(parts) or MISSING


def _part(value: object) -> str:
    if not isinstance(value, Mapping):
        return "" if value is None else str(value)
    inner = settings(value)
    return "" if inner == MISSING else f"({inner})"
