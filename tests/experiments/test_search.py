"""Proposals and pruning are functions of the file and of what a trial may see, and nothing else."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from experiments import search
from experiments.search import Trial
from experiments.spec import Sweep

Make = Callable[..., Sweep]

EVERY_TYPE: dict[str, Any] = {
    "train.learning_rate": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True},
    "train.weight_decay": {"type": "float", "low": 0.0, "high": 0.2},
    "model.dropout": {"type": "float", "low": 0.0, "high": 0.3, "step": 0.1},
    "model.n_layers": {"type": "int", "low": 1, "high": 3},
    "train.accumulation": {"type": "int", "low": 1, "high": 8, "log": True},
    "train.batch_size": {"type": "int", "low": 2, "high": 8, "step": 2},
    "model.d_model": {"type": "categorical", "choices": [8, 16, 24]},
    "train.schedule": {"type": "categorical", "choices": ["cosine", "linear"]},
    "model.bias": {"type": "categorical", "choices": [True, False]},
}
TPE = {"type": "tpe", "n_startup_trials": 3}


@pytest.fixture
def make(make_sweep: Make) -> Make:
    """Make a sweep over every type of parameter, with no trial fixed beforehand."""

    def make_one(**changes: Any) -> Sweep:
        options = {"space": EVERY_TYPE, "enqueue": [], "sampler": TPE, **changes}
        return make_sweep({"model.d_head": 8}, **options)

    return make_one


def loss(params: Mapping[str, Any], step: int) -> float:
    """A made-up validation loss."""
    spoilt = abs(params["train.learning_rate"] - 0.01) + abs(params["model.d_model"] - 16) / 16
    return 2.0 + spoilt + 5.0 / (step + 1) + params["train.weight_decay"]


def finished(number: int, params: Mapping[str, Any], state: search.State = "complete") -> Trial:
    reports = {step: loss(params, step) for step in (5, 10, 15, 20)}
    value = None if state == "failed" else reports[20]
    return Trial(number, params, state, value, reports)


def history(sweep: Sweep, count: int) -> list[Trial]:
    """As many trials as the sweep would have, every third of them failed or pruned."""
    trials: list[Trial] = []
    for number in range(count):
        state: search.State = ("complete", "complete", "pruned", "failed")[number % 4]  # type: ignore[assignment]
        trials.append(finished(number, search.propose(sweep, number, trials), state))
    return trials


@pytest.mark.parametrize("sampler", [TPE, {"type": "random"}], ids=["tpe", "random"])
def test_every_proposal_is_within_the_space(make: Make, sampler: dict[str, Any]) -> None:
    sweep = make(sampler=sampler)
    trials = history(sweep, 16)
    for trial in trials:
        assert sorted(trial.params) == sorted(sweep.space)
        for key, value in trial.params.items():
            assert value in sweep.space[key], (key, value)
    for key in sweep.space:
        assert len({trial.params[key] for trial in trials}) > 1, key


@pytest.mark.parametrize("sampler", [TPE, {"type": "random"}], ids=["tpe", "random"])
def test_a_proposal_can_be_had_again(make: Make, sampler: dict[str, Any]) -> None:
    sweep = make(sampler=sampler)
    trials = history(sweep, 8)
    again = [search.propose(sweep, number, trials) for number in (7, 0, 3, 7)]
    assert again == [trials[number].params for number in (7, 0, 3, 7)]


@pytest.mark.parametrize("number", [0, 1, 5, 11])
def test_a_proposal_does_not_depend_on_what_is_known_beyond_its_distance(
    make: Make, number: int
) -> None:
    sweep = make(max_concurrent=3)
    trials = history(sweep, 12)
    expected = search.propose(sweep, number, trials[:number])
    known = max(0, number - 2)
    running = [Trial(trial.number, trial.params) for trial in trials[known:]]
    worse = [replace(trial, value=9.0, reports={5: 9.0}) for trial in trials[known:]]
    failed = [replace(trial, state="failed", value=None) for trial in trials[known:]]
    for later in (running, worse, failed, trials[known:number]):
        assert search.propose(sweep, number, [*trials[:known], *later]) == expected


def test_a_proposal_after_the_startup_depends_on_the_results_it_may_see(make: Make) -> None:
    sweep = make(max_concurrent=3)
    trials = history(sweep, 12)
    reversed_losses = [
        replace(trial, value=10 - trial.value) if trial.value else trial for trial in trials
    ]
    assert search.propose(sweep, 12, trials) != search.propose(sweep, 12, reversed_losses)


def test_the_last_trial_that_a_proposal_sees_is_max_concurrent_before_it(make: Make) -> None:
    sweep = make(max_concurrent=3)
    trials = history(sweep, 6)
    seen = search.visible(sweep, 5, trials)
    assert [trial.number for trial in seen] == [0, 1, 2, 3, 4]
    assert seen[:3] == trials[:3]
    assert seen[3:] == [Trial(n, trials[n].params) for n in (3, 4)]


@pytest.mark.parametrize(
    ("number", "distance", "known"), [(0, 1, 0), (1, 1, 1), (4, 1, 4), (4, 4, 1), (3, 4, 0)]
)
def test_what_is_visible_ends_at_the_distance(
    make: Make, number: int, distance: int, known: int
) -> None:
    sweep = make(max_concurrent=distance)
    trials = history(make(), 6)
    seen = search.visible(sweep, number, trials)
    assert [trial.state != "running" for trial in seen] == [True] * known + [False] * (
        number - known
    )


def test_parameters_of_running_trials_are_shown_to_the_sampler(make: Make) -> None:
    sweep = make(max_concurrent=4)
    trials = history(sweep, 12)
    proposal = search.propose(sweep, 12, trials)
    # Once three running trials are where the next one would go, it goes elsewhere.
    there = [Trial(number, proposal) for number in (9, 10, 11)]
    assert search.propose(sweep, 12, [*trials[:9], *there]) != proposal


def test_different_trials_and_different_seeds_are_proposed_differently(make: Make) -> None:
    proposals = [search.propose(make(seed=seed), 0, []) for seed in range(4)]
    proposals += [trial.params for trial in history(make(), 4)][1:]
    assert len({str(params) for params in proposals}) == 7


def test_the_order_of_the_keys_in_the_file_decides_nothing(make: Make) -> None:
    turned = dict(reversed(EVERY_TYPE.items()))
    assert list(turned) != list(EVERY_TYPE)
    assert history(make(space=turned), 8) == history(make(), 8)


def test_enqueued_trials_come_first_and_what_they_leave_out_is_proposed(make: Make) -> None:
    first = {"train.learning_rate": 0.01, "model.dropout": 0.3, "model.bias": False}
    sweep = make(enqueue=[first, {}, {"model.d_model": 24}])
    trials = history(sweep, 4)
    assert {key: trials[0].params[key] for key in first} == first
    assert trials[2].params["model.d_model"] == 24
    for trial in trials:
        assert all(value in sweep.space[key] for key, value in trial.params.items())


def test_an_enqueued_whole_number_becomes_the_fields_own_type(make: Make) -> None:
    space = {"train.learning_rate": {"type": "float", "low": 1e-3, "high": 2.0}}
    params = search.propose(make(space=space, enqueue=[{"train.learning_rate": 1}]), 0, [])
    assert (params["train.learning_rate"], type(params["train.learning_rate"])) == (1.0, float)


@pytest.mark.parametrize(
    ("number", "states", "expected"),
    [
        (0, "", True),
        (2, "rr", True),
        (3, "rrr", False),
        (3, "crr", True),
        (3, "rcc", False),
        (3, "frr", True),
        (3, "prr", True),
        (4, "ccrr", True),
        (4, "crcc", False),
        (4, "cccc", True),
        (3, "", False),
    ],
)
def test_a_trial_may_start_once_all_that_it_must_see_is_finished(
    make: Make, number: int, states: str, expected: bool
) -> None:
    names = {"r": "running", "c": "complete", "f": "failed", "p": "pruned"}
    trials = [Trial(i, {}, names[state]) for i, state in enumerate(states)]  # type: ignore[arg-type]
    assert search.may_start(make(max_concurrent=3), number, trials) is expected


class Workers:
    """So many workers that train in no time and finish in an order that chance decides."""

    def __init__(self, sweep: Sweep, count: int, seed: int) -> None:
        self.sweep, self.count, self.draw = sweep, count, random.Random(seed)
        self.trials: list[Trial] = []
        self.running: list[int] = []

    def finish_all(self) -> list[Trial]:
        while any(t.state == "running" for t in self.trials) or not self._begun():
            self._start()
            number = self.running.pop(self.draw.randrange(len(self.running)))
            self.trials[number] = self._trained(self.trials[number])
        return self.trials

    def _begun(self) -> bool:
        return len(self.trials) == self.sweep.trials

    def _start(self) -> None:
        while len(self.running) < self.count and not self._begun():
            number = len(self.trials)
            if not search.may_start(self.sweep, number, self.trials):
                return
            self.trials.append(Trial(number, search.propose(self.sweep, number, self.trials)))
            self.running.append(number)

    def _trained(self, trial: Trial) -> Trial:
        for step in (5, 10, 15, 20):
            reports = {**trial.reports, step: loss(trial.params, step)}
            trial = replace(trial, reports=reports)
            if step < 20 and search.should_prune(self.sweep, trial, self.trials):
                return replace(trial, state="pruned", value=reports[step])
        if trial.params["model.n_layers"] == 3:
            return replace(trial, state="failed")
        return replace(trial, state="complete", value=trial.reports[20])


def test_any_number_of_workers_in_any_order_gives_the_same_trials(make: Make) -> None:
    pruner = {"type": "median", "n_startup_trials": 2}
    sweep = make(trials=14, max_concurrent=4, pruner=pruner)
    golden = Workers(sweep, 1, 0).finish_all()
    assert {trial.state for trial in golden} == {"complete", "pruned", "failed"}
    for count in (2, 3, 4):
        for seed in range(2):
            assert Workers(sweep, count, seed).finish_all() == golden


MEDIAN = {"type": "median", "n_startup_trials": 2, "n_warmup_steps": 0}


def others(*curves: Sequence[float]) -> list[Trial]:
    """Complete trials with losses at steps 10, 20, ..."""
    reports = [{10 * (i + 1): loss for i, loss in enumerate(curve)} for curve in curves]
    return [Trial(n, {}, "complete", list(r.values())[-1], r) for n, r in enumerate(reports)]


@pytest.mark.parametrize(
    ("pruner", "reports", "expected"),
    [
        (MEDIAN, {10: 2.1}, True),
        (MEDIAN, {10: 1.9}, False),
        (MEDIAN, {10: 2.0}, False),
        (MEDIAN, {10: 9.0, 20: 1.4}, False),
        (MEDIAN, {10: 1.0, 20: 9.0}, False),
        (MEDIAN, {10: 1.9, 20: 1.8}, True),
        (MEDIAN, {5: 9.0}, False),
        (MEDIAN | {"n_startup_trials": 3}, {10: 2.1}, True),
        (MEDIAN | {"n_startup_trials": 4}, {10: 9.0}, False),
        (MEDIAN | {"n_warmup_steps": 10}, {10: 9.0}, True),
        (MEDIAN | {"n_warmup_steps": 11}, {10: 9.0}, False),
        (MEDIAN | {"n_warmup_steps": 11}, {10: 9.0, 20: 9.0}, True),
        (MEDIAN | {"interval_steps": 20}, {10: 9.0}, True),
        (MEDIAN | {"interval_steps": 20}, {10: 9.0, 15: 9.0, 20: 9.0}, True),
        (MEDIAN | {"interval_steps": 20, "n_warmup_steps": 1}, {10: 9.0, 20: 9.0}, False),
        (MEDIAN | {"n_min_trials": 3}, {10: 9.0}, True),
        (MEDIAN | {"n_min_trials": 4}, {10: 9.0}, False),
        ({"type": "none"}, {10: 9.0}, False),
    ],
)
def test_the_median_pruner_stops_what_is_worse_than_the_median_of_the_others(
    make: Make, pruner: dict[str, Any], reports: dict[int, float], expected: bool
) -> None:
    sweep = make(max_concurrent=1, pruner=pruner)
    trials = others([3.0, 2.0], [2.0, 1.5], [1.0, 1.0])
    trial = Trial(3, {}, reports=reports)
    assert bool(search.should_prune(sweep, trial, trials)) == expected
    assert bool(search.should_prune(sweep, trial, trials)) == expected


def test_a_verdict_does_not_depend_on_what_is_known_beyond_its_distance(make: Make) -> None:
    sweep = make(max_concurrent=3, pruner=MEDIAN)
    trials = others([3.0], [2.0], [1.0], [1.0])
    trial = Trial(4, {}, reports={10: 2.4})
    assert not search.should_prune(sweep, trial, trials)
    running = [Trial(2, {}, reports={10: 1.0}), Trial(3, {})]
    assert not search.should_prune(sweep, trial, [*trials[:2], *running])
    beyond = others([3.0], [2.0], [0.1], [0.1], [0.1], [0.1])
    assert not search.should_prune(sweep, trial, beyond)
    nearer = others([2.0], [2.0], [1.0], [1.0])
    assert search.should_prune(sweep, trial, nearer)


def test_pruned_trials_count_for_nothing_in_a_verdict(make: Make) -> None:
    sweep = make(max_concurrent=1, pruner=MEDIAN)
    trials = others([3.0], [2.0])
    trials.append(Trial(2, {}, "pruned", 0.1, {10: 0.1}))
    assert not search.should_prune(sweep, Trial(3, {}, reports={10: 2.4}), trials)


def test_a_trial_as_optuna_stores_it(make: Make) -> None:
    sweep = make()
    (params,) = [search.propose(sweep, 0, [])]
    trial = Trial(0, params, "failed", None, {5: 2.0}, "it would not")
    stored = search.frozen(sweep, trial)
    assert (stored.state.name, stored.value, stored.params) == ("FAIL", None, params)
    assert stored.intermediate_values == {5: 2.0}
    assert stored.user_attrs == {"reason": "it would not"}
    running = search.frozen(sweep, Trial(0, params))
    assert (running.state.name, running.value, running.user_attrs) == ("RUNNING", None, {})
