"""The best to expect of so many random trials, without replacement (Dodge 2019; Tang 2020)."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def expected_best(values: Sequence[float] | Array, minimize: bool, budgets: Sequence[int]) -> Array:
    """Return the mean best of every set of B of the `values`, for each B of `budgets`, 1 to n.

    E_B is the sum of the values in order, each times the share of sets that it is the best of:
    C(n - i, B - 1) / C(n, B). The mean for B = 1, the best value for B = n.
    """
    ordered = _ordered(values, minimize)
    return np.array([_weights(len(ordered), budget) @ ordered for budget in budgets])


def expected_band(
    values: Sequence[float] | Array, minimize: bool, budgets: Sequence[int], share: float = 0.8
) -> tuple[Array, Array]:
    """Return between which values the best of so many trials lies with a probability of `share`."""
    ordered = _ordered(values, minimize)
    ends = []
    for budget in budgets:
        below = np.cumsum(_weights(len(ordered), budget))
        places = np.searchsorted(below, [(1 - share) / 2, (1 + share) / 2 - 1e-12])
        ends.append(ordered[np.minimum(places, len(ordered) - 1)])
    found = np.sort(np.array(ends).reshape(-1, 2), axis=1)
    return found[:, 0], found[:, 1]


def _ordered(values: Sequence[float] | Array, minimize: bool) -> Array:
    ordered = np.sort(np.asarray(values, dtype="float64"))
    return ordered if minimize else ordered[::-1]


def _weights(n: int, budget: int) -> Array:
    """The probability of each place to be the best of `budget` out of `n`: a recurrence, since the
    binomials themselves overflow."""
    weights = np.zeros(n)
    left, weight = n, budget / n
    for place in range(n - budget + 1):
        weights[place] = weight
        left -= 1
        weight *= (left - budget + 1) / left if left else 0.0
    return weights
