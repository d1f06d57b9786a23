"""Numbers of a sweep: order, margins, counts. Pure functions of its frames."""

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from analysis.frames import STATES
from analysis.objectives import Objective

Point = tuple[float, ...]

LEADERS = 5
"""How many of the best configurations are singled out."""


def ranks(trials: pd.DataFrame, minimize: bool, replicates: int = 1) -> "pd.Series[int]":
    """Return the place of each complete trial, 1 is best, by value, then tokens, then number.

    Trials of any other state have none: their value belongs to another step. With
    `replicates`, all trials of a better configuration come before those of a worse one.
    """
    complete = trials[trials["state"] == "complete"]
    if replicates > 1:
        table = configurations(trials, minimize, replicates)
        group = complete["configuration"].map(table.set_index("configuration")["rank"])
    else:
        group = pd.Series(1, index=complete.index)
    order = complete.assign(group=group).sort_values(
        ["group", "value", "tokens", "trial"], ascending=[True, minimize, True, True]
    )
    places = pd.Series(range(1, len(order) + 1), index=order.index, dtype="Int64")
    return places.reindex(trials.index)


def configurations(trials: pd.DataFrame, minimize: bool, replicates: int) -> pd.DataFrame:
    """Return the configurations that have a complete trial, best first.

    Columns: `rank`; `configuration`; `trials`, the numbers of the complete ones; `mean` and `sd`
    (n-1; missing for one trial) of their values; `n`; `delta` and `delta_baseline`, the mean minus
    that of rank 1 and of trial 0's configuration. Where there are `replicates`, those with a
    single complete trial come last, then the better mean: one lucky seed does not outrank a mean.
    """
    complete = trials[trials["state"] == "complete"]
    grouped = complete.groupby("configuration")["value"]
    table = grouped.agg(mean="mean", sd="std", n="count").reset_index()
    wanted = min(2, replicates)
    missing = wanted - table["n"].clip(upper=wanted)
    order = table.assign(missing=missing).sort_values(
        ["missing", "mean", "configuration"], ascending=[True, minimize, True], ignore_index=True
    )
    numbers = complete["trial"].groupby(complete["configuration"]).groups
    of = [tuple(complete.loc[numbers[one], "trial"]) for one in order["configuration"]]
    baseline = order.loc[order["configuration"] == 0, "mean"]
    return order.assign(
        rank=pd.Series(range(1, len(order) + 1), dtype="int64"),
        trials=pd.Series(of, dtype="object"),
        delta=order["mean"] - (order["mean"].iloc[0] if len(order) else math.nan),
        delta_baseline=order["mean"] - (baseline.iloc[0] if len(baseline) else math.nan),
    )[["rank", "configuration", "trials", "mean", "sd", "n", "delta", "delta_baseline"]]


def seed_noise(configurations: pd.DataFrame) -> float:
    """Return the standard deviation between seeds, pooled over configurations; NaN without any."""
    freedom = configurations["n"] - 1
    squares = (freedom * configurations["sd"] ** 2).sum()
    return math.sqrt(squares / freedom.sum()) if freedom.sum() else math.nan


def pareto(trials: pd.DataFrame, objectives: Sequence[Objective]) -> pd.DataFrame:
    """Return the complete trials that no other dominates, by the first objective, then the next.

    One trial dominates another if it is as good in every objective and better in one, so
    equal trials are both on the front. A trial that lacks an objective is out of the question.
    """
    columns = [objective.column for objective in objectives]
    measured = trials[columns].astype("float64").abs().lt(math.inf).all(axis=1)
    candidates = trials[(trials["state"] == "complete") & measured]
    signs = [1.0 if objective.minimize else -1.0 for objective in objectives]
    points: list[Point] = [
        tuple(sign * float(x) for sign, x in zip(signs, row, strict=True))
        for row in candidates[columns].itertuples(index=False)
    ]
    front = _front(points)
    upward = [objective.minimize for objective in objectives]
    kept = pd.Series([point in front for point in points], candidates.index, dtype="bool")
    return candidates[kept].sort_values([*columns, "trial"], ascending=[*upward, True])


def _front(points: Sequence[Point]) -> set[Point]:
    """Return the points that no other dominates; less is better."""
    front: list[Point] = []
    # In this order a point can only be dominated by one before it.
    for point in sorted(set(points)):
        if not any(all(a <= b for a, b in zip(other, point, strict=True)) for other in front):
            front.append(point)
    return set(front)


def leaders(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the complete trials, best first."""
    return trials[trials["rank"].notna()].sort_values("rank")


def coloured(trials: pd.DataFrame) -> list[int]:
    """Return the trials that are singled out: the best of each of the best configurations."""
    first = leaders(trials).drop_duplicates("configuration").head(LEADERS)
    return [int(trial) for trial in first["trial"]]


def winner(trials: pd.DataFrame) -> int | None:
    """Return the number of the best complete trial, None when there is none."""
    best = trials.loc[trials["rank"] == 1, "trial"]
    return None if best.empty else int(best.iloc[0])


def middle(trials: pd.DataFrame) -> int | None:
    """Return the number of the median complete trial (the better of two), None without one.

    With fewer than two complete trials there is nothing beside the winner: None.
    """
    order = leaders(trials)["trial"]
    return None if len(order) < 2 else int(order.iloc[max(1, (len(order) - 1) // 2)])


def duplicates(trials: pd.DataFrame) -> dict[int, list[int]]:
    """Return the duplicates of each trial that has some, by its number."""
    found: dict[int, list[int]] = {}
    copies = trials[trials["state"] == "duplicate"]
    for trial, original in zip(copies["trial"], copies["same_as"], strict=True):
        found.setdefault(int(original), []).append(int(trial))
    return found


def counts(trials: pd.DataFrame, planned: int) -> dict[str, int]:
    """Return how many trials are in each state, and how many are "not started"."""
    found = trials["state"].value_counts()
    states = {state: int(found.get(state, 0)) for state in STATES}
    return {**states, "not started": max(0, planned - len(trials))}


def best_so_far(trials: pd.DataFrame, minimize: bool) -> pd.DataFrame:
    """Return `trial` and `value`: the best value of the complete trials up to each of them."""
    complete = trials.loc[trials["state"] == "complete", ["trial", "value"]].sort_values("trial")
    values = complete["value"]
    return complete.assign(value=values.cummin() if minimize else values.cummax())


def thin(curve: pd.DataFrame, column: str, limit: int) -> pd.DataFrame:
    """Return at most about `limit` rows of `curve`: first, last and every bucket's extremes.

    Taking every k-th row instead would hide the spikes one looks for.
    """
    if len(curve) <= limit:
        return curve
    curve = curve.reset_index(drop=True)
    bucket = curve.index * max(1, limit // 2 - 1) // len(curve)
    grouped = curve[column].groupby(bucket)
    keep = {0, len(curve) - 1, *grouped.idxmin().dropna(), *grouped.idxmax().dropna()}
    return curve.loc[sorted(keep)]


def settled(curve: pd.DataFrame, column: str, high: float) -> pd.DataFrame:
    """Return `curve` from where `column` first falls to `high`.

    Its first row is then the point, between two steps, at which the line through them
    enters the range below `high`. A curve that never falls so far is its last row.
    """
    inside = (curve[column] <= high).to_numpy()
    if not inside.any():
        return curve.tail(1)
    first = int(inside.argmax())
    if first == 0:
        return curve
    before, after = curve.iloc[first - 1], curve.iloc[first]
    part = (before[column] - high) / (before[column] - after[column])
    step = before["step"] + part * (after["step"] - before["step"])
    entry = pd.DataFrame({"step": [step], column: [high]})
    return pd.concat([entry, curve.iloc[first:].astype({"step": "float64"})])


def zoom(
    values: "pd.Series[float]", minimize: bool, share: float, low: float = math.inf
) -> tuple[float, float] | None:
    """Return the axis range of the best `share` of the finite values, None when there are none.

    Good trials can then be told apart; what lies beyond is cut off or drawn at the edge.
    The range includes `low` when that is finite and the lowest of all.
    """
    finite = values[values.abs() < math.inf].astype("float64")
    if finite.empty:
        return None
    beyond = finite.quantile(share if minimize else 1 - share)
    lows = [float(finite.min()), *([low] if math.isfinite(low) else [])]
    best = min(lows) if minimize else float(finite.max())
    bottom, top = sorted((best, float(beyond)))
    margin = 0.06 * (top - bottom) or 0.01
    return bottom - margin, top + margin


def position(value: float, low: float, high: float, log: bool) -> float:
    """Return where `value` lies in its range: 0 at `low`, 1 at `high`, on the searched scale."""
    if high == low:
        return 0.5
    if log:
        value, low, high = math.log(value), math.log(low), math.log(high)
    return (value - low) / (high - low)


def shares(counted: Mapping[str, int]) -> dict[str, float]:
    """Return the part of the whole that each count is; empty when all are 0."""
    whole = sum(counted.values())
    return {name: count / whole for name, count in counted.items() if count} if whole else {}
