"""Seed noise: how much the objective of one configuration differs from seed to seed."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.quantiles import t_quantile

if TYPE_CHECKING:
    from analysis.load import Sweep

Array = npt.NDArray[np.float64]

CONFIDENCE = 0.95
DRAWS = 4000
"""Draws of the noise: the error of a probability is below a hundredth."""
CONTENDERS = 400
"""Trials whose chances are drawn at most; those behind them are worse than all of these."""


@dataclass(frozen=True)
class Noise:
    """`sd` is in the unit of the objective, NaN while unknown; `freedom` counts its degrees.

    `source` is what it was measured on: "confirmation", "replicates", or "" while unknown.
    """

    sd: float = math.nan
    freedom: int = 0
    source: str = ""

    @property
    def known(self) -> bool:
        """Whether it was measured."""
        return self.freedom > 0 and math.isfinite(self.sd)


def measured(sweep: "Sweep") -> Noise:
    """Return the noise between seeds: of the confirmation runs, else of the sweep's replicates."""
    confirmed = sweep.confirmed[sweep.confirmed["state"] == "complete"]
    noise = pooled(confirmed["value"], confirmed["trial"], "confirmation")
    if noise.known or sweep.replicates == 1:
        return noise
    complete = sweep.trials[sweep.trials["state"] == "complete"]
    return pooled(complete["value"], complete["configuration"], "replicates")


def pooled(values: "pd.Series[float]", groups: "pd.Series[int]", source: str) -> Noise:
    """Return the standard deviation within `groups`, pooled; a group of one says nothing."""
    by = values.astype("float64").groupby(groups.to_numpy())
    freedom = int((by.size() - 1).sum())
    if not freedom:
        return Noise()
    squares = float(((values - by.transform("mean")) ** 2).sum())
    return Noise(math.sqrt(squares / freedom), freedom, source)


def interval(mean: float, n: int, noise: Noise) -> tuple[float, float]:
    """Return the 95 % interval of a mean over `n` seeds: pooled t; NaN while noise is unknown."""
    if not noise.known or n < 1:
        return math.nan, math.nan
    half = t_quantile((1 + CONFIDENCE) / 2, noise.freedom) * noise.sd / math.sqrt(n)
    return mean - half, mean + half


def margin(noise: Noise, n: int = 1, m: int = 1) -> float:
    """Return the difference of two means over `n` and `m` seeds that chance alone makes in one of
    twenty; NaN while noise is unknown."""
    if not noise.known:
        return math.nan
    scale = math.sqrt(1 / n + 1 / m)
    return t_quantile((1 + CONFIDENCE) / 2, noise.freedom) * noise.sd * scale


def tied(
    values: "pd.Series[float]", best: float, noise: Noise, minimize: bool
) -> "pd.Series[bool]":
    """Return which single runs are not told apart from one with the value `best`; none while noise
    is unknown."""
    behind = (values - best) * (1 if minimize else -1)
    return (behind < margin(noise)).fillna(False).astype("bool")


def renoised(
    values: "pd.Series[float]", noise: Noise, minimize: bool
) -> tuple["pd.Series[float]", float]:
    """Return the probability of each value to be the best, and how much too good the best looks.

    The noise is drawn once more on top of the values: how far the best of a draw lies from the
    value that it was drawn from is the optimism of picking the best, and who it is shows who else
    might have been (Efron's bootstrap, parametric). The optimism is positive.
    """
    if not noise.known or values.empty:
        return pd.Series(math.nan, index=values.index), math.nan
    signed = values.to_numpy(dtype="float64") * (1 if minimize else -1)
    order = np.argsort(signed, kind="stable")[:CONTENDERS]
    close = order[signed[order] <= signed[order[0]] + 10 * noise.sd]
    picked, gains = _draws(signed[close], noise.sd)
    chances = np.zeros(len(values))
    chances[close] = np.bincount(picked, minlength=len(close)) / len(picked)
    return pd.Series(chances, index=values.index), float(gains.mean())


def _draws(values: Array, sd: float) -> tuple[npt.NDArray[np.intp], Array]:
    """Who is best in each draw, and by how much it was better there than it is."""
    drawn = values + np.random.default_rng(0).normal(0.0, sd, (DRAWS, len(values)))
    best = drawn.argmin(axis=1)
    return best, values[best] - drawn[np.arange(DRAWS), best]
