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
ERRATIC, LEAST = 5, 2
"""How many times as much a configuration may differ from seed to seed as the others: with three
seeds each chance alone makes more in about one of a thousand. And how many others it takes, and
degrees of freedom of its own: with two seeds chance makes anything."""
HOPELESS = 12
"""Standard deviations behind the best at which a value wins not one draw in a hundred million."""
AT_ONCE = 2**21
"""Numbers drawn at a time: 16 MB."""


@dataclass(frozen=True)
class Noise:
    """`sd` is in the unit of the objective, NaN while unknown; `freedom` counts its degrees.

    `source` is what it was measured on: "confirmation", "replicates", or "" while unknown;
    `erratic` are the configurations that it was not measured on, since they differ far more.
    """

    sd: float = math.nan
    freedom: int = 0
    source: str = ""
    erratic: tuple[int, ...] = ()

    @property
    def known(self) -> bool:
        """Whether it was measured."""
        return self.freedom > 0 and math.isfinite(self.sd)


def measured(sweep: "Sweep") -> Noise:
    """Return the noise between seeds: of the confirmation runs, else of the sweep's replicates.

    Only complete runs count, of configurations that have at least two of them.
    """
    fresh = sweep.confirmed[sweep.confirmed["state"] == "complete"]
    found = pooled(fresh["value"], fresh["trial"], "confirmation")
    if found.known or sweep.replicates == 1:
        return found
    trials = sweep.trials[sweep.trials["state"] == "complete"]
    return pooled(trials["value"], trials["configuration"], "replicates")


def pooled(values: "pd.Series[float]", groups: "pd.Series[int]", source: str) -> Noise:
    """Return the standard deviation within `groups`, pooled; a group of one says nothing.

    Pooling holds for groups that differ alike. One whose standard deviation is more than ERRATIC
    times that of the others, of which there are at least two, is left out.
    """
    finite = values.abs() < math.inf
    by = values[finite].astype("float64").groupby(groups[finite].to_numpy())
    variances, freedoms = by.var().dropna(), by.size() - 1
    erratic: list[int] = []
    while len(variances) > LEAST:
        worst = variances.sort_values().index[-1:]
        others = variances.drop(worst)
        apart = float(variances[worst].iloc[0]) > ERRATIC**2 * _pooled(others, freedoms) > 0
        if not apart or freedoms[worst].iloc[0] < LEAST:
            break
        erratic += worst.tolist()
        variances = others
    freedom = int(freedoms[variances.index].sum())
    if not freedom:
        return Noise()
    sd = math.sqrt(_pooled(variances, freedoms))
    return Noise(sd, freedom, source, tuple(sorted(erratic)))


def _pooled(variances: "pd.Series[float]", freedoms: "pd.Series[int]") -> float:
    known = freedoms[variances.index]
    return float((variances * known).sum() / known.sum())


def interval(mean: float, n: int, noise: Noise) -> tuple[float, float]:
    """Return the 95 % interval of a mean over `n` seeds, by pooled t; NaN while noise is unknown.

    It allows for seeds, not for a mean that was picked because it was the best.
    """
    if not noise.known or n < 1:
        return math.nan, math.nan
    half = t_quantile((1 + CONFIDENCE) / 2, noise.freedom) * noise.sd / math.sqrt(n)
    return mean - half, mean + half


def margin(noise: Noise, n: int = 1, m: int = 1) -> float:
    """Return the difference of two means over `n` and `m` seeds that chance alone exceeds in one
    of twenty; NaN while noise is unknown."""
    if not noise.known:
        return math.nan
    scale = math.sqrt(1 / n + 1 / m)
    return t_quantile((1 + CONFIDENCE) / 2, noise.freedom) * noise.sd * scale


def tied(
    values: "pd.Series[float]",
    best: float,
    noise: Noise,
    minimize: bool,
    seeds: "pd.Series[int] | None" = None,
    of_best: int = 1,
) -> "pd.Series[bool]":
    """Return which values are not behind `best` by more than chance; none while noise is unknown.

    They are single runs, or means over `seeds`; `best`, one over `of_best`.
    """
    behind = (values - best) * (1 if minimize else -1)
    n = 1.0 if seeds is None else seeds.astype("float64")
    needed = margin(noise) * np.sqrt((1 / n + 1 / of_best) / 2)
    return (behind <= needed).astype("bool")


def renoised(
    values: "pd.Series[float]",
    noise: Noise,
    minimize: bool,
    draws: int = 4000,
    seeds: "pd.Series[int] | None" = None,
) -> tuple["pd.Series[float]", float]:
    """Return the probability of each value to be the best, and how much too good the best looks.

    The values are single runs or means over `seeds`. The noise is drawn once more on top of them:
    who is the best of a draw shows who else might have been, and how far it lies from the value
    that it was drawn from, how much picking flatters (parametric bootstrap). That is too little,
    since the values are further apart than the true means are; with twice the variance it is less
    still, and the line through both says what it is with none on top (simulation extrapolation,
    Cook and Stefanski 1994). `draws` is even. NaN while noise is unknown.
    """
    if not noise.known or values.empty:
        return pd.Series(math.nan, index=values.index), math.nan
    signed = np.asarray(values, dtype=np.float64) * (1 if minimize else -1)
    n = np.asarray(1 if seeds is None else seeds, dtype=np.float64)
    sd = np.broadcast_to(noise.sd / np.sqrt(n), signed.shape)
    close = np.flatnonzero(signed <= signed.min() + HOPELESS * noise.sd)
    wins, once = _draws(signed[close], sd[close], draws)
    _, twice = _draws(signed[close], sd[close] * math.sqrt(2), draws)
    shares = np.zeros(len(values))
    shares[close] = wins / draws
    return pd.Series(shares, index=values.index), max(0.0, 2 * once - twice / 2)


def _draws(values: Array, sd: Array, draws: int) -> tuple[npt.NDArray[np.intp], float]:
    """How often each value is the lowest of a draw, and how much lower it is there on average.

    Every draw is taken with its mirror image, so that noise alone adds up to exactly nothing.
    """
    rng = np.random.default_rng(0)
    wins, gain = np.zeros(len(values), dtype=np.intp), 0.0
    size = max(1, AT_ONCE // len(values))
    for start in range(0, draws // 2, size):
        half = rng.normal(size=(min(size, draws // 2 - start), len(values))) * sd
        for noise in (half, -half):
            best = (values + noise).argmin(axis=1)
            wins += np.bincount(best, minlength=len(values))
            gain -= float(noise[np.arange(len(best)), best].sum())
    return wins, gain / draws
