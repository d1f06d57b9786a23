"""What is best for its size, time or compute?"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis import formats
from analysis.finding import Finding, unknown
from analysis.frames import Column, Schema, frame
from analysis.load import Sweep
from analysis.noise import Noise
from analysis.unit import comparable

SCHEMA: Schema = {
    "trial": Column("int64", "number of the complete trial"),
    "value": Column("float64", "objective"),
    "parameters": Column("Int64", "trainable weights"),
    "train_s": Column("float64", "time in updates"),
    "flops": Column("float64", "operations of the whole training"),
    "on_parameters": Column("bool", "none is clearly better for its size"),
    "on_time": Column("bool", "none is clearly better for its time"),
    "on_flops": Column("bool", "none is clearly better for its operations"),
}
ID, TITLE = "tradeoffs", "What is best for its size, time or compute?"
HOW = (
    "A trial stays unless another one is as good at no more cost and clearly ahead in one: better "
    "by more than two standard deviations between seeds (any amount, where that is unknown), or "
    "cheaper by more than 5 %. Time counts what else the machine did; operations do not."
)
COSTS = {"parameters": "on_parameters", "train_s": "on_time", "flops": "on_flops"}
CHEAPER = 0.05
LIMITS = (1.0, 2.0, 5.0)
"""Leading digits of the round limits of `best_under`."""


def find(sweep: Sweep, measured: Noise) -> Finding:
    """Return the complete trials with their costs, the best first."""
    trials = comparable(sweep.trials)
    if len(trials) < 2:
        return unknown(ID, TITLE, "It takes two complete trials to trade.", SCHEMA, HOW)
    table = fronts(trials, measured, sweep.minimize)
    return Finding(ID, TITLE, _answer(sweep, table), table, SCHEMA, HOW)


def fronts(trials: pd.DataFrame, measured: Noise, minimize: bool) -> pd.DataFrame:
    """Return SCHEMA for comparable `trials`, the best first."""
    sign, slack = (1 if minimize else -1), 2 * measured.sd if measured.known else 0.0
    signed = trials["value"].to_numpy(dtype="float64") * sign
    columns = {}
    for cost, name in COSTS.items():
        costs = trials[cost].to_numpy(dtype="float64", na_value=math.nan)
        columns[name] = undominated(signed, costs, slack)
    table = trials.assign(**columns).sort_values("rank")
    return frame(table[list(SCHEMA)].to_dict("records"), SCHEMA)


def undominated(
    values: npt.NDArray[np.float64], costs: npt.NDArray[np.float64], slack: float
) -> npt.NDArray[np.bool_]:
    """Return which points no other dominates, less is better in both; False without a cost.

    One dominates another if it is no worse in value and cost, and ahead by more than `slack` in
    value or by more than CHEAPER of the cost.
    """
    kept = np.isfinite(costs) & np.isfinite(values)
    order = np.flatnonzero(kept)[np.argsort(costs[kept], kind="stable")]
    sorted_costs, lowest = costs[order], np.minimum.accumulate(values[order])
    for index in order:
        # The best value among those that cost no more, and among those that cost clearly less.
        same = np.searchsorted(sorted_costs, costs[index], side="right") - 1
        less = np.searchsorted(sorted_costs, costs[index] * (1 - CHEAPER), side="left") - 1
        better = lowest[same] < values[index] - slack
        cheaper = less >= 0 and lowest[less] <= values[index]
        kept[index] = not (better or cheaper)
    return kept


def best_under(table: pd.DataFrame, cost: str, minimize: bool) -> pd.DataFrame:
    """Return `limit`, `trial` and `value`: the best trial under each round limit of a cost."""
    costs = table[cost].astype("float64")
    known = table[costs > 0]
    rows: list[dict[str, Any]] = []
    for limit in _round_limits(costs[costs > 0]):
        under = known[costs[known.index] <= limit].sort_values("value", ascending=minimize)
        if len(under):
            first = under.iloc[0]
            rows.append({"limit": limit, "trial": int(first["trial"]), "value": first["value"]})
    return pd.DataFrame(rows, columns=["limit", "trial", "value"]).drop_duplicates("trial")


def _round_limits(costs: "pd.Series[float]") -> list[float]:
    if costs.empty:
        return []
    low, high = float(costs.min()), float(costs.max())
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [d * 10.0**p for p in powers for d in LIMITS if low <= d * 10.0**p <= 10 * high]


def _answer(sweep: Sweep, table: pd.DataFrame) -> str:
    by_size = best_under(table, "parameters", sweep.minimize)
    if len(by_size) > 1:
        parts = [
            f"trial {row['trial']:.0f} under {formats.count(row['limit'])} weights "
            f"({formats.measure(row['value'], sweep.ranking.loss)})"
            for row in by_size.to_dict("records")
        ]
        return f"Best by size: {formats.listed(parts)}."
    first = table.iloc[0]
    cheap = table[table["on_flops"] | table["on_time"]]
    if len(cheap) > 1:
        quick = cheap.sort_values("train_s").iloc[0]
        value = formats.measure(quick["value"], sweep.ranking.loss)
        took = formats.duration(quick["train_s"])
        return (
            f"All have about the same size; trial {quick['trial']} is the cheapest worth it: "
            f"{value} after {took} of updates."
        )
    return f"Trial {first['trial']} is best and none is worth taking for being cheaper."
