"""Proposals and pruning are functions of the file and of what a trial may see, and nothing else."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import pytest
import simulation
from simulation import VOCABULARY, Workers

from experiments.parameter import Scalar
from experiments.search import Search
from experiments.space import searched
from experiments.spec import Sweep
from experiments.trial import State, Trial
from experiments.version import Earlier
from tinygpt.schema import ConfigError

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
SHORT = {"train.max_iters": 20}
MUON = {"train.optimizer": "muon"}


def propose(sweep: Sweep, number: int, trials: Sequence[Trial]) -> Trial:
    """Trial `number` by somebody who knows nothing but the file and the record."""
    trial = Search(sweep, VOCABULARY).propose(number, trials)
    assert trial is not None
    return trial


def stops(sweep: Sweep, trial: Trial, trials: Sequence[Trial]) -> bool:
    verdict = Search(sweep, VOCABULARY).verdict(trial, max(trial.reports), trials)
    return verdict.word == "prune"


@pytest.fixture
def make(make_sweep: Make) -> Make:
    """Make a sweep over every type of parameter, with no trial fixed beforehand."""

    def make_one(run: Mapping[str, Any] | None = None, **changes: Any) -> Sweep:
        options = {"space": EVERY_TYPE, "enqueue": [], "sampler": TPE, **changes}
        return make_sweep({"model.d_head": 8, **(run or {})}, **options)

    return make_one


def loss(params: Mapping[str, Any], step: int) -> float:
    """A made-up validation loss."""
    spoilt = abs(params["train.learning_rate"] - 0.01) + abs(params["model.d_model"] - 16) / 16
    return float(2.0 + spoilt + 5.0 / (step + 1) + params["train.weight_decay"])


def finished(trial: Trial, state: State = "complete") -> Trial:
    reports = {step: loss(trial.params, step) for step in (5, 10, 15, 20)}
    value = None if state == "failed" else reports[20]
    return replace(trial, state=state, value=value, reports=reports)


STATES: list[State] = ["complete", "complete", "pruned", "failed"]


def history(sweep: Sweep, count: int) -> list[Trial]:
    """As many trials as the sweep would have, every third of them failed or pruned."""
    trials: list[Trial] = []
    search = Search(sweep, VOCABULARY)
    for number in range(count):
        trial = search.propose(number, trials)
        assert trial is not None
        trials.append(finished(trial, STATES[number % 4]))
    return trials


@pytest.mark.parametrize("sampler", [TPE, {"type": "random"}], ids=["tpe", "random"])
def test_every_proposal_is_within_the_space(make: Make, sampler: dict[str, Any]) -> None:
    sweep = make(sampler=sampler)
    trials = history(sweep, 16)
    for trial in trials:
        assert sorted(trial.params) == sorted(sweep.space)
        for key, value in trial.params.items():
            assert value in searched(sweep.space)[key], (key, value)
    for key in sweep.space:
        assert len({trial.params[key] for trial in trials}) > 1, key


@pytest.mark.parametrize("sampler", [TPE, {"type": "random"}], ids=["tpe", "random"])
def test_a_proposal_can_be_had_again(make: Make, sampler: dict[str, Any]) -> None:
    sweep = make(sampler=sampler)
    trials = history(sweep, 8)
    again = [propose(sweep, number, trials).params for number in (7, 0, 3, 7)]
    assert again == [trials[number].params for number in (7, 0, 3, 7)]
    search = Search(sweep, VOCABULARY)
    same = [search.propose(number, trials) for number in (7, 0, 3, 7)]
    assert [trial.params for trial in same if trial] == again


@pytest.mark.parametrize("number", [0, 1, 5, 11])
def test_a_proposal_does_not_depend_on_what_is_known_beyond_its_distance(
    make: Make, number: int
) -> None:
    sweep = make(max_concurrent=3)
    trials = history(sweep, 12)
    expected = propose(sweep, number, trials[:number])
    known = max(0, number - 2)
    running = [Trial(trial.number, trial.params) for trial in trials[known:]]
    worse = [replace(trial, value=9.0, reports={5: 9.0}) for trial in trials[known:]]
    failed = [replace(trial, state="failed", value=None) for trial in trials[known:]]
    for later in (running, worse, failed, trials[known:number]):
        assert propose(sweep, number, [*trials[:known], *later]) == expected


def test_a_proposal_after_the_startup_depends_on_the_results_it_may_see(make: Make) -> None:
    sweep = make(max_concurrent=3)
    trials = history(sweep, 12)
    reversed_losses = [
        replace(trial, value=10 - trial.value) if trial.value else trial for trial in trials
    ]
    assert propose(sweep, 12, trials) != propose(sweep, 12, reversed_losses)


def test_the_last_trial_that_a_proposal_sees_is_max_concurrent_before_it(make: Make) -> None:
    sweep = make(max_concurrent=3)
    trials = history(sweep, 6)
    seen = Search(sweep, VOCABULARY).visible(5, trials)
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
    seen = Search(sweep, VOCABULARY).visible(number, trials)
    assert [trial.state != "running" for trial in seen] == [True] * known + [False] * (
        number - known
    )


def test_parameters_of_running_trials_are_shown_to_the_sampler(make: Make) -> None:
    sweep = make(max_concurrent=4)
    trials = history(sweep, 12)
    proposal = propose(sweep, 12, trials).params
    # Once three running trials are where the next one would go, it goes elsewhere.
    there = [Trial(number, proposal) for number in (9, 10, 11)]
    assert propose(sweep, 12, [*trials[:9], *there]).params != proposal


def test_different_trials_and_different_seeds_are_proposed_differently(make: Make) -> None:
    proposals = [propose(make(seed=seed), 0, []).params for seed in range(4)]
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
        allowed = searched(sweep.space)
        assert all(value in allowed[key] for key, value in trial.params.items())


def test_an_enqueued_whole_number_becomes_the_fields_own_type(make: Make) -> None:
    space = {"train.learning_rate": {"type": "float", "low": 1e-3, "high": 2.0}}
    sweep = make(space=space, enqueue=[{"train.learning_rate": 1}])
    params = propose(sweep, 0, []).params
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
    assert Search(make(max_concurrent=3), VOCABULARY).may_start(number, trials) is expected


CONDITIONAL: dict[str, Any] = {
    "train.learning_rate": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True},
    "train.weight_decay": {"type": "float", "low": 0.0, "high": 0.2},
    "train.optimizer": {"type": "categorical", "choices": ["adamw", "muon"]},
    "train.muon_lr": {
        "type": "float",
        "low": 1e-3,
        "high": 1e-1,
        "when": {"train.optimizer": "muon"},
    },
    "model.n_layers": {"type": "int", "low": 1, "high": 3},
    "model.d_model": {"type": "int", "low": 8, "high": 24, "step": 8},
}
CONSTRAINTS = ["model.n_layers * model.d_model <= 48"]
FINITE: dict[str, Any] = {
    "train.optimizer": {"type": "categorical", "choices": ["adamw", "muon"]},
    "train.muon_lr": {"type": "categorical", "choices": [0.01, 0.02], "when": MUON},
    "model.n_layers": {"type": "int", "low": 2, "high": 3},
    "model.d_model": {"type": "int", "low": 8, "high": 24, "step": 8},
}
FEASIBLE_POINTS = 15  # of 18; three layers of width 24 are too many
SWEPT: list[tuple[dict[str, Any], dict[str, Any], int | None]] = [
    ({"type": "tpe", "n_startup_trials": 3}, CONDITIONAL, 14),
    ({"type": "random"}, CONDITIONAL, 14),
    ({"type": "grid"}, FINITE, None),
    ({"type": "brute_force"}, FINITE, None),
    ({"type": "qmc"}, CONDITIONAL, 14),
    ({"type": "qmc", "qmc_type": "halton", "scramble": False}, CONDITIONAL, 14),
    ({"type": "cmaes", "popsize": 4}, CONDITIONAL, 16),
    ({"type": "gp", "n_startup_trials": 4}, CONDITIONAL, 7),
    ({"type": "nsgaii", "population_size": 3}, CONDITIONAL, 16),
]


DIVERGING = {"model.n_layers": 2, "model.d_model": 16, "train.optimizer": "muon"}


def failing(trial: Trial, step: int) -> float:
    """A loss that falls with the width and rises from trial to trial, where it is finite."""
    if step > 5 and trial.params.items() >= DIVERGING.items():
        return math.nan
    width = float(trial.params["model.d_model"] or 0)
    return simulation.smooth(trial, step) - width / 8 + trial.number / 10


@pytest.mark.parametrize(
    ("sampler", "space", "trials"), SWEPT, ids=["-".join(map(str, s[0].values())) for s in SWEPT]
)
def test_any_number_of_workers_in_any_order_killed_or_not_gives_the_same_trials(
    make: Make, sampler: dict[str, Any], space: dict[str, Any], trials: int | None
) -> None:
    sweep = make(
        SHORT,
        trials=trials,
        max_concurrent=4,
        sampler=sampler,
        space=space,
        constraints=CONSTRAINTS,
        pruner={"type": "median", "n_startup_trials": 2},
        enqueue=[{"model.n_layers": 2, "model.d_model": 8}, {}],
    )
    golden, *others = simulation.outcomes(sweep, failing)
    assert {"complete", "pruned"} <= {trial.state for trial in golden}
    assert len(golden) == (trials or FEASIBLE_POINTS)
    for trial in golden:
        assert sweep.configurations(VOCABULARY).objection(trial.params) is None
        assert ("train.muon_lr" in trial.params) == (trial.params["train.optimizer"] == "muon")
    for trials_again in others:
        assert trials_again == golden


@pytest.mark.parametrize(
    "sampler",
    [TPE, {"type": "random"}, {"type": "nsgaii", "population_size": 3}, {"type": "gp"}],
    ids=lambda sampler: sampler["type"],
)
def test_several_objectives_too_are_searched_alike_by_any_number_of_workers(
    make: Make, sampler: dict[str, Any]
) -> None:
    sweep = make(
        SHORT,
        trials=12,
        max_concurrent=3,
        sampler=sampler,
        objective=[{"metric": "val_loss"}, {"metric": "params"}],
        pruner={"type": "median", "n_startup_trials": 3},
    )
    golden, *others = simulation.outcomes(sweep)
    assert others == [golden] * 3


class TestGrids:
    """Samplers that take every point."""

    @pytest.fixture(params=["grid", "brute_force"])
    def sweep(self, make: Make, request: pytest.FixtureRequest) -> Sweep:
        """A sweep over all points of a finite space."""
        sampler = {"type": request.param}
        return make(SHORT, sampler=sampler, space=FINITE, constraints=CONSTRAINTS, trials=None)

    def test_every_feasible_point_is_tried_once(self, sweep: Sweep) -> None:
        trials = Workers(sweep, 2).finish_all()
        assert len({str(sorted(trial.params.items())) for trial in trials}) == FEASIBLE_POINTS
        assert len(trials) == FEASIBLE_POINTS
        assert all(trial.same_as is None for trial in trials)

    def test_their_order_is_the_seeds(self, sweep: Sweep) -> None:
        first = [propose(replace(sweep, seed=seed), 0, []).params for seed in (0, 0, 1, 2, 3)]
        assert first[0] == first[1]
        assert len({str(params) for params in first}) > 2

    def test_a_point_that_was_queued_is_not_tried_again(self, make: Make, sweep: Sweep) -> None:
        queued: dict[str, Scalar] = {
            "train.optimizer": "adamw",
            "model.n_layers": 2,
            "model.d_model": 8,
        }
        trials = Workers(replace(sweep, enqueue=({}, queued)), 1).finish_all()
        assert trials[1].params == queued
        assert len(trials) == FEASIBLE_POINTS


def test_a_grid_takes_the_values_that_are_named_for_it(make: Make) -> None:
    space = {"train.learning_rate": EVERY_TYPE["train.learning_rate"], **FINITE}
    rates = [0.001, 0.1]
    sampler = {"type": "grid", "search_space": {"train.learning_rate": rates, "model.d_model": [8]}}
    sweep = make(SHORT, sampler=sampler, space=space, trials=None)
    trials = Workers(sweep, 3).finish_all()
    assert {trial.params["train.learning_rate"] for trial in trials} == set(rates)
    assert len(trials) == 2 * 3 * 2


def test_steps_that_a_float_cannot_count_exactly_stay_within_their_range(make: Make) -> None:
    space = {"model.dropout": {"type": "float", "low": 0.0, "high": 0.3, "step": 0.1}}
    sweep = make(SHORT, sampler={"type": "grid"}, space=space, trials=None)
    trials = Workers(sweep, 1).finish_all()
    assert len(trials) == 4
    allowed = searched(sweep.space)["model.dropout"]
    assert all(trial.params["model.dropout"] in allowed for trial in trials)


@pytest.mark.parametrize("name", ["sobol", "halton"])
def test_a_sequence_has_the_points_of_scipys(make: Make, name: str) -> None:
    qmc = pytest.importorskip("scipy.stats").qmc
    space = {
        "train.weight_decay": {"type": "float", "low": 0.0, "high": 1.0},
        "train.beta1": {"type": "float", "low": 0.5, "high": 0.75},
    }
    sampler = {"type": "qmc", "qmc_type": name, "scramble": False}
    sweep = make(SHORT, space=space, sampler=sampler, trials=8)
    engine = {"sobol": qmc.Sobol, "halton": qmc.Halton}[name](d=2, scramble=False)
    expected = [[0.5 + 0.25 * beta, decay] for beta, decay in engine.random(8).tolist()]
    trials = Workers(sweep, 1).finish_all()
    found = [[t.params["train.beta1"], t.params["train.weight_decay"]] for t in trials]
    assert found == [pytest.approx(point) for point in expected]


def test_queued_trials_take_no_point_of_a_sequence(make: Make) -> None:
    sampler = {"type": "qmc"}
    plain = history(make(sampler=sampler), 4)
    queued = make(sampler=sampler, enqueue=[{"model.bias": True}, {}, {"model.bias": False}])
    trials = history(queued, 6)
    assert [trials[n].params for n in (1, 3, 4, 5)] == [trial.params for trial in plain]


LEARNERS = [
    ({"type": "tpe", "n_startup_trials": 5}, 25),
    ({"type": "cmaes"}, 40),
    ({"type": "gp", "n_startup_trials": 3}, 11),
    ({"type": "nsgaii", "population_size": 5}, 40),
]
NUMBERS: dict[str, Any] = {
    "train.learning_rate": {"type": "float", "low": 1e-4, "high": 1e-1},
    "train.weight_decay": {"type": "float", "low": 0.0, "high": 0.9},
    "train.beta1": {"type": "float", "low": 0.5, "high": 0.99},
}


def late_mean(make: Make, sampler: dict[str, Any], count: int, seed: int) -> float:
    """The mean loss of the last trials, of which four are always running."""
    sweep = make(
        {"train.max_iters": 5, "train.warmup_iters": 1},
        seed=seed,
        space=NUMBERS,
        sampler=sampler,
        trials=count,
        max_concurrent=4,
        pruner={"type": "none"},
    )
    values = [trial.value or math.inf for trial in Workers(sweep, 4).finish_all()]
    return sum(values[-8:]) / 8


@pytest.mark.parametrize(("sampler", "count"), LEARNERS, ids=lambda value: str(value)[10:15])
def test_what_learns_proposes_better_than_chance_although_others_are_running(
    make: Make, sampler: dict[str, Any], count: int
) -> None:
    seeds = range(1) if sampler["type"] == "gp" else range(3)
    random = [late_mean(make, {"type": "random"}, count, seed) for seed in seeds]
    learnt = [late_mean(make, sampler, count, seed) for seed in seeds]
    assert sorted(learnt)[len(seeds) // 2] < sorted(random)[len(seeds) // 2] - 0.2


def test_a_sweep_of_a_thousand_trials_is_proposed(make: Make) -> None:
    sweep = make(SHORT, sampler={"type": "random"}, trials=1001)
    first = propose(sweep, 0, []).params
    rates = [1e-4 + 1e-5 * number for number in range(1000)]
    drawn = [Trial(n, {**first, "train.learning_rate": rate}) for n, rate in enumerate(rates)]
    trials = [finished(trial) for trial in drawn]
    search = Search(sweep, VOCABULARY)
    proposals = [search.propose(number, trials) for number in (998, 999, 1000)]
    assert len({str(trial.params) for trial in proposals if trial}) == 3
    again = search.propose(1000, trials[:997] + drawn[997:])
    assert again == proposals[-1]


def test_constraints_that_nothing_meets_are_told(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.proposal.MAX_RANDOM_DRAWS", 300)
    space = {"model.n_layers": {"type": "int", "low": 1, "high": 3}}
    sweep = make(SHORT, sampler={"type": "random"}, space=space, constraints=["params < 100"])
    with pytest.raises(ConfigError, match="none of 300 configurations drawn meets all of them"):
        propose(sweep, 0, [])


class TestTwins:
    """Trials whose runs are the same."""

    SPACE: ClassVar[dict[str, Any]] = {"model.n_layers": {"type": "int", "low": 1, "high": 2}}

    @pytest.fixture
    def sweep(self, make: Make) -> Sweep:
        """A sweep that soon draws a configuration again."""
        sampler = {"type": "random"}
        pruner = {"type": "median", "n_startup_trials": 1}
        return make(SHORT, sampler=sampler, space=self.SPACE, trials=10, pruner=pruner)

    def test_the_later_takes_the_result_of_the_first_that_trains_the_same(
        self, sweep: Sweep
    ) -> None:
        golden, *others = simulation.outcomes(
            sweep, lambda t, s: float(t.params["model.n_layers"] or 0)
        )
        assert others == [golden] * 3
        first: dict[Any, Trial] = {}
        for trial in golden:
            source = first.setdefault(trial.params["model.n_layers"], trial)
            assert trial.same_as == (None if source is trial else source.number)
            assert (trial.state, trial.value, trial.reports) == (
                source.state,
                source.value,
                source.reports,
            )
        assert len(first) == 2

    def test_what_takes_a_result_is_not_trained(self, sweep: Sweep) -> None:
        workers = Workers(sweep, 3)
        trials = workers.finish_all()
        assert set(workers.trained) == {t.number for t in trials if t.same_as is None}

    def test_a_twin_of_a_running_trial_is_known_as_such(self, sweep: Sweep) -> None:
        running = [Trial(0, {"model.n_layers": 1}), Trial(1, {"model.n_layers": 1}, same_as=0)]
        search = Search(sweep, VOCABULARY)
        assert search.with_twin(Trial(2, {"model.n_layers": 1}), running).same_as == 0
        assert search.with_twin(Trial(2, {"model.n_layers": 2}), running).same_as is None

    def test_two_choices_of_parameters_that_derive_the_same_run_are_twins(self, make: Make) -> None:
        space = {
            "train.warmup_iters": {"type": "int", "low": 1, "high": 4},
            "train.min_lr_ratio": {"expr": "0.1"},
            "train.schedule": {"type": "categorical", "choices": ["cosine", "linear"]},
        }
        search = Search(make(SHORT, space=space), VOCABULARY)
        first = Trial(0, {"train.warmup_iters": 2, "train.schedule": "cosine"})
        second = Trial(1, {"train.schedule": "cosine", "train.warmup_iters": 2})
        assert search.with_twin(second, [first]).same_as == 0


class TestVersions:
    """A sweep whose file was edited after some trials."""

    def edited(self, before: Sweep, after: Sweep, until: int = 8) -> tuple[Search, list[Trial]]:
        trials = history(before, until)
        return Search(after, VOCABULARY, [Earlier(until, before)]), trials

    @pytest.mark.parametrize(
        ("space", "fitting"),
        [
            ({"train.weight_decay": {"type": "float", "low": 0.0, "high": 0.4}}, 8),
            (
                {"train.schedule": {"type": "categorical", "choices": ["cosine", "linear", "wsd"]}},
                8,
            ),
            ({"model.n_layers": {"type": "int", "low": 1, "high": 9}}, 8),
            ({"model.n_layers": {"type": "int", "low": 4, "high": 9}}, 0),
        ],
    )
    def test_trials_that_lie_in_the_new_space_inform_the_search(
        self, make: Make, space: dict[str, Any], fitting: int
    ) -> None:
        search, trials = self.edited(make(), make(space=EVERY_TYPE | space))
        assert sum(search.informs(trial) for trial in trials) == fitting
        proposal = search.propose(8, trials)
        worse = [replace(t, value=10 - t.value if t.value else None) for t in trials]
        other = Search(search.sweep, VOCABULARY, [Earlier(8, make())]).propose(8, worse)
        assert proposal is not None
        assert other is not None
        assert (proposal.params != other.params) == bool(fitting)

    def test_a_part_of_the_trials_may_fit(self, make: Make) -> None:
        narrow = {"model.n_layers": {"type": "int", "low": 1, "high": 2}}
        search, trials = self.edited(make(), make(space=EVERY_TYPE | narrow), 16)
        fitting = [trial.params["model.n_layers"] in (1, 2) for trial in trials]
        assert [search.informs(trial) for trial in trials] == fitting
        assert 0 < sum(fitting) < 16

    def test_where_a_parameter_is_gone_those_that_had_the_shared_value_fit(
        self, make: Make
    ) -> None:
        left = {key: one for key, one in EVERY_TYPE.items() if key != "model.bias"}
        search, trials = self.edited(make(), make(space=left), 12)
        shared = search.sweep.run.model.bias
        assert [search.informs(trial) for trial in trials] == [
            trial.params["model.bias"] is shared for trial in trials
        ]
        proposal = search.propose(12, trials)
        assert proposal is not None
        assert proposal.params.keys() == left.keys()

    def test_a_new_parameter_is_searched_beside_the_shared_value_of_the_old_trials(
        self, make: Make
    ) -> None:
        old = {key: one for key, one in EVERY_TYPE.items() if key != "model.bias"}
        search, trials = self.edited(make(space=old), make())
        assert all(search.informs(trial) for trial in trials)
        proposal = search.propose(8, trials)
        assert proposal is not None
        assert proposal.params.keys() == EVERY_TYPE.keys()

    def test_the_trials_before_an_edit_are_proposed_as_they_were(self, make: Make) -> None:
        wide = {"train.weight_decay": {"type": "float", "low": 0.0, "high": 0.4}}
        search, trials = self.edited(make(), make(space=EVERY_TYPE | wide))
        again = [search.propose(number, trials) for number in range(8)]
        assert [trial.params for trial in again if trial] == [trial.params for trial in trials]

    def test_another_sampler_learns_from_the_trials_of_the_one_before(self, make: Make) -> None:
        search, trials = self.edited(make(sampler={"type": "random"}), make())
        fresh = Search(make(), VOCABULARY).propose(8, trials)
        proposal = search.propose(8, trials)
        assert proposal is not None
        assert fresh is not None
        assert proposal.params == fresh.params

    def test_what_is_queued_later_is_tried_at_once_and_what_was_tried_is_not_again(
        self, make: Make
    ) -> None:
        old, new = {"model.n_layers": 3, "model.bias": True}, {"model.n_layers": 1}
        search, trials = self.edited(make(enqueue=[old]), make(enqueue=[old, new]))
        proposal = search.propose(8, trials)
        assert proposal is not None
        assert proposal.params["model.n_layers"] == 1
        assert proposal.params != trials[0].params

    @pytest.mark.parametrize("sampler", ["grid", "brute_force"])
    def test_a_grid_goes_on_with_the_points_that_are_left(self, make: Make, sampler: str) -> None:
        kind = {"type": sampler}
        before = make(SHORT, space=FINITE, sampler=kind, trials=None)
        wider = FINITE | {"model.n_layers": {"type": "int", "low": 2, "high": 4}}
        after = make(SHORT, space=wider, sampler=kind, trials=None)
        trials = Workers(before, 1).finish_all()[:9]
        search = Search(after, VOCABULARY, [Earlier(9, before)])
        while (trial := search.propose(len(trials), trials)) is not None:
            trials.append(replace(trial, state="complete", value=2.0))
        assert len({str(sorted(trial.params.items())) for trial in trials}) == len(trials) == 27


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
    assert stops(sweep, trial, trials) == expected
    assert stops(sweep, trial, trials) == expected


def test_a_verdict_does_not_depend_on_what_is_known_beyond_its_distance(make: Make) -> None:
    sweep = make(max_concurrent=3, pruner=MEDIAN)
    trials = others([3.0], [2.0], [1.0], [1.0])
    trial = Trial(4, {}, reports={10: 2.4})
    assert not stops(sweep, trial, trials)
    running = [Trial(2, {}, reports={10: 1.0}), Trial(3, {})]
    assert not stops(sweep, trial, [*trials[:2], *running])
    beyond = others([3.0], [2.0], [0.1], [0.1], [0.1], [0.1])
    assert not stops(sweep, trial, beyond)
    nearer = others([2.0], [2.0], [1.0], [1.0])
    assert stops(sweep, trial, nearer)


def test_pruned_trials_count_for_nothing_in_a_verdict(make: Make) -> None:
    sweep = make(max_concurrent=1, pruner=MEDIAN)
    trials = others([3.0], [2.0])
    trials.append(Trial(2, {}, "pruned", 0.1, {10: 0.1}))
    assert not stops(sweep, Trial(3, {}, reports={10: 2.4}), trials)
