"""What chance alone makes of random draws from a range: how many lie at its end, and how close."""

import math
from typing import Any

import pandas as pd

from analysis import ranges
from analysis.frames import missing
from analysis.quantiles import t_cdf
from analysis.ranges import End

OUTER = 0.2
"""Part of a range at either end where better trials may crowd."""


def outer_share(row: Any, end: End) -> float:
    """Return the share of random draws in the outer fifth of a range: more if values are few."""
    values = count(row)
    if not values:
        return OUTER
    if not row["log"]:
        return max(OUTER, (math.floor(OUTER * (values - 1) + 1e-9) + 1) / values)
    # A whole number is drawn on the logarithmic scale from half below to half above it.
    low, high = float(row["low"]), float(row["high"])
    first, last = low - 0.5, high + 0.5
    if end == "low":
        last = math.floor(ranges.value(row, OUTER) + 1e-9) + 0.5
    else:
        first = math.ceil(ranges.value(row, 1 - OUTER) - 1e-9) - 0.5
    return max(OUTER, math.log(last / first) / math.log((high + 0.5) / (low - 0.5)))


def count(row: Any) -> int:
    """Return how many values a range of the frame `space` has; 0 for a continuum."""
    if row["type"] == "categorical":
        return len(set(row["choices"]))
    if row["type"] == "float" and missing(row["step"]):
        return 0
    step = 1.0 if missing(row["step"]) else float(row["step"])
    return round((float(row["high"]) - float(row["low"])) / step) + 1


def binomial_tail(hits: int, n: int, p: float) -> float:
    """Return the probability of at least so many hits in `n` draws."""
    return sum(math.comb(n, m) * p**m * (1 - p) ** (n - m) for m in range(hits, n + 1))


def trend(away: "pd.Series[float]", ranks: "pd.Series[int]") -> float:
    """Return the one-sided p of Spearman's correlation: ranks get better towards the end."""
    n = len(away)
    if n < 5 or away.nunique() < 2:
        return 1.0
    r = float(away.rank().corr(ranks.astype("float64").rank()))
    if not r > 0:
        return 1.0
    return 1 - t_cdf(r * math.sqrt((n - 2) / max(1e-12, 1 - r * r)), n - 2)


def closeness(n: int, span: float, values: int) -> float:
    """Return the probability that so many random draws lie within so small a part of the range
    (David and Nagaraja 2003); at most that, where it has so many `values` and not any."""
    width = (span * (values - 1) + 1) / values if values else span
    return float(n * width ** (n - 1) - (n - 1) * width**n)
