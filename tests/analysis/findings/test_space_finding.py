"""Advice on the ranges of a search; the file of the next sweep is in tests/analysis."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis import chances, stats
from analysis.findings import space
from analysis.frames import SPACE, TRIALS, frame
from analysis.load import Sweep
from analysis.noise import Noise

LR: dict[str, Any] = {
    "parameter": "train.learning_rate",
    "type": "float",
    "low": 1e-3,
    "high": 1e-1,
    "log": True,
}
DEPTH: dict[str, Any] = {
    "parameter": "model.n_layers",
    "type": "int",
    "low": 2,
    "high": 4,
    "step": 1,
}
NOISE = Noise(0.01, 20, "confirmation")


def place(*places: float) -> list[float]:
    """Learning rates at places of the range of LR."""
    return [10 ** (-3 + 2 * u) for u in places]


def trials(
    parameters: Mapping[str, Any],
    values: Sequence[float | None] | None = None,
    seeds: int = 1,
    minimize: bool = True,
) -> pd.DataFrame:
    """Trials with these parameters, best first unless `values` are given; None for a failed one."""
    count = len(next(iter(parameters.values())))
    given = [2 + 0.1 * n for n in range(count)] if values is None else values
    rows = [
        {
            "trial": n,
            "state": "failed" if value is None else "complete",
            "value": value,
            "tokens": 1,
            "configuration": n - n % seeds,
        }
        for n, value in enumerate(given)
    ]
    table = frame(rows, TRIALS)
    for key, settings in parameters.items():
        table[f"p.{key}"] = list(settings)
    return table.assign(rank=stats.ranks(table, minimize, seeds))


def only(
    table: pd.DataFrame, row: Mapping[str, Any], noise: Noise | None = None, **more: Any
) -> Any:
    """The advice for a single parameter."""
    advised = space.advice(table, frame([row], SPACE), noise or Noise(), True, **more)
    assert list(advised.columns) == list(space.SCHEMA)
    return advised.iloc[0]


def evenly(best: Sequence[float], n: int = 20) -> list[float]:
    """Places whose first are `best`, the rest spread over the range."""
    return [*best, *np.linspace(0.3, 0.7, n - len(best))]


@pytest.mark.parametrize(
    ("best", "advice", "end"),
    [
        ((0.9, 0.85, 0.95, 0.81, 0.5), "widen", "high"),  # four of five: p = 0.007
        ((0.1, 0.15, 0.05, 0.19, 0.5), "widen", "low"),
        ((0.85, 0.85, 0.95, 0.5, 0.5), "keep", ""),  # three of five: p = 0.058
        ((0.95, 0.5, 0.5, 0.5, 0.5), "edge", "high"),
        ((0.05, 0.5, 0.5, 0.5, 0.5), "edge", "low"),
        ((0.5, 0.9, 0.9, 0.5, 0.5), "keep", ""),
    ],
)
def test_a_range_is_widened_where_the_best_trials_crowd_at_its_end(
    best: tuple[float, ...], advice: str, end: str
) -> None:
    row = only(trials({LR["parameter"]: place(*evenly(best))}), LR)
    assert (row["advice"], row["end"]) == (advice, end)
    assert row["position"] == pytest.approx(best[0])
    if advice == "widen":
        assert (row["top"], row["of"]) == (4, 5)
        assert row["p"] == pytest.approx(5 * 0.2**4 * 0.8 + 0.2**5)


def test_a_range_is_widened_where_results_get_better_towards_its_end() -> None:
    row = only(trials({LR["parameter"]: place(*np.linspace(0.95, 0.0, 12))}), LR)
    assert (row["advice"], row["end"]) == ("widen", "high")
    assert "results improve towards it" in row["evidence"] or "of the best" in row["evidence"]
    falling = [0.95, *np.linspace(0.75, 0.0, 19)]
    row = only(trials({LR["parameter"]: place(*falling)}), LR)
    assert row["advice"] == "widen"
    assert "results improve towards it" in row["evidence"]
    assert row["new_high"] == pytest.approx(1.0)
    assert math.isnan(row["new_low"])


@pytest.mark.parametrize(("n", "advice"), [(9, "edge"), (10, "widen")])
def test_fewer_than_ten_configurations_are_an_edge_at_most(n: int, advice: str) -> None:
    table = trials({LR["parameter"]: place(*evenly((0.95, 0.95, 0.9, 0.9, 0.9), n))})
    assert only(table, LR)["advice"] == advice


def test_only_trials_that_have_a_parameter_speak_for_it() -> None:
    settings = [*place(0.95, 0.95, 0.9, 0.9, 0.9), *[math.nan] * 20]
    assert only(trials({LR["parameter"]: settings}), LR)["advice"] == "edge"


def test_many_seeds_of_one_configuration_are_one_place() -> None:
    once = evenly((0.95, 0.95, 0.5, 0.5, 0.5))
    thrice = [u for u in once for _ in range(3)]
    values = [2 + 0.1 * (n // 3) + 0.01 * (n % 3) for n in range(len(thrice))]
    row = only(trials({LR["parameter"]: place(*thrice)}, values, seeds=3), LR)
    assert row["advice"] == "edge"


def test_a_maximized_objective_is_judged_by_its_rank() -> None:
    settings = {LR["parameter"]: place(*evenly((0.9, 0.85, 0.95, 0.81, 0.5)))}
    upward = trials(settings, [-0.1 * n for n in range(20)], minimize=False)
    downward = trials(settings, [0.1 * n for n in range(20)])
    ranges = frame([LR], SPACE)
    pd.testing.assert_frame_equal(
        space.advice(upward, ranges, NOISE, False), space.advice(downward, ranges, NOISE, True)
    )


@pytest.mark.parametrize(
    ("failed", "advice"),
    [((0.9, 0.92, 0.99), "cliff"), ((0.9, 0.99), "keep"), ((0.9, 0.92, 0.5), "keep")],
)
def test_a_range_is_not_widened_where_all_beyond_failed(
    failed: tuple[float, ...], advice: str
) -> None:
    places = [*np.linspace(0.8, 0.0, 12), *failed]
    values = [*[2 + 0.1 * n for n in range(12)], *[None] * len(failed)]
    row = only(trials({LR["parameter"]: place(*places)}, values), LR)
    assert row["advice"] == advice
    assert math.isnan(row["new_high"])
    if advice == "cliff":
        assert row["end"] == "high"
        assert "All 3 trials above failed" in row["evidence"]


def test_failed_trials_far_from_the_winner_are_no_cliff_at_its_side() -> None:
    places = [0.3, *np.linspace(0.1, 0.8, 11), 0.9, 0.92, 0.99]
    values = [*[2 + 0.1 * n for n in range(12)], None, None, None]
    assert only(trials({LR["parameter"]: place(*places)}, values), LR)["advice"] == "keep"


@pytest.mark.parametrize(
    ("tied", "noise", "held", "advice"),
    [
        ((0.5, 0.52, 0.55, 0.48), NOISE, (), "narrow"),
        ((0.5, 0.52, 0.55, 0.2), NOISE, (), "keep"),  # 0.1 to 0.65: more than two fifths
        ((0.5, 0.52, 0.58), NOISE, (), "narrow"),  # 1.9 % by chance
        ((0.5, 0.52, 0.6), NOISE, (), "keep"),  # 2.8 % by chance
        ((0.5, 0.501), NOISE, (), "keep"),
        ((0.5, 0.52, 0.55, 0.48), Noise(), (), "keep"),
        ((0.5, 0.52, 0.55, 0.48), NOISE, (LR["parameter"],), "keep"),
    ],
)
def test_a_range_is_narrowed_to_where_all_tied_trials_lie(
    tied: tuple[float, ...], noise: Noise, held: tuple[str, ...], advice: str
) -> None:
    places = [*tied, *np.linspace(0.0, 1.0, 16)]
    values = [*[2 + 0.001 * n for n in range(len(tied))], *[3 + 0.1 * n for n in range(16)]]
    row = only(trials({LR["parameter"]: place(*places)}, values), LR, noise, held=held)
    assert row["advice"] == advice
    if advice == "narrow":
        ends = place(min(tied) - 0.1, max(tied) + 0.1)
        assert [row["new_low"], row["new_high"]] == pytest.approx(ends, rel=0.01)
        draws = np.random.default_rng(0).uniform(size=(100_000, len(tied)))
        by_chance = (np.ptp(draws, axis=1) <= max(tied) - min(tied)).mean()
        assert row["p"] == pytest.approx(by_chance, abs=0.002)


def test_choices_are_narrowed_to_those_of_tied_trials_and_never_to_one() -> None:
    widths = (8, 16, 32, 64, 128, 256, 512, 1024, 2048)
    row = {"parameter": "model.d_model", "type": "categorical", "choices": widths}
    rest, values = [*widths, *widths], [3 + 0.1 * n for n in range(18)]
    for tied, kept in (([64, 128, 64, 128, 128], (64, 128)), ([64] * 5, None)):
        table = trials({"model.d_model": [*tied, *rest]}, [2.0] * 5 + values)
        advised = only(table, row, NOISE)
        assert advised["advice"] == ("narrow" if kept else "keep")
        assert advised["new_choices"] == kept


def test_three_seeds_make_the_value_of_a_configuration_their_mean() -> None:
    places = [0.5, 0.52, 0.55, 0.48, *np.linspace(0.0, 1.0, 16)]
    thrice = [u for u in places for _ in range(3)]
    level = [2.0] * 4 + [3 + 0.1 * n for n in range(16)]
    # The lucky seed of the last configuration is the best run of all.
    values = [one + 0.001 * seed for one in level for seed in (-1, 0, 1)]
    values[-1] = 1.9
    row = only(trials({LR["parameter"]: place(*thrice)}, values, seeds=3), LR, NOISE)
    assert row["advice"] == "narrow"


@pytest.mark.parametrize(
    ("row", "settings", "changes"),
    [
        ({**LR, "hard_high": 0.2}, place(*evenly((0.95, 0.95, 0.9, 0.9, 0.9))), {"new_high": 0.2}),
        ({**LR, "hard_high": 0.1}, place(*evenly((0.95, 0.95, 0.9, 0.9, 0.9))), {}),
        ({**LR, "hard_low": 1e-5}, place(*evenly((0.05, 0.05, 0.1, 0.1, 0.1))), {"new_low": 1e-4}),
        (DEPTH, [4, 4, 4, 4, 4, *[3] * 8, *[2] * 8], {"new_high": 5}),
        ({**DEPTH, "low": 1}, [1, 1, 1, 1, 1, *[3] * 8, *[2] * 8], {}),
        (
            {"parameter": "train.weight_decay", "type": "float", "low": 0.0, "high": 0.2},
            [0.0, 0.0, 0.01, 0.01, 0.01, *[0.1] * 10],
            {},
        ),
        (
            {"parameter": "model.dropout", "type": "float", "low": 0.0, "high": 0.8},
            [0.8, 0.8, 0.8, 0.75, 0.75, *[0.4] * 10],
            {"new_high": 0.9},
        ),
        (
            {"parameter": "model.d_model", "type": "categorical", "choices": (32, 64, 96)},
            [96, 96, 96, 96, 96, *[32] * 10],
            {"new_choices": (32, 64, 96, 128)},
        ),
        (
            {"parameter": "train.beta2", "type": "categorical", "choices": (0.9, 0.95, 0.99)},
            [0.99, 0.99, 0.99, 0.99, 0.99, *[0.9] * 10],
            {},
        ),
    ],
    ids=["clipped", "at its bound", "free", "whole", "one layer", "zero", "open end", "choices",
         "below one"],
)  # fmt: skip
def test_a_range_is_widened_by_half_within_what_the_file_and_the_key_allow(
    row: Mapping[str, Any], settings: Sequence[Any], changes: Mapping[str, Any]
) -> None:
    advised = only(trials({row["parameter"]: settings}), row)
    assert advised["advice"] == ("widen" if changes else "keep")
    assert ("cannot be widened there" in advised["evidence"]) == (not changes)
    for name in ("new_low", "new_high", "new_choices"):
        if name == "new_choices":
            assert advised[name] == changes.get(name)
        else:
            assert advised[name] == pytest.approx(changes.get(name, math.nan), nan_ok=True)


def test_a_winner_that_lies_outside_of_the_present_range_is_told() -> None:
    row = only(trials({LR["parameter"]: place(1.2, 0.3, 0.4, 0.5, 0.6)}), LR)
    assert (row["advice"], row["end"]) == ("edge", "high")
    assert row["evidence"] == "The winner lies beyond the high end of the range as it is now."


def test_few_values_are_counted_and_not_measured() -> None:
    row = only(trials({DEPTH["parameter"]: [4, 3, 2, 3]}), DEPTH)
    assert row["evidence"] == "The winner has the highest of 3 values; that may be chance."


@pytest.mark.parametrize(
    ("low", "share"), [(2, None), (8, math.log(10.5 / 7.5) / math.log(32.5 / 7.5))]
)
def test_a_value_that_is_drawn_often_has_to_be_among_the_best_more_often(
    low: int, share: float | None
) -> None:
    row = {"parameter": "train.batch_size", "type": "int", "low": low, "high": 4 * low, "log": True}
    best, others = [low] * 4 + [2 * low], [4 * low] * 5 + [low] * 3 + [2 * low] * 7
    advised = only(trials({row["parameter"]: best + others}), row)
    assert advised["advice"] == ("edge" if share is None else "widen")
    if share is not None:
        assert advised["p"] == pytest.approx(chances.binomial_tail(4, 5, share))


@pytest.mark.parametrize("n", [1, 5, 8])
@pytest.mark.parametrize("p", [0.2, 1 / 3, 0.5])
def test_the_binomial_tail_is_that_of_all_outcomes(n: int, p: float) -> None:
    outcomes = list(itertools.product((0, 1), repeat=n))
    for hits in range(n + 1):
        weights = [p ** sum(one) * (1 - p) ** (n - sum(one)) for one in outcomes]
        tail = sum(w for w, one in zip(weights, outcomes, strict=True) if sum(one) >= hits)
        assert chances.binomial_tail(hits, n, p) == pytest.approx(tail)


KINDS: dict[str, dict[str, Any]] = {
    "any number": {"type": "float", "low": 1e-3, "high": 1e-1, "log": True},
    "three numbers": {"type": "int", "low": 2, "high": 4, "step": 1},
    "powers of few": {"type": "int", "low": 2, "high": 9, "log": True, "step": 1},
    "four choices": {"type": "categorical", "choices": (8, 16, 32, 64)},
}


def drawn(kind: Mapping[str, Any], rng: np.random.Generator, n: int) -> Any:
    """Random draws of a parameter, as Optuna's."""
    if kind["type"] == "categorical":
        return rng.choice(kind["choices"], n)
    if kind["type"] == "int" and not kind.get("log"):
        return rng.integers(kind["low"], kind["high"] + 1, n)
    half = 0.5 if kind["type"] == "int" else 0.0
    values = np.exp(rng.uniform(np.log(kind["low"] - half), np.log(kind["high"] + half), n))
    return np.clip(np.round(values), kind["low"], kind["high"]).astype(int) if half else values


def shares(studies: int, n: int, seed: int, optimum: float | None, seeds: int = 1) -> pd.DataFrame:
    """How often each parameter is given which advice. The loss is a parabola around `optimum` in
    the first one, where it is given, and otherwise noise."""
    rng = np.random.default_rng(seed)
    kinds = {"train.learning_rate": KINDS["any number"]} if optimum is not None else {}
    junk = {f"train.batch_size{i}": kind for i, kind in enumerate([*KINDS.values()] * 2)}
    rows = [{"parameter": key, **kind} for key, kind in (kinds or junk).items()]
    advised = []
    for _ in range(studies):
        settings = {str(row["parameter"]): np.repeat(drawn(row, rng, n), seeds) for row in rows}
        loss = rng.normal(0, 0.05, n).repeat(seeds)
        if optimum is not None:
            u = (np.log10(settings["train.learning_rate"]) + 3) / 2
            loss = loss + (u - optimum) ** 2
        loss = loss + rng.normal(0, 0.001, len(loss))
        table = trials(settings, list(loss), seeds=seeds)
        advised.append(space.advice(table, frame(rows, SPACE), Noise(), True))
    return pd.concat(advised)


@pytest.mark.parametrize(("n", "studies"), [(20, 60), (50, 60), (100, 60)])
def test_a_parameter_that_does_nothing_is_rarely_to_be_widened(n: int, studies: int) -> None:
    table = shares(studies, n, seed=n, optimum=None)
    assert (table["advice"] == "widen").mean() <= 0.08


def test_seeds_do_not_make_a_parameter_that_does_nothing_look_better() -> None:
    table = shares(60, 20, seed=7, optimum=None, seeds=3)
    assert (table["advice"] == "widen").mean() <= 0.08


def test_an_optimum_outside_of_the_range_is_found_from_fifty_trials_on() -> None:
    table = shares(100, 50, seed=1, optimum=1.1)
    assert ((table["advice"] == "widen") & (table["end"] == "high")).mean() >= 0.65


@pytest.mark.parametrize("n", [20, 50, 100])
def test_an_optimum_inside_of_the_range_is_left_alone(n: int) -> None:
    table = shares(100, n, seed=n, optimum=0.5)
    assert (table["advice"] == "widen").mean() <= 0.03


STATES: dict[str, list[tuple[str | None, float | None]]] = {
    "none": [],
    "one": [("complete", 2.0)],
    "pruned": [("pruned", 2.0)] * 12,
    "failed": [("failed", None)] * 12,
    "not finite": [("complete", math.inf)] * 12,
    "running": [(None, None)] * 3,
    "twelve alike": [("complete", 2.0)] * 12,
}


@pytest.mark.parametrize("name", STATES)
def test_any_record_is_answered(name: str, write: Any, trial: Any) -> None:
    rows = [trial(n, state=state, value=value) for n, (state, value) in enumerate(STATES[name])]
    sweep = Sweep.load(write(*rows))
    found = space.find(sweep, Noise())
    known = name in ("one", "twelve alike")
    assert found.known == known
    assert list(found.frame.columns) == list(space.SCHEMA)
    assert [check.light for check in found.checks] == ["space"]
    assert (found.checks[0].level == "unknown") == (not known or name == "one")
    assert found.answer.endswith(".")


@pytest.mark.parametrize(
    ("rates", "level", "number"),
    [
        ([1e-3, *np.geomspace(5e-4, 2e-3, 11)], "ok", "ranges hold"),
        ([9e-3, *np.geomspace(5e-4, 2e-3, 11)], "info", "1 at an edge"),
        (np.geomspace(9e-3, 2e-4, 12), "warn", "1 to change"),
    ],
)
def test_a_range_to_widen_is_a_warning_and_an_edge_is_not(
    rates: Any, level: str, number: str, write: Any, trial: Any
) -> None:
    rows = [
        trial(n, value=2 + 0.1 * n, parameters={"train.learning_rate": float(rate)})
        for n, rate in enumerate(rates)
    ]
    found = space.find(Sweep.load(write(*rows)), Noise())
    assert (found.checks[0].level, found.checks[0].number) == (level, number)


def test_values_that_the_file_names_elsewhere_are_not_narrowed_away(write: Any, trial: Any) -> None:
    ranges = {
        "train.learning_rate": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True},
        "model.n_layers": {"type": "int", "low": 1, "high": 30, "step": 1},
        "model.d_model": {
            "type": "categorical", "choices": [32, 64, 96], "when": {"model.n_layers": [1, 30]},
        },
    }  # fmt: skip
    layers = [15, 15, 16, 16, 1, 30, 4, 8, 20, 25, 28, 10]
    rates = [1e-3, 1.1e-3, 9e-4, 1e-3, *np.geomspace(1e-4, 1e-2, 8)]
    rows = [
        trial(
            n,
            value=2 + (0.0 if n < 4 else n),
            parameters={"model.n_layers": layers[n], "train.learning_rate": float(rates[n])},
        )
        for n in range(12)
    ]
    table = space.find(Sweep.load(write(*rows, space=ranges)), NOISE).frame
    advice = dict(zip(table["parameter"], table["advice"], strict=True))
    assert advice["train.learning_rate"] == "narrow"
    assert advice["model.n_layers"] == "keep"
