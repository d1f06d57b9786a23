"""Axes of the charts: what they are called, and the range that they show."""

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import altair as alt
import pandas as pd

from analysis import stats
from analysis.frames import missing, number
from analysis.objectives import Objective

A = TypeVar("A", alt.X, alt.Y)

SETTLED = 0.15
"""Share of the longest curve after which the first steep fall is over."""
MANY = 8
"""Whole numbers of a range that all have a tick of their own at most."""
FEW = 10
"""Trials below which all are shown in their place, be one ever so bad."""


def step_axis(evals: pd.DataFrame) -> alt.X:
    """Return the axis of steps, from 0 to the last of any trial."""
    scale = alt.Scale(domain=[0, max(1, int(evals["step"].max()))], nice=False)
    axis = alt.Axis(tickCount=6, format="d")
    return alt.X("step:Q", title="step (completed updates)", scale=scale, axis=axis)


def trial_axis(trials: pd.DataFrame) -> alt.X:
    """Return the axis of trial numbers."""
    scale = alt.Scale(domain=[-0.5, float(trials["trial"].max()) + 0.5], nice=False)
    axis = alt.Axis(format="d", tickMinStep=1, tickCount=8)
    return alt.X("trial:Q", title="trial", scale=scale, axis=axis)


def loss_range(evals: pd.DataFrame, trained: list[int]) -> tuple[float, float]:
    """Return the range of learning curves: where most lie once they have settled.

    The first losses are near ln V in every trial; with them in view all else is one line.
    The training losses of `trained` are inside, too.
    """
    late = evals[evals["step"] >= SETTLED * evals["step"].max()]
    lowest = late.loc[late["trial"].isin(trained), "train_loss_nats"].min()
    shown = stats.zoom(late["val_loss_nats"], True, share=0.9, low=float(lowest))
    assert shown is not None, "the last step of all is late, and its loss is finite"
    return shown


def loss_axis(shown: tuple[float, float]) -> alt.Y:
    """Return the axis of learning curves; what lies beyond is drawn at its edge."""
    scale = _scale(shown)
    title = "validation loss (nats per character)"
    return alt.Y("value:Q", title=title, scale=scale, axis=alt.Axis(tickCount=6))


def value_axis(trials: pd.DataFrame, minimize: bool, title: str) -> alt.Y:
    """Return the axis of trials' values; one beyond the range is drawn at its edge."""
    values = trials["value"].where(trials["value"].abs() < math.inf, trials["val_last_nats"])
    few = values.count() < FEW
    scale = _scale(stats.zoom(values, minimize, share=1.0 if few else 0.8))
    return alt.Y("value:Q", title=title, scale=scale, axis=alt.Axis(tickCount=5))


def _scale(domain: tuple[float, float] | None) -> alt.Scale:
    if domain is None:
        return alt.Scale(zero=False)
    return alt.Scale(domain=list(domain), zero=False, nice=False, clamp=True)


def objective_axis(kind: type[A], field: str, objective: Objective, trials: pd.DataFrame) -> A:
    """Return the axis of an objective: logarithmic where it spans a power of ten."""
    values = trials[objective.column].astype("float64")
    wide = 0 < 10 * values.min() <= values.max()
    scale = alt.Scale(type="log", nice=False, padding=12) if wide else alt.Scale(zero=False)
    axis = alt.Axis(format="~s" if values.max() >= 1e4 else "~g", tickCount=5)
    return kind(field, title=objective.title, scale=scale, axis=axis)


def places(row: dict[Any, Any], values: "pd.Series[Any]") -> dict[Any, str | float]:
    """Return where trials lie on the axis of a parameter, by index; those without it do not."""
    if row["type"] == "categorical":
        return {index: level(value) for index, value in values.items() if not missing(value)}
    real = {index: number(value) for index, value in values.items()}
    lowest = 0.0 if row["log"] else -math.inf
    return {index: value for index, value in real.items() if lowest < value < math.inf}


def parameter_axis(row: dict[Any, Any], values: Sequence[Any]) -> alt.X:
    """Return the axis of a parameter over the range that was searched, as it was searched.

    It is long enough for `values`: an earlier version of the file may have searched further.
    """
    title = str(row["parameter"])
    if row["type"] == "categorical":
        levels = list(dict.fromkeys([*(level(choice) for choice in row["choices"]), *values]))
        return alt.X(
            "x:N",
            title=title,
            sort=levels,
            scale=alt.Scale(domain=levels),
            axis=alt.Axis(labelAngle=0, grid=True),
        )
    domain = [min(float(row["low"]), *values), max(float(row["high"]), *values)]
    scale = alt.Scale(domain=domain, zero=False, nice=False, padding=8)
    if row["log"]:
        scale.type = "log"
        ticks = _log_ticks(*domain)
        axis = alt.Axis(format="~g", values=ticks) if ticks else alt.Axis(format="~g")
    elif row["type"] == "int":
        whole = [float(value) for value in range(math.ceil(domain[0]), math.floor(domain[1]) + 1)]
        axis = alt.Axis(format="d", values=whole) if len(whole) <= MANY else alt.Axis(format="d")
    else:
        axis = alt.Axis(format="~g", tickCount=5)
    return alt.X("x:Q", title=title, axis=axis, scale=scale)


def _log_ticks(low: float, high: float) -> list[float]:
    """Return 1, 3, 10, ... times a power of ten in the range, without the 3s where many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [float(f"{digit}e{power}") for power in powers for digit in (1, 3)]
    inside = [tick for tick in ticks if low <= tick <= high]
    return inside if len(inside) <= 6 else [t for t in inside if f"{t:e}".startswith("1")]


def level(value: object) -> str:
    """Return a categorical value's name on its axis; 0 and 0.0 are the same value."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:g}"
    return str(value)
