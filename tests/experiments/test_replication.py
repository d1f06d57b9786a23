"""Configurations that can still win are trained with more seeds, one race for all."""

from collections.abc import Callable
from typing import Any

import pytest
import simulation
from simulation import VOCABULARY, Workers

from experiments.replication import Entrant, can_win, contender, entrants, identity, means, seed_of
from experiments.search import Search
from experiments.spec import Sweep
from experiments.trial import State, Trial

Make = Callable[..., Sweep]


def entrant(name: str, *losses: float, begun: int | None = None, lost: bool = False) -> Entrant:
    return Entrant({"name": name}, len(losses) if begun is None else begun, losses, lost)


@pytest.mark.parametrize(
    ("racing", "expected"),
    [
        ([], None),
        ([entrant("a", begun=1)], None),
        ([entrant("a", 1.0)], "a"),
        ([entrant("a", 1.0), entrant("b", 2.0)], "a"),
        ([entrant("b", 2.0), entrant("a", 1.0)], "a"),
        ([entrant("a", 1.0), entrant("b", 1.0)], "a"),
        # The best is being trained again, and of the spread between seeds nothing is known.
        ([entrant("a", 1.0, begun=2), entrant("b", 1.1)], None),
        # One seed's step of 0.1 is a spread of 0.07: 1.1 may yet win, 2.0 may not.
        ([entrant("a", 1.0, 1.1, begun=3), entrant("b", 1.1)], "b"),
        ([entrant("a", 1.0, 1.1, begun=3), entrant("b", 2.0)], None),
        ([entrant("a", 1.0, 1.1), entrant("b", 1.04)], "b"),
        ([entrant("a", 1.0, 1.1, 1.05), entrant("b", 1.1)], "b"),
        ([entrant("a", 1.0, 1.1, 1.05), entrant("b", 1.1, 1.0, 1.1)], None),
        ([entrant("a", 1.0, 1.1, 1.05), entrant("b", 2.0)], None),
        ([entrant("a", 1.0, lost=True), entrant("b", 2.0)], "b"),
        ([entrant("a", lost=True, begun=1)], None),
        # Without any spread only the very same mean can win.
        ([entrant("a", 1.0, 1.0, 1.0), entrant("b", 1.0), entrant("c", 1.001)], "b"),
    ],
)
def test_the_best_that_can_win_and_has_no_training_on_its_way_is_next(
    racing: list[Entrant], expected: str | None
) -> None:
    chosen = contender(racing, 3)
    assert (chosen and chosen.params["name"]) == expected


def test_the_best_itself_can_always_win() -> None:
    best = entrant("a", 1.0)
    assert can_win(best, best, None)
    assert not can_win(entrant("b", 1.0), best, None)


def test_more_seeds_tell_smaller_differences_apart() -> None:
    few = [entrant("a", 1.0, 1.2), entrant("b", 1.3)]
    many = [entrant("a", *[1.0, 1.2] * 20), entrant("b", *[1.2, 1.4] * 20)]
    assert can_win(few[1], few[0], 0.14)
    assert not can_win(many[1], many[0], 0.14)


def test_all_configurations_share_their_seeds_and_the_first_is_the_sweeps() -> None:
    assert seed_of(7, 0) == 7
    seeds = [seed_of(7, replicate) for replicate in range(4)]
    assert len(set(seeds)) == 4
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert seeds == [seed_of(7, replicate) for replicate in range(4)]


def trial(number: int, name: str, state: State = "complete", value: float | None = 1.0) -> Trial:
    return Trial(number, {"name": name}, state, value)


def test_trials_are_gathered_by_configuration_in_the_order_in_which_they_began() -> None:
    known = [trial(0, "b"), trial(1, "a", value=2.0), trial(2, "b", value=3.0)]
    running = [trial(3, "c", "running", None), trial(4, "a", "running", None)]
    assert entrants(known, running) == [
        entrant("b", 1.0, 3.0),
        entrant("a", 2.0, begun=2),
        entrant("c", begun=1),
    ]


@pytest.mark.parametrize("state", ["pruned", "failed"])
def test_a_configuration_that_did_not_reach_its_end_once_has_lost(state: State) -> None:
    (found,) = entrants([trial(0, "a"), trial(1, "a", state, 0.5)], [])
    assert found == entrant("a", 1.0, begun=2, lost=True)


def test_what_only_took_anothers_result_does_not_race() -> None:
    twin = Trial(1, {"name": "a"}, "complete", 1.0, same_as=0)
    assert entrants([trial(0, "a"), twin], []) == [entrant("a", 1.0)]


def test_the_order_of_parameters_is_no_part_of_a_configuration() -> None:
    assert identity(Trial(0, {"a": 1, "b": 2})) == identity(Trial(1, {"b": 2, "a": 1}))


SPACE: dict[str, Any] = {
    "train.learning_rate": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True},
    "model.n_layers": {"type": "int", "low": 1, "high": 3},
}
ONE = {"model.n_layers": {"type": "int", "low": 1, "high": 3}}
FINITE = {"model.n_layers": {"type": "int", "low": 1, "high": 9}}


@pytest.fixture
def make(make_sweep: Make) -> Make:
    """Make a sweep that trains what can win with three seeds."""

    def make_one(**changes: Any) -> Sweep:
        options = {
            "space": SPACE,
            "enqueue": [],
            "trials": 18,
            "max_concurrent": 4,
            "replicates": 3,
            "pruner": {"type": "none"},
            "sampler": {"type": "tpe", "n_startup_trials": 3},
            **changes,
        }
        return make_sweep({"train.max_iters": 10}, **options)

    return make_one


def noisy(trial: Trial, step: int) -> float:
    """A loss with some noise of the seed."""
    noise = ((trial.replicate * 7 + 3 * len(str(trial.params))) % 5) / 50
    return simulation.smooth(trial, step) + noise


@pytest.mark.parametrize(
    ("sampler", "space", "pruner"),
    [
        ({"type": "tpe", "n_startup_trials": 3}, SPACE, {"type": "none"}),
        ({"type": "random"}, ONE, {"type": "none"}),
        ({"type": "cmaes"}, SPACE, {"type": "none"}),
        ({"type": "nsgaii", "population_size": 3}, SPACE, {"type": "none"}),
        ({"type": "qmc"}, SPACE, {"type": "median", "n_startup_trials": 2}),
        ({"type": "grid"}, FINITE, {"type": "none"}),
    ],
    ids=["tpe", "twins", "cmaes", "nsgaii", "qmc", "grid"],
)
def test_a_race_is_the_same_for_any_number_of_workers(
    make: Make, sampler: dict[str, Any], space: dict[str, Any], pruner: dict[str, Any]
) -> None:
    sweep = make(sampler=sampler, space=space, pruner=pruner)
    golden, *others = simulation.outcomes(sweep, noisy)
    assert {trial.replicate for trial in golden} >= {0, 1}
    assert others == [golden] * 3


def test_replicates_are_numbered_in_their_order_and_the_best_has_all(make: Make) -> None:
    trials = Workers(make(), 4, loss=noisy).finish_all()
    seen: dict[Any, list[int]] = {}
    for one in trials:
        if one.same_as is None:
            seen.setdefault(identity(one), []).append(one.replicate)
    assert all(replicates == list(range(len(replicates))) for replicates in seen.values())
    assert max(map(len, seen.values())) == 3
    assert min(map(len, seen.values())) == 1


def test_a_replicate_trains_the_same_run_with_another_seed(make: Make) -> None:
    search = Search(make(), VOCABULARY)
    params = {"train.learning_rate": 0.01, "model.n_layers": 2}
    first, second = (search.run_of(Trial(n, params, replicate=n)) for n in (0, 1))
    assert second == {**first, "seed": seed_of(first["seed"], 1)}
    assert second["seed"] != first["seed"]


def test_the_sampler_sees_the_mean_of_a_configuration(make: Make) -> None:
    sweep, params = make(max_concurrent=1), {"train.learning_rate": 0.01, "model.n_layers": 2}
    there = [
        Trial(n, params, "complete", value, {10: value}, replicate=n)
        for n, value in enumerate((1.0, 2.0, 6.0))
    ]
    search = Search(sweep, VOCABULARY)
    (seen,) = search._configurations(search.version(3), 3, there)
    assert (seen.value, seen.params) == (3.0, params)


def test_a_result_that_was_taken_over_is_no_second_opinion() -> None:
    params = {"train.learning_rate": 0.01}
    trials = [
        Trial(0, params, "complete", 2.0),
        Trial(1, params, "complete", 2.0, same_as=0),
        Trial(2, params, "complete", 3.0, replicate=1),
    ]
    assert means(trials) == {0: 2.5}
