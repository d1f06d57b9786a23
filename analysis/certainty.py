"""How sure it is which is best: the interval of its mean, what is tied with it, and its luck."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from analysis import noise
from analysis.findings import optimism
from analysis.formats import listed, measure
from analysis.load import Sweep
from analysis.noise import Noise

NAMED = 5
"""Trials named at most where many are tied."""


@dataclass(frozen=True)
class Certainty:
    """`low` and `high` are the 95 % interval of the best mean, `luck` how much too good the search
    saw it, all NaN while unknown; `ties` the trials that are not told apart from it."""

    low: float = math.nan
    high: float = math.nan
    luck: float = math.nan
    ties: tuple[int, ...] = ()

    @property
    def known(self) -> bool:
        """Whether there is an interval."""
        return math.isfinite(self.low)


def of_search(sweep: Sweep, measured: Noise) -> Certainty:
    """Return how sure the best of a search with complete trials is, by its own runs alone."""
    if not measured.known:
        return Certainty()
    table = optimism.searched(sweep)
    first, others = table.iloc[0], table.iloc[1:]
    mean, n = float(first["value"]), int(first["n"])
    low, high = noise.interval(mean, n, measured)
    _, gain = optimism.picked(table, measured, sweep.minimize)
    near = noise.tied(others["value"], mean, measured, sweep.minimize, others["n"], n)
    return Certainty(low, high, gain, _numbers(others.loc[near, "trial"]))


def of_fresh(table: pd.DataFrame) -> Certainty:
    """Return how sure the first row of confirmation.confirmed is."""
    best = table.iloc[0]
    ties = _numbers(table.loc[table["tied"].fillna(False), "trial"])
    return Certainty(float(best["low"]), float(best["high"]), float(best["optimism"]), ties)


def between(sure: Certainty, is_loss: bool) -> str:
    """Return the interval as a part of a sentence, "" while unknown."""
    if not sure.known:
        return ""
    return f", 95 % interval {measure(sure.low, is_loss)} to {measure(sure.high, is_loss)}"


def tied(ties: Sequence[int]) -> str:
    """Return how many and which are tied as the end of a sentence, "" for none."""
    if not ties:
        return ""
    more, one = len(ties) - NAMED, len(ties) == 1
    named = listed([*ties[:NAMED], f"{more} more"] if more > 0 else ties)
    return (
        f"; {len(ties)} other{'' if one else 's'} {'is' if one else 'are'} tied with it ({named})"
    )


def luck(sure: Certainty, is_loss: bool) -> str:
    """Return how much too good or bad the search saw it, such as "0.0040 too good"; "" while the
    noise is unknown and for what would be printed as none."""
    size = measure(abs(sure.luck), is_loss)
    if not sure.known or not math.isfinite(sure.luck) or size == measure(0.0, is_loss):
        return ""
    return f"{size} too {'good' if sure.luck > 0 else 'bad'}"


def _numbers(trials: "pd.Series[int]") -> tuple[int, ...]:
    return tuple(int(trial) for trial in trials)
