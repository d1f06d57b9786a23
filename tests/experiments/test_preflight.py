"""What a sweep takes is told before it: from the first trials that are certain, a few figures, and
assumptions that stand in one place."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import simulation
from simulation import VOCABULARY, Workers

from experiments import draws, foresight, outlook, preflight, probe, rates, stopping, timeline
from experiments.halving import Cohort
from experiments.outlook import Outlook
from experiments.preflight import Room
from experiments.probe import dealt
from experiments.rates import Line, Point, Rates, counted, fitted
from experiments.search import Search
from experiments.spec import Sweep
from experiments.trial import Trial
from tinygpt import config
from tinygpt.config import RunConfig
from tinygpt.figures import Figures
from tinygpt.size import checkpoint_bytes

Make = Callable[..., Sweep]
CHARACTERS = 2400
LEARNING_RATE = {"train.learning_rate": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True}}
WIDTHS = {**LEARNING_RATE, "model.d_model": {"type": "categorical", "choices": [8, 16, 32]}}
GRID = {
    "model.d_model": {"type": "categorical", "choices": [8, 16, 24]},
    "model.n_layers": {"type": "int", "low": 1, "high": 3},
}


@pytest.fixture
def make(make_sweep: Make) -> Make:
    """Make a sweep with nothing queued and nothing pruned."""

    def make_one(**changes: Any) -> Sweep:
        plain = {"space": WIDTHS, "enqueue": [], "pruner": {"type": "none"}}
        return make_sweep({"model.d_head": 8}, **{**plain, **changes})

    return make_one


def bad(trial: Trial, step: int) -> float:
    """Losses in another order than `simulation.smooth`, and every fifth trial fails."""
    return math.nan if trial.number % 5 == 3 else 9.0 - simulation.smooth(trial, step)


# What a sweep is like, and how many of its trials can be told; it has 12, or whole cohorts.
FORESEEN: list[tuple[dict[str, Any], int]] = [
    ({"sampler": {"type": "random"}}, 12),
    ({"sampler": {"type": "qmc"}}, 12),
    ({"sampler": {"type": "grid"}, "space": GRID, "trials": 9}, 9),
    ({"sampler": {"type": "brute_force"}, "space": GRID, "trials": None}, 9),
    ({"sampler": {"type": "tpe", "n_startup_trials": 0}}, 3),
    ({"sampler": {"type": "tpe", "n_startup_trials": 4}}, 6),
    ({"sampler": {"type": "tpe", "n_startup_trials": 4}, "max_concurrent": 1}, 4),
    ({"sampler": {"type": "gp", "n_startup_trials": 4}, "trials": 7}, 6),
    ({"sampler": {"type": "cmaes", "n_startup_trials": 1}}, 3),
    ({"sampler": {"type": "nsgaii", "population_size": 4}}, 6),
    ({"sampler": {"type": "tpe", "n_startup_trials": 4}, "replicates": 2}, 3),
    ({"sampler": {"type": "random"}, "replicates": 2}, 3),
    ({"sampler": {"type": "tpe", "n_startup_trials": 0}, "max_concurrent": 1, "enqueue": 4}, 4),
    (
        {
            "sampler": {"type": "tpe", "n_startup_trials": 0},
            "pruner": {"type": "halving", "min_iters": 10, "reduction_factor": 2, "cohort": 6},
        },
        6,
    ),
    ({"sampler": {"type": "random"}, "constraints": ["model.d_model * n_layers <= 24"]}, 12),
    (
        {
            "sampler": {"type": "tpe", "n_startup_trials": 3},
            "pruner": {"type": "median", "n_startup_trials": 1},
        },
        5,
    ),
]
QUEUED = [{"train.learning_rate": 10.0**-k, "model.d_model": 8} for k in (1, 2, 3, 4)]


@pytest.mark.parametrize(("changes", "count"), FORESEEN, ids=range(len(FORESEEN)))
def test_the_trials_that_are_told_are_those_that_come_whatever_the_losses(
    make: Make, changes: dict[str, Any], count: int
) -> None:
    queued = {"enqueue": QUEUED} if "enqueue" in changes else {}
    sweep = make(**{"trials": 12, **changes, **queued})
    search = Search(sweep, VOCABULARY)
    assert foresight.exact(search) == count
    ahead = foresight.foreseen(search, [], count)
    told = [(dict(trial.params), trial.replicate) for trial in ahead]
    assert len(told) == count
    for loss in (simulation.smooth, bad):
        trials = Workers(sweep, 2, loss=loss).finish_all()
        assert [(dict(t.params), t.replicate) for t in trials[:count]] == told


def test_of_a_sweep_that_was_stopped_the_next_trials_are_told_by_its_record(make: Make) -> None:
    sweep = make(trials=12, sampler={"type": "tpe", "n_startup_trials": 2})
    finished = Workers(sweep, 1).finish_all()
    search = Search(sweep, VOCABULARY)
    there = [*finished[:5], replace(finished[5], state="running", value=None)]
    count = foresight.exact(search, there)
    assert count == 8
    ahead = foresight.foreseen(search, there, count)
    assert [trial.params for trial in ahead] == [trial.params for trial in finished[6:8]]


# Seconds of the trials, workers, how far each looks back (None: at all before it), and the time.
TURNS: list[tuple[list[float], int, int | None, float]] = [
    ([], 2, 1, 0.0),
    ([1, 1, 1, 1], 1, 4, 4.0),
    ([1, 1, 1, 1], 2, 4, 2.0),
    ([4, 1, 1, 1], 2, 4, 4.0),
    ([4, 1, 1, 1], 2, 2, 5.0),
    ([3, 1, 2], 3, 1, 6.0),
    ([1, 2, 3], 8, 3, 3.0),
]


@pytest.mark.parametrize(("seconds", "workers", "concurrent", "expected"), TURNS)
def test_trials_begin_in_turn_once_what_they_look_back_on_is_finished(
    seconds: list[float], workers: int, concurrent: int, expected: float
) -> None:
    horizon = lambda number: max(0, number - concurrent + 1)  # noqa: E731
    assert timeline.in_turn(seconds, workers, horizon) == expected


COHORTS = [Cohort(0, 0, 4, (10, 20, 40)), Cohort(1, 4, 4, (10, 20, 40))]


@pytest.mark.parametrize(
    ("cohorts", "workers", "expected"),
    [
        (COHORTS[:1], 1, 4 * 10 + 2 * 10 + 20),
        (COHORTS[:1], 2, 2 * 10 + 10 + 20),
        (COHORTS[:1], 4, 10 + 10 + 20),
        (COHORTS[:1], 9, 10 + 10 + 20),
        (COHORTS, 1, 2 * 80),
        # The second one begins on the other worker once the first is past its first rung.
        (COHORTS, 2, 30 + 20 + 10 + 10 + 20),
        ([Cohort(0, 0, 3, (40,))], 2, 80),
    ],
)
def test_cohorts_pause_at_their_rungs_and_some_are_promoted(
    cohorts: list[Cohort], workers: int, expected: float
) -> None:
    def seconds(number: int, rung: int) -> float:
        rungs = cohorts[0].rungs
        return rungs[rung] - (rungs[rung - 1] if rung else 0)

    assert timeline.Cohorts(cohorts, 2, seconds).duration(workers) == expected


@pytest.mark.parametrize(
    ("xs", "ys", "expected"),
    [
        ([1.0, 3.0], [3.0, 7.0], Line(1.0, 2.0)),
        ([2.0], [3.0], Line(0.0, 1.5)),
        ([2.0, 2.0], [3.0, 5.0], Line(0.0, 2.0)),
        ([1.0, 2.0], [4.0, 3.0], Line(3.5, 0.0)),
        ([1.0, 2.0], [1.0, 4.0], Line(0.0, 1.5)),
        ([0.0, 0.0], [0.0, 0.0], Line(0.0, 0.0)),
    ],
)
def test_a_part_takes_a_time_that_grows_with_its_work(
    xs: list[float], ys: list[float], expected: Line
) -> None:
    line = fitted(xs, ys)
    assert (line.base, line.slope) == pytest.approx((expected.base, expected.slope))


def run(**values: Any) -> RunConfig:
    dotted = {key.replace("__", "."): value for key, value in values.items()}
    plain = {
        "model.block_size": 8,
        "model.d_model": 16,
        "model.d_head": 8,
        "model.n_layers": 1,
        "train.max_iters": 40,
        "train.eval_interval": 10,
        "train.eval_iters": 1,
        "train.device": "cpu",
        "train.precision": "fp32",
    }
    return config.run_config(config.with_values({}, plain | dotted))


@pytest.mark.parametrize(
    ("values", "until", "expected"),
    [
        # The validation split has 240 characters: 29 windows, one batch; the last time once more.
        ({}, None, (40, 5, 2 * 5 + 1, 4, 5)),
        ({}, 20, (20, 3, 2 * 3, 2, 3)),
        ({}, 40, (40, 5, 2 * 5 + 1, 4, 5)),
        ({}, 99, (40, 5, 2 * 5 + 1, 4, 5)),
        ({"train__eval_iters": 0}, None, (40, 5, 2 * 5, 4, 5)),
        ({"train__max_iters": 45}, None, (45, 6, 2 * 6 + 1, 5, 6)),
        ({"checkpoint__interval": 5}, None, (40, 5, 2 * 5 + 1, 4, 9)),
        ({"sample__max_new_tokens": 0}, None, (40, 5, 2 * 5 + 1, 0, 5)),
        # A split of more windows than an evaluation looks at: 9 batches each, 10 of all.
        ({"model__block_size": 1, "train__eval_iters": 2}, None, (40, 5, 4 * 5 + 8, 4, 5)),
    ],
)
def test_how_often_a_trial_does_what(
    values: dict[str, Any], until: int | None, expected: tuple[int, ...]
) -> None:
    counts = counted(run(**values), CHARACTERS, until)
    assert (
        counts.updates,
        counts.evaluations,
        counts.batches,
        counts.samples,
        counts.saves,
    ) == expected


UNIT = Figures(setup=0.5, update=0.1, evaluation=0.01, sample=0.2, snapshot=0.004)


def test_a_trial_takes_what_its_parts_take() -> None:
    small = run()
    seconds = Rates([Point(small, UNIT)], VOCABULARY).seconds(small, CHARACTERS)
    saves = 5 * (0.004 + rates.SAVE_SECONDS)
    apart = 0.5 + 40 * 0.1 + 11 * 0.01 + 4 * 0.2 + saves + 5 * rates.HANDSHAKE_SECONDS
    assert seconds == pytest.approx(apart, rel=1e-3)


def test_muon_makes_an_update_dearer_and_nothing_else() -> None:
    plain, muon = run(), run(train__optimizer="muon")
    measure = rates.measures(VOCABULARY)
    assert measure["update"](muon) > measure["update"](plain)
    assert measure["evaluation"](muon) == measure["evaluation"](plain)
    assert rates.newton_schulz(1, 1, 5) == 30


def test_what_a_finished_trial_took_is_read_from_its_timings() -> None:
    rows: list[dict[str, object]] = [
        {"kind": "checkpoint", "step": 0, "seconds": 0.01},
        {"kind": "eval", "step": 0, "seconds": 0.2},
        {"kind": "train", "step": 5, "seconds": 1.0, "mfu": 0.1},
        {"kind": "train", "step": 10, "seconds": 2.0, "mfu": 0.1},
        {"kind": "checkpoint", "step": 10, "seconds": 0.03},
        {"kind": "eval", "step": 10, "seconds": 0.6},
        {"kind": "sample", "step": 10, "seconds": 0.5},
    ]
    point = rates.measured(run(), rows, CHARACTERS)
    assert point is not None
    figures = point.figures
    assert (figures.update, figures.evaluation, figures.sample) == pytest.approx((0.3, 0.2, 0.5))
    assert figures.snapshot == pytest.approx(0.02 - rates.SAVE_SECONDS)
    assert rates.measured(run(), rows[:2], CHARACTERS) is None


@pytest.mark.parametrize(
    ("runs", "workers", "expected"),
    [
        ("abcd", 1, ["abcd"]),
        ("abcd", 2, ["ad", "bc"]),
        ("abcdef", 3, ["af", "be", "cd"]),
        ("ab", 3, ["a", "b", "a"]),
    ],
)
def test_every_worker_measures_cheap_runs_and_dear_ones(
    runs: Sequence[Any], workers: int, expected: list[str]
) -> None:
    assert ["".join(map(str, deal)) for deal in dealt(runs, workers)] == expected


def test_the_runs_that_are_measured_are_the_ends_and_some_between(make: Make) -> None:
    left = outlook_of(make())
    lowest, highest = outlook.ends(left)
    assert (lowest.model.d_model, highest.model.d_model) == (8, 32)
    runs = probe.spread((lowest, highest), left.drawn, 2, left.cost)
    assert len(runs) == 4
    assert {lowest, highest} <= set(runs)
    assert sorted(runs, key=left.cost) == runs


# A pruner, how many finished trials are seen, and the shares that stop with their steps. An
# evaluation is due every 5 steps of 40.
STOPS: list[tuple[dict[str, Any], int, list[tuple[float, int]]]] = [
    ({"type": "none"}, 9, []),
    ({"type": "median", "n_startup_trials": 2, "n_warmup_steps": 12}, 1, []),
    ({"type": "median", "n_startup_trials": 2, "n_warmup_steps": 12}, 2, [(0.5, 15)]),
    ({"type": "median", "n_startup_trials": 2, "n_warmup_steps": 12, "exempt": 1.0}, 2, []),
    ({"type": "median", "n_warmup_steps": 40}, 9, []),
    ({"type": "percentile", "percentile": 75}, 9, [(0.25, 5)]),
    ({"type": "threshold", "upper": 9.0}, 9, []),
    (
        {"type": "successive_halving", "min_resource": 10, "reduction_factor": 2},
        9,
        [(0.5, 10), (0.25, 20)],
    ),
    ({"type": "patient", "wrapped_pruner": {"type": "median"}, "patience": 2}, 9, [(0.5, 15)]),
    ({"type": "halving", "min_iters": 10}, 9, []),
]


@pytest.mark.parametrize(("pruner", "seen", "expected"), STOPS, ids=range(len(STOPS)))
def test_how_many_trials_a_pruner_is_taken_to_stop(
    make: Make, pruner: dict[str, Any], seen: int, expected: list[tuple[float, int]]
) -> None:
    sweep = make(pruner=pruner, sampler={"type": "random"}, trials=27, max_concurrent=1)
    assert stopping.expected(Search(sweep, VOCABULARY), seen) == expected


def test_a_search_that_knows_results_has_half_as_many_of_its_trials_stopped(make: Make) -> None:
    sweep = make(pruner={"type": "median"}, sampler={"type": "tpe"}, trials=30, max_concurrent=1)
    search = Search(sweep, VOCABULARY)
    assert stopping.expected(search, 9) == [(0.5, 5)]
    assert stopping.expected(search, 10) == [(0.25, 5)]


def outlook_of(sweep: Sweep, trials: Sequence[Trial] = ()) -> Outlook:
    return outlook.outlook_of(Search(sweep, VOCABULARY), trials, CHARACTERS)


def alike(sweep: Sweep) -> list[Point]:
    """Figures by which every trial of a sweep takes about 40 updates of a tenth of a second."""
    return [Point(one, UNIT) for one in draws.runs(Search(sweep, VOCABULARY), 3)]


SINGLE = {"space": LEARNING_RATE, "wandb": {"mode": "disabled"}, "sampler": {"type": "random"}}


def test_the_time_of_a_sweep_is_that_of_its_trials_on_the_workers_and_what_is_fixed(
    make: Make,
) -> None:
    sweep = make(**SINGLE, trials=6)
    points = alike(sweep)
    one = Rates(points, VOCABULARY).seconds(points[0].run, CHARACTERS)
    found = preflight.estimate(outlook_of(sweep), points, 2, elapsed=4.0)
    fixed = 4.0 + preflight.REPORT_SECONDS
    assert found.time.expected == pytest.approx(3 * one + fixed)
    assert found.time.at_most == pytest.approx(3 * one + fixed)
    assert found.time.dearest == pytest.approx(one)


# How a sweep differs from one of 12 trials, and by what factor its trials then take less.
SHORTER: list[tuple[dict[str, Any], float, float]] = [
    ({"budget": {"tokens": 40 * 32 * 6}}, 0.5, 0.5),
    ({"pruner": {"type": "halving", "min_iters": 20, "reduction_factor": 2, "cohort": 4}}, 0.75, 1),
    ({"pruner": {"type": "median", "n_startup_trials": 1, "n_warmup_steps": 20}}, 0.79, 1.0),
]


@pytest.mark.parametrize(("changes", "factor", "at_most"), SHORTER, ids=range(len(SHORTER)))
def test_budgets_and_pruners_make_it_shorter(
    make: Make, changes: dict[str, Any], factor: float, at_most: float
) -> None:
    plain = make(**SINGLE, trials=12)
    less = make(**SINGLE, **{"trials": 12, **changes})
    points = alike(plain)
    whole = preflight.time_left(outlook_of(plain), Rates(points, VOCABULARY), 1).expected
    found = preflight.time_left(outlook_of(less), Rates(points, VOCABULARY), 1)
    assert found.expected / whole == pytest.approx(factor, abs=0.06)
    assert found.expected <= found.at_most <= whole * 1.001


def test_a_budget_of_time_ends_it_but_for_the_trials_that_have_begun(make: Make) -> None:
    sweep = make(**SINGLE, trials=1000, budget={"time": "60s"})
    found = preflight.time_left(outlook_of(sweep), Rates(alike(sweep), VOCABULARY), 1)
    assert 60 < found.expected <= found.at_most < 60 + 2 * found.dearest


def test_of_a_sweep_that_has_begun_only_what_is_left_counts(make: Make) -> None:
    sweep = make(**SINGLE, trials=12)
    finished = Workers(sweep, 1).finish_all()
    begun = replace(finished[6], state="running", value=None, reports={20: 3.0})
    points = alike(sweep)
    everything = preflight.time_left(outlook_of(sweep), Rates(points, VOCABULARY), 1).expected
    left = outlook_of(sweep, [*finished[:6], begun])
    assert left.numbers == range(6, 12)
    found = preflight.time_left(left, Rates(points, VOCABULARY), 1).expected
    assert found / everything == pytest.approx(5.5 / 12, abs=0.02)


def test_a_trial_that_takes_another_ones_result_takes_nothing(make: Make) -> None:
    twins = [{"train.learning_rate": 0.01}] * 2
    sweep = make(**{**SINGLE, "enqueue": twins}, trials=2)
    points = alike(sweep)
    one = Rates(points, VOCABULARY).seconds(points[0].run, CHARACTERS)
    left = outlook_of(sweep)
    assert preflight.time_left(left, Rates(points, VOCABULARY), 1).expected == pytest.approx(one)


def test_a_grid_with_infeasible_points_has_the_others(make: Make) -> None:
    changes = {"space": GRID, "trials": None, "constraints": ["model.n_layers < 3"]}
    left = outlook_of(make(sampler={"type": "grid"}, **changes))
    assert left.numbers == range(6)


@pytest.mark.parametrize(
    ("changes", "checkpoints"),
    [
        ({}, 2 * 12),
        ({"max_disk": "200KB"}, None),
        ({"run": 3}, 3 * 12),
    ],
)
def test_the_disk_holds_the_checkpoints_that_trials_keep(
    make_sweep: Make, changes: dict[str, Any], checkpoints: int | None
) -> None:
    values: dict[str, Any] = {"checkpoint.keep": changes.pop("run", 2)}
    plain = {**SINGLE, "trials": 12, "enqueue": [], "pruner": {"type": "none"}}
    left = outlook_of(make_sweep(values, **plain, **changes))
    one = checkpoint_bytes(left.drawn[0], VOCABULARY)
    records = preflight.STUDY_BYTES + 12 * preflight.RECORD_BYTES
    expected = 200_000 if checkpoints is None else checkpoints * one
    assert preflight.disk_bytes(left) == pytest.approx(expected + records)


@pytest.mark.parametrize(("devices", "sharing"), [((), 4), ((0, 1), 2), ((0, 0, 1), 2)])
def test_workers_share_the_memory_of_a_machine_or_of_their_gpu(
    make: Make, devices: tuple[int, ...], sharing: int
) -> None:
    sweep = make(**SINGLE, devices=devices)
    found = preflight.estimate(outlook_of(sweep), alike(sweep), 4, room=Room(10**8, 10**9))
    assert found.worker_memory is not None
    assert found.worker_memory > 10**8
    assert found.memory == sharing * found.worker_memory
    assert found.machine == 10**9


def test_a_sweep_of_a_moment_is_not_worth_measuring(make: Make) -> None:
    assert outlook.is_trivial(outlook_of(make()), 1)
    long = make(budget={"per_trial": {"tokens": 1e8}})
    assert not outlook.is_trivial(outlook_of(long), 2)


def test_draws_lie_in_the_space_and_are_the_same_each_time(make: Make) -> None:
    space = {
        "train.weight_decay": {"type": "float", "low": 0.0, "high": 0.2, "step": 0.05},
        "train.accumulation": {"type": "int", "low": 1, "high": 8, "log": True},
        "train.batch_size": {"type": "int", "low": 2, "high": 8, "step": 2},
        "train.optimizer": {"type": "categorical", "choices": ["adamw", "muon"]},
        "train.muon_lr": {
            "type": "float",
            "low": 0.01,
            "high": 0.1,
            "when": {"train.optimizer": "muon"},
        },
    }
    sweep = make(space=space)
    points = draws.values(sweep.space, 1)
    drawn = [next(points) for _ in range(50)]
    again = draws.values(sweep.space, 1)
    assert drawn == [next(again) for _ in range(50)]
    for values in drawn:
        assert all(value in sweep.space[key] for key, value in values.items())
        assert ("train.muon_lr" in values) == (values["train.optimizer"] == "muon")


@pytest.mark.parametrize(
    ("changes", "share", "whole"),
    [
        ({"space": GRID}, 0.0, True),
        ({"space": GRID, "constraints": ["model.n_layers < 3"]}, 1 / 3, True),
        ({"constraints": ["train.learning_rate <= 0.01"]}, 1 / 3, False),
    ],
)
def test_the_share_of_infeasible_points_is_counted_or_drawn(
    make: Make, changes: dict[str, Any], share: float, whole: bool
) -> None:
    sweep = make(**changes)
    found = draws.infeasible(sweep.configurations(VOCABULARY), sweep.seed)
    assert found == (pytest.approx(share, abs=1e-9 if whole else 0.05), whole)
