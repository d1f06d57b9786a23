"""Which of the changes from the baseline to the winner earned the gain?"""

import math
from typing import Any

import numpy as np
import pandas as pd

from analysis import formats, stats
from analysis.finding import Finding, unknown
from analysis.frames import Column, Schema, frame
from analysis.load import Sweep
from analysis.noise import Noise
from analysis.response import Array, columns
from analysis.unit import comparable

SCHEMA: Schema = {
    "order": Column("int64", "place of the change in the path"),
    "parameter": Column("str", "dotted key"),
    "before": Column("str", "the baseline's value"),
    "after": Column("str", "the winner's value"),
    "predicted": Column("float64", "objective predicted after this change and those before it"),
    "gain": Column("float64", "what the change is predicted to improve; negative if it harms"),
}
ID, TITLE, BASELINE = "ablation", "Which change earned the gain?", 0
HOW = (
    "Predicted, not trained: a response model (least squares, with a light ridge, of the "
    "objective on each parameter's place and its square, or its levels) is followed from the "
    "baseline to the winner, one parameter at a time, the largest predicted gain first. The model "
    "knows no interactions; train the configurations between the two to be sure."
)
PER_PARAMETER = 5
"""Complete trials per parameter that the model needs at least."""
RIDGE = 1e-3


def find(sweep: Sweep, measured: Noise) -> Finding:
    """Return the path from the baseline to the winner; unknown with few trials for it."""
    trials = comparable(sweep.trials)
    winner = stats.winner(sweep.trials)
    if winner is None or BASELINE not in set(sweep.trials["trial"]):
        return unknown(ID, TITLE, "There is no baseline and winner to go between.", SCHEMA, HOW)
    if winner == BASELINE:
        return unknown(ID, TITLE, "Nothing to explain: the baseline is the winner.", SCHEMA, HOW)
    needed = PER_PARAMETER * len(sweep.space)
    if len(trials) < needed:
        few = f"It takes {needed} complete trials to predict it; there are {len(trials)}."
        return unknown(ID, TITLE, few, SCHEMA, HOW)
    table = path(sweep.trials, sweep.space, winner, sweep.minimize)
    if table.empty:
        return unknown(ID, TITLE, "The winner has the baseline's parameters.", SCHEMA, HOW)
    return Finding(ID, TITLE, _answer(sweep, table), table, SCHEMA, HOW)


def path(trials: pd.DataFrame, space: pd.DataFrame, winner: int, minimize: bool) -> pd.DataFrame:
    """Return SCHEMA: the changes that lead from trial 0 to `winner`, the largest gain first."""
    base, best = (trials[trials["trial"] == number].iloc[0] for number in (BASELINE, winner))
    changed = [key for key in space["parameter"] if _cell(base, key) != _cell(best, key)]
    effect = _effects(trials, space, base.name, best.name)
    sign = 1 if minimize else -1
    ordered = sorted(changed, key=lambda key: (sign * effect.get(key, 0.0), key))
    rows, value = [], effect["predicted"]
    for order, key in enumerate(ordered, 1):
        value += effect.get(key, 0.0)
        rows.append(
            {
                "order": order,
                "parameter": key,
                "before": _cell(base, key),
                "after": _cell(best, key),
                "predicted": value,
                "gain": -sign * effect.get(key, 0.0),
            }
        )
    return frame(rows, SCHEMA)


def _effects(trials: pd.DataFrame, space: pd.DataFrame, base: Any, best: Any) -> dict[str, float]:
    """What each parameter's change adds to the objective, and what is `predicted` for the baseline.

    A missing parameter takes part as the mean of those that have it: it then has no effect.
    """
    known = comparable(trials).index
    blocks = {key: _filled(block) for key, block in columns(trials, space).items()}
    places = {index: place for place, index in enumerate(trials.index)}
    used = [places[index] for index in known]
    design = np.column_stack([np.ones(len(trials)), *blocks.values()])
    penalty = RIDGE * len(used) * np.eye(design.shape[1])
    penalty[0, 0] = 0.0
    chosen, values = design[used], trials.loc[known, "value"].to_numpy(dtype="float64")
    fitted = np.linalg.solve(chosen.T @ chosen + penalty, chosen.T @ values)
    found, start = {"predicted": float(design[places[base]] @ fitted)}, 1
    for key, block in blocks.items():
        part = fitted[start : start + block.shape[1]]
        found[key] = float((block[places[best]] - block[places[base]]) @ part)
        start += block.shape[1]
    return found


def _filled(block: Array) -> Array:
    known = np.isfinite(block)
    whole = block[known.all(axis=1)]
    return np.where(known, block, whole.mean(axis=0) if len(whole) else 0.0)


def _cell(row: "pd.Series[Any]", key: str) -> str:
    return formats.setting(row[f"p.{key}"])


def _answer(sweep: Sweep, table: pd.DataFrame) -> str:
    first, whole = table.iloc[0], float(table["gain"].sum())
    size = formats.measure(abs(whole), sweep.ranking.loss)
    if not whole > 0 or not math.isfinite(whole):
        return "The model does not predict the winner to be better than the baseline."
    gains = table["gain"].clip(lower=0)
    share = formats.percent(float(gains.iloc[0] / gains.sum()))
    return (
        f"{first['parameter']} from {first['before']} to {first['after']} is predicted to earn "
        f"{share} of the gain; all changes together {size}."
    )
