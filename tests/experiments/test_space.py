"""Which parameters apply, in what order, and every point where they can be counted."""

from typing import Any

import pytest

from experiments import space
from experiments.parameter import (
    CategoricalParameter,
    DerivedParameter,
    FloatParameter,
    IntParameter,
)
from experiments.space import Space

OPTIMIZER = CategoricalParameter(choices=("adamw", "muon"))
RATE = CategoricalParameter(choices=(0.1, 0.2), when={"train.optimizer": ("muon",)})
STEPS = IntParameter(low=1, high=2, when={"train.muon_lr": (0.2,)})
NESTED: Space = {
    "train.muon_ns_steps": STEPS,
    "train.muon_lr": RATE,
    "train.optimizer": OPTIMIZER,
    "train.beta1": DerivedParameter(expr="train.beta2"),
}
ADAMW = {"train.optimizer": "adamw"}
MUON = {"train.optimizer": "muon"}


def test_parents_come_before_those_that_depend_on_them_and_derived_values_are_not_searched() -> (
    None
):
    keys = ["train.optimizer", "train.muon_lr", "train.muon_ns_steps"]
    assert list(space.searched(NESTED)) == keys
    assert list(space.searched(dict(reversed(list(NESTED.items()))))) == keys
    assert space.derived(NESTED) == {"train.beta1": "train.beta2"}
    assert space.conditional(NESTED)
    assert not space.conditional({"train.optimizer": OPTIMIZER})


def test_conditions_in_a_circle_are_named() -> None:
    circle: Space = {
        "model.n_layers": IntParameter(low=1, high=2, when={"model.bias": (True,)}),
        "model.bias": CategoricalParameter(choices=(True, False), when={"model.n_layers": (1,)}),
        "train.optimizer": OPTIMIZER,
    }
    assert space.circles(circle) == ["model.bias", "model.n_layers"]
    assert space.circles(NESTED) == []
    assert set(space.searched(circle)) == circle.keys()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (ADAMW, ADAMW),
        (ADAMW | {"train.muon_lr": 9.0, "seed": 1}, ADAMW),
        (MUON | {"train.muon_lr": 0.1, "train.muon_ns_steps": 9}, MUON | {"train.muon_lr": 0.1}),
        (
            MUON | {"train.muon_lr": 0.2, "train.muon_ns_steps": 2},
            MUON | {"train.muon_lr": 0.2, "train.muon_ns_steps": 2},
        ),
        (MUON | {"train.muon_lr": 0.2, "train.muon_ns_steps": 3}, None),
        (MUON | {"train.muon_lr": 0.3}, None),
        (MUON, None),
        ({}, None),
    ],
)
def test_of_a_runs_values_those_are_a_trials_that_apply(
    values: dict[str, Any], expected: dict[str, Any] | None
) -> None:
    assert space.active(NESTED, values) == expected


def test_every_point_has_the_parameters_that_apply_to_it() -> None:
    assert list(space.points(NESTED)) == [
        ADAMW,
        MUON | {"train.muon_lr": 0.1},
        MUON | {"train.muon_lr": 0.2, "train.muon_ns_steps": 1},
        MUON | {"train.muon_lr": 0.2, "train.muon_ns_steps": 2},
    ]


def test_other_values_may_be_listed_than_a_parameters_own() -> None:
    open_space: Space = {"train.learning_rate": FloatParameter(low=0.0, high=1.0)}
    with pytest.raises(ValueError, match=r"train\.learning_rate"):
        space.points(open_space)
    lists = {"train.learning_rate": (0.5, 0.25)}
    assert list(space.points(open_space, lists)) == [
        {"train.learning_rate": 0.5},
        {"train.learning_rate": 0.25},
    ]


@pytest.mark.parametrize(
    ("parameters", "limit", "expected"),
    [
        (NESTED, 10, 4),
        (NESTED, 4, 4),
        (NESTED, 3, None),
        ({"seed": IntParameter(low=0, high=2**40)}, 10, None),
        ({"train.learning_rate": FloatParameter(low=0.0, high=1.0)}, 10, None),
        ({"seed": IntParameter(low=0, high=9_999)}, 10_000, 10_000),
    ],
)
def test_how_many_points_there_are(parameters: Space, limit: int, expected: int | None) -> None:
    assert space.size(parameters, limit) == expected


@pytest.mark.parametrize(
    ("value", "allowed", "expected"),
    [
        (1, (1.0,), True),
        (True, (1,), False),
        (1, (True,), False),
        (None, (None, "a"), True),
        ("a", ("b",), False),
    ],
)
def test_true_is_not_one_but_one_is_one(
    value: Any, allowed: tuple[Any, ...], expected: bool
) -> None:
    assert space.is_one_of(value, allowed) is expected
