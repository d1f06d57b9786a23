"""How did the search go?"""

import math
from typing import Any

import numpy as np
import pandas as pd

from analysis import formats, stats
from analysis.expected import expected_band, expected_best
from analysis.finding import Finding, unknown
from analysis.frames import Column, Schema, frame, number
from analysis.load import Sweep
from analysis.noise import Noise
from analysis.records import at
from analysis.unit import comparable

SCHEMA: Schema = {
    "trial": Column("int64", "number, the order of the search"),
    "state": Column("str", "one of STATES"),
    "value": Column("float64", "objective; complete trials only"),
    "best": Column("float64", "best value of the complete trials so far"),
    "improved": Column("bool", "it was the best so far"),
    "tokens_so_far": Column("float64", "characters that all trials so far were trained on"),
    "train_so_far_s": Column("float64", "time in updates of all trials so far"),
}
ID, TITLE = "history", "How did the search go?"
HOW = "The trials by number. A pruned or failed one costs what it was trained, a duplicate nothing."
RANDOM = ("random", "qmc", "grid", "brute_force")
"""Samplers whose trials might have come in any order."""
NEEDED = 5


def find(sweep: Sweep, measured: Noise) -> Finding:
    """Return the trials in order with the best so far and the cost so far."""
    if sweep.trials.empty:
        return unknown(ID, TITLE, "No trial has started.", SCHEMA, HOW)
    table = in_order(sweep.trials, sweep.minimize)
    return Finding(ID, TITLE, _answer(sweep, table), table, SCHEMA, HOW)


def in_order(trials: pd.DataFrame, minimize: bool) -> pd.DataFrame:
    """Return SCHEMA, one row per trial by number."""
    ordered = trials.sort_values("trial")
    values = ordered["value"].where(ordered["state"] == "complete")
    best = (values.cummin() if minimize else values.cummax()).ffill()
    before = best.shift()
    better = values < before if minimize else values > before
    improved = values.notna() & (before.isna() | better)
    table = pd.DataFrame(
        {
            "trial": ordered["trial"],
            "state": ordered["state"],
            "value": values,
            "best": best,
            "improved": improved,
            "tokens_so_far": ordered["tokens"].astype("float64").fillna(0).cumsum(),
            "train_so_far_s": ordered["train_s"].fillna(0).cumsum(),
        }
    )
    return frame(table.to_dict("records"), SCHEMA)


def curve(sweep: Sweep) -> pd.DataFrame:
    """Return `budget`, `expected`, `low`, `high` and `solid`: the best to expect of so many random
    trials, with 10 to 90 %; `solid` up to half of those there are, since beyond it rests on few.

    Of the trials that might have come in any order alone, see `exchangeable`; empty below NEEDED.
    """
    values = exchangeable(sweep)
    n = len(values)
    if n < NEEDED:
        return pd.DataFrame(columns=["budget", "expected", "low", "high", "solid"])
    budgets = sorted({int(b) for b in np.unique(np.round(np.geomspace(1, n, 60)))})
    low, high = expected_band(values, sweep.minimize, budgets)
    expected = expected_best(values, sweep.minimize, budgets)
    solid = [2 * budget <= n for budget in budgets]
    return pd.DataFrame(
        {"budget": budgets, "expected": expected, "low": low, "high": high, "solid": solid}
    )


def exchangeable(sweep: Sweep) -> Any:
    """Return the values of the complete trials that were drawn at random, in no particular order:
    all but the queued ones for a sampler that does so, else those of its random start."""
    queued = sweep.meta.get("enqueue")
    first = len(queued) if isinstance(queued, list) else 0
    until: float = math.inf
    if at(sweep.meta, "sampler.type") not in RANDOM:
        start = number(at(sweep.meta, "sampler.n_startup_trials"))
        until = start if start == start else 0
    trials = comparable(sweep.trials)
    drawn = trials[(trials["trial"] >= first) & (trials["trial"] < until)]
    return drawn["value"].to_numpy(dtype="float64")


def _answer(sweep: Sweep, table: pd.DataFrame) -> str:
    winner = stats.winner(sweep.trials)
    if winner is None:
        return f"{len(table)} trials, none of them complete so far."
    row = table[table["trial"] == winner].iloc[0]
    whole, spent = table["tokens_so_far"].iloc[-1], row["tokens_so_far"]
    share = formats.percent(spent / whole) if whole else formats.MISSING
    count = int(table["improved"].sum())
    late = table.iloc[len(table) * 2 // 3 :]["improved"].sum()
    third = (
        "the last third of them brought no better one"
        if not late
        else (f"{late} of these came in the last third")
    )
    return (
        f"The best of {len(table)} trials was number {winner}, after {share} of all training. "
        f"A trial was better than all before it {count} time{'s' * (count > 1)}; {third}."
    )
