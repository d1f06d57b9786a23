"""What a parameter allows, and which spaces cannot be searched."""

import resource
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from experiments import space
from experiments.space import CategoricalParameter, FloatParameter, IntParameter, Parameter
from tinygpt.config import RunConfig, as_dict
from tinygpt.schema import ConfigError

RUN = as_dict(RunConfig())


def refusal(kind: type[Parameter], **options: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        kind(**options)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ({"low": 2.0, "high": 1.0}, ["low: must be <= high (1), got 2"]),
        (
            {"low": 0.0, "high": 1.0, "log": True},
            ["low: must be > 0 where log is true, got 0"],
        ),
        (
            {"low": -1.0, "high": 1.0, "log": True},
            ["low: must be > 0 where log is true, got -1"],
        ),
        (
            {"low": 1.0, "high": 2.0, "log": True, "step": 0.5},
            ["step: cannot be combined with log: true; leave one out"],
        ),
        (
            {"low": 0.0, "high": 1.0, "step": 0.3},
            ["high: is not reached from low in steps of 0.3"],
        ),
        ({"low": 0.0, "high": 1.0, "step": 0.0}, ["step: must be > 0, got 0.0"]),
        ({"low": 0.0, "high": float("inf")}, ["high: must be finite, got inf"]),
        ({"low": float("nan"), "high": 1.0}, ["low: must be finite, got nan"]),
    ],
)
def test_a_faulty_float_range_is_refused(options: dict[str, Any], lines: list[str]) -> None:
    assert refusal(FloatParameter, **options) == lines


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ({"low": 2, "high": 1}, ["low: must be <= high (1), got 2"]),
        ({"low": 0, "high": 4, "log": True}, ["low: must be >= 1 where log is true, got 0"]),
        (
            {"low": 1, "high": 3, "log": True, "step": 2},
            ["step: cannot be combined with log: true; leave one out"],
        ),
        ({"low": 1, "high": 4, "step": 2}, ["high: is not reached from low in steps of 2"]),
        ({"low": 1, "high": 4, "step": 0}, ["step: must be >= 1, got 0"]),
        ({"low": 1.0, "high": 4}, ["low: must be a whole number, got 1.0 (write 1)"]),
    ],
)
def test_a_faulty_int_range_is_refused(options: dict[str, Any], lines: list[str]) -> None:
    assert refusal(IntParameter, **options) == lines


@pytest.mark.parametrize(
    ("choices", "lines"),
    [
        ((), ["choices: must hold at least one value"]),
        ((1, 2, 1), ["choices.2: 1 stands here twice; remove one"]),
        (("a", "a", "a"), [f"choices.{i}: 'a' stands here twice; remove one" for i in (1, 2)]),
    ],
)
def test_faulty_choices_are_refused(choices: tuple[Any, ...], lines: list[str]) -> None:
    assert refusal(CategoricalParameter, choices=choices) == lines


def test_choices_that_are_equal_numbers_of_two_types_are_one_choice() -> None:
    assert refusal(CategoricalParameter, choices=(0, 0.0)) == [
        "choices.1: 0.0 stands here twice; remove one"
    ]


@pytest.mark.parametrize(
    ("parameter", "values"),
    [
        (FloatParameter(low=0.0, high=1.0), None),
        (FloatParameter(low=0.5, high=0.5), [0.5]),
        (FloatParameter(low=0.0, high=1.0, step=0.25), [0.0, 0.25, 0.5, 0.75, 1.0]),
        (IntParameter(low=1, high=3), [1, 2, 3]),
        (IntParameter(low=1, high=5, step=2), [1, 3, 5]),
        (IntParameter(low=4, high=4), [4]),
        (CategoricalParameter(choices=("a", None, 1)), ["a", None, 1]),
    ],
)
def test_the_values_of_a_parameter(parameter: Parameter, values: list[Any] | None) -> None:
    assert parameter.values() == values


@pytest.mark.parametrize(
    ("parameter", "inside", "outside"),
    [
        (FloatParameter(low=0.0, high=1.0), [0.0, 1.0, 0.3, 1], [-1e-9, 1.1, "0.5", True, None]),
        (FloatParameter(low=0.0, high=0.3, step=0.1), [0.0, 0.1, 0.2, 0.3], [0.15, 0.4, -0.1]),
        (IntParameter(low=1, high=7, step=2), [1, 3, 7], [0, 2, 9, 3.0, True, "3"]),
        (CategoricalParameter(choices=(1, "a", None)), [1, "a", None], [True, 1.0, "b", 2]),
        (CategoricalParameter(choices=(True, False)), [True, False], [1, 0, "true"]),
    ],
)
def test_a_value_is_inside_only_if_it_could_be_drawn(
    parameter: Parameter, inside: list[Any], outside: list[Any]
) -> None:
    assert [value in parameter for value in inside] == [True] * len(inside)
    assert [value in parameter for value in outside] == [False] * len(outside)


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
                "model.d_model: model.d_model must be a multiple of d_head (32), got 100, with "
                "model.d_model: 100; narrow the space"
            ],
        ),
        (
            {"model.d_head": IntParameter(low=32, high=64, step=16)},
            [
                "model.d_model must be a multiple of d_head (48), got 128, with "
                "model.d_head: 48; narrow the space"
            ],
        ),
        ({"model.d_model": IntParameter(low=32, high=96, step=32)}, []),
        ({"train.learning_rate": IntParameter(low=1, high=2)}, []),
    ],
)
def test_a_space_says_what_does_not_fit_the_run(
    searched: Mapping[str, Parameter], told: list[str]
) -> None:
    assert [str(problem) for problem in space.problems(searched, RUN)] == told


def test_combinations_are_tried_up_to_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    assert space.MAX_ENUMERATED == 10_000
    monkeypatch.setattr("experiments.space.MAX_ENUMERATED", 100)
    infeasible = {"model.d_model": CategoricalParameter(choices=(32, 40))}
    most = {**infeasible, "model.n_layers": IntParameter(low=1, high=50)}
    more = {**infeasible, "model.n_layers": IntParameter(low=1, high=51)}
    apart = {**infeasible, "train.max_iters": IntParameter(low=1, high=99)}
    assert len(list(space.problems(most, RUN))) == 1
    assert list(space.problems(more, RUN)) == []
    assert len(list(space.problems(apart, RUN))) == 1


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
        "from experiments import space\n"
        "from experiments.space import FloatParameter, IntParameter\n"
        "from tinygpt.config import RunConfig, as_dict\n"
        f"found = space.problems({{{key!r}: {parameter}}}, as_dict(RunConfig()))\n"
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
