from itertools import combinations

import numpy as np
import pytest

from analysis.expected import expected_band, expected_best

VALUES = [2.0, 1.5, 3.0, 1.75, 2.25, 1.5]


@pytest.mark.parametrize("minimize", [True, False])
@pytest.mark.parametrize("budget", range(1, 7))
def test_expected_best_is_the_mean_over_all_sets(budget: int, minimize: bool) -> None:
    best = min if minimize else max
    every = [best(chosen) for chosen in combinations(VALUES, budget)]
    assert expected_best(VALUES, minimize, [budget])[0] == pytest.approx(np.mean(every), abs=1e-12)
    low, high = expected_band(VALUES, minimize, [budget])
    inside = [low[0] - 1e-9 <= one <= high[0] + 1e-9 for one in every]
    assert np.mean(inside) >= 0.8
    assert {low[0], high[0]} <= set(VALUES)


def test_one_trial_gives_the_mean_and_all_give_the_best_of_ten_thousand() -> None:
    values = np.random.default_rng(0).normal(2.0, 0.1, 10_000)
    curve = expected_best(values, True, [1, 10, 100, 5_000, 10_000])
    assert curve[0] == pytest.approx(values.mean(), abs=1e-9)
    assert curve[-1] == values.min()
    assert (np.diff(curve) < 0).all()
