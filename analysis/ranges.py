"""Ranges of a search made wider or narrower, within what the space and the key allow."""

import math
from itertools import pairwise
from typing import Any, Literal

from analysis import limits
from analysis.frames import missing

End = Literal["low", "high"]
SHARE = 0.5
"""Part of a range, on its scale, that it is widened by."""


def widened(row: Any, end: End) -> float:
    """Return where a range of the frame `space` ends if it is widened; where it does if it cannot.

    By half of the range on its scale, to whole steps, clipped to the hard bound and to what the
    key allows.
    """
    low, high = float(row["low"]), float(row["high"])
    now = low if end == "low" else high
    far = _beyond(row, end, low, high)
    allowed = limits.of(str(row["parameter"]), row["type"])
    if low >= 0 and not row["log"]:
        far = max(far, 0.0)
    far = allowed.clipped(far, now)
    hard = row[f"hard_{end}"]
    if not missing(hard):
        far = max(far, hard) if end == "low" else min(far, hard)
    far = _stepped(row, now, far)
    return min(far, low) if end == "low" else max(far, high)


def narrowed(row: Any, low: float, high: float) -> tuple[float, float]:
    """Return the part of a range between the places `low` and `high`, 0 to 1, to whole steps."""
    first, last = (value(row, min(1.0, max(0.0, place))) for place in (low, high))
    start = float(row["low"])
    step = _step(row)
    if step:
        first = start + step * math.floor((first - start) / step + 1e-9)
        last = start + step * math.ceil((last - start) / step - 1e-9)
    return rounded(max(first, start)), rounded(min(last, float(row["high"])))


def value(row: Any, place: float) -> float:
    """Return the value at a place of a range, 0 at its low end, 1 at its high one."""
    low, high = float(row["low"]), float(row["high"])
    if row["log"]:
        return math.exp(math.log(low) + place * (math.log(high) - math.log(low)))
    return low + place * (high - low)


def further(choices: tuple[Any, ...], end: End) -> tuple[Any, ...]:
    """Return numeric choices with one more at an end, as far away as the others are: by the same
    factor if all are, else by the same difference. The choices as they are if it would be no
    positive number."""
    ordered = sorted(set(choices))
    near, beside = (ordered[0], ordered[1]) if end == "low" else (ordered[-1], ordered[-2])
    ratios = {b / a for a, b in pairwise(ordered) if a > 0}
    same = len(ratios) == 1 and ordered[0] > 0
    new = near * near / beside if same else 2 * near - beside
    if all(isinstance(choice, int) for choice in ordered):
        new = round(new)
    if not new > 0 or new in ordered:
        return tuple(choices)
    return (new, *choices) if end == "low" else (*choices, new)


def rounded(number: float) -> float:
    """Return a number with three significant digits: a range needs no more."""
    return float(f"{number:.3g}")


def _beyond(row: Any, end: End, low: float, high: float) -> float:
    if row["log"]:
        factor = (high / low) ** SHARE
        return rounded(low / factor if end == "low" else high * factor)
    width = SHARE * (high - low)
    return rounded(low - width if end == "low" else high + width)


def _stepped(row: Any, now: float, far: float) -> float:
    step = _step(row)
    if not step:
        return far
    steps = math.floor(abs(far - now) / step + 1e-9)
    return rounded(now + math.copysign(steps * step, far - now))


def _step(row: Any) -> float:
    if not missing(row["step"]):
        return float(row["step"])
    return 1.0 if row["type"] == "int" else 0.0
