"""How did training go? What the learning curve of each trial shows."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis import formats, stats
from analysis.finding import Check, Finding, unknown
from analysis.frames import Column, Schema, frame, number
from analysis.load import Sweep
from analysis.noise import Noise
from analysis.records import at

SCHEMA: Schema = {
    "trial": Column("int64", "number of the trial"),
    "evaluations": Column("int64", "points of its curve"),
    "best_step": Column("int64", "step of the lowest validation loss on the fixed windows"),
    "best_share": Column("float64", "that step as a share of the planned ones"),
    "rise_nats": Column("float64", "last loss minus the lowest one"),
    "slope_nats": Column("float64", "change per tenth of the plan, over the last fifth of it"),
    "late_sd_nats": Column("float64", "spread of these points around their line"),
    "spikes": Column("int64", "upward jumps of more than five times the usual change"),
    "gap_nats": Column("float64", "last validation loss minus last training loss"),
    "clipped_share": Column("float64", "share of the logged updates whose gradient was clipped"),
    "grad_norm": Column("float64", "median norm of the gradient before clipping"),
    "overfits": Column("bool", "validation loss rose by more than noise while training loss fell"),
}
ID, TITLE = "curves", "How did training go?"
HOW = (
    "All losses are those on the same fixed windows. The slope is a least-squares line over the "
    "last fifth of the evaluations. A spike is an upward step of more than five times the median "
    "absolute change from evaluation to evaluation. A trial overfits if its loss rose after its "
    "best step by more than twice the standard deviation between seeds (where that is unknown, "
    "between the late points) while the training loss fell."
)
LATE = 0.2
SPIKE = 5
Curve = npt.NDArray[np.float64]


def find(sweep: Sweep, measured: Noise) -> Finding:
    """Return one row per trial with an evaluation."""
    table = diagnosed(sweep.trials, sweep.curves, at(sweep.meta, "run.train.grad_clip"), measured)
    if table.empty:
        return unknown(ID, TITLE, "No trial was evaluated yet.", SCHEMA, HOW)
    check = _check(sweep, table)
    return Finding(ID, TITLE, _answer(sweep, table), table, SCHEMA, HOW, (check,))


def diagnosed(
    trials: pd.DataFrame, curves: pd.DataFrame, clip: object, measured: Noise
) -> pd.DataFrame:
    """Return SCHEMA; `clip` is the norm that gradients are clipped to, not a positive number if
    they are not."""
    evals = curves[(curves["kind"] == "eval") & (curves["val_loss_nats"].abs() < math.inf)]
    planned = dict(zip(trials["trial"], trials["steps_planned"], strict=True))
    norms = dict(_norms(curves, number(clip)))
    rows = [
        {
            "trial": trial,
            **_diagnosis(part, number(planned.get(trial)), measured),
            **norms.get(trial, {}),
        }
        for trial, part in split(evals, ["step", "val_loss_nats", "train_loss_nats"])
    ]
    return frame(rows, SCHEMA)


def split(rows: pd.DataFrame, columns: list[str]) -> Iterator[tuple[int, Curve]]:
    """Return each trial of `rows`, which are in order, with its columns as (rows, columns)."""
    numbers = rows["trial"].to_numpy()
    values = rows[columns].to_numpy(dtype="float64", na_value=math.nan)
    ends = np.flatnonzero(np.diff(numbers)) + 1
    for part, at_row in zip(np.split(values, ends), [0, *ends], strict=True):
        if len(part):
            yield int(numbers[at_row]), part


def _diagnosis(curve: Curve, planned: float, measured: Noise) -> dict[str, Any]:
    steps, losses, trained = curve.T
    lowest = int(losses.argmin())
    slope, spread = line(steps, losses, planned)
    rise = float(losses[-1] - losses[lowest])
    noise = measured.sd if measured.known else spread
    falling = trained[-1] < trained[lowest]
    return {
        "evaluations": len(losses),
        "best_step": int(steps[lowest]),
        "best_share": float(steps[lowest]) / planned if planned else math.nan,
        "rise_nats": rise,
        "slope_nats": slope,
        "late_sd_nats": spread,
        "spikes": _spikes(losses),
        "gap_nats": float(losses[-1] - trained[-1]),
        "overfits": bool(falling and rise > 2 * noise),
    }


def line(steps: Curve, losses: Curve, planned: float) -> tuple[float, float]:
    """Return the slope of the last fifth of a curve, per tenth of the planned steps, and the
    standard deviation around it; NaN below three points."""
    late = steps >= steps[-1] - LATE * (planned if planned == planned else steps[-1])
    x, y = steps[late], losses[late]
    if len(x) < 3:
        return math.nan, math.nan
    slope, start = np.polyfit(x - x[0], y, 1)
    left = y - (start + slope * (x - x[0]))
    spread = math.sqrt(float((left**2).sum()) / (len(x) - 2)) if len(x) > 2 else math.nan
    return float(slope) * planned / 10, spread


def _spikes(losses: Curve) -> int:
    changes = np.diff(losses)
    usual = float(np.median(np.abs(changes))) if len(changes) else 0.0
    return int((changes > SPIKE * usual).sum()) if usual > 0 else 0


def _norms(curves: pd.DataFrame, clip: float) -> Iterator[tuple[int, dict[str, float]]]:
    trained = curves[(curves["kind"] == "train") & curves["grad_norm"].notna()]
    for trial, part in split(trained, ["grad_norm"]):
        share = float((part > clip).mean()) if clip > 0 else math.nan
        yield trial, {"grad_norm": float(np.median(part)), "clipped_share": share}


def _answer(sweep: Sweep, table: pd.DataFrame) -> str:
    parts, winner = [], stats.winner(sweep.trials)
    row = table[table["trial"] == winner]
    if len(row):
        best = row.iloc[0]
        at_end = "at its end" if best["rise_nats"] == 0 else f"at step {best['best_step']}"
        gap, size = best["gap_nats"], formats.loss(abs(best["gap_nats"]))
        side = "above" if gap > 0 else "below"
        parts.append(
            f"Trial {winner} was best {at_end}; its validation loss ended {size} nats {side} its "
            "training loss."
        )
    count = int(table["overfits"].sum())
    over = f"{count} of {len(table)} trials overfit" if count else "No trial overfits"
    rough = int((table["spikes"] > 0).sum())
    parts.append(f"{over}; {rough or 'none'} of {len(table)} had a spike.")
    return " ".join(parts)


def _check(sweep: Sweep, table: pd.DataFrame) -> Check:
    over = table.loc[table["overfits"], "trial"].tolist()
    if not over:
        return Check("overfitting", "ok", "No trial overfits.")
    winner = stats.winner(sweep.trials)
    evidence = f"{len(over)} of {len(table)} trials overfit."
    if winner in over:
        action = "Train for fewer steps or regularise more; do not just take a smaller model."
        return Check("overfitting", "warn", f"The winner, trial {winner}, overfits.", action)
    return Check("overfitting", "info", evidence)
