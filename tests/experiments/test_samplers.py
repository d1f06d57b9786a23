"""The samplers of a sweep file: what they refuse, and what they propose."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import optuna
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler
from optuna.trial import create_trial

from experiments import samplers
from experiments.samplers import Sampler, optuna_sampler, qmc_sampler
from tinygpt import schema
from tinygpt.schema import Checked, ConfigError

NUMBERS: dict[str, BaseDistribution] = {
    "rate": FloatDistribution(1e-4, 1e-2, log=True),
    "width": IntDistribution(16, 128, step=16),
}
SPACE: dict[str, BaseDistribution] = {
    **NUMBERS,
    "norm": CategoricalDistribution(("layernorm", "rmsnorm", None)),
    "fixed": FloatDistribution(2.0, 2.0),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder(Checked):
    """What a sweep is to its sampler."""

    sampler: Sampler


def options(**values: Any) -> Any:
    return schema.build(Holder, {"sampler": values}).sampler


def finished(place: int, space: Mapping[str, BaseDistribution], count: int) -> Any:
    params: dict[str, Any] = {
        "rate": 1e-4 * 1.2**place,
        "width": 16 + 16 * (place % 8),
        "norm": ("layernorm", "rmsnorm", None)[place % 3],
        "fixed": 2.0,
    }
    return create_trial(
        values=[float((place * 7) % 13 + i) for i in range(count)],
        params={key: params[key] for key in space},
        distributions=dict(space),
    )


def proposal(
    sampler: BaseSampler,
    space: Mapping[str, BaseDistribution] = SPACE,
    *,
    done: int = 12,
    objectives: int = 1,
) -> dict[str, Any]:
    """What a sampler proposes after some made-up trials."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    asked = optuna.create_study(directions=["minimize"] * objectives, sampler=sampler)
    asked.add_trials([finished(place, space, objectives) for place in range(done)])
    return asked.ask(dict(space)).params


CASES: list[tuple[dict[str, Any], int]] = [
    ({"type": "tpe"}, 1),
    ({"type": "tpe"}, 2),
    ({"type": "tpe", "multivariate": False}, 1),
    ({"type": "tpe", "group": True}, 2),
    ({"type": "tpe", "group": False, "constant_liar": False}, 1),
    ({"type": "random"}, 1),
    ({"type": "random"}, 2),
    ({"type": "cmaes"}, 1),
    ({"type": "cmaes", "use_separable_cma": True}, 1),
    ({"type": "cmaes", "with_margin": True, "popsize": 4}, 1),
    ({"type": "cmaes", "lr_adapt": True, "consider_pruned_trials": True}, 1),
    ({"type": "cmaes", "x0": {"rate": 1e-3, "width": 64}, "sigma0": 0.1}, 1),
    ({"type": "nsgaii", "population_size": 4}, 2),
    *(
        ({"type": "nsgaii", "population_size": 4, "crossover": crossover}, 1)
        for crossover in ("uniform", "blxalpha", "spx", "sbx", "vsbx", "undx")
    ),
]


@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize(("values", "objectives"), CASES)
def test_a_sampler_proposes_within_the_space_the_same_each_time_and_without_a_warning(
    values: dict[str, Any], objectives: int, conditional: bool
) -> None:
    first, again, other = (
        proposal(
            optuna_sampler(
                options(**values), seed=seed, conditional=conditional, objectives=objectives
            ),
            objectives=objectives,
        )
        for seed in (3, 3, 4)
    )
    assert first == again
    assert first != other
    assert all(dist._contains(dist.to_internal_repr(first[key])) for key, dist in SPACE.items())


def test_one_number_is_separable_without_a_warning() -> None:
    space = {"rate": SPACE["rate"], "norm": SPACE["norm"]}
    made = options(type="cmaes", use_separable_cma=True)
    sampler = optuna_sampler(made, seed=3, conditional=False, objectives=1)
    assert set(proposal(sampler, space)) == set(space)


def test_a_gaussian_process_proposes_the_same_each_time() -> None:
    made = options(type="gp", n_startup_trials=3, deterministic_objective=True)
    first, again = (
        proposal(optuna_sampler(made, seed=3, conditional=False, objectives=1), NUMBERS, done=4)
        for _ in range(2)
    )
    assert first == again


@pytest.mark.parametrize(
    ("values", "conditional", "objectives", "joint", "grouped"),
    [
        ({}, False, 1, True, False),
        ({}, True, 1, True, True),
        ({}, True, 2, False, False),
        ({}, False, 2, False, False),
        ({"multivariate": True}, True, 2, True, True),
        ({"multivariate": False}, True, 1, False, False),
        ({"group": True}, False, 2, True, True),
        ({"group": False}, True, 1, True, False),
    ],
)
def test_what_tpe_leaves_open_follows_from_space_and_objectives(
    values: dict[str, Any], conditional: bool, objectives: int, joint: bool, grouped: bool
) -> None:
    made = optuna_sampler(
        options(type="tpe", **values), seed=0, conditional=conditional, objectives=objectives
    )
    assert isinstance(made, optuna.samplers.TPESampler)
    assert (made._multivariate, made._group) == (joint, grouped)


@pytest.mark.parametrize("kind", ["sobol", "halton"])
@pytest.mark.parametrize("scramble", [True, False])
def test_a_point_of_a_sequence_depends_on_nothing_but_its_number(kind: str, scramble: bool) -> None:
    made = options(type="qmc", qmc_type=kind, scramble=scramble)
    reverse = dict(reversed(SPACE.items()))
    for index in (0, 1, 5):
        alone, late, reordered = (
            proposal(qmc_sampler(made, seed=1, index=index, space=space), SPACE, done=done)
            for space, done in ((SPACE, 0), (SPACE, 7), (reverse, 3))
        )
        assert alone == late == reordered
    moved = proposal(qmc_sampler(made, seed=2, index=5, space=SPACE))
    assert (moved != alone) is scramble


@pytest.mark.parametrize("kind", ["sobol", "halton"])
def test_a_sequence_takes_every_choice_and_step_about_equally_often(kind: str) -> None:
    made = options(type="qmc", qmc_type=kind)
    drawn = [
        proposal(qmc_sampler(made, seed=0, index=index, space=SPACE), done=0) for index in range(32)
    ]
    for key, values in (("norm", 3), ("width", 8)):
        counts = [sum(one[key] == value for one in drawn) for value in {d[key] for d in drawn}]
        assert len(counts) == values
        assert max(counts) - min(counts) <= 2
    assert len({one["rate"] for one in drawn}) == 32


def test_a_space_without_a_choice_has_a_sequence_too() -> None:
    space = {"fixed": SPACE["fixed"]}
    made = qmc_sampler(options(type="qmc"), seed=0, index=3, space=space)
    assert proposal(made, space, done=0) == {"fixed": 2.0}


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (
            {"type": "tpr"},
            "sampler.type: must be tpe, random, grid, brute_force, qmc, cmaes, gp or",
        ),
        ({"type": "tpe", "n_ei_candidates": 0}, "sampler.n_ei_candidates: must be >= 1, got 0"),
        (
            {"type": "tpe", "group": True, "multivariate": False},
            "sampler.group: needs multivariate: true",
        ),
        ({"type": "tpe", "multivariate": 1}, "sampler.multivariate: must be true or false or null"),
        ({"type": "random", "seed": 1}, "sampler.seed: unknown key"),
        ({"type": "grid", "search_space": {"a": []}}, "sampler.search_space.a: must hold"),
        ({"type": "grid", "search_space": {"a": 1}}, "sampler.search_space.a: must be a list"),
        ({"type": "grid", "search_space": {"a": [1, 2, 1]}}, "sampler.search_space.a: holds a"),
        ({"type": "grid", "search_space": {"a": [[1]]}}, "sampler.search_space.a.0: must be"),
        (
            {"type": "brute_force", "avoid_premature_stop": True},
            "sampler.avoid_premature_stop: unk",
        ),
        ({"type": "qmc", "qmc_type": "sobel"}, "sampler.qmc_type: must be sobol or halton"),
        ({"type": "cmaes", "popsize": 1}, "sampler.popsize: must be >= 4, got 1"),
        ({"type": "cmaes", "sigma0": 0}, "sampler.sigma0: must be > 0, got 0"),
        ({"type": "cmaes", "x0": {"rate": "a"}}, "sampler.x0.rate: must be a number, got 'a'"),
        (
            {"type": "cmaes", "lr_adapt": True, "with_margin": True},
            "sampler.lr_adapt: cannot be combined with with_margin",
        ),
        (
            {"type": "cmaes", "use_separable_cma": True, "with_margin": True},
            "sampler.with_margin: cannot be combined with use_separable_cma",
        ),
        ({"type": "gp", "n_startup_trials": -1}, "sampler.n_startup_trials: must be >= 0"),
        ({"type": "nsgaii", "population_size": 1}, "sampler.population_size: must be >= 2"),
        (
            {"type": "nsgaii", "population_size": 2, "crossover": "spx"},
            "sampler.population_size: must be >= 3, the parents that crossover spx takes, got 2",
        ),
        ({"type": "nsgaii", "mutation_prob": 1.5}, "sampler.mutation_prob: must be >= 0 and <= 1"),
        ({"type": "nsgaii", "crossover": "simplex"}, "sampler.crossover: must be uniform, blx"),
    ],
)
def test_what_a_sampler_refuses_is_told_under_its_key(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as raised:
        options(**values)
    assert str(raised.value.problems[0]).startswith(problem)


def test_numbers_of_a_starting_point_become_real() -> None:
    assert options(type="cmaes", x0={"width": 64}).x0 == {"width": 64.0}
    assert options(type="cmaes", x0=None).x0 is None
    assert options(type="grid", search_space={"a": [1, "b", None, False, 0.5]}).search_space == {
        "a": (1, "b", None, False, 0.5)
    }


@pytest.mark.parametrize("kind", ["grid", "brute_force", "qmc"])
def test_what_is_enumerated_is_not_asked_through_optuna(kind: str) -> None:
    with pytest.raises(TypeError, match=f"{kind} is not asked"):
        optuna_sampler(options(type=kind), seed=0, conditional=False, objectives=1)


def test_only_cmaes_has_to_have_one_objective() -> None:
    kinds = ("tpe", "random", "grid", "brute_force", "qmc", "cmaes", "gp", "nsgaii")
    refusing = [kind for kind in kinds if not samplers.accepts_objectives(options(type=kind), 2)]
    assert refusing == ["cmaes"]
    assert samplers.accepts_objectives(options(type="cmaes"), 1)


@pytest.mark.parametrize(
    ("kind", "package"), [("cmaes", "cmaes"), ("gp", "scipy"), ("qmc", "scipy"), ("tpe", None)]
)
def test_a_package_is_missed_where_a_sampler_needs_it(
    kind: str, package: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert samplers.missing_package(options(type=kind)) is None
    for name in ("cmaes", "scipy"):
        monkeypatch.setitem(sys.modules, name, None)
    assert samplers.missing_package(options(type=kind)) == package
