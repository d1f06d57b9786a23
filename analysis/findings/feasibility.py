"""What fails, and where in the space?"""

import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis import formats
from analysis.finding import Check, Finding, unknown
from analysis.frames import Column, Schema, frame, number
from analysis.load import Sweep
from analysis.noise import Noise
from analysis.unit import is_ordered, levels

SCHEMA: Schema = {
    "kind": Column("str", "diverged, memory, died, no_value or other"),
    "trial": Column("int64", "number of the trial"),
    "step": Column("Int64", "last step on record"),
    "reason": Column("str", "why it failed"),
}
ID, TITLE = "feasibility", "What fails, and where?"
HOW = (
    "Failed trials by what their reasons say. The interval of their share is Wilson's, 95 %. "
    "Where: for every parameter the one threshold, or level, that best parts those that failed "
    "from the others (Gini, at least three trials on either side), told if at least nine of ten "
    "on its one side failed, and so many by chance with a probability below 0.5 % (hypergeometric)."
)
KINDS = (
    ("diverged", re.compile(r"(?!its worker died).*(diverged|not finite|\bnan\b)")),
    ("memory", re.compile(r".*(out ?of ?memory|memoryerror|(cannot|can't|unable to) allocate)")),
    ("died", re.compile(r"its worker died")),
    ("no_value", re.compile(r"the objective is not")),
)
"""What reasons begin with, by kind: those of tinygpt/execute.py and experiments/driver.py, which
adds the last line of the worker's log, and analysis/runs.py."""
WORDS = {
    "diverged": "diverged",
    "memory": "ran out of memory",
    "died": "lost their worker",
    "no_value": "had no finite objective",
    "other": "failed for another reason",
}
TOLERATED = 0.2
"""Share of failed trials from which the space itself is in doubt."""
LEAF, PURE = 3, 0.9
CHANCE = 0.005
"""The best of many thresholds is shown: by chance one comes up more often than that."""


class Region(NamedTuple):
    """A part of the space with so many trials, and so many of them that failed."""

    where: str
    n: int
    hits: int


def find(sweep: Sweep, measured: Noise) -> Finding:
    """Return the trials that failed, by kind; where they lie is in the answer."""
    trials = sweep.trials[~sweep.trials["state"].isin(["unfinished", "duplicate"])]
    failed = trials[lost(trials)]
    if trials.empty:
        check = Check(ID, "unknown", "No trial has ended.", "", ID, "no trial yet")
        return unknown(ID, TITLE, "No trial has ended yet.", SCHEMA, HOW, check)
    table = frame([_row(row) for row in failed.to_dict("records")], SCHEMA)
    table = table.sort_values(["kind", "trial"], ignore_index=True)
    where = next(iter(regions(trials, sweep.space)), "")
    answer = _answer(table, len(trials), where)
    return Finding(ID, TITLE, answer, table, SCHEMA, HOW, (_check(table, len(trials), where),))


def kind(reason: str) -> str:
    """Return which kind of failure a reason tells of."""
    said = " ".join(reason.lower().split())
    return next((name for name, signs in KINDS if signs.match(said)), "other")


def lost(trials: pd.DataFrame) -> "pd.Series[bool]":
    """Return which trials failed, or were pruned because they diverged."""
    diverged = pd.Series([kind(reason) == "diverged" for reason in trials["reason"]], trials.index)
    return (trials["state"] == "failed") | ((trials["state"] == "pruned") & diverged)


def regions(trials: pd.DataFrame, space: pd.DataFrame) -> list[str]:
    """Return where the failed of `trials` lie, at most one region for each parameter, the clearest
    first; none if none is clear."""
    failed = lost(trials).to_numpy(dtype="bool")
    n, hits = len(failed), int(failed.sum())
    if hits < LEAF or hits == n:
        return []
    found = []
    for row in space.to_dict("records"):
        best = max(_pure(trials, failed, row), key=lambda one: _gain(one, n, hits), default=None)
        if best and _tail(best, n, hits) < CHANCE:
            found.append((-_gain(best, n, hits), best))
    return [_told(region) for _, region in sorted(found)]


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927)."""
    z, share = 1.959964, hits / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def _row(row: Any) -> dict[str, Any]:
    return {**{key: row[key] for key in ("trial", "step", "reason")}, "kind": kind(row["reason"])}


def _pure(trials: pd.DataFrame, failed: npt.NDArray[np.bool_], row: Any) -> Iterator[Region]:
    """The parts of one parameter's range, with enough trials there and elsewhere, in which nearly
    all failed."""
    parts = _sides if is_ordered(row) else _alone
    for region in parts(trials, failed, row):
        enough = LEAF <= region.n <= len(failed) - LEAF
        if enough and region.hits >= PURE * region.n:
            yield region


def _sides(trials: pd.DataFrame, failed: npt.NDArray[np.bool_], row: Any) -> Iterator[Region]:
    """What lies below and above each value that was tried."""
    key = str(row["parameter"])
    values = np.array([number(value) for value in trials[f"p.{key}"]], dtype="float64")
    known = np.isfinite(values)
    tried, place = np.unique(values[known], return_inverse=True)
    below = np.cumsum(np.bincount(place, minlength=1))
    hits = np.cumsum(np.bincount(place, weights=failed[known], minlength=1))
    for i in range(len(tried) - 1):
        n, bad = int(below[i]), int(hits[i])
        yield Region(f"{key} below {_shown(row, tried[i + 1])}", n, bad)
        yield Region(
            f"{key} above {_shown(row, tried[i])}", int(below[-1]) - n, int(hits[-1]) - bad
        )


def _alone(trials: pd.DataFrame, failed: npt.NDArray[np.bool_], row: Any) -> Iterator[Region]:
    """Each level by itself."""
    names = levels(trials, pd.DataFrame([row]))[str(row["parameter"])]
    for name in sorted(names.dropna().unique()):
        inside = (names == name).fillna(False).to_numpy(dtype="bool")
        yield Region(f"{row['parameter']} {name}", int(inside.sum()), int(failed[inside].sum()))


def _shown(row: Any, value: float) -> str:
    whole = row["type"] != "float" and value.is_integer()
    return formats.setting(int(value) if whole else float(value))


def _gain(region: Region, n: int, hits: int) -> float:
    """By how much the region parts those that failed from the others (Gini), of `n` with `hits`."""
    inside, rest = region.hits / region.n, (hits - region.hits) / (n - region.n)
    mixed = (region.n * _gini(inside) + (n - region.n) * _gini(rest)) / n
    return _gini(hits / n) - mixed


def _gini(share: float) -> float:
    return 2 * share * (1 - share)


def _tail(region: Region, n: int, hits: int) -> float:
    """The probability that so many of a region's trials are among the `hits` of `n`, by chance."""
    most = min(region.n, hits)
    ways = [
        math.comb(hits, m) * math.comb(n - hits, region.n - m) for m in range(region.hits, most + 1)
    ]
    return sum(ways) / math.comb(n, region.n)


def _told(region: Region) -> str:
    many = f"all {region.n}" if region.hits == region.n else f"{region.hits} of {region.n}"
    return f"{many} trials with {region.where} failed"


def _answer(table: pd.DataFrame, n: int, where: str) -> str:
    if table.empty:
        return f"Nothing: none of {n} trials failed."
    low, high = wilson(len(table), n)
    counted = table["kind"].value_counts()
    kinds = [f"{counted[name]} {WORDS[name]}" for name in WORDS if name in counted]
    between = f"{formats.percent(low)} to {formats.percent(high)}"
    said = f" {where[0].upper()}{where[1:]}." if where else ""
    return (
        f"{len(table)} of {n} trials failed (95 % interval of the share: {between}): "
        f"{formats.listed(kinds)}.{said}"
    )


def _check(table: pd.DataFrame, n: int, where: str) -> Check:
    share = len(table) / n
    number = f"{len(table)} of {n} failed"
    if table.empty:
        return Check(ID, "ok", "No trial failed.", "", ID, number)
    evidence = f"{len(table)} of {n} trials failed ({formats.percent(share)})"
    evidence += f"; {where}." if where else "."
    if share == 1:
        return Check(ID, "fail", evidence, "Read the reasons: this is rarely chance.", ID, number)
    action = "Shrink the range or make training stable there." if where else "Read the reasons."
    return Check(ID, "warn" if share > TOLERATED else "info", evidence, action, ID, number)
