"""Ranges of a search made wider or narrower, within what the space and the key allow."""

import math
from itertools import pairwise
from typing import Any, Literal

from analysis import limits
from analysis.frames import missing

End = Literal["low", "high"]
SHARE = 0.5
"""Part of a range, on its scale, that it is widened by."""


def inner(row: Any, low: float, high: float) -> dict[str, Any]:
    """Return the range between two places of it, by columns of findings/space.py; empty if that is
    all of it, or a single choice."""
    if row["type"] != "categorical":
        first, last = narrowed(row, low, high)
        smaller = first > row["low"] or last < row["high"]
        return {"new_low": first, "new_high": last} if smaller else {}
    ordered = sorted(set(row["choices"]))
    kept = {c for i, c in enumerate(ordered) if low <= i / (len(ordered) - 1) <= high}
    smaller = 1 < len(kept) < len(ordered)
    return {"new_choices": tuple(c for c in row["choices"] if c in kept)} if smaller else {}


def outer(row: Any, end: End) -> dict[str, Any]:
    """Return the range widened at an end, by columns of findings/space.py; empty without room."""
    if row["type"] != "categorical":
        far = widened(row, end)
        return {f"new_{end}": far} if far != row[end] else {}
    now, choices = set(row["choices"]), further(row["choices"], end)
    near = min(now) if end == "low" else max(now)
    allowed = limits.of(str(row["parameter"]), row["type"])
    fits = all(allowed.clipped(c, near) == c for c in set(choices) - now)
    return {"new_choices": choices} if fits and set(choices) != now else {}


def widened(row: Any, end: End) -> float:
    """Return where a range of the frame `space` ends if it is widened; where it does if it cannot.

    By half of the range on its scale or one step if that is more, to whole steps, clipped to the
    hard bound and to what the key allows.
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
        return _exact(max(first, start)), _exact(min(last, float(row["high"])))
    return max(rounded(first), start), min(rounded(last), float(row["high"]))


def value(row: Any, place: float) -> float:
    """Return the value at a place of a range, 0 at its low end, 1 at its high one."""
    low, high = float(row["low"]), float(row["high"])
    if row["log"]:
        return math.exp(math.log(low) + place * (math.log(high) - math.log(low)))
    return low + place * (high - low)


def further(choices: tuple[Any, ...], end: End) -> tuple[Any, ...]:
    """Return numeric choices with one more at an end, as far away as the others are: by the last
    factor if the factors differ less than the differences do, else by the last difference. The
    choices as they are if it would be no positive number."""
    ordered = sorted(set(choices))
    near, beside = (ordered[0], ordered[1]) if end == "low" else (ordered[-1], ordered[-2])
    new = near * near / beside if _are_powers(ordered) else 2 * near - beside
    new = round(new) if all(isinstance(choice, int) for choice in ordered) else rounded(new)
    if not new > 0 or new in ordered:
        return tuple(choices)
    return (new, *choices) if end == "low" else (*choices, new)


def rounded(number: float) -> float:
    """Return a number with three significant digits: a range needs no more."""
    return float(f"{number:.3g}")


def _are_powers(ordered: list[Any]) -> bool:
    if ordered[0] <= 0:
        return False
    factors = [b / a for a, b in pairwise(ordered)]
    gaps = [b - a for a, b in pairwise(ordered)]
    return bool(max(factors) / min(factors) < max(gaps) / min(gaps))


def _beyond(row: Any, end: End, low: float, high: float) -> float:
    factor, width = (high / low) ** SHARE if row["log"] else 1.0, SHARE * (high - low)
    if end == "low":
        far = low / factor if row["log"] else low - width
        return min(rounded(far), low - _step(row))
    far = high * factor if row["log"] else high + width
    return max(rounded(far), high + _step(row))


def _stepped(row: Any, now: float, far: float) -> float:
    step = _step(row)
    if not step:
        return far
    steps = math.floor(abs(far - now) / step + 1e-9)
    return _exact(now + math.copysign(steps * step, far - now))


def _exact(number: float) -> float:
    """A number without what a sum of steps adds to it: 0.7000000000000001 is 0.7."""
    return float(f"{number:.12g}")


def _step(row: Any) -> float:
    if not missing(row["step"]):
        return float(row["step"])
    return 1.0 if row["type"] == "int" else 0.0
