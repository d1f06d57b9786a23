"""Which spaces and constraints fit the run around them."""

import resource
import subprocess
import sys
from collections.abc import Mapping

import pytest

from experiments import fit
from experiments.parameter import (
    MAX_ENUMERATED,
    CategoricalParameter,
    Condition,
    DerivedParameter,
    FloatParameter,
    IntParameter,
)
from experiments.space import Parameter
from tinygpt.config import RunConfig, as_dict

RUN = as_dict(RunConfig())


def told_of(searched: Mapping[str, Parameter], *constraints: str) -> list[str]:
    """What is wrong, without the `space.` that all problems of a space begin with."""
    found = fit.problems(searched, RUN, constraints)
    return [str(problem).removeprefix("space.").removeprefix("space: ") for problem in found]


LEARNING_RATE = FloatParameter(low=1e-4, high=1e-2)


@pytest.mark.parametrize(
    ("searched", "told"),
    [
        (
            {"train.learning_rat": LEARNING_RATE},
            ["train.learning_rat: unknown key (did you mean 'train.learning_rate'?)"],
        ),
        (
            {"learning_rate": LEARNING_RATE},
            ["learning_rate: unknown key (did you mean 'train.learning_rate'?)"],
        ),
        ({"zzz": LEARNING_RATE}, ["zzz: unknown key"]),
        (
            {"data.val_fraction": FloatParameter(low=0.1, high=0.2)},
            [
                "data.val_fraction: cannot be searched: losses on different texts do not compare",
            ],
        ),
        (
            {"model.d_model": FloatParameter(low=16.0, high=32.5)},
            [
                "model.d_model.low: must be a whole number, got 16.0 (write 16)",
                "model.d_model.high: must be a whole number, got 32.5",
            ],
        ),
        (
            {"model.dropout": FloatParameter(low=0.0, high=1.0)},
            ["model.dropout.high: must be >= 0 and < 1, got 1.0"],
        ),
        (
            {"model.n_layers": IntParameter(low=0, high=2)},
            ["model.n_layers.low: must be >= 1, got 0"],
        ),
        (
            {"train.schedule": CategoricalParameter(choices=("cosine", "linaer"))},
            [
                "train.schedule.choices.1: must be cosine, wsd, linear or constant, got 'linaer' "
                "(did you mean 'linear'?)"
            ],
        ),
        (
            {"train.device": CategoricalParameter(choices=("auto", "cpu"))},
            ["train.device.choices.0: must be settled, name the choice itself"],
        ),
        (
            {"model.bias": CategoricalParameter(choices=(0, 1))},
            [
                "model.bias.choices.0: must be true or false, got 0",
                "model.bias.choices.1: must be true or false, got 1",
            ],
        ),
        (
            {
                "model.d_model": CategoricalParameter(choices=(64, 100)),
                "train.learning_rate": LEARNING_RATE,
            },
            [
                "model.d_model: must be a multiple of d_head (32), got 100, with "
                "model.d_model: 100; narrow the space, or exclude it by a constraint"
            ],
        ),
        (
            {"model.d_head": IntParameter(low=32, high=64, step=16)},
            [
                "model.d_model must be a multiple of d_head (48), got 128, with "
                "model.d_head: 48; narrow the space, or exclude it by a constraint"
            ],
        ),
        ({"model.d_model": IntParameter(low=32, high=96, step=32)}, []),
        ({"train.learning_rate": IntParameter(low=1, high=2)}, []),
    ],
)
def test_a_space_says_what_does_not_fit_the_run(
    searched: Mapping[str, Parameter], told: list[str]
) -> None:
    assert told_of(searched) == told


def test_combinations_are_tried_up_to_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_ENUMERATED == 10_000
    monkeypatch.setattr("experiments.fit.MAX_ENUMERATED", 100)
    infeasible = {"model.d_model": CategoricalParameter(choices=(32, 40))}
    most: dict[str, Parameter] = {**infeasible, "model.n_layers": IntParameter(low=1, high=50)}
    more: dict[str, Parameter] = {**infeasible, "model.n_layers": IntParameter(low=1, high=51)}
    apart: dict[str, Parameter] = {**infeasible, "train.max_iters": IntParameter(low=1, high=99)}
    assert len(list(fit.problems(most, RUN))) == 1
    assert list(fit.problems(more, RUN)) == []
    assert len(list(fit.problems(apart, RUN))) == 1


@pytest.mark.parametrize(
    "parameter",
    [
        "IntParameter(low=0, high=2**40)",
        "FloatParameter(low=0.0, high=1.0, step=1e-12)",
    ],
)
def test_a_range_of_very_many_values_is_not_listed(parameter: str) -> None:
    key = "seed" if parameter.startswith("Int") else "train.weight_decay"
    code = (
        "from experiments import fit\n"
        "from experiments.parameter import FloatParameter, IntParameter\n"
        "from tinygpt.config import RunConfig, as_dict\n"
        f"found = fit.problems({{{key!r}: {parameter}}}, as_dict(RunConfig()))\n"
        "assert list(found) == []\n"
    )
    # A gigabyte is plenty for what is asked, and an endless list ends quickly.
    limit = 1 << 30
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    assert (done.returncode, done.stderr) == (0, "")


OPTIMIZER = CategoricalParameter(choices=("adamw", "muon"))
MUON: Condition = {"train.optimizer": ("muon",)}


@pytest.mark.parametrize(
    ("searched", "told"),
    [
        (
            {
                "train.optimizer": OPTIMIZER,
                "train.muon_lr": FloatParameter(low=0.01, high=0.1, when=MUON),
            },
            [],
        ),
        (
            {"train.muon_lr": FloatParameter(low=0.01, high=0.1, when=MUON)},
            ["train.muon_lr.when.train.optimizer: is not searched in space"],
        ),
        (
            {
                "train.optimizer": OPTIMIZER,
                "train.muon_lr": FloatParameter(
                    low=0.01, high=0.1, when={"train.optimizer": ("muno",)}
                ),
            },
            [
                "train.muon_lr.when.train.optimizer: 'muno' is outside of what "
                "space.train.optimizer allows"
            ],
        ),
        (
            {
                "model.n_layers": IntParameter(low=1, high=2, when={"model.bias": (True,)}),
                "model.bias": CategoricalParameter(
                    choices=(True, False), when={"model.n_layers": (1,)}
                ),
            },
            [
                "model.bias.when: depends on itself through the conditions of others",
                "model.n_layers.when: depends on itself through the conditions of others",
            ],
        ),
        (
            {
                "train.learning_rate": LEARNING_RATE,
                "train.muon_lr": DerivedParameter(expr="20 * train.learning_rate"),
            },
            [],
        ),
        (
            {"train.muon_lr": DerivedParameter(expr="20 * train.learning_rat")},
            [
                "train.muon_lr.expr: train.learning_rat is no key of a run "
                "(did you mean 'train.learning_rate'?)"
            ],
        ),
        (
            {"train.muon_lr": DerivedParameter(expr="2 * muon_lr")},
            ["train.muon_lr.expr: depends on itself"],
        ),
        (
            {
                "train.beta1": DerivedParameter(expr="beta2 / 2"),
                "train.beta2": DerivedParameter(expr="beta1 / 2"),
            },
            ["train.beta1.expr: depends on itself", "train.beta2.expr: depends on itself"],
        ),
    ],
)
def test_conditions_and_derived_values_name_what_there_is(
    searched: Mapping[str, Parameter], told: list[str]
) -> None:
    found = told_of(searched)
    assert len(found) == len(told)
    assert all(line.startswith(start) for line, start in zip(found, told, strict=True))


def test_a_value_derived_from_another_is_tried_too() -> None:
    searched: dict[str, Parameter] = {
        "model.d_model": IntParameter(low=32, high=96, step=32),
        "model.d_head": DerivedParameter(expr="model.d_model // 5"),
    }
    (line,) = told_of(searched)
    assert line.startswith("model.d_model: must be a multiple of d_head (6), got 32")


def test_what_applies_to_no_trial_is_not_held_against_a_space() -> None:
    odd = IntParameter(low=48, high=48, when={"model.d_model": (96,)})
    assert told_of({"model.d_model": IntParameter(low=32, high=96, step=32)}) == []
    searched = {"model.d_model": IntParameter(low=32, high=96, step=32), "model.d_head": odd}
    assert told_of(searched) == []


@pytest.mark.parametrize(
    ("constraint", "told"),
    [
        ("model.d_model % model.d_head == 0", []),
        ("d_model % d_head == 0", []),
        ("params_millions <= 1", None),
        ("1 / dropout < 9 and d_model % d_head == 0", []),
        ("d_modle % 2 == 0", ["constraints.0: d_modle is no key of a run"]),
        ("d_model %", ["constraints.0: "]),
    ],
)
def test_a_constraint_may_exclude_what_cannot_be_trained(
    constraint: str, told: list[str] | None
) -> None:
    searched = {"model.d_model": CategoricalParameter(choices=(64, 100))}
    found = told_of(searched, constraint)
    if told is None:
        assert len(found) == 1
        assert "exclude it by a constraint" in found[0]
    else:
        assert len(found) == len(told)
        assert all(line.startswith(start) for line, start in zip(found, told, strict=True))
