"""The run of a trial: its parameters, what follows from them, and what must hold."""

from typing import Any

import pytest

from experiments.configuration import (
    FACTS,
    Configurations,
    derivation_order,
    facts_of,
    named,
    short_names,
)
from experiments.parameter import DerivedParameter, FloatParameter
from tinygpt import config
from tinygpt.config import RunConfig, as_dict
from tinygpt.flops import flops_per_token
from tinygpt.schema import ConfigError
from tinygpt.size import parameters

VOCABULARY = 17
RATE = FloatParameter(low=1e-3, high=1e-1)


def runs(
    *constraints: str, derived: dict[str, str] | None = None, **options: Any
) -> Configurations:
    space = {key: DerivedParameter(expr=text) for key, text in (derived or {}).items()}
    return Configurations(
        run=as_dict(RunConfig()),
        space={"train.learning_rate": RATE, **space},
        constraints=constraints,
        vocabulary=VOCABULARY,
        **options,
    )


@pytest.mark.parametrize(
    ("derived", "values", "expected"),
    [
        ({"train.muon_lr": "20 * train.learning_rate"}, {"train.learning_rate": 0.01}, 0.2),
        ({"train.muon_lr": "learning_rate"}, {"train.learning_rate": 0.01}, 0.01),
        (
            {"train.muon_lr": "2 * train.min_lr_ratio", "train.min_lr_ratio": "10 * learning_rate"},
            {"train.learning_rate": 0.01},
            0.2,
        ),
    ],
)
def test_values_follow_from_others_each_after_what_it_needs(
    derived: dict[str, str], values: dict[str, Any], expected: float
) -> None:
    flat = config.flat(runs(derived=derived).nested(values))
    assert flat["train.muon_lr"] == pytest.approx(expected)


def test_a_whole_result_fits_a_whole_number_and_another_does_not() -> None:
    values = {"model.d_model": 64}
    fitting = runs(derived={"model.d_head": "model.d_model / 4"}).nested(values)
    assert config.flat(fitting)["model.d_head"] == 16
    with pytest.raises(ConfigError, match=r"model\.d_head: must be a whole number"):
        runs(derived={"model.d_head": "model.d_model / 5"}).nested(values)


def test_a_value_that_cannot_be_computed_is_told_with_its_key() -> None:
    objection = runs(derived={"train.muon_lr": "1 / model.dropout"}).objection(
        {"model.dropout": 0.0}
    )
    assert objection is not None
    assert objection.startswith("train.muon_lr: ")


def test_the_order_of_derivations_leaves_circles_out() -> None:
    expressions = {"train.beta1": "beta2", "train.beta2": "beta1", "train.muon_lr": "seed"}
    assert derivation_order(expressions) == ["train.muon_lr"]
    chain = {"train.beta1": "train.beta2", "train.beta2": "train.muon_lr", "train.muon_lr": "seed"}
    assert derivation_order(chain) == ["train.muon_lr", "train.beta2", "train.beta1"]


@pytest.mark.parametrize("batch_size", [4, 16, 64])
def test_every_trial_may_train_on_the_same_tokens(batch_size: int) -> None:
    run = runs(tokens=1e6).checked({"train.batch_size": batch_size})
    assert run.train.max_iters == round(1e6 / run.tokens_per_step)


@pytest.mark.parametrize("layers", [1, 2, 4])
def test_every_trial_may_take_the_same_operations(layers: int) -> None:
    run = runs(flops=1e12).checked({"model.n_layers": layers})
    facts = facts_of(run, VOCABULARY)
    per_step = flops_per_token(run.model, VOCABULARY) * run.tokens_per_step
    assert run.train.max_iters == round(1e12 / per_step)
    assert abs(float(facts["flops"] or 0) - 1e12) <= per_step / 2


def test_a_limit_below_one_update_is_one_update() -> None:
    assert runs(tokens=1.0).checked({}).train.max_iters == 1


def test_the_facts_of_a_run() -> None:
    run = RunConfig()
    facts = facts_of(run, VOCABULARY)
    assert tuple(facts) == FACTS
    assert facts["params"] == parameters(run.model, VOCABULARY)
    assert facts["tokens"] == run.train.max_iters * run.tokens_per_step


@pytest.mark.parametrize(
    ("constraint", "expected"),
    [
        ("params_millions <= 100", None),
        ("params < 10", "params < 10 does not hold (params "),
        ("d_model == 128 and n_layers < 2", "d_model == 128 and n_layers < 2 does not hold ("),
        ("1 / model.dropout > 0", "1 / model.dropout > 0: "),
    ],
)
def test_why_a_constraint_does_not_hold_is_told(constraint: str, expected: str | None) -> None:
    told = runs(constraint).objection({"model.d_model": 128, "model.dropout": 0.0})
    assert told is None if expected is None else str(told).startswith(expected)


def test_all_constraints_that_do_not_hold_are_told() -> None:
    told = runs("params < 10", "tokens < 10", "params > 10").objection({})
    assert told is not None
    assert told.count("does not hold") == 2


def test_what_the_core_refuses_is_an_objection_too() -> None:
    told = runs().objection({"model.d_model": 100, "model.d_head": 32})
    assert told is not None
    assert "multiple of d_head" in told


def test_a_key_is_known_by_its_last_part_where_that_is_its_own() -> None:
    names = named(as_dict(RunConfig()))
    assert names["d_model"] == names["model.d_model"]
    assert "seed" in names
    assert all(key.endswith(short) for short, key in short_names().items())
