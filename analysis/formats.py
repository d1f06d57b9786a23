"""Numbers and values as a reader wants them."""

import math
from typing import Any

import pandas as pd

from analysis.frames import number

MISSING = "-"


def loss(value: float) -> str:
    """Four decimals: differences between good trials are in the third."""
    return f"{value:.4f}" if math.isfinite(value) else MISSING


def signed(value: float) -> str:
    """A difference with its sign; exactly none is 0."""
    if not math.isfinite(value):
        return MISSING
    return "0" if value == 0 else f"{value:+.4f}"


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


def setting(value: Any) -> str:
    """A parameter's value: four digits are enough to tell two settings apart."""
    if value is None or (not isinstance(value, str | list | dict | tuple) and pd.isna(value)):
        return MISSING
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def line(text: str, limit: int = 160) -> str:
    """Any text as one printable line of at most `limit` characters."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return flat if len(flat) <= limit else flat[: limit - 3] + "..."
