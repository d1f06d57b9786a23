"""What fails, and where in the space?"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from analysis import formats, ranges
from analysis.finding import Check, Finding, unknown
from analysis.frames import Column, Schema, frame
from analysis.load import Sweep
from analysis.noise import Noise
from analysis.unit import is_ordered, levels, positions

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
    "on its one side failed."
)
KINDS = (
    ("diverged", ("diverged", "not finite", "nan")),
    ("memory", ("out of memory", "no memory", "cannot allocate", "oom")),
    ("died", ("worker died",)),
    ("no_value", ("objective is not",)),
)
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


def find(sweep: Sweep, measured: Noise) -> Finding:
    """Return the trials that failed, by kind; where they lie is in the answer."""
    trials = sweep.trials[~sweep.trials["state"].isin(["unfinished", "duplicate"])]
    failed = trials[trials["state"] == "failed"]
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
    said = reason.lower()
    return next((name for name, signs in KINDS if any(sign in said for sign in signs)), "other")


def regions(trials: pd.DataFrame, space: pd.DataFrame) -> list[str]:
    """Return where the failed of `trials` lie, the clearest region first; none if none is clear."""
    failed = (trials["state"] == "failed").to_numpy()
    if failed.sum() < LEAF or failed.all():
        return []
    found = [
        (gain, said)
        for row in space.to_dict("records")
        for gain, said in _splits(trials, failed, row)
    ]
    return [said for _, said in sorted(found, key=lambda one: (-one[0], one[1]))]


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927)."""
    z, share = 1.959964, hits / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def _row(row: Any) -> dict[str, Any]:
    return {**{key: row[key] for key in ("trial", "step", "reason")}, "kind": kind(row["reason"])}


def _splits(trials: pd.DataFrame, failed: Any, row: Any) -> Iterator[tuple[float, str]]:
    """The parts of one parameter's range in which nearly all failed, with how well they part."""
    key, alone = str(row["parameter"]), pd.DataFrame([row])
    if not is_ordered(row):
        names = levels(trials, alone)[key]
        for name in sorted(names.dropna().unique()):
            yield from _told(failed, (names == name).to_numpy(), f"{key} {name}")
        return
    places = positions(trials, alone)[key].to_numpy()
    known = np.unique(places[np.isfinite(places)])
    for middle in (known[1:] + known[:-1]) / 2:
        shown = _value(row, float(middle))
        yield from _told(failed, places > middle, f"{key} above {shown}")
        yield from _told(failed, places < middle, f"{key} below {shown}")


def _told(failed: Any, inside: Any, where: str) -> Iterator[tuple[float, str]]:
    """What is said of a region, if it has enough trials and nearly all of them failed."""
    n, rest = int(inside.sum()), int((~inside).sum())
    if n < LEAF or rest < LEAF or failed[inside].mean() < PURE:
        return
    mixed = n * _gini(failed[inside].mean()) + rest * _gini(failed[~inside].mean())
    gain = _gini(failed.mean()) - mixed / len(failed)
    hits = int(failed[inside].sum())
    many = f"all {n}" if hits == n else f"{hits} of {n}"
    yield float(gain), f"{many} trials with {where} failed"


def _gini(share: float) -> float:
    return 2 * share * (1 - share)


def _value(row: Any, place: float) -> str:
    if row["type"] == "categorical":
        ordered = sorted(set(row["choices"]))
        below = math.floor(place * (len(ordered) - 1) + 1e-9)
        return formats.setting((ordered[below] + ordered[min(below + 1, len(ordered) - 1)]) / 2)
    return formats.setting(ranges.rounded(ranges.value(row, place)))


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
