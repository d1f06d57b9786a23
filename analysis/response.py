"""How values depend on parameters: the least-squares models that findings rest on.

An ordered parameter is u and u squared in the range searched, an unordered one a column for each
level but the first.
"""

import math

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.unit import levels, positions

Array = npt.NDArray[np.float64]


def columns(trials: pd.DataFrame, space: pd.DataFrame) -> dict[str, Array]:
    """Return each parameter's columns of the design, (trials, 1 or more), by dotted key.

    Rows of trials without the parameter are NaN; a parameter that does not vary has no columns.
    """
    placed, named = positions(trials, space), levels(trials, space)
    found = {}
    for key in (str(name) for name in space["parameter"]):
        block = _squared(placed[key]) if key in placed else _hot(named[key])
        if block.shape[1]:
            found[key] = block
    return found


def explained(design: Array, targets: Array) -> Array:
    """Return the adjusted R squared of `targets` (n, m) on a constant and `design` (n, k): (m,).

    Below 0 where the design explains less than as many columns of chance would.
    """
    n, k = design.shape
    if n <= k + 1:
        return np.full(targets.shape[1], math.nan)
    basis, sizes = np.linalg.qr(np.column_stack([np.ones(n), design]))
    basis = basis[:, np.abs(np.diag(sizes)) > 1e-9]
    centred = targets - targets.mean(axis=0)
    whole = (centred**2).sum(axis=0)
    left = ((centred - basis @ (basis.T @ centred)) ** 2).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = 1 - (left / (n - basis.shape[1])) / (whole / (n - 1))
    return np.where(whole > 0, share, 0.0)


def ranked(values: "pd.Series[float]") -> Array:
    """Return ranks from 0, the lowest, to 1, ties in the middle; (n,)."""
    n = len(values)
    return (values.rank().to_numpy(dtype="float64") - 1) / max(1, n - 1)


def _squared(places: "pd.Series[float]") -> Array:
    u = places.to_numpy(dtype="float64")
    kinds = len(np.unique(u[np.isfinite(u)]))
    return np.column_stack([u, u**2][: max(0, min(2, kinds - 1))] or [np.empty((len(u), 0))])


def _hot(names: "pd.Series[str]") -> Array:
    known = sorted(names.dropna().unique())[1:]
    hot = np.array([names == name for name in known], dtype="float64").reshape(-1, len(names)).T
    hot[names.isna().to_numpy()] = math.nan
    return hot
