import math

import pandas as pd
import pytest

from analysis import stats
from analysis.frames import TRIALS, frame


def trials(*rows: tuple[str, float | None]) -> pd.DataFrame:
    numbered = [
        {"trial": number, "state": state, "value": value, "tokens": 100}
        for number, (state, value) in enumerate(rows)
    ]
    table = frame(numbered, TRIALS)
    table["rank"] = stats.ranks(table, minimize=True)
    return table


def test_pruned_trial_never_outranks_a_complete_one() -> None:
    table = trials(("pruned", 1.0), ("complete", 2.0), ("unfinished", 0.5))
    assert stats.winner(table) == 1
    assert table["rank"].isna().tolist() == [True, False, True]


def test_equal_values_go_to_fewer_tokens_and_then_to_the_lower_number() -> None:
    table = trials(("complete", 2.0), ("complete", 2.0), ("complete", 2.0))
    table["tokens"] = [200, 100, 100]
    assert stats.ranks(table, minimize=True).tolist() == [3, 1, 2]


def test_maximized_objective_ranks_the_highest_first() -> None:
    table = trials(("complete", 1.0), ("complete", 3.0))
    assert stats.ranks(table, minimize=False).tolist() == [2, 1]


def test_best_so_far_ignores_trials_that_are_not_complete() -> None:
    table = trials(("complete", 3.0), ("pruned", 1.0), ("complete", 2.0), ("complete", 2.5))
    best = stats.best_so_far(table, minimize=True)
    assert best["trial"].tolist() == [0, 2, 3]
    assert best["value"].tolist() == [3.0, 2.0, 2.0]


def test_counts_name_every_state_and_what_has_not_started() -> None:
    counted = stats.counts(trials(("complete", 1.0), ("failed", None)), planned=5)
    assert counted == {
        "complete": 1, "pruned": 0, "failed": 1, "unfinished": 0, "not started": 3,
    }  # fmt: skip


@pytest.mark.parametrize(("complete", "expected"), [(0, None), (1, None), (2, 1), (3, 1), (5, 2)])
def test_median_trial_is_never_the_winner(complete: int, expected: int | None) -> None:
    assert stats.middle(trials(*[("complete", 1.0 + n) for n in range(complete)])) == expected


def test_thinned_curve_keeps_both_ends_and_the_spike() -> None:
    loss = [5.0 - step / 1000 + step % 2 for step in range(1000)]
    loss[999] = 4.5
    loss[503] = 9.0
    curve = pd.DataFrame({"step": range(1000), "loss": loss})
    thinned = stats.thin(curve, "loss", 50)
    assert len(thinned) <= 50
    assert {0, 503, 999} <= set(thinned["step"])


def test_short_curve_is_not_thinned() -> None:
    curve = pd.DataFrame({"step": [0, 1], "loss": [2.0, 1.0]})
    assert stats.thin(curve, "loss", 50) is curve


@pytest.mark.parametrize(
    ("loss", "steps"),
    [
        ([5.0, 4.0, 3.0, 2.0, 4.0, 1.0], [2.5, 3, 4, 5]),
        ([1.0, 2.0], [0, 1]),
        ([4.5, 0.5], [0.5, 1]),
        ([5.0, 4.0], [1]),
        ([], []),
    ],
)
def test_settled_curve_starts_where_its_line_enters_the_range(
    loss: list[float], steps: list[float]
) -> None:
    curve = pd.DataFrame({"step": range(len(loss)), "loss": pd.Series(loss, dtype="float64")})
    settled = stats.settled(curve, "loss", high=2.5)
    assert settled["step"].tolist() == steps
    assert settled["loss"].tolist()[1:] == loss[len(loss) - len(settled) + 1 :]


def test_zoom_leaves_out_the_worst_and_what_is_not_finite() -> None:
    values = pd.Series([1.0] * 8 + [1.1] * 8 + [5.0, math.inf, math.nan])
    low, high = stats.zoom(values, minimize=True, share=0.9) or (0, 0)
    assert 0.9 < low < 1.0
    assert 1.1 < high < 1.2


def test_zoom_keeps_the_highest_where_higher_is_better() -> None:
    low, high = stats.zoom(pd.Series([0.0, 8.0, 9.0]), minimize=False, share=0.6) or (0, 0)
    assert low > 1
    assert high > 9


def test_zoom_of_nothing_is_nothing() -> None:
    assert stats.zoom(pd.Series([math.nan]), minimize=True, share=0.9) is None


@pytest.mark.parametrize(
    ("value", "log", "expected"), [(1e-3, True, 0.5), (1e-4, True, 0.0), (1e-2, False, 1.0)]
)
def test_position_is_measured_on_the_searched_scale(
    value: float, log: bool, expected: float
) -> None:
    assert stats.position(value, 1e-4, 1e-2, log) == pytest.approx(expected)
