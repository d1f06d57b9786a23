"""A sweep whose file was edited decides by the version that each trial comes from."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from experiments import spec
from experiments.search import Search
from experiments.spec import Sweep
from experiments.trial import Trial
from experiments.version import Earlier

RANDOM = {"type": "random"}
VOCABULARY = 40


def made(**changes: Any) -> Sweep:
    train = {"max_iters": 90, "eval_interval": 10}
    base: dict[str, Any] = {
        "name": "edited",
        "trials": 8,
        "max_concurrent": 1,
        "sampler": RANDOM,
        "run": {"data": {"corpus": "python_docs"}, "train": train},
        "space": rates(1e-3, 1e-1),
    }
    return spec.build({**base, **changes})


def rates(low: float, high: float) -> dict[str, Any]:
    return {"train.learning_rate": {"type": "float", "low": low, "high": high, "log": True}}


def grown(search: Search, trials: Sequence[Trial], count: int) -> list[Trial]:
    """The trials with `count` more, each finished before the next begins."""
    grown = list(trials)
    for number in range(len(trials), len(trials) + count):
        trial = search.propose(number, grown)
        assert trial is not None
        loss = 2.0 + number / 10
        grown.append(replace(trial, state="complete", value=loss, reports={10: loss}))
    return grown


def key(trials: Sequence[Trial], name: str = "train.learning_rate") -> list[Any]:
    return [trial.params[name] for trial in trials]


def test_a_configuration_outside_of_the_new_space_is_not_trained_with_another_seed() -> None:
    old = made(replicates=3)
    trials = grown(Search(old, VOCABULARY), [], 4)
    new = made(replicates=3, space=rates(1e-4, 2e-4))
    after = Search(new, VOCABULARY, [Earlier(4, old)]).propose(4, trials)
    assert after is not None
    assert 1e-4 <= after.params["train.learning_rate"] <= 2e-4
    assert after.replicate == 0


def test_what_was_queued_and_not_yet_tried_is_tried_after_an_edit() -> None:
    queue = [{"train.learning_rate": rate} for rate in (1e-3, 2e-3, 3e-3)]
    old = made(enqueue=queue)
    trials = grown(Search(old, VOCABULARY), [], 1)
    new = made(enqueue=[*queue, {"train.learning_rate": 4e-3}], max_concurrent=2)
    after = grown(Search(new, VOCABULARY, [Earlier(1, old)]), trials, 3)
    assert key(after) == [1e-3, 2e-3, 3e-3, 4e-3]


def test_every_point_of_a_grid_is_new_when_what_is_derived_from_it_changes() -> None:
    def sweep(expression: str) -> Sweep:
        choices = {"type": "categorical", "choices": [1e-3, 1e-2]}
        space = {"train.learning_rate": choices, "train.muon_lr": {"expr": expression}}
        return made(sampler={"type": "grid"}, space=space)

    old, new = sweep("train.learning_rate"), sweep("2 * train.learning_rate")
    trials = grown(Search(old, VOCABULARY), [], 2)
    after = grown(Search(new, VOCABULARY, [Earlier(2, old)]), trials, 2)
    assert sorted(key(after[2:])) == [1e-3, 1e-2]
    assert Search(new, VOCABULARY, [Earlier(2, old)]).propose(4, after) is None


def test_trials_of_a_searched_seed_inform_the_next_version() -> None:
    space = {**rates(1e-3, 1e-1), "seed": {"type": "int", "low": 0, "high": 9}}
    old, new = made(space=space), made(space=space, max_concurrent=2)
    trials = grown(Search(old, VOCABULARY), [], 4)
    search = Search(new, VOCABULARY, [Earlier(4, old)])
    assert all(search.informs(trial) for trial in trials)


def test_a_sequence_goes_on_behind_the_points_of_the_version_before() -> None:
    old = made(sampler={"type": "qmc"})
    new = made(sampler={"type": "qmc"}, max_concurrent=2)
    whole = grown(Search(old, VOCABULARY), [], 8)
    after = grown(Search(new, VOCABULARY, [Earlier(4, old)]), whole[:4], 4)
    assert key(after) == key(whole)


@pytest.mark.parametrize("pruner", [{"type": "median"}, {"type": "none"}])
def test_a_run_is_trained_again_only_if_another_pruner_might_have_ended_it(
    pruner: Mapping[str, Any],
) -> None:
    space = {"model.n_layers": {"type": "int", "low": 2, "high": 2}}
    old, new = made(space=space, pruner={"type": "median"}), made(space=space, pruner=pruner)
    trials = grown(Search(old, VOCABULARY), [], 1)
    again = Search(new, VOCABULARY, [Earlier(1, old)]).propose(1, trials)
    assert again is not None
    assert again.same_as == (0 if pruner["type"] == "median" else None)


def test_what_follows_from_the_length_knows_the_length_that_a_budget_gives() -> None:
    derived = {"train.warmup_iters": {"expr": "train.max_iters // 10"}}
    tokens = {"per_trial": {"tokens": 500 * 32 * 64}}
    sweep = made(space={**rates(1e-3, 1e-1), **derived}, budget=tokens)
    run = sweep.configurations(VOCABULARY).nested({"train.learning_rate": 0.01})
    assert (run["train"]["max_iters"], run["train"]["warmup_iters"]) == (500, 50)


def test_a_cohort_that_a_wider_grid_fills_up_waits_for_all_its_places() -> None:
    def sweep(count: int) -> Sweep:
        choices = [1e-3 * (i + 1) for i in range(count)]
        space = {"train.learning_rate": {"type": "categorical", "choices": choices}}
        halving = {"type": "halving", "min_iters": 10, "reduction_factor": 3, "cohort": 3}
        return made(sampler={"type": "grid"}, space=space, pruner=halving, trials=6)

    old, new = sweep(4), sweep(6)
    trials = [
        Trial(n, {"train.learning_rate": 1e-3 * (n + 1)}, reports={10: 2.0}) for n in range(4)
    ]
    assert Search(old, VOCABULARY).standings(3, trials)[3].state == "training"
    after = Search(new, VOCABULARY, [Earlier(4, old)])
    assert after.standings(3, trials)[3].state == "paused"
