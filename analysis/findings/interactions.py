"""Which parameters must be tuned together?"""

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from analysis import formats
from analysis.finding import Finding, unknown
from analysis.findings.importance import scores
from analysis.frames import Column, Schema, frame
from analysis.load import Sweep
from analysis.noise import Noise
from analysis.promotion import promoted
from analysis.response import Array, explained, ranked
from analysis.unit import comparable, measurable, places

SCHEMA: Schema = {
    "parameter": Column("str", "dotted key"),
    "other": Column("str", "dotted key"),
    "n": Column("int64", "complete trials that have both"),
    "score": Column("float64", "adjusted R squared that their product adds to both by themselves"),
    "p": Column("float64", "probability of as much by chance in one pair"),
    "clear": Column("bool", "p is below 0.05 over the number of pairs"),
}
ID, TITLE = "interactions", "Which parameters must be tuned together?"
HOW = (
    "For each pair of the four most important parameters: how much of the ranks the product of "
    "their places explains beyond both places and their squares. p is the share of 400 shuffles "
    "of what is left over in which it explained as much; a pair counts where p is below 0.05 over "
    "the number of pairs (Bonferroni)."
)
NEEDED, PARAMETERS, SHUFFLES = 15, 4, 400
LEVEL = 0.05
GRID = 30
NEAR = 0.15
"""How far from a trial the fitted surface is still drawn, as a share of the ranges."""
SAMPLED = 1000


def find(sweep: Sweep, measured: Noise) -> Finding:
    """Return the pairs of the most important parameters, the strongest first."""
    sweep, note = promoted(sweep)
    trials = comparable(sweep.trials)
    table = pairs(trials, sweep.space)
    if table.empty:
        few = f"It takes {NEEDED} complete trials to tell; there are {len(trials)}."
        missing = few if len(trials) < NEEDED else "There are no two parameters with an order."
        return unknown(ID, TITLE, missing, SCHEMA, HOW)
    return Finding(ID, TITLE, f"{_answer(table)}{note}", table, SCHEMA, HOW)


def pairs(trials: pd.DataFrame, space: pd.DataFrame) -> pd.DataFrame:
    """Return SCHEMA for comparable `trials`, the largest score first; empty below NEEDED."""
    if len(trials) < NEEDED:
        return frame([], SCHEMA)
    rng = np.random.default_rng(0)
    if len(trials) > SAMPLED:
        trials = trials.iloc[np.sort(rng.choice(len(trials), SAMPLED, replace=False))]
    trials = trials.reset_index(drop=True)
    placed = places(trials, space)
    usable = measurable(trials, space)
    known = [key for key in scores(trials, space)["parameter"] if key in usable][:PARAMETERS]
    found = [_pair(trials, placed, a, b, rng) for a, b in combinations(known, 2)]
    rows = [row for row in found if row is not None]
    table = frame([{**row, "clear": row["p"] < LEVEL / len(rows)} for row in rows], SCHEMA)
    return table.sort_values(["score", "parameter"], ascending=[False, True], ignore_index=True)


def surface(trials: pd.DataFrame, placed: pd.DataFrame, a: str, b: str) -> pd.DataFrame:
    """Return `x`, `y` and `predicted` on a grid: the fitted rank, 0 best, 1 worst, of trials with
    these places of `a` and `b`; only where a trial lies near."""
    both = placed[[a, b]].dropna()
    u, v = both[a].to_numpy(), both[b].to_numpy()
    order = ranked(trials.loc[both.index, "rank"].astype("float64"))
    basis = np.column_stack([np.ones(len(u)), _main(u, v), u * v])
    fitted, *_ = np.linalg.lstsq(basis, order, rcond=None)
    axis = (np.arange(GRID) + 0.5) / GRID
    x, y = (one.ravel() for one in np.meshgrid(axis, axis))
    near = (np.hypot(x[:, None] - u, y[:, None] - v) < NEAR).any(axis=1)
    x, y = x[near], y[near]
    predicted = np.column_stack([np.ones(len(x)), _main(x, y), x * y]) @ fitted
    return pd.DataFrame({"x": x, "y": y, "predicted": predicted.clip(0, 1)})


def _main(u: Array, v: Array) -> Array:
    return np.column_stack([u, u**2, v, v**2])


def _pair(
    trials: pd.DataFrame, placed: pd.DataFrame, a: str, b: str, rng: np.random.Generator
) -> dict[str, Any] | None:
    both = placed[[a, b]].dropna()
    if len(both) < NEEDED:
        return None
    u, v = both[a].to_numpy(), both[b].to_numpy()
    order = ranked(trials.loc[both.index, "value"])
    main = _main(u, v)
    basis = np.column_stack([np.ones(len(u)), main])
    fitted = basis @ np.linalg.lstsq(basis, order, rcond=None)[0]
    left = order - fitted
    shuffled = fitted[:, None] + left[np.argsort(rng.random((SHUFFLES, len(u))), axis=1)].T
    added = _added(main, u * v, np.column_stack([order, shuffled]))
    p = (1 + (added[1:] >= added[0]).sum()) / (1 + SHUFFLES)
    return {"parameter": a, "other": b, "n": len(u), "score": added[0], "p": float(p)}


def _added(main: Array, product: Array, targets: Array) -> Array:
    return explained(np.column_stack([main, product]), targets) - explained(main, targets)


def _answer(table: pd.DataFrame) -> str:
    clear = table[table["clear"]]
    if clear.empty:
        return "None that can be told from chance: each may be tuned by itself."
    named = [f"{row['parameter']} with {row['other']}" for row in clear.to_dict("records")]
    return f"{formats.listed(named)}: the best value of one depends on the other."
