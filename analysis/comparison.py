"""Means over seeds compared with the best of them: differences, ties, and who may be best."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis import noise
from analysis.noise import Noise
from analysis.quantiles import t_cdf

Array = npt.NDArray[np.float64]

BASELINE = 0
CHANCE = 1 - noise.CONFIDENCE
"""The p above which a mean is tied with the best."""
DRAWS = 100_000
"""Draws of the errors of all means: a p of 0.05 is then off by less than a thousandth."""


def compared(table: pd.DataFrame, measured: Noise, minimize: bool) -> pd.DataFrame:
    """Return means with columns that compare them with that of the first row and with trial 0's.

    `table` has `trial`, `mean`, `sd` and `n`, the seeds it is over. Added are `low` and `high`,
    `delta` with `delta_low` and `delta_high`, `p_dunnett`, `tied`, `p_beats_baseline` and `p_best`;
    all but `delta` are missing while noise is unknown. The first row is not tied with itself.
    """
    means, n = table["mean"], table["n"]
    ends = [
        noise.interval(row["mean"], row["n"], _own(row, measured))
        for row in table.to_dict("records")
    ]
    delta = means - (means.iloc[0] if len(means) else math.nan)
    p, half = dunnett(means, n, measured)
    return table.assign(
        low=[low for low, _ in ends],
        high=[high for _, high in ends],
        delta=delta,
        delta_low=delta - half,
        delta_high=delta + half,
        p_dunnett=p,
        tied=(p > CHANCE).astype("boolean") if measured.known else None,
        p_beats_baseline=_beats_baseline(table, measured, minimize),
        p_best=chances(means, n, measured, minimize),
    )


def _own(row: Any, measured: Noise) -> Noise:
    """The noise of one configuration: its own where it was left out of that of the others."""
    if row["trial"] not in measured.erratic:
        return measured
    return Noise(float(row["sd"]), int(row["n"]) - 1, measured.source)


def dunnett(
    means: "pd.Series[float]", n: "pd.Series[int]", measured: Noise
) -> tuple["pd.Series[float]", "pd.Series[float]"]:
    """Return, for each mean, p of its difference to the first one, and the half-width of the 95 %
    interval of that difference, both allowing for there being several.

    Dunnett's test (1955), two-sided, by drawing the largest |t|. The first mean has neither, NaN,
    as all have while noise is unknown.
    """
    nothing = pd.Series(math.nan, index=means.index)
    if not measured.known or len(means) < 2:
        return nothing, nothing.copy()
    seeds, values = _array(n), _array(means)
    scale = np.sqrt(1 / seeds[1:] + 1 / seeds[0])
    errors = _errors(seeds, measured.freedom)
    largest = (np.abs(errors[:, 1:] - errors[:, :1]) / scale).max(axis=1)
    apart = np.abs(values[1:] - values[0])
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(apart > 0, apart / (measured.sd * scale), 0.0)
    p = [math.nan, *(float((largest >= one).mean()) for one in t)]
    half = [math.nan, *(np.quantile(largest, noise.CONFIDENCE) * measured.sd * scale)]
    return pd.Series(p, means.index), pd.Series(half, means.index)


def chances(
    means: "pd.Series[float]", n: "pd.Series[int]", measured: Noise, minimize: bool
) -> "pd.Series[float]":
    """Return the probability of each true mean to be the best of all: pooled t, flat prior.

    They sum to 1; NaN while noise is unknown.
    """
    if not measured.known or means.empty:
        return pd.Series(math.nan, index=means.index)
    signed = _array(means) * (1 if minimize else -1)
    drawn = signed + measured.sd * _errors(_array(n), measured.freedom)
    wins = np.bincount(drawn.argmin(axis=1), minlength=len(means))
    return pd.Series(wins / len(drawn), index=means.index)


def odds(ahead: float, measured: Noise, n: int, m: int) -> float:
    """Return the probability that one configuration's true mean is better than another's.

    `ahead` is by how much its mean over `n` seeds is better than the other's over `m`: pooled t,
    flat prior. NaN while noise is unknown.
    """
    if not measured.known or math.isnan(ahead):
        return math.nan
    error = measured.sd * math.sqrt(1 / n + 1 / m)
    if not error:
        return 0.5 + 0.5 * ((ahead > 0) - (ahead < 0))
    return t_cdf(ahead / error, measured.freedom)


def _array(values: "pd.Series[float] | pd.Series[int]") -> Array:
    return np.asarray(values, dtype=np.float64)


def _errors(n: Array, freedom: int) -> Array:
    """Draws of the errors of means over `n` seeds, in units of the estimated deviation."""
    rng = np.random.default_rng(0)
    spread = np.sqrt(rng.chisquare(freedom, (DRAWS, 1)) / freedom)
    errors: Array = rng.normal(size=(DRAWS, len(n))) / np.sqrt(n) / spread
    return errors


def _beats_baseline(table: pd.DataFrame, measured: Noise, minimize: bool) -> list[float]:
    base = table[table["trial"] == BASELINE]
    if base.empty:
        return [math.nan] * len(table)
    mean, m = float(base["mean"].iloc[0]), int(base["n"].iloc[0])
    ahead = (mean - table["mean"]) * (1 if minimize else -1)
    return [
        math.nan if trial == BASELINE else odds(gain, measured, n, m)
        for trial, gain, n in zip(table["trial"], ahead, table["n"], strict=True)
    ]
