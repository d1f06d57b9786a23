"""Is the training long enough?"""

import math
from typing import Any

import numpy as np
import pandas as pd

from analysis import formats, stats
from analysis.finding import Check, Finding, Level, unknown
from analysis.findings.curves import line, split
from analysis.frames import Column, Schema, frame, number
from analysis.load import Sweep
from analysis.noise import Noise
from analysis.records import at

SCHEMA: Schema = {
    "trial": Column("int64", "number of the trial, one of the best"),
    "best_share": Column("float64", "step of its lowest loss as a share of the planned ones"),
    "slope_nats": Column("float64", "change of the loss per tenth of the plan over the last fifth"),
    "needed_nats": Column("float64", "fall over the last fifth that counts as still improving"),
    "improving": Column("bool", "it fell by more than that"),
    "settled_share": Column("float64", "share of the plan from which it stayed that near its end"),
}
ID, TITLE = "length", "Is the training long enough?"
HOW = (
    "The five best trials. One is still improving if its line over the last fifth falls by more "
    "than the standard deviation between seeds, or, where that is unknown, than twice the spread "
    "of the points around the line. It settled where its loss came that near to its last one and "
    "stayed. A schedule that decays to its end makes the loss fall until then, whatever the "
    "length: then only a longer run can tell."
)
LEADERS, NEEDED = 5, 8
EARLY, SETTLED = 0.1, 0.6
DECAYING = ("cosine", "linear", "wsd")


def find(sweep: Sweep, measured: Noise) -> Finding:
    """Return how the five best trials stood at their end."""
    table = ends(sweep.trials, sweep.curves, measured)
    if table.empty:
        missing = f"It takes a complete trial with {NEEDED} evaluations; evaluate more often."
        check = Check(ID, "unknown", missing, "", ID, "too few evaluations")
        return unknown(ID, TITLE, missing, SCHEMA, HOW, check)
    level, answer, action = _judged(table, _decays(sweep))
    number = f"best at {formats.percent(float(table['best_share'].median()))}"
    check = Check(ID, level, answer, action, ID, number)
    return Finding(ID, TITLE, answer, table, SCHEMA, HOW, (check,))


def ends(trials: pd.DataFrame, curves: pd.DataFrame, measured: Noise) -> pd.DataFrame:
    """Return SCHEMA for the best trials that have at least NEEDED evaluations."""
    best = stats.leaders(trials).head(LEADERS)
    evals = curves[(curves["kind"] == "eval") & curves["trial"].isin(best["trial"])]
    finite = evals[evals["val_loss_nats"].abs() < math.inf]
    planned = dict(zip(best["trial"], best["steps_planned"], strict=True))
    rows = [
        {"trial": trial, **_end(part[:, 0], part[:, 1], number(planned[trial]), measured)}
        for trial, part in split(finite, ["step", "val_loss_nats"])
        if len(part) >= NEEDED
    ]
    return frame(rows, SCHEMA)


def _end(steps: Any, losses: Any, planned: float, measured: Noise) -> dict[str, Any]:
    slope, spread = line(steps, losses, planned)
    needed = measured.sd if measured.known else 2 * spread
    near = np.abs(losses - losses[-1]) <= needed
    start = len(near) - int(np.argmin(near[::-1])) if not near.all() else 0
    return {
        "best_share": float(steps[losses.argmin()]) / planned,
        "slope_nats": slope,
        "needed_nats": needed,
        "improving": bool(-2 * slope > needed),
        "settled_share": float(steps[min(start, len(steps) - 1)]) / planned,
    }


def _decays(sweep: Sweep) -> bool:
    schedule = at(sweep.meta, "run.train.schedule")
    ratio = number(at(sweep.meta, "run.train.min_lr_ratio"))
    return schedule in DECAYING and not ratio > 0.3


def _judged(table: pd.DataFrame, decays: bool) -> tuple[Level, str, str]:
    """Level, answer and action, from the shares of the best trials."""
    many, improving = len(table), int(table["improving"].sum())
    who = f"{improving} of the best {many}" if improving < many else f"All of the best {many}"
    who = who if many > 1 else "The best trial"
    if (table["best_share"] <= EARLY).mean() > 0.5:
        said = "Most of the best trials were best within the first tenth of their steps."
        return "warn", said, "Train for far fewer steps, or regularise more."
    if improving > many / 2 and decays:
        said = f"{who} still improved at the end, as a learning rate that decays to it makes them."
        return "info", said, "Train one with twice the steps to know whether longer is better."
    if improving > many / 2:
        said = f"{who} still improved at the end by more than noise."
        return "warn", said, "Train for more steps."
    if (table["settled_share"] < SETTLED).mean() > 0.5:
        share = formats.percent(float(table["settled_share"].median()))
        said = f"Most of the best trials had settled after {share} of their steps."
        return "info", said, "Fewer steps would find the same order for less."
    return "ok", "The best trials neither settled early nor still improved at their end.", ""
