"""The pruners of a sweep file: what they refuse, and what they stop."""

import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from experiments import pruners
from experiments.pruners import Halving, PatientPruner, Pruner, optuna_pruner
from tinygpt import schema
from tinygpt.schema import Checked, ConfigError

MAX_ITERS = 900


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder(Checked):
    """What a sweep is to its pruner."""

    pruner: Pruner


def options(**values: Any) -> Any:
    return schema.build(Holder, {"pruner": values}).pruner


def trial(reports: Mapping[int, float], *, complete: bool = True) -> FrozenTrial:
    return create_trial(
        state=TrialState.COMPLETE if complete else TrialState.RUNNING,
        value=list(reports.values())[-1] if complete else None,
        params={"x": 0.5},
        distributions={"x": FloatDistribution(0, 1)},
        intermediate_values=dict(reports),
    )


def study(made: Pruner) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    asked = optuna_pruner(made, max_iters=MAX_ITERS)
    return optuna.create_study(pruner=asked, study_name="small")


def stopped(made: Pruner, others: list[dict[int, float]], own: dict[int, float]) -> bool:
    """Whether a trial that comes after others is stopped at its last report."""
    asked = study(made)
    asked.add_trials([trial(other) for other in others])
    asked.add_trial(trial(own, complete=False))
    return bool(asked.pruner.prune(asked, asked.trials[-1]))


def curves(*levels: float, steps: tuple[int, ...] = (0, 100, 200, 300)) -> list[dict[int, float]]:
    return [{step: level for step in steps} for level in levels]


GOOD, BAD = {0: 1.0, 100: 1.0}, {0: 9.0, 100: 9.0}
FOUR = curves(2.0, 3.0, 4.0, 5.0)
EAGER = {"n_startup_trials": 1}


@pytest.mark.parametrize(
    ("values", "own", "expected"),
    [
        ({"type": "none"}, BAD, False),
        ({"type": "median", **EAGER}, BAD, True),
        ({"type": "median", **EAGER}, GOOD, False),
        ({"type": "median"}, BAD, False),
        ({"type": "median", **EAGER, "n_warmup_steps": 200}, BAD, False),
        ({"type": "percentile", "percentile": 25, **EAGER}, {0: 3.0}, True),
        ({"type": "percentile", "percentile": 75, **EAGER}, {0: 3.0}, False),
        ({"type": "successive_halving", "min_resource": 100}, BAD, True),
        ({"type": "successive_halving", "min_resource": 100}, GOOD, False),
        ({"type": "successive_halving", "min_resource": 101}, BAD, False),
        ({"type": "successive_halving"}, BAD, True),
        ({"type": "successive_halving", "min_early_stopping_rate": 3}, BAD, False),
        ({"type": "threshold", "upper": 8.0}, BAD, True),
        ({"type": "threshold", "upper": 8.0}, GOOD, False),
        ({"type": "threshold", "lower": 2.0}, GOOD, True),
        ({"type": "patient", "patience": 1}, {0: 1.0, 100: 2.0, 200: 3.0}, True),
        ({"type": "patient", "patience": 1}, {0: 3.0, 100: 2.0, 200: 1.0}, False),
        ({"type": "patient", "patience": 5}, {0: 1.0, 100: 2.0, 200: 3.0}, False),
        (
            {"type": "patient", "patience": 0, "wrapped_pruner": {"type": "median", **EAGER}},
            {0: 1.0, 100: 9.0},
            False,
        ),
        (
            {"type": "patient", "patience": 0, "wrapped_pruner": {"type": "threshold", "upper": 8}},
            {0: 1.0, 100: 9.0},
            True,
        ),
        ({"type": "wilcoxon", "n_startup_steps": 5}, {0: 9.0, 100: 9.1, 200: 9.2, 300: 9.3}, False),
        ({"type": "wilcoxon", "p_threshold": 0.2}, {0: 9.0, 100: 8.0, 200: 7.0, 300: 6.5}, True),
        ({"type": "wilcoxon"}, {0: 9.0, 150: 9.0}, False),
    ],
)
def test_a_pruner_stops_what_its_rule_says(
    values: dict[str, Any], own: dict[int, float], expected: bool
) -> None:
    assert stopped(options(**values), FOUR, own) is expected


def optunas_verdicts(asked: optuna.Study, losses: list[list[float]]) -> list[int]:
    """How many reports each trial made before Optuna stopped it, asked at every report."""
    lengths = []
    for curve in losses:
        running = asked.ask({"x": FloatDistribution(0, 1)})
        for place, loss in enumerate(curve):
            running.report(loss, 10 * (place + 1))
            if running.should_prune():
                asked.tell(running, state=TrialState.PRUNED)
                break
        else:
            asked.tell(running, curve[-1])
        lengths.append(len(asked.trials[-1].intermediate_values))
    return lengths


def our_verdicts(made: Pruner, losses: list[list[float]]) -> list[int]:
    """The same with a new study of plain reports for each question."""
    done: list[FrozenTrial] = []
    for curve in losses:
        for place in range(len(curve)):
            asked = study(made)
            asked.add_trials(done)
            reports = {10 * (i + 1): loss for i, loss in enumerate(curve[: place + 1])}
            asked.add_trial(trial(reports, complete=False))
            if asked.pruner.prune(asked, asked.trials[-1]):
                break
        done.append(trial(reports))
    return [len(one.intermediate_values) for one in done]


def made_up_losses(count: int, length: int) -> list[list[float]]:
    return [
        [(37 * i * i + 11 * i) % 101 / 10 + 5 / (step + 1) for step in range(length)]
        for i in range(count)
    ]


@pytest.mark.parametrize("bootstrap", [0, 2])
@pytest.mark.parametrize("skipped", [0, 1])
def test_halving_without_memory_stops_where_optunas_does_that_remembers(
    bootstrap: int, skipped: int
) -> None:
    losses = made_up_losses(12, 9)
    values = {
        "min_resource": 10,
        "reduction_factor": 2,
        "min_early_stopping_rate": skipped,
        "bootstrap_count": bootstrap,
    }
    optunas = optuna.pruners.SuccessiveHalvingPruner(**values)
    expected = optunas_verdicts(optuna.create_study(pruner=optunas), losses)
    assert our_verdicts(options(type="successive_halving", **values), losses) == expected
    assert len(set(expected)) > 1


def test_hyperband_without_memory_stops_where_optunas_does_that_remembers() -> None:
    losses = made_up_losses(12, 9)
    values = {"min_resource": 10, "max_resource": 90, "reduction_factor": 3}
    optunas = optuna.pruners.HyperbandPruner(**values)
    expected = optunas_verdicts(optuna.create_study(pruner=optunas, study_name="small"), losses)
    assert our_verdicts(options(type="hyperband", **values), losses) == expected
    assert len(set(expected)) > 1


def test_automatic_resources_are_settled_by_the_length_of_a_trial() -> None:
    settled, told = (
        [stopped(options(**values), FOUR, {step: 9.0}) for step in (8, 9, 30, 900)]
        for values in (
            {"type": "successive_halving"},
            {"type": "successive_halving", "min_resource": 9},
        )
    )
    assert settled == told == [False, True, True, True]
    losses = made_up_losses(9, 9)
    automatic = our_verdicts(options(type="hyperband", min_resource=10), losses)
    assert automatic == our_verdicts(
        options(type="hyperband", min_resource=10, max_resource=MAX_ITERS), losses
    )
    short = optuna_pruner(options(type="hyperband", min_resource=5000), max_iters=7)
    asked = optuna.create_study(pruner=short, study_name="small")
    asked.add_trial(trial(GOOD, complete=False))
    assert not short.prune(asked, asked.trials[0])


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"type": "medan"}, "pruner.type: must be none, median, percentile"),
        ({"type": "percentile"}, "pruner: the key 'percentile' is missing"),
        ({"type": "percentile", "percentile": 101}, "pruner.percentile: must be >= 0 and <= 100"),
        ({"type": "median", "interval_steps": 0}, "pruner.interval_steps: must be >= 1"),
        ({"type": "median", "exempt": 1.5}, "pruner.exempt: must be >= 0 and <= 1"),
        ({"type": "none", "exempt": 0.1}, "pruner.exempt: unknown key"),
        (
            {"type": "successive_halving", "min_resource": "aut"},
            "pruner.min_resource: must be a whole number or auto, got 'aut'",
        ),
        (
            {"type": "successive_halving", "min_resource": 0},
            "pruner.min_resource: must be >= 1, got 0",
        ),
        (
            {"type": "successive_halving", "reduction_factor": 1},
            "pruner.reduction_factor: must be >= 2, got 1",
        ),
        (
            {"type": "hyperband", "min_resource": 9, "max_resource": 8},
            "pruner.max_resource: must be >= min_resource (9), got 8",
        ),
        ({"type": "threshold"}, "pruner: must have upper, lower or both"),
        (
            {"type": "threshold", "lower": 2, "upper": 1},
            "pruner.lower: must be <= upper (1), got 2",
        ),
        ({"type": "wilcoxon", "p_threshold": 2}, "pruner.p_threshold: must be >= 0 and <= 1"),
        ({"type": "patient"}, "pruner: the key 'patience' is missing"),
        ({"type": "patient", "patience": -1}, "pruner.patience: must be >= 0, got -1"),
        (
            {"type": "patient", "patience": 1, "wrapped_pruner": {"type": "halving"}},
            "pruner.wrapped_pruner.type: must be median, percentile",
        ),
        (
            {"type": "patient", "patience": 1, "wrapped_pruner": {"type": "median", "exempt": 0.1}},
            "pruner.wrapped_pruner.exempt: belongs to the outer pruner",
        ),
        (
            {"type": "patient", "patience": 1, "wrapped_pruner": {"type": "median", "steps": 1}},
            "pruner.wrapped_pruner.steps: unknown key",
        ),
        ({"type": "halving"}, "pruner: the key 'min_iters' is missing"),
        ({"type": "halving", "min_iters": 1, "exempt": 0.1}, "pruner.exempt: unknown key"),
    ],
)
def test_what_a_pruner_refuses_is_told_under_its_key(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as raised:
        options(**values)
    assert str(raised.value.problems[0]).startswith(problem)


def test_no_pruner_to_wait_for_may_be_written_out() -> None:
    assert options(type="patient", patience=2, wrapped_pruner=None) == PatientPruner(patience=2)


def test_halving_is_not_asked_through_optuna() -> None:
    with pytest.raises(TypeError, match="halving is not one"):
        optuna_pruner(Halving(min_iters=10), max_iters=MAX_ITERS)


def test_a_package_is_missed_where_a_pruner_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    wilcoxon, median = options(type="wilcoxon"), options(type="median")
    within = options(type="patient", patience=1, wrapped_pruner={"type": "wilcoxon"})
    assert pruners.missing_package(wilcoxon) is None
    monkeypatch.setitem(sys.modules, "scipy", None)
    assert pruners.missing_package(wilcoxon) == pruners.missing_package(within) == "scipy"
    assert pruners.missing_package(median) is None


def test_making_and_asking_a_pruner_warns_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("wilcoxon", "hyperband", "successive_halving", "median"):
            stopped(options(type=name), curves(2.0, 3.0), {0: 9.0, 50: 9.0, 100: 9.0})
