"""Which parameters matter? How much of the order of the trials each explains by itself."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis import formats
from analysis.finding import Finding, unknown
from analysis.frames import Column, Schema, frame
from analysis.load import Sweep
from analysis.noise import Noise
from analysis.promotion import promoted
from analysis.response import Array, columns, explained, ranked
from analysis.unit import comparable

SCHEMA: Schema = {
    "parameter": Column("str", "dotted key"),
    "n": Column("int64", "complete trials that have it"),
    "score": Column("float64", "adjusted R squared of the ranks on the parameter alone"),
    "low": Column("float64", "10 % quantile of the score over bootstrapped trials"),
    "high": Column("float64", "90 % quantile"),
    "null": Column("float64", "score that chance stays below for all parameters in 19 of 20"),
    "clear": Column("bool", "the score is above that line"),
    "better_half": Column("float64", "the score among the better half of the trials"),
}
ID, TITLE = "importance", "Which parameters matter?"
HOW = (
    "The score of a parameter is the adjusted R squared of the ranks of the objective on its "
    "place in the range and the square of that, or on its levels; {n} complete trials. Intervals "
    "are 10 to 90 % over 200 bootstrapped sets of trials. The line is the 95 % quantile of the "
    "largest score of any parameter over 200 shuffles of the objective: in 19 of 20 sweeps "
    "without any effect no parameter comes above it. The score sees no effect that only two "
    "parameters have together, and what was pruned is not in it."
)
NEEDED, SURE = 10, 30
"""Trials below which there is no score, and below which it is tentative."""
BOOTSTRAPS, SHUFFLES, LINE = 200, 200, 0.95
SAMPLED = 1000
"""Trials that the scores are computed on at most, drawn from all."""


def find(sweep: Sweep, measured: Noise) -> Finding:
    """Return the score of every parameter that varied, the highest first."""
    sweep, note = promoted(sweep)
    trials = comparable(sweep.trials)
    scored = scores(trials, sweep.space)
    how = HOW.format(n=min(len(trials), SAMPLED))
    if scored.empty:
        few = f"It takes {NEEDED} complete trials to tell; there are {len(trials)}."
        missing = few if len(trials) < NEEDED else "No parameter takes more than one value."
        return unknown(ID, TITLE, missing, SCHEMA, how)
    return Finding(ID, TITLE, f"{_answer(scored, len(trials))}{note}", scored, SCHEMA, how)


def scores(trials: pd.DataFrame, space: pd.DataFrame) -> pd.DataFrame:
    """Return SCHEMA for comparable `trials`, the highest score first; empty below NEEDED."""
    if len(trials) < NEEDED:
        return frame([], SCHEMA)
    rng = np.random.default_rng(0)
    if len(trials) > SAMPLED:
        trials = trials.iloc[np.sort(rng.choice(len(trials), SAMPLED, replace=False))]
    trials = trials.reset_index(drop=True)
    rows: list[dict[str, Any]] = []
    order = ranked(trials["value"])
    shuffles = np.argsort(rng.random((SHUFFLES, len(trials))), axis=1)
    largest = np.full(SHUFFLES, -np.inf)
    for key, design in columns(trials, space).items():
        has = np.isfinite(design).all(axis=1)
        if has.sum() < NEEDED:
            continue
        rows.append({"parameter": key, **_score(design[has], order[has], rng)})
        shuffled = order[shuffles][:, has].T
        largest = np.maximum(largest, explained(design[has], shuffled))
    line = float(np.quantile(largest, LINE)) if rows else 0.0
    table = frame([{**row, "null": line, "clear": row["score"] > line} for row in rows], SCHEMA)
    return table.sort_values(["score", "parameter"], ascending=[False, True], ignore_index=True)


def _score(design: Array, order: Array, rng: np.random.Generator) -> dict[str, float]:
    better = order <= np.median(order)
    drawn = [_again(design, order, rng) for _ in range(BOOTSTRAPS)]
    low, high = np.nanquantile(drawn, [0.1, 0.9]) if np.isfinite(drawn).any() else (np.nan, np.nan)
    whole, half = (_of(design, order), _of(design[better], order[better]))
    return {"n": len(order), "score": whole, "low": low, "high": high, "better_half": half}


def _again(design: Array, order: Array, rng: np.random.Generator) -> float:
    chosen: npt.NDArray[np.intp] = rng.integers(0, len(order), len(order))
    return _of(design[chosen], order[chosen])


def _of(design: Array, order: Array) -> float:
    return float(explained(design, order[:, None])[0])


def _answer(scored: pd.DataFrame, n: int) -> str:
    clear = scored.loc[scored["clear"], "parameter"].tolist()
    rest = scored.loc[~scored["clear"], "parameter"].tolist()
    tentative = [f"With {n} trials this is tentative."] if n < SURE else []
    if not clear:
        return " ".join(["No parameter can be told from chance by itself.", *tentative])
    share = formats.percent(float(scored["score"].iloc[0]))
    parts = [f"{clear[0]} explains {share} of the order of the trials."]
    if clear[1:]:
        parts.append(f"{formats.listed(clear[1:])} matter{'s' * (len(clear) == 2)}, too.")
    if rest:
        parts.append(f"{formats.listed(rest)} cannot be told from chance.")
    return " ".join([*parts, *tentative])
