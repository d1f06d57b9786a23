"""A pruner's verdict is the same whenever it is asked, and some trials are spared."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import simulation
from simulation import VOCABULARY, Workers

from experiments.pruning import Judge
from experiments.search import Search
from experiments.spec import Sweep
from experiments.trial import Trial

Make = Callable[..., Sweep]

PRUNERS: list[dict[str, Any]] = [
    {"type": "median", "n_startup_trials": 2},
    {"type": "percentile", "percentile": 25.0, "n_startup_trials": 2},
    {"type": "successive_halving", "min_resource": 5, "reduction_factor": 2},
    {"type": "hyperband", "min_resource": 5, "reduction_factor": 2},
    {"type": "threshold", "upper": 3.2},
    {"type": "patient", "patience": 0, "wrapped_pruner": {"type": "threshold", "upper": 2.6}},
    {"type": "patient", "patience": 2},
    {"type": "wilcoxon", "p_threshold": 0.3, "n_startup_steps": 2},
]
SPACE = {
    "train.learning_rate": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True},
    "train.weight_decay": {"type": "float", "low": 0.0, "high": 0.9},
}


@pytest.fixture
def make(make_sweep: Make) -> Make:
    """Make a sweep of trials drawn at random, evaluated at 5, 10 ... 40 updates."""

    def make_one(pruner: dict[str, Any], **changes: Any) -> Sweep:
        sampler = {"type": "random"}
        options = {"space": SPACE, "enqueue": [], "trials": 10, "max_concurrent": 3, **changes}
        return make_sweep(pruner=pruner, sampler=sampler, **options)

    return make_one


def wavy(trial: Trial, step: int) -> float:
    """A loss that in the end rises for two of three trials."""
    return simulation.smooth(trial, step) + (trial.number % 3) * step / 40


@pytest.mark.parametrize("pruner", PRUNERS, ids=lambda pruner: pruner["type"])
def test_every_pruner_prunes_the_same_trials_with_any_number_of_workers(
    make: Make, pruner: dict[str, Any]
) -> None:
    golden, *others = simulation.outcomes(make(pruner), wavy)
    assert {trial.state for trial in golden} == {"complete", "pruned"}
    assert others == [golden] * 3


@pytest.mark.parametrize("pruner", PRUNERS, ids=lambda pruner: pruner["type"])
def test_every_verdict_can_be_had_again_in_any_order(make: Make, pruner: dict[str, Any]) -> None:
    sweep = make(pruner)
    trials = Workers(sweep, 1, loss=wavy).finish_all()
    asked = [(t, step) for t in trials for step in t.reports if step < 40]
    search = Search(sweep, VOCABULARY)
    verdicts = [search.verdict(begun(trial), step, trials) for trial, step in asked]
    backwards = [search.verdict(begun(t), step, trials) for t, step in reversed(asked)][::-1]
    fresh = [Search(sweep, VOCABULARY).verdict(begun(t), s, trials) for t, s in asked[::5]]
    assert backwards == verdicts
    assert fresh == verdicts[::5]
    for (trial, step), verdict in zip(asked, verdicts, strict=True):
        ends = trial.state == "pruned" and step == max(trial.reports)
        assert verdict.word == ("prune" if ends else "go on")
        assert verdict.reason == (f"pruned at step {step}" if ends else "")


def begun(trial: Trial) -> Trial:
    return replace(trial, state="running", value=None)


HARSH = {"type": "threshold", "upper": 0.1}


@pytest.mark.parametrize("exempt", [0.0, 0.1, 0.5, 1.0])
def test_the_share_of_trials_that_is_spared_is_near_the_one_asked_for(
    make: Make, exempt: float
) -> None:
    judge = Judge(make(HARSH | {"exempt": exempt}))
    spared = [judge.is_exempt(Trial(number, {})) for number in range(1000)]
    assert sum(spared) / 1000 == pytest.approx(exempt, abs=0.04)


def test_a_spared_trial_is_never_pruned_and_every_other_is(make: Make) -> None:
    judge = Judge(make(HARSH | {"exempt": 0.3}))
    trials = [Trial(number, {}, reports={5: 2.0}) for number in range(40)]
    stops = [judge.stops(trial, trials[: trial.number]) for trial in trials]
    assert stops == [not judge.is_exempt(trial) for trial in trials]
    assert True in stops
    assert False in stops


def test_who_is_spared_is_the_seeds_and_not_the_pruners(make: Make) -> None:
    def spared(**changes: Any) -> list[bool]:
        judge = Judge(make(PRUNERS[0] | {"exempt": 0.5}, **changes))
        return [judge.is_exempt(Trial(number, {})) for number in range(60)]

    assert spared() == spared(max_concurrent=1)
    assert spared() != spared(seed=1)


def test_replicates_and_trials_of_a_sweep_without_pruner_are_spared(make: Make) -> None:
    assert Judge(make(HARSH)).is_exempt(Trial(1, {}, replicate=1))
    assert not Judge(make(HARSH)).is_exempt(Trial(1, {}))
    assert Judge(make({"type": "none"})).is_exempt(Trial(1, {}))


def test_pruners_look_at_the_loss_whatever_is_optimized(make: Make) -> None:
    objective = [{"metric": "params", "direction": "maximize"}, {"metric": "val_loss"}]
    sweep = make(PRUNERS[0], objective=objective)
    assert {t.state for t in Workers(sweep, 2).finish_all()} == {"complete", "pruned"}
