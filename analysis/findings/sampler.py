"""Did the sampler do better than chance?"""

import math
from statistics import NormalDist

import numpy as np
import pandas as pd

from analysis import formats
from analysis.finding import Finding, unknown
from analysis.findings.history import RANDOM
from analysis.frames import Column, Schema, frame, number
from analysis.load import Sweep
from analysis.noise import Noise
from analysis.promotion import promoted
from analysis.records import at
from analysis.unit import comparable

SCHEMA: Schema = {
    "part": Column("str", "queued, random start, or guided"),
    "trials": Column("int64", "complete ones"),
    "best": Column("float64", "best objective"),
    "median": Column("float64", "median objective"),
    "duplicates": Column("int64", "trials that repeated a configuration"),
}
ID, TITLE = "sampler", "Did the sampler do better than chance?"
HOW = (
    "The complete trials that the sampler proposed after its random start against those of the "
    "start: Mann and Whitney's rank test, one-sided, normal approximation with ties. A proposal "
    "has seen all trials but those that ran beside it."
)
LEVEL, NEEDED = 0.05, 3


def find(sweep: Sweep, measured: Noise) -> Finding:
    """Return the trials that were queued, drawn at random, and proposed from results."""
    sweep, note = promoted(sweep)
    kind = str(at(sweep.meta, "sampler.type") or "tpe")
    start = number(at(sweep.meta, "sampler.n_startup_trials"))
    queue = sweep.meta.get("enqueue")
    first = len(queue) if isinstance(queue, list) else 0
    until = math.inf if kind in RANDOM else start
    table, random, guided = parts(sweep.trials, first, until, sweep.minimize)
    if table.empty:
        return unknown(ID, TITLE, "No trial is complete.", SCHEMA, HOW)
    answer = _answer(kind, random, guided, sweep.minimize)
    return Finding(ID, TITLE, f"{answer}{note}", table, SCHEMA, HOW)


def parts(
    trials: pd.DataFrame, first: int, until: float, minimize: bool
) -> tuple[pd.DataFrame, "pd.Series[float]", "pd.Series[float]"]:
    """Return SCHEMA, and the values drawn at random and those proposed from results.

    Trials before `first` were queued, those before `until` drawn at random.
    """
    numbers, known = trials["trial"], comparable(trials)
    bounds = [("queued", 0, first), ("random start", first, until), ("guided", until, math.inf)]
    rows, values = [], {}
    for name, low, high in bounds:
        low = max(low, first) if name != "queued" else low
        part = known[(known["trial"] >= low) & (known["trial"] < high)]
        again = (trials["state"] == "duplicate") & (numbers >= low) & (numbers < high)
        values[name] = part["value"]
        if len(part) or again.any():
            rows.append(
                {
                    "part": name,
                    "trials": len(part),
                    "best": part["value"].min() if minimize else part["value"].max(),
                    "median": part["value"].median(),
                    "duplicates": int(again.sum()),
                }
            )
    return frame(rows, SCHEMA), values["random start"], values["guided"]


def rank_test(lower: "pd.Series[float]", higher: "pd.Series[float]") -> float:
    """Return the one-sided p of Mann and Whitney's test that `lower` tends to lie lower."""
    n, m = len(lower), len(higher)
    both = pd.concat([lower, higher])
    ranks = both.rank().to_numpy()
    statistic = ranks[:n].sum() - n * (n + 1) / 2
    ties = np.array([count**3 - count for count in both.value_counts()], dtype="float64").sum()
    whole = n + m
    variance = n * m / 12 * (whole + 1 - ties / (whole * (whole - 1)))
    if variance <= 0:
        return 1.0
    return NormalDist().cdf((statistic - n * m / 2 + 0.5) / math.sqrt(variance))


def _answer(
    kind: str, random: "pd.Series[float]", guided: "pd.Series[float]", minimize: bool
) -> str:
    if kind in RANDOM:
        return f"Nothing to tell: {kind} does not learn from results."
    if min(len(random), len(guided)) < NEEDED:
        few = f"{len(random)} of its random start and {len(guided)} guided trials are complete"
        return f"Not known: {few}, and it takes {NEEDED} of each."
    sign = 1 if minimize else -1
    p = rank_test(sign * guided, sign * random)
    if p < LEVEL:
        chance = formats.percent(p)
        return f"Yes: what {kind} proposed is better than its random start (by chance: {chance})."
    return f"Not visibly: what {kind} proposed cannot be told from its random start."
