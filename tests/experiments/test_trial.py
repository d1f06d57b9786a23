"""Small parts of the search: trials, objectives, budgets, snapshots and distributions."""

import optuna
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import RandomSampler

from experiments import budget
from experiments.budget import Budget, PerTrial
from experiments.frozen import frozen
from experiments.objective import Objective, measured
from experiments.parameter import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    Scalar,
    Searched,
)
from experiments.snapshot import ask, distribution, study_of, suggested
from experiments.trial import Trial, begun, finished
from tinygpt.schema import ConfigError

METRICS = {"parameters": 400, "tokens": 100, "flops_per_token": 7, "seconds_per_token": 0.5}
LOSS, PARAMS = Objective(), Objective(metric="params")
SPACE: dict[str, Searched] = {
    "a": FloatParameter(low=0.0, high=1.0),
    "b": IntParameter(low=1, high=3),
    "c": CategoricalParameter(choices=("x", "y")),
}
DRAWN = {key: distribution(parameter) for key, parameter in SPACE.items()}
VALUES: dict[str, Scalar] = {"a": 0.5, "b": 2, "c": "y"}


def test_a_trial_ends_with_what_its_result_says() -> None:
    result = {"state": "complete", "value": 1.5, "reason": None, "metrics": METRICS, "same_as": 3}
    trial = finished(Trial(4, VALUES, reports={5: 2.0}, replicate=1), result)
    assert trial == Trial(4, VALUES, "complete", 1.5, {5: 2.0}, None, 1, METRICS, 3)
    assert finished(trial, {k: v for k, v in result.items() if k != "same_as"}).same_as is None
    assert begun(trial) == Trial(4, VALUES, replicate=1, same_as=3)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("val_loss", 2.5),
        ("params", 400),
        ("tokens", 100),
        ("flops", 700),
        ("seconds_per_token", 0.5),
    ],
)
def test_the_metrics_of_a_trial(metric: str, expected: float) -> None:
    assert measured(metric, 2.5, METRICS) == expected


def test_a_loss_is_minimized() -> None:
    with pytest.raises(ConfigError, match="must be minimize"):
        Objective(direction="maximize")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", 90),
        ("30m", 1800),
        ("1.5h", 5400),
        ("2d", 172800),
        ("2 h", 7200),
        *((text, None) for text in ("2", "h", "-1s", "2H", "", "1h30m")),
    ],
)
def test_durations(text: str, expected: float | None) -> None:
    assert budget.seconds(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("5B", 5), ("500MB", 5e8), ("2 GB", 2e9), ("1.5TB", 1.5e12), ("2", None), ("2gb", None)],
)
def test_amounts(text: str, expected: float | None) -> None:
    assert budget.size(text) == expected


def test_faulty_budgets_are_refused() -> None:
    with pytest.raises(ConfigError, match="time: must be like 90s, 30m or 2h, got 'soon'"):
        Budget(time="soon")
    with pytest.raises(ConfigError, match="flops: cannot stand beside tokens"):
        PerTrial(tokens=1.0, flops=1.0)
    assert not PerTrial().limited()


@pytest.mark.parametrize(
    ("trial", "objectives", "values"),
    [
        (Trial(0, VALUES, "complete", 2.0, {}, metrics=METRICS), [LOSS], [2.0]),
        (Trial(0, VALUES, "complete", 2.0, {}, metrics=METRICS), [PARAMS, LOSS], [400.0, 2.0]),
        (Trial(0, VALUES, "pruned", 3.0, {5: 3.0}), [LOSS], [3.0]),
        (Trial(0, VALUES, "pruned", 3.0, {5: 3.0}), [LOSS, PARAMS], None),
        (Trial(0, VALUES, "failed", None, {5: 3.0}, "it would not"), [LOSS], None),
        (Trial(0, VALUES), [LOSS], None),
    ],
)
def test_a_trial_as_optuna_stores_it(
    trial: Trial, objectives: list[Objective], values: list[float] | None
) -> None:
    stored = frozen(trial, DRAWN, objectives, 7, {"note": 1})
    names = {"failed": "FAIL"}
    assert stored.state.name == names.get(trial.state, trial.state.upper())
    assert (stored.number, stored.params, stored.values) == (7, VALUES, values)
    assert stored.intermediate_values == trial.reports
    assert stored.user_attrs == ({"reason": trial.reason} if trial.reason else {})
    assert stored.system_attrs == {"note": 1}


def snapshot(count: int, objectives: list[Objective]) -> optuna.Study:
    trials = [
        frozen(Trial(n, VALUES, "complete", abs(3.0 - n), metrics=METRICS), DRAWN, objectives, n)
        for n in range(count)
    ]
    ways = [one.direction for one in objectives]
    return study_of("small", ways, trials, RandomSampler(seed=1))


def test_a_snapshot_holds_its_trials_and_knows_the_best() -> None:
    study = snapshot(6, [LOSS])
    assert [trial.number for trial in study.trials] == list(range(6))
    assert (study.best_trial.number, study.best_value) == (3, 0.0)
    assert len(snapshot(4, [LOSS, PARAMS]).best_trials) == 1


@pytest.mark.parametrize("count", [0, 1, 5])
def test_the_next_trial_of_a_snapshot_has_the_next_number(count: int) -> None:
    study = snapshot(count, [LOSS])
    trial = ask(study)
    assert trial.number == count
    values = {key: suggested(trial, key, parameter) for key, parameter in SPACE.items()}
    assert all(values[key] in parameter for key, parameter in SPACE.items())
    assert study.trials[count].params == values


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        (FloatParameter(low=0.1, high=1.0, log=True), FloatDistribution(0.1, 1.0, log=True)),
        (FloatParameter(low=0.0, high=1.0, step=0.5), FloatDistribution(0.0, 1.0, step=0.5)),
        (IntParameter(low=1, high=5, step=2), IntDistribution(1, 5, step=2)),
        (CategoricalParameter(choices=("x", None)), CategoricalDistribution(("x", None))),
    ],
)
def test_a_parameter_as_optuna_draws_it(parameter: Searched, expected: BaseDistribution) -> None:
    assert distribution(parameter) == expected
