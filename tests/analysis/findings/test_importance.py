"""Which parameters matter, what each gives, which go together, and what earned the gain."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from analysis import frames
from analysis.findings import ablation, importance, interactions, isolation

KEYS = ("train.lr", "junk.a", "junk.b", "junk.c")
RANGE = {"type": "float", "low": 0.0, "high": 1.0, "log": False, "choices": ()}
SPACE = frames.frame([{**RANGE, "parameter": key} for key in KEYS], frames.SPACE)


def study(n: int, seed: int, junk: bool = False, twisted: float = 0.0) -> pd.DataFrame:
    """So many complete trials drawn at random. The loss is a bowl over train.lr, or nothing but
    chance if `junk`, and falls with the product of two parameters where `twisted`."""
    rng = np.random.default_rng(seed)
    places = rng.random((n, len(KEYS)))
    bowl = 0.0 if junk else (places[:, 0] - 0.6) ** 2
    crossed = twisted * (places[:, 1] - 0.5) * (places[:, 2] - 0.5)
    values = 2 + bowl + crossed + rng.normal(0, 0.03, n)
    return trials(values, {key: places[:, place] for place, key in enumerate(KEYS)})


def trials(values: "np.ndarray | list[float]", parameters: "dict[str, object]") -> pd.DataFrame:
    rows = [
        {"trial": number, "state": "complete", "value": value, "tokens": 1}
        for number, value in enumerate(values)
    ]
    table = frames.frame(rows, frames.TRIALS)
    table["rank"] = table["value"].rank(method="first").astype("Int64")
    for key, column in parameters.items():
        table[f"p.{key}"] = column
    return table


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare a simulation the intervals, which it does not look at."""
    monkeypatch.setattr(importance, "BOOTSTRAPS", 2)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("n", [20, 40])
def test_junk_beside_a_parameter_that_matters_is_rarely_called_important(n: int) -> None:
    flagged = found = 0
    for seed in range(100):
        table = importance.scores(study(n, seed), SPACE).set_index("parameter")
        flagged += bool(table.loc[list(KEYS[1:]), "clear"].any())
        found += bool(table.loc[KEYS[0], "clear"])
    assert flagged <= 8
    assert found >= (80 if n == 20 else 95)


@pytest.mark.usefixtures("quick")
def test_where_nothing_matters_few_studies_say_otherwise() -> None:
    flagged = sum(
        importance.scores(study(20, seed, junk=True), SPACE)["clear"].any()
        for seed in range(100, 250)
    )
    assert flagged <= 0.08 * 150


def test_score_lies_in_its_interval_and_does_not_depend_on_the_order_of_trials() -> None:
    table = importance.scores(study(60, 1), SPACE)
    assert table["parameter"].iloc[0] == "train.lr"
    assert (table["low"] <= table["high"]).all()
    first = table.iloc[0]
    assert first["low"] < first["score"] < first["high"]
    shuffled = study(60, 1).sample(frac=1, random_state=0)
    again = importance.scores(shuffled, SPACE)
    assert again["score"].iloc[0] == pytest.approx(first["score"])


@pytest.mark.parametrize("n", [0, 1, importance.NEEDED - 1])
def test_few_trials_have_no_score(n: int) -> None:
    table = importance.scores(study(n, 0), SPACE)
    assert table.empty
    assert list(table) == list(importance.SCHEMA)


def test_level_of_an_unordered_parameter_counts_as_a_whole() -> None:
    rng = np.random.default_rng(0)
    kind = rng.choice(["a", "b", "c"], 60)
    values = 2 + 0.3 * (kind == "b") + rng.normal(0, 0.05, 60)
    space = frames.frame(
        [{"parameter": "x", "type": "categorical", "choices": ("a", "b", "c")}], frames.SPACE
    )
    table = importance.scores(trials(values, {"x": pd.Series(kind, dtype="str")}), space)
    assert table["clear"].tolist() == [True]
    assert table["score"].iloc[0] > 0.4


def test_parameter_that_few_trials_have_is_left_out() -> None:
    some = study(40, 0)
    some.loc[8:, "p.junk.a"] = np.nan
    assert "junk.a" not in set(importance.scores(some, SPACE)["parameter"])


@pytest.mark.parametrize("minimize", [True, False])
def test_buckets_are_compared_by_the_best_of_equally_many(minimize: bool) -> None:
    values = [2.0, 1.0, 3.0, 2.5, 1.5, 1.75, 1.25, 2.25, 2.75]
    sign = 1 if minimize else -1
    some = trials([sign * value for value in values], {"x": ["a"] * 3 + ["b"] * 6})
    space = frames.frame(
        [{"parameter": "x", "type": "categorical", "choices": ("a", "b")}], frames.SPACE
    )
    table = isolation.buckets(some, space, minimize)
    assert table["trials"].tolist() == [3, 6]
    assert table["compared"].tolist() == [3, 3]
    every = [min(chosen) for chosen in combinations(values[3:], 3)]
    expected = [sign * 1.0, sign * float(np.mean(every))]
    assert table["expected"].tolist() == pytest.approx(expected)
    assert (table["low"] <= table["expected"]).all()
    assert table["trial"].tolist() == [1, 6]


def test_values_of_a_continuous_parameter_are_put_into_equal_buckets() -> None:
    table = isolation.buckets(study(60, 0), SPACE, True)
    counts = table.groupby("parameter")["trials"].agg(["sum", "min", "max"])
    assert (counts["sum"] == 60).all()
    assert (counts["max"] - counts["min"] <= 1).all()


def test_bucket_of_two_trials_has_no_interval() -> None:
    some = trials([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], {"x": ["a"] * 2 + ["b"] * 4})
    space = frames.frame(
        [{"parameter": "x", "type": "categorical", "choices": ("a", "b")}], frames.SPACE
    )
    table = isolation.buckets(some, space, True)
    assert table["low"].isna().tolist() == [True, False]


@pytest.mark.usefixtures("quick")
def test_two_parameters_that_go_together_are_found_and_others_are_not() -> None:
    found = sum(
        "junk.a" in set(clear(study(60, seed, twisted=1.0), "junk.b")) for seed in range(20)
    )
    lost = sum(
        interactions.pairs(study(60, seed), SPACE)["clear"].any() for seed in range(100, 140)
    )
    assert found >= 18
    assert lost <= 4


def clear(some: pd.DataFrame, other: str) -> list[str]:
    """The parameters that clearly interact with `other`."""
    table = interactions.pairs(some, SPACE)
    chosen = table[table["clear"]]
    both = chosen[(chosen["parameter"] == other) | (chosen["other"] == other)]
    return [*both["parameter"], *both["other"]]


def test_surface_is_drawn_near_trials_alone() -> None:
    some = study(20, 0)
    placed = interactions.places(some, SPACE)
    fit = interactions.surface(some, placed, "train.lr", "junk.a")
    near = np.hypot(
        fit["x"].to_numpy()[:, None] - placed["train.lr"].to_numpy(),
        fit["y"].to_numpy()[:, None] - placed["junk.a"].to_numpy(),
    ).min(axis=1)
    assert (near < interactions.NEAR).all()
    assert fit["predicted"].between(0, 1).all()


@pytest.mark.parametrize("minimize", [True, False])
def test_gains_of_the_path_add_up_to_the_predicted_difference(minimize: bool) -> None:
    some = study(60, 3)
    if not minimize:
        some["value"] = -some["value"]
    winner = int(some.loc[some["value"].idxmin() if minimize else some["value"].idxmax(), "trial"])
    path = ablation.path(some, SPACE, winner, minimize)
    sign = 1 if minimize else -1
    start = path["predicted"].iloc[0] + sign * path["gain"].iloc[0]
    assert path["gain"].sum() == pytest.approx(sign * (start - path["predicted"].iloc[-1]))
    assert path["parameter"].iloc[0] == "train.lr"
    assert path["gain"].is_monotonic_decreasing
    assert len(path) == 4


def test_parameter_that_did_not_change_is_no_part_of_the_path() -> None:
    some = study(60, 3)
    winner = int(some.loc[some["value"].idxmin(), "trial"])
    some.loc[some["trial"] == winner, "p.junk.b"] = some["p.junk.b"].iloc[0]
    path = ablation.path(some, SPACE, winner, True)
    assert sorted(path["parameter"]) == ["junk.a", "junk.c", "train.lr"]
