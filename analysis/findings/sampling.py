"""Have enough trials been run?"""

import math
from typing import Any

import numpy as np
import pandas as pd

from analysis import formats
from analysis.expected import expected_best
from analysis.finding import Check, Finding, unknown
from analysis.findings.history import exchangeable
from analysis.frames import Column, Schema, frame
from analysis.load import Sweep
from analysis.noise import Noise
from analysis.unit import comparable, is_ordered, levels, positions

SCHEMA: Schema = {
    "parameter": Column("str", "dotted key"),
    "values": Column("int64", "different values among all trials"),
    "of": Column("Int64", "how many there are; missing for a continuous one"),
    "largest_gap_share": Column("float64", "longest part of the range without a trial"),
    "expected_gap_share": Column("float64", "what it would be for as many random trials"),
}
ID, TITLE = "sampling", "Have enough trials been run?"
HOW = (
    "Trials per parameter that is searched; five are the least to tell anything. Good ones lie "
    "within two standard deviations between seeds of the best. The gain of doubling is the "
    "expected best of half of the randomly drawn trials less that of all, which is about what as "
    "many more would bring. n random points leave gaps of about ln(n)/n."
)
PER_PARAMETER, GOOD = 5, 3


def find(sweep: Sweep, measured: Noise) -> Finding:
    """Return how densely each parameter was sampled."""
    trials = sweep.trials[sweep.trials["state"] != "duplicate"]
    complete = comparable(trials)
    if len(complete) < 2 or sweep.space.empty:
        lacking = "It takes complete trials and parameters to tell."
        check = Check(ID, "unknown", lacking, "", ID, f"{len(complete)} complete")
        return unknown(ID, TITLE, lacking, SCHEMA, HOW, check)
    table = coverage(trials, sweep.space)
    facts = {
        "per_parameter": len(trials) / len(sweep.space),
        "good": _good(complete["value"], measured, sweep.minimize),
        "gain": doubling(exchangeable(sweep), sweep.minimize),
    }
    check = _check(sweep, len(trials), facts, measured)
    answer = f"{check.evidence} {check.action}".strip()
    return Finding(ID, TITLE, answer, table, SCHEMA, HOW, (check,), facts=facts)


def coverage(trials: pd.DataFrame, space: pd.DataFrame) -> pd.DataFrame:
    """Return SCHEMA, one row per parameter."""
    placed, named = positions(trials, space), levels(trials, space)
    return frame([_row(row, placed, named) for row in space.to_dict("records")], SCHEMA)


def doubling(values: Any, minimize: bool) -> float:
    """Return how much the best is expected to gain from half of `values` to all; NaN below 4."""
    n = len(values)
    if n < 4:
        return math.nan
    half, whole = expected_best(values, minimize, [n // 2, n])
    return abs(float(half - whole))


def _row(row: Any, placed: pd.DataFrame, named: pd.DataFrame) -> dict[str, Any]:
    key = row["parameter"]
    if not is_ordered(row):
        known = named[key].dropna().nunique()
        return {"parameter": key, "values": known, "of": len(set(map(str, row["choices"])))}
    places = np.unique(placed[key].dropna().clip(0, 1).round(9))
    n = int(placed[key].notna().sum())
    gap = float(np.diff([0.0, *places, 1.0]).max()) if n else math.nan
    expected = min(1.0, math.log(n) / n) if n > 1 else math.nan
    few = _count(row)
    return {
        "parameter": key,
        "values": len(places),
        "of": few,
        "largest_gap_share": gap if few is None else math.nan,
        "expected_gap_share": expected if few is None else math.nan,
    }


def _count(row: Any) -> int | None:
    """How many values a parameter can take, None for a continuous one."""
    if row["type"] == "categorical":
        return len(set(row["choices"]))
    step = row["step"] if row["step"] == row["step"] else 1.0 if row["type"] == "int" else None
    return None if step is None else round((row["high"] - row["low"]) / step) + 1


def _good(values: "pd.Series[float]", measured: Noise, minimize: bool) -> float:
    if not measured.known:
        return math.nan
    best = values.min() if minimize else values.max()
    return float(((values - best).abs() < 2 * measured.sd).sum())


def _check(sweep: Sweep, n: int, facts: dict[str, float], measured: Noise) -> Check:
    d = len(sweep.space)
    number = f"{n} trials, {d} parameter{'s' * (d > 1)}"
    said = [f"{n} trials for {d} parameters, {facts['per_parameter']:.3g} each."]
    if math.isfinite(facts["good"]):
        good = int(facts["good"])
        said.append(f"{good} {'lie' if good > 1 else 'lies'} within noise of the best.")
    if math.isfinite(facts["gain"]):
        gain = formats.measure(facts["gain"], sweep.ranking.loss)
        said.append(f"Twice as many random ones are expected to gain {gain}.")
    evidence = " ".join(said)
    if n < PER_PARAMETER * d:
        more = f"Run at least {PER_PARAMETER * d}, or search fewer parameters."
        return Check(ID, "warn", evidence, more, ID, number)
    if facts["good"] < GOOD:
        return Check(ID, "info", evidence, "Few are good: more may be better.", ID, number)
    if measured.known and facts["gain"] > 2 * measured.sd:
        return Check(ID, "info", evidence, "More trials should pay.", ID, number)
    return Check(ID, "ok", evidence, "", ID, number)
