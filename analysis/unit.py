"""Parameters of trials as places in the ranges that were searched, 0 at the low end, 1 at the high.

Places are on the searched scale: logarithmic where the space says so. Categorical parameters whose
choices are at least three different numbers have places, too, by the order of the choices.
"""

import math
from typing import Any

import numpy as np
import pandas as pd

from analysis.frames import missing, number


def positions(trials: pd.DataFrame, space: pd.DataFrame) -> pd.DataFrame:
    """Return the places of the ordered parameters: a float64 column for each, by dotted key.

    NaN where a trial does not have the parameter, or a value that has no place. Values outside of
    the present range lie below 0 or above 1.
    """
    ordered = [row for row in space.to_dict("records") if is_ordered(row)]
    return pd.DataFrame(
        {row["parameter"]: _places(row, trials[f"p.{row['parameter']}"]) for row in ordered},
        index=trials.index,
        dtype="float64",
    )


def levels(trials: pd.DataFrame, space: pd.DataFrame) -> pd.DataFrame:
    """Return the values of the unordered parameters as text: a column for each, by dotted key."""
    unordered = [row["parameter"] for row in space.to_dict("records") if not is_ordered(row)]
    return pd.DataFrame(
        {key: [_level(value) for value in trials[f"p.{key}"]] for key in unordered},
        index=trials.index,
        dtype="str",
    )


def places(trials: pd.DataFrame, space: pd.DataFrame) -> pd.DataFrame:
    """Return a place for every parameter, in the order of the space: that of `positions`, and for
    an unordered one that of its level among the levels by name, which means nothing by itself."""
    placed, named = positions(trials, space), levels(trials, space)
    for key in named:
        known = {name: place for place, name in enumerate(sorted(named[key].dropna().unique()))}
        placed[key] = named[key].map(known).astype("float64") / max(1, len(known) - 1)
    return placed[[str(key) for key in space["parameter"]]]


def measurable(trials: pd.DataFrame, space: pd.DataFrame) -> set[str]:
    """Return the parameters whose places mean something: ordered ones, and those of two levels."""
    named = levels(trials, space)
    rows = space.to_dict("records")
    ordered = {str(row["parameter"]) for row in rows if is_ordered(row)}
    return ordered | {str(key) for key in named if named[key].nunique() == 2}


def is_ordered(row: Any) -> bool:
    """Return whether the parameter of a row of the frame `space` has an order."""
    if row["type"] != "categorical":
        return True
    choices = row["choices"]
    numeric = all(isinstance(c, int | float) and not isinstance(c, bool) for c in choices)
    return numeric and len(set(choices)) >= 3


def varied(trials: pd.DataFrame, space: pd.DataFrame) -> list[str]:
    """Return the parameters of which at least two values occur among `trials`."""
    keys = [str(key) for key in space["parameter"]]
    return [key for key in keys if len({_level(v) for v in trials[f"p.{key}"]} - {None}) > 1]


def comparable(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the complete trials with a finite value: those whose values may be compared."""
    finite = trials["value"].abs() < math.inf
    return trials[(trials["state"] == "complete") & finite]


def _places(row: Any, values: "pd.Series[Any]") -> list[float]:
    numbers = np.array([number(value) for value in values], dtype="float64")
    if row["type"] == "categorical":
        order = {float(choice): place for place, choice in enumerate(sorted(set(row["choices"])))}
        return [order.get(value, math.nan) / (len(order) - 1) for value in numbers]
    low, high = float(row["low"]), float(row["high"])
    if row["log"]:
        with np.errstate(divide="ignore", invalid="ignore"):
            numbers, low, high = np.log(numbers), math.log(low), math.log(high)
    numbers[~np.isfinite(numbers)] = math.nan
    if high == low:
        return [0.5 if value == value else math.nan for value in numbers]
    return [float(place) for place in (numbers - low) / (high - low)]


def _level(value: Any) -> str | None:
    """Return a value's name; 0 and 0.0 are the same value, None for one that is missing."""
    if missing(value):
        return None
    real = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return f"{float(value):g}" if real else str(value)
