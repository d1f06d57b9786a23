from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis import axes, charts
from analysis.load import Sweep

Write = Callable[..., Path]
Trial = Callable[..., Any]


def draw_curves(sweep: Sweep) -> charts.Spec:
    chart = charts.learning_curves(sweep.trials, sweep.curves)
    assert chart is not None
    return chart


def test_only_the_best_five_curves_have_a_name_and_lie_on_top(write: Write, trial: Trial) -> None:
    chart = draw_curves(Sweep.load(write(*[trial(n, value=3.0 - n / 10) for n in range(8)])))
    rows = chart["datasets"]["curves"]
    ends = [(row["trial"], row.get("name")) for row in rows if row["step"] == 250]
    assert [trial for trial, name in ends if name] == [7, 6, 5, 4, 3]
    assert ends[-5:] == [(trial, f"trial {trial}") for trial in (7, 6, 5, 4, 3)]


def test_first_steep_fall_does_not_flatten_the_curves(write: Write, trial: Trial) -> None:
    chart = draw_curves(Sweep.load(write(*[trial(n, value=1.5 + n / 10) for n in range(5)])))
    low, high = chart["layer"][0]["encoding"]["y"]["scale"]["domain"]
    assert low < 1.5
    assert high < 3.5


def test_pruned_curve_ends_in_a_mark(write: Write, trial: Trial) -> None:
    sweep = Sweep.load(write(trial(0), trial(1, "pruned", steps=(0, 50))))
    marks = draw_curves(sweep)["datasets"]["ends"]
    assert [(row["trial"], row["step"], row["state"]) for row in marks] == [(1, 50, "pruned")]


def test_history_shows_every_trial_whatever_became_of_it(write: Write, trial: Trial) -> None:
    sweep = Sweep.load(
        write(
            trial(0),
            trial(1, "pruned", value=3.0, steps=(0, 50)),
            trial(2, "failed", value=None, steps=()),
            trial(3, None, steps=(0, 50)),
        )
    )
    chart = charts.history(sweep.trials, minimize=True, title="val_loss")
    assert chart is not None
    points = chart["datasets"]["points"]
    assert [(row["trial"], row["state"]) for row in points] == [
        (0, "complete"), (1, "pruned"), (2, "failed"), (3, "unfinished"),
    ]  # fmt: skip
    assert [row["trial"] for row in points if "value" not in row] == [2]
    assert [row["trial"] for row in chart["datasets"]["best"]] == [0]


def test_slices_use_the_scale_that_was_searched(write: Write, trial: Trial) -> None:
    sweep = Sweep.load(write(trial(0), trial(1)))
    drawn = charts.slices(sweep.trials, sweep.space, minimize=True, title="val_loss")
    scales = {name: chart["layer"][0]["encoding"]["x"] for name, chart in drawn.items()}
    assert scales["train.learning_rate"]["scale"]["type"] == "log"
    assert "type" not in scales["model.n_layers"]["scale"]
    assert scales["model.d_model"]["scale"]["domain"] == ["32", "64", "96"]


def test_without_data_there_is_no_chart(write: Write) -> None:
    sweep = Sweep.load(write())
    assert charts.learning_curves(sweep.trials, sweep.curves) is None
    assert charts.history(sweep.trials, True, "val_loss") is None
    assert charts.slices(sweep.trials, sweep.space, True, "val_loss") == {}


def test_same_frames_give_the_same_chart(write: Write, trial: Trial) -> None:
    sweep = Sweep.load(write(trial(0), trial(1)))
    assert draw_curves(sweep) == draw_curves(sweep)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, "0"), (0.0, "0"), (64, "64"), (0.25, "0.25"), (True, "True"), ("1", "1"), (None, "None")],
)
def test_equal_choices_share_a_place_on_the_axis(value: object, expected: str) -> None:
    assert axes.level(value) == expected


def test_trial_without_the_parameter_is_not_drawn_over_it(write: Write, trial: Trial) -> None:
    when = {"model.d_model": 32}
    space = {
        "model.d_model": {"type": "categorical", "choices": [32, 64]},
        "train.x": {"type": "float", "low": 0.0, "high": 1.0, "when": when},
        "train.y": {"type": "categorical", "choices": ["a", "b"], "when": when},
    }
    chosen = [{"model.d_model": d, "train.x": 0.5, "train.y": "a"} for d in (32, 64, 32)]
    rows = [trial(n, parameters=parameters) for n, parameters in enumerate(chosen)]
    sweep = Sweep.load(write(*rows, space=space))
    drawn = charts.slices(sweep.trials, sweep.space, minimize=True, title="val_loss")
    numbers = {
        key: [row["trial"] for row in chart["datasets"][f"points:{key}"]]
        for key, chart in drawn.items()
    }
    assert numbers == {"model.d_model": [0, 1, 2], "train.x": [0, 2], "train.y": [0, 2]}


LOG = {"type": "float", "low": 1e-3, "high": 1e-2, "log": True}
CHOICES = {"type": "categorical", "choices": ["a"]}


@pytest.mark.parametrize(
    ("spec", "before", "value", "domain"),
    [
        (LOG, {**LOG, "low": 1e-4}, 1e-4, [1e-4, 1e-2]),
        (LOG, {"type": "float", "low": 0, "high": 1}, 0.0, None),
        (LOG, CHOICES, "a", None),
        ({"type": "int", "low": 1, "high": 4}, {"type": "int", "low": 1, "high": 8}, 8, [1, 8]),
        (CHOICES, {"type": "categorical", "choices": ["b"]}, "b", ["a", "b"]),
        (CHOICES, LOG, 0.5, ["a", "0.5"]),
    ],
)
def test_axis_holds_what_an_earlier_version_of_the_file_searched(
    write: Write,
    trial: Trial,
    spec: dict[str, Any],
    before: dict[str, Any],
    value: Any,
    domain: list[Any] | None,
) -> None:
    earlier = [{"until": 1, "sweep": {"space": {"train.x": before}}}]
    rows = [trial(0, parameters={"train.x": value})]
    sweep = Sweep.load(write(*rows, space={"train.x": spec}, earlier=earlier))
    drawn = charts.slices(sweep.trials, sweep.space, minimize=True, title="val_loss")
    shown = [chart["layer"][0]["encoding"]["x"]["scale"]["domain"] for chart in drawn.values()]
    assert shown == ([] if domain is None else [domain])


def test_trade_off_marks_the_front(write: Write, trial: Trial) -> None:
    objectives = [{"metric": m, "direction": "minimize"} for m in ("val_loss", "params")]
    sizes = [100, 10_000, 20_000, None]
    rows = [
        trial(n, value=3.0 - n / 2 if n < 2 else 2.6, metrics={"parameters": size})
        for n, size in enumerate(sizes)
    ]
    sweep = Sweep.load(write(*rows, trial(4, "pruned"), objective=objectives))
    chart = charts.tradeoffs(sweep.trials, sweep.front, sweep.objectives)
    assert chart is not None
    points = chart["datasets"]["tradeoffs"]
    assert [(row["trial"], "front" in row) for row in points] == [(0, True), (1, True), (2, False)]
    assert chart["layer"][0]["encoding"]["x"]["scale"]["type"] == "log"


def test_best_seed_of_each_of_the_best_configurations_is_in_colour(
    write: Write, trial: Trial
) -> None:
    rows = [
        trial(n, value=2.0 + x - n / 10, seed=n, parameters={"train.x": x})
        for n, x in enumerate([0, 0, 1, 1])
    ]
    chart = draw_curves(Sweep.load(write(*rows, replicates=2)))
    assert {row["trial"] for row in chart["datasets"]["curves"] if "name" in row} == {1, 3}
