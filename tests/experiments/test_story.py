"""The sweep's own run tells the same whoever ended first, and nothing that is not known."""

from collections.abc import Callable
from typing import Any

import pytest

from experiments.spec import Sweep
from experiments.story import LEADERS, Story
from experiments.trial import Trial

Make = Callable[..., Sweep]
KEY = "train.learning_rate"
SIZE = {"metric": "params", "direction": "maximize"}


def trial(number: int, value: float | None, state: Any = "complete", **changes: Any) -> Trial:
    params = {KEY: 1e-4 * (number + 1), "model.d_head": 8, "model.d_model": 16}
    return Trial(number, params, state, value, metrics={"tokens": 100, "steps": 9}, **changes)


@pytest.fixture
def story(make_sweep: Make) -> Story:
    rates = {"type": "float", "low": 1e-4, "high": 0.1, "log": True}
    return Story(make_sweep(space={KEY: rates}, enqueue=[]))


def test_each_row_says_how_many_ended_and_what_is_best_so_far(story: Story) -> None:
    rows = [
        story.take(trial(0, 2.0)),
        story.take(trial(1, None, "failed")),
        story.take(trial(2, 3.0, "pruned")),
        story.take(trial(3, 1.5)),
        story.take(trial(4, 1.8)),
    ]
    assert [row.get("trial/val_loss_nats") for row in rows] == [2.0, None, None, 1.5, 1.8]
    assert [row["best/val_loss_nats"] for row in rows] == [2.0, 2.0, 2.0, 1.5, 1.5]
    counts = ("trials/complete", "trials/pruned", "trials/failed", "trials/tokens")
    assert [rows[-1][name] for name in counts] == [3, 1, 1, 500]


def test_a_trial_that_took_anothers_result_cost_no_tokens(story: Story) -> None:
    story.take(trial(0, 2.0))
    assert story.take(trial(1, 2.0, same_as=0))["trials/tokens"] == 100


def test_an_objective_that_is_to_be_maximized_is_best_when_it_is_largest(make_sweep: Make) -> None:
    story = Story(make_sweep(objective=[SIZE, {"metric": "val_loss"}], pruner={"type": "none"}))
    for number, value in enumerate((2.0, 3.0, 1.0)):
        row = story.take(Trial(number, {}, "complete", value, metrics={"parameters": value}))
    assert row["best/params"] == 3.0
    assert story.summary()["best/trial"] == 1


def test_the_leaderboard_has_the_best_first_and_of_a_large_sweep_only_those(story: Story) -> None:
    for number in range(LEADERS + 5):
        story.take(trial(number, 5.0 - 0.01 * number, "pruned" if number == 104 else "complete"))
    columns, rows = story.leaderboard()
    assert columns == ["rank", "trial", "state", "val_loss_nats", "steps", KEY]
    assert len(rows) == LEADERS
    assert rows[0] == [1, "trial-0103", "complete", 5.0 - 1.03, 9, 1e-4 * 104]


def test_of_importances_nothing_is_said_before_ten_complete_trials(make_sweep: Make) -> None:
    space = {
        KEY: {"type": "float", "low": 1e-5, "high": 0.1},
        "model.d_model": {"type": "categorical", "choices": [8, 16]},
    }
    story = Story(make_sweep(space=space, enqueue=[]))
    for number in range(10):
        assert story.importances() == {}
        params = {KEY: 1e-3 * (number + 1), "model.d_model": 8 * (1 + number % 2)}
        story.take(Trial(number, params, "complete", number * 1.0))
    shares = story.importances()
    assert set(shares) == {KEY, "model.d_model"}
    assert sum(shares.values()) == pytest.approx(1)
    assert max(shares, key=lambda key: shares[key]) == KEY


def test_the_ranking_is_shown_after_5_10_20_50_100_trials(story: Story) -> None:
    shown = []
    for number in range(120):
        story.take(trial(number, 1.0))
        if story.is_milestone():
            shown.append(number + 1)
    assert shown == [5, 10, 20, 50, 100]
