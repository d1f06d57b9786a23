"""Cohorts wait at their rungs and the best go on, in whatever order they came there."""

import itertools
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import simulation
from simulation import VOCABULARY, Workers

from experiments import halving
from experiments.halving import Cohort, Standing
from experiments.pruners import Halving
from experiments.search import Search
from experiments.spec import Sweep
from experiments.trial import State, Trial

Make = Callable[..., Sweep]
Reports = Mapping[int, float]

COHORT = Cohort(index=0, first=0, size=4, rungs=(10, 20, 40))


@pytest.mark.parametrize(
    ("options", "max_iters", "expected"),
    [
        ({"min_iters": 10}, 90, [(0, 9, (10, 30, 90)), (9, 9, (10, 30, 90))]),
        ({"min_iters": 10, "reduction_factor": 2}, 40, [(0, 4, (10, 20, 40))]),
        ({"min_iters": 10}, 91, [(0, 27, (10, 30, 90, 91))]),
        ({"min_iters": 10}, 89, [(0, 9, (10, 30, 89))]),
        ({"min_iters": 10}, 11, [(0, 3, (10, 11)), (3, 3, (10, 11))]),
        ({"min_iters": 10, "cohort": 5}, 90, [(0, 5, (10, 30, 90)), (5, 5, (10, 30, 90))]),
        (
            {"min_iters": 10, "brackets": 3},
            90,
            [(0, 9, (10, 30, 90)), (9, 5, (30, 90)), (14, 3, (90,)), (17, 9, (10, 30, 90))],
        ),
    ],
)
def test_cohorts_follow_each_other_with_their_sizes_and_rungs(
    options: dict[str, Any], max_iters: int, expected: list[tuple[int, int, tuple[int, ...]]]
) -> None:
    found = itertools.islice(halving.cohorts(Halving(**options), max_iters), len(expected))
    assert [(cohort.first, cohort.size, cohort.rungs) for cohort in found] == expected


def test_every_number_is_in_one_cohort() -> None:
    options = Halving(min_iters=10, brackets=3)
    for number in range(40):
        assert number in halving.cohort_of(options, 90, number).numbers


@pytest.mark.parametrize(
    ("most", "expected"),
    [(1, [9]), (8, [9]), (9, [9, 14]), (16, [9, 14, 17]), (17, [9, 14, 17, 26])],
)
def test_the_numbers_of_trials_that_are_whole_cohorts(most: int, expected: list[int]) -> None:
    assert halving.totals(Halving(min_iters=10, brackets=3), 90, most) == expected


def trials(*reports: Reports | None, failed: tuple[int, ...] = ()) -> list[Trial]:
    """Trials with these reports; None for one that takes another's result."""
    states: dict[bool, State] = {True: "failed", False: "running"}
    return [
        Trial(n, {}, states[n in failed], reports=one or {}, same_as=0 if one is None else None)
        for n, one in enumerate(reports)
    ]


def shown(standings: Mapping[int, Standing]) -> str:
    """`t40 o10`: the first trains to 40, the second is out at 10."""
    return " ".join(f"{one.state[0]}{one.until}" for _, one in sorted(standings.items()))


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ([], ""),
        ([{}], "t10"),
        ([{5: 1.0}, {}], "t10 t10"),
        ([{10: 1.0}, {}], "p10 t10"),
        ([{10: 1.0}, {10: 2.0}, {10: 3.0}], "p10 p10 p10"),
        ([{10: 1.0}, {10: 2.0}, {10: 3.0}, {5: 4.0}], "p10 p10 p10 t10"),
        ([{10: 1.0}, {10: 2.0}, {10: 3.0}, {10: 4.0}], "t20 t20 o10 o10"),
        ([{10: 4.0}, {10: 3.0}, {10: 2.0}, {10: 1.0}], "o10 o10 t20 t20"),
        ([{10: 1.0}, {10: 1.0}, {10: 1.0}, {10: 1.0}], "t20 t20 o10 o10"),
        ([{10: 2.0}, {10: 1.0}, {10: 2.0}, {10: 2.0}], "t20 t20 o10 o10"),
        ([{10: 1.0, 20: 9.0}, {10: 2.0}, {10: 3.0}, {10: 4.0}], "p20 t20 o10 o10"),
        ([{10: 1.0, 20: 9.0}, {10: 2.0, 20: 8.0}, {10: 3.0}, {10: 4.0}], "o20 t40 o10 o10"),
        ([{10: 1.0, 20: 9.0}, {10: 2.0, 20: 9.0}, {10: 3.0}, {10: 4.0}], "t40 o20 o10 o10"),
    ],
)
def test_how_a_cohort_of_four_stands(there: list[Reports], expected: str) -> None:
    assert shown(halving.standings(COHORT, 2, trials(*there))) == expected


@pytest.mark.parametrize(
    ("there", "failed", "expected"),
    [
        ([{10: 1.0}, {10: 2.0}, {10: 3.0}, {}], (3,), "t20 t20 o10 t10"),
        ([{10: 1.0}, {}, {}, {}], (1, 2, 3), "t20 t10 t10 t10"),
        ([{}, {}, {}, {}], (0, 1, 2, 3), "t10 t10 t10 t10"),
        ([{10: 1.0}, {10: 2.0}, {10: 3.0}, {10: 4.0}], (0,), "t20 t20 o10 o10"),
        ([{10: 1.0}, {10: 2.0, 20: 1.0}, {10: 3.0}, {10: 4.0}], (0,), "t20 t40 o10 o10"),
    ],
)
def test_nobody_waits_for_one_that_failed_and_its_place_stays_free(
    there: list[Reports], failed: tuple[int, ...], expected: str
) -> None:
    assert shown(halving.standings(COHORT, 2, trials(*there, failed=failed))) == expected


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ([{10: 1.0}, {10: 2.0}, {10: 3.0}, None], "t20 o10 o10"),
        ([{10: 1.0}, None, None, None], "t20"),
        ([None, None, None, None], ""),
        ([{10: 1.0}, None], "p10"),
    ],
)
def test_one_that_takes_anothers_result_does_not_compete(
    there: list[Reports | None], expected: str
) -> None:
    assert shown(halving.standings(COHORT, 2, trials(*there))) == expected


def test_who_is_out_is_told_the_place() -> None:
    there = trials({10: 4.0}, {10: 3.0}, {10: 2.0}, {10: 1.0})
    standing = halving.standings(COHORT, 2, there)[0]
    assert standing.reason == "not promoted at step 10: place 4 of 4"


def test_a_cohort_has_its_own_numbers_and_knows_no_others() -> None:
    second = replace(COHORT, index=1, first=4)
    there = trials(*[{10: float(n)} for n in range(8)])
    assert shown(halving.standings(second, 2, there)) == "t20 t20 o10 o10"
    assert sorted(halving.standings(second, 2, there)) == [4, 5, 6, 7]
    assert halving.standings(second, 2, there[:4]) == {}


def test_who_goes_on_does_not_depend_on_the_order_of_their_losses() -> None:
    curves: list[Reports] = [{10: n % 3, 20: (n * 5) % 7} for n in range(9)]
    whole = Cohort(0, 0, 9, (10, 20, 40))
    final = halving.standings(whole, 3, trials(*curves))
    for seed in range(20):
        known: list[dict[int, float]] = [{} for _ in curves]
        told = [(n, step) for n, curve in enumerate(curves) for step in curve]
        random.Random(seed).shuffle(told)
        for n, step in told:
            known[n][step] = curves[n][step]
            now = halving.standings(whole, 3, trials(*known))
            out = {m for m, standing in now.items() if standing.state == "out"}
            assert out <= {m for m, standing in final.items() if standing.state == "out"}
        assert now == final


@pytest.mark.parametrize(
    ("cohort", "expected"),
    [
        (COHORT, (4 * 10 + 2 * 10 + 1 * 20) / (4 * 40)),
        (Cohort(0, 0, 3, (90,)), 1.0),
        (Cohort(0, 0, 1, (10, 90)), 1.0),
    ],
)
def test_the_share_of_all_updates_that_a_cohort_trains(cohort: Cohort, expected: float) -> None:
    assert halving.fraction_trained(cohort, 2) == expected


HALVING = {"type": "halving", "reduction_factor": 2, "min_iters": 5}
SPACE = {
    "train.learning_rate": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True},
    "model.n_layers": {"type": "int", "low": 1, "high": 3},
}
TWO = {"model.n_layers": {"type": "int", "low": 1, "high": 3}}


@pytest.fixture
def make(make_sweep: Make) -> Make:
    """Make a sweep of two cohorts of four, whose trials pause at 5 and 10 of 20 updates."""

    def make_one(**changes: Any) -> Sweep:
        options = {
            "space": SPACE,
            "enqueue": [],
            "trials": 8,
            "max_concurrent": 4,
            "pruner": HALVING,
            "sampler": {"type": "tpe", "n_startup_trials": 2},
            **changes,
        }
        return make_sweep({"train.max_iters": 20}, **options)

    return make_one


def crossing(trial: Trial, step: int) -> float:
    """A loss by which those that lead at first are overtaken; some trials diverge."""
    if trial.params["model.n_layers"] == 3 and step > 5 and trial.number % 2:
        return math.nan
    return simulation.smooth(trial, step) + math.sin(trial.number) * (12 - step) / 10


@pytest.mark.parametrize(
    ("sampler", "options", "count", "space"),
    [
        ({"type": "tpe", "n_startup_trials": 2}, {}, 12, SPACE),
        ({"type": "random"}, {"brackets": 2}, 11, SPACE),
        ({"type": "nsgaii", "population_size": 3}, {}, 12, SPACE),
        ({"type": "cmaes"}, {"cohort": 3}, 12, SPACE),
        ({"type": "random"}, {}, 12, TWO),
        ({"type": "qmc"}, {}, 8, SPACE),
    ],
    ids=["tpe", "brackets", "nsgaii", "cmaes", "twins", "qmc"],
)
def test_whole_sweeps_are_the_same_for_any_number_of_workers(
    make: Make,
    sampler: dict[str, Any],
    options: dict[str, Any],
    count: int,
    space: dict[str, Any],
) -> None:
    sweep = make(trials=count, sampler=sampler, pruner=HALVING | options, space=space)
    golden, *others = simulation.outcomes(sweep, crossing)
    assert {trial.state for trial in golden} >= {"complete", "pruned"}
    assert len(golden) == count
    assert others == [golden] * 3


@pytest.mark.parametrize("count", [1, 2, 4, 9])
def test_no_update_is_trained_twice_where_nothing_is_killed(make: Make, count: int) -> None:
    workers = Workers(make(), count, loss=simulation.smooth)
    trials = workers.finish_all()
    assert {t.number: max(t.reports) for t in trials if t.same_as is None} == workers.trained
    first = sum(workers.trained[n] for n in range(4))
    assert first == 4 * 5 + 2 * 5 + 1 * 10


def test_one_of_each_cohort_trains_to_its_end_and_it_led_at_every_rung(make: Make) -> None:
    trials = Workers(make(), 3).finish_all()
    for first in (0, 4):
        cohort = trials[first : first + 4]
        (winner,) = [trial for trial in cohort if trial.state == "complete"]
        assert winner.reports[5] in sorted(trial.reports[5] for trial in cohort)[:2]


def at_first_rung(number: int, loss: float = 2.0) -> Trial:
    return Trial(number, {}, reports={5: loss})


class TestWhatACohortSees:
    """The trials of a cohort see those before, as they were when it began."""

    @pytest.fixture
    def search(self, make: Make) -> Search:
        """A sweep of cohorts of four."""
        return Search(make(trials=16), VOCABULARY)

    def test_of_the_cohort_before_they_see_the_first_rung_and_of_their_own_nothing(
        self, search: Search
    ) -> None:
        there = [Trial(n, {}, "complete", 1.0, {5: 2.0, 20: 1.0}) for n in range(4)]
        there += [Trial(n, {}, "pruned", 1.5, {5: 2.0 + n, 10: 1.5}) for n in range(4, 7)]
        there += [Trial(7, {}, "failed"), at_first_rung(8), Trial(9, {}, reports={})]
        seen = search.visible(10, there)
        assert seen[:4] == there[:4]
        assert seen[4:7] == [Trial(n, {}, "pruned", 2.0 + n, {5: 2.0 + n}) for n in (4, 5, 6)]
        assert seen[7:] == [Trial(7, {}, "failed"), Trial(8, {}), Trial(9, {})]

    def test_it_makes_no_difference_how_far_the_cohort_before_has_come(
        self, search: Search
    ) -> None:
        done = [Trial(n, {}, "complete", 1.0, {5: 2.0, 20: 1.0}) for n in range(4)]
        waiting = [at_first_rung(n) for n in range(4, 8)]
        further = [Trial(n, {}, "pruned", 1.5, {5: 2.0, 10: 1.5}) for n in range(4, 8)]
        assert search.visible(8, [*done, *waiting]) == search.visible(8, [*done, *further])

    @pytest.mark.parametrize(
        ("number", "before", "last", "expected"),
        [
            (0, 0, [], True),
            (3, 0, [{}, {}, {}], True),
            (4, 0, [{5: 1.0}] * 3 + [{}], False),
            (4, 0, [{5: 1.0}] * 4, True),
            (6, 0, [{5: 1.0}] * 4, True),
            (8, 4, [{5: 1.0}] * 4, True),
            (8, 3, [{5: 1.0}] * 4, False),
        ],
    )
    def test_a_cohort_begins_once_the_one_before_waits_and_those_before_that_are_done(
        self,
        search: Search,
        number: int,
        before: int,
        last: list[Reports],
        expected: bool,
    ) -> None:
        count = 4 if number >= 8 else 0
        there = [Trial(n, {}, "complete" if n < before else "running") for n in range(count)]
        there += [Trial(count + n, {}, reports=reports) for n, reports in enumerate(last)]
        there += [Trial(n, {}) for n in range(len(there), number)]
        assert search.may_start(number, there) is expected

    def test_a_trial_pauses_at_its_rung_and_at_no_other_step(self, search: Search) -> None:
        there = [at_first_rung(0), Trial(1, {}), Trial(2, {}), Trial(3, {})]
        assert search.verdict(there[0], 5, there).word == "pause"
        there[0] = Trial(0, {}, reports={2: 3.0})
        assert search.verdict(there[0], 2, there).word == "go on"

    def test_the_last_to_come_to_a_rung_is_told_at_once(self, search: Search) -> None:
        there = [at_first_rung(n, float(n)) for n in range(4)]
        words = [search.verdict(trial, 5, there).word for trial in there]
        assert words == ["go on", "go on", "prune", "prune"]

    def test_a_verdict_at_a_step_before_a_rung_is_the_same_when_asked_again_later(
        self, search: Search
    ) -> None:
        there = [at_first_rung(n, float(n)) for n in range(4)]
        there[3] = Trial(3, {}, reports={2: 4.0, 5: 3.0})
        assert search.verdict(there[3], 2, there).word == "go on"


@pytest.mark.parametrize("sampler", ["grid", "brute_force"])
def test_a_sampler_that_comes_to_its_end_within_a_cohort_leaves_nobody_waiting(
    make: Make, sampler: str
) -> None:
    sweep = make(sampler={"type": sampler}, space=TWO, trials=4)
    golden, *others = simulation.outcomes(sweep)
    assert [len(trials) for trials in (golden, *others)] == [3] * 4
    assert others == [golden] * 3
