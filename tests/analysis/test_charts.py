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
