import math

import pandas as pd
import pytest

from analysis import stats
from analysis.frames import TRIALS, frame
from analysis.objectives import Objective


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
        "complete": 1, "pruned": 0, "failed": 1, "unfinished": 0, "duplicate": 0, "not started": 3,
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


def grouped(*rows: tuple[int, str, float | None]) -> pd.DataFrame:
    """Trials with their configuration, state and value."""
    return frame(
        [
            {"trial": number, "configuration": one, "state": state, "value": value}
            for number, (one, state, value) in enumerate(rows)
        ],
        TRIALS,
    )


def test_configurations_are_ranked_by_the_mean_over_their_complete_trials() -> None:
    table = stats.configurations(
        grouped(
            (0, "complete", 2.0), (0, "complete", 2.2), (2, "complete", 1.9), (2, "complete", 1.5),
            (4, "pruned", 0.5), (4, "failed", None), (2, "duplicate", 1.5),
        ),
        minimize=True,
        replicates=2,
    )  # fmt: skip
    assert table["configuration"].tolist() == [2, 0]
    assert table["trials"].tolist() == [(2, 3), (0, 1)]
    assert table["mean"].tolist() == pytest.approx([1.7, 2.1])
    assert table["sd"].tolist() == pytest.approx([math.sqrt(0.08), math.sqrt(0.02)])
    assert table["n"].tolist() == [2, 2]
    assert table["delta"].tolist() == pytest.approx([0.0, 0.4])
    assert table["delta_baseline"].tolist() == pytest.approx([-0.4, 0.0])


@pytest.mark.parametrize(
    ("replicates", "minimize", "expected"),
    [(2, True, [0, 2, 3]), (2, False, [0, 3, 2]), (1, True, [2, 0, 3])],
)
def test_one_lucky_seed_does_not_outrank_a_configuration_with_all_of_them(
    replicates: int, minimize: bool, expected: list[int]
) -> None:
    rows = [(0, 2.0), (0, 2.1), (2, 1.0), (3, 3.0)]
    trials = grouped(*[(one, "complete", value) for one, value in rows])
    table = stats.configurations(trials, minimize, replicates)
    assert table["configuration"].tolist() == expected
    assert table["sd"].isna().tolist() == (table["n"] == 1).tolist()


def test_trials_follow_their_configuration_in_the_ranking() -> None:
    trials = grouped((0, "complete", 2.0), (1, "complete", 1.9), (0, "complete", 1.0))
    trials = pd.concat([trials, grouped((1, "complete", 1.8)).assign(trial=3)], ignore_index=True)
    assert stats.ranks(trials, minimize=True, replicates=2).tolist() == [2, 4, 1, 3]


def test_without_a_complete_trial_there_is_no_configuration() -> None:
    table = stats.configurations(grouped((0, "pruned", 1.0)), minimize=True, replicates=3)
    assert table.empty
    assert math.isnan(stats.seed_noise(table))


def test_noise_of_seeds_is_pooled_over_configurations() -> None:
    table = pd.DataFrame({"n": [3, 2, 1], "sd": [0.1, 0.4, math.nan]})
    assert stats.seed_noise(table) == pytest.approx(math.sqrt((2 * 0.01 + 0.16) / 3))


LOSS, SIZE = Objective("val_loss"), Objective("params")
SPEED = Objective("seconds_per_token", minimize=False)


@pytest.mark.parametrize(
    ("points", "objectives", "front"),
    [
        ([], [LOSS, SIZE], []),
        ([(2.0, 9)], [LOSS, SIZE], [0]),
        ([(2.0, 9), (1.0, 10), (3.0, 8)], [LOSS, SIZE], [1, 0, 2]),
        ([(2.0, 9), (2.0, 10), (1.9, 9)], [LOSS, SIZE], [2]),
        ([(2.0, 9), (2.0, 9), (3.0, 9)], [LOSS, SIZE], [0, 1]),
        ([(1.0, None), (2.0, 9), (math.inf, 1)], [LOSS, SIZE], [1]),
        ([(1.0, 5), (2.0, 9), (3.0, 9)], [LOSS, SPEED], [0, 1]),
        ([(1.0, 5), (1.0, 6)], [SIZE, LOSS], [0]),
        ([(2.0, 9), (1.0, 10)], [LOSS], [1]),
    ],
    ids=["none", "one", "all", "dominated", "ties", "missing", "maximize", "order", "single"],
)
def test_front_is_what_no_complete_trial_dominates(
    points: list[tuple[float, float | None]], objectives: list[Objective], front: list[int]
) -> None:
    rows = [
        {
            "trial": number, "state": "complete", "value": loss, "parameters": size,
            "seconds_per_token": size,
        }
        for number, (loss, size) in enumerate(points)
    ]  # fmt: skip
    best = {"trial": 99, "state": "pruned", "value": 0.1, "parameters": 1}
    assert stats.pareto(frame([*rows, best], TRIALS), objectives)["trial"].tolist() == front


def test_duplicates_are_listed_with_the_trial_they_took_the_result_of() -> None:
    rows: list[dict[str, object]] = [{"trial": n, "state": "complete"} for n in range(3)]
    rows += [{"trial": n, "state": "duplicate", "same_as": 1} for n in (3, 5)]
    assert stats.duplicates(frame(rows, TRIALS)) == {1: [3, 5]}
