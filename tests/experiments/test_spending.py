"""A budget ends the same sequence of trials earlier, with any number of workers."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import simulation
from simulation import Workers

from experiments.spec import Sweep
from experiments.trial import Trial

Make = Callable[..., Sweep]

SPACE = {
    "train.learning_rate": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True},
    "train.batch_size": {"type": "int", "low": 2, "high": 8},
    "model.n_layers": {"type": "int", "low": 1, "high": 3},
}
TOKENS_OF_ONE = 4 * 8 * 20  # of the run that all share: a batch of 4, 8 characters, 20 updates


@pytest.fixture
def make(make_sweep: Make) -> Make:
    """Make a sweep of trials that differ in what they cost."""

    def make_one(**changes: Any) -> Sweep:
        options = {
            "space": SPACE,
            "enqueue": [],
            "trials": 12,
            "max_concurrent": 4,
            "pruner": {"type": "median", "n_startup_trials": 2},
            "sampler": {"type": "tpe", "n_startup_trials": 3},
            **changes,
        }
        return make_sweep({"train.max_iters": 20}, **options)

    return make_one


def failing(trial: Trial, step: int) -> float:
    """A loss; every fifth trial diverges after its first evaluation."""
    return math.nan if trial.number % 5 == 1 and step > 5 else simulation.smooth(trial, step)


def spent(trials: list[Trial], measure: str) -> float:
    trained = [trial.metrics for trial in trials if trial.same_as is None]
    return sum(
        float(m["tokens"]) * (m["flops_per_token"] if measure == "flops" else 1) for m in trained
    )


@pytest.mark.parametrize("measure", ["tokens", "flops"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_budget_gives_a_prefix_of_the_same_sequence_and_is_kept(
    make: Make, measure: str, share: float
) -> None:
    whole = Workers(make(), 1, loss=failing).finish_all()
    limit = share * spent(whole, measure)
    golden, *others = simulation.outcomes(make(budget={measure: limit}), failing)
    assert others == [golden] * 3
    assert 0 < len(golden) < len(whole)
    assert golden == whole[: len(golden)]
    assert spent(golden, measure) <= limit


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (TOKENS_OF_ONE - 1, 0),
        (TOKENS_OF_ONE, 1),
        (2 * TOKENS_OF_ONE - 1, 1),
        (2.5 * TOKENS_OF_ONE, 2),
        (99 * TOKENS_OF_ONE, 12),
    ],
)
@pytest.mark.parametrize("count", [1, 4])
def test_a_trial_begins_only_if_it_fits_wholly(
    make: Make, tokens: float, expected: int, count: int
) -> None:
    space = {"train.learning_rate": SPACE["train.learning_rate"]}
    sweep = make(space=space, budget={"tokens": tokens}, pruner={"type": "none"})
    assert len(Workers(sweep, count).finish_all()) == expected


def test_what_takes_anothers_result_costs_nothing(make: Make) -> None:
    space = {"model.n_layers": {"type": "int", "low": 1, "high": 2}}
    budget = {"tokens": 2 * TOKENS_OF_ONE}
    sweep = make(space=space, sampler={"type": "random"}, budget=budget, pruner={"type": "none"})
    trials = Workers(sweep, 2).finish_all()
    assert len(trials) == 12
    assert sum(trial.same_as is None for trial in trials) == 2


@pytest.mark.parametrize(("cohorts", "expected"), [(0.9, 0), (1.0, 4), (1.9, 4), (2.5, 8)])
def test_cohorts_are_begun_whole(make: Make, cohorts: float, expected: int) -> None:
    space = {"train.learning_rate": SPACE["train.learning_rate"]}
    of_one = (4 * 5 + 2 * 5 + 1 * 10) / 20 * TOKENS_OF_ONE
    sweep = make(
        space=space,
        pruner={"type": "halving", "reduction_factor": 2, "min_iters": 5},
        budget={"tokens": cohorts * of_one},
    )
    for count in (1, 3):
        assert len(Workers(sweep, count).finish_all()) == expected


def test_trials_of_equal_cost_each_have_their_own_number_of_updates(make: Make) -> None:
    sweep = make(budget={"per_trial": {"tokens": TOKENS_OF_ONE}}, pruner={"type": "none"})
    golden, *others = simulation.outcomes(sweep)
    assert others == [golden] * 3
    assert len({max(trial.reports) for trial in golden}) > 2
    for trial in golden:
        assert trial.metrics["tokens"] == pytest.approx(TOKENS_OF_ONE, abs=8 * 8)
