"""What a parameter allows."""

from typing import Any

import pytest

from experiments.parameter import (
    CategoricalParameter,
    DerivedParameter,
    FloatParameter,
    IntParameter,
    Searched,
)
from tinygpt.schema import Checked, ConfigError


def refusal(kind: type[Checked], **options: Any) -> list[str]:
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
            ["high: is not reached from low in steps of 0.3; take 0.9 or 1.2"],
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
        (
            {"low": 1, "high": 4, "step": 2},
            ["high: is not reached from low in steps of 2; take 3 or 5"],
        ),
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
        (FloatParameter(low=0.0, high=0.3, step=0.1), [0.0, 0.1, 0.2, 0.3]),
        (IntParameter(low=1, high=3), [1, 2, 3]),
        (IntParameter(low=1, high=5, step=2), [1, 3, 5]),
        (IntParameter(low=4, high=4), [4]),
        (CategoricalParameter(choices=("a", None, 1)), ["a", None, 1]),
    ],
)
def test_the_values_of_a_parameter(parameter: Searched, values: list[Any] | None) -> None:
    assert parameter.values() == values


@pytest.mark.parametrize(
    ("parameter", "inside", "outside"),
    [
        (FloatParameter(low=0.0, high=1.0), [0.0, 1.0, 0.3, 1], [-1e-9, 1.1, "0.5", True, None]),
        (FloatParameter(low=0.0, high=0.3, step=0.1), [0.0, 0.1, 0.2, 0.3], [0.15, 0.4, -0.1]),
        (IntParameter(low=1, high=7, step=2), [1, 3, 7, 3.0], [0, 2, 9, 3.5, True, "3"]),
        (CategoricalParameter(choices=(1, "a", None)), [1, "a", None], [True, 1.0, "b", 2]),
        (CategoricalParameter(choices=(True, False)), [True, False], [1, 0, "true"]),
    ],
)
def test_a_value_is_inside_only_if_it_could_be_drawn(
    parameter: Searched, inside: list[Any], outside: list[Any]
) -> None:
    assert [value in parameter for value in inside] == [True] * len(inside)
    assert [value in parameter for value in outside] == [False] * len(outside)


@pytest.mark.parametrize("step", [0.1, 0.05, 0.025, 1e-3, 0.7 / 13])
@pytest.mark.parametrize("low", [0.0, 0.1, -0.3])
def test_every_value_listed_is_inside(low: float, step: float) -> None:
    for count in range(1, 40):
        parameter = FloatParameter(low=low, high=low + count * step, step=step)
        values = parameter.values()
        assert values is not None
        assert len(values) == count + 1
        assert all(value in parameter for value in values)


@pytest.mark.parametrize(
    ("kind", "options", "lines"),
    [
        (
            FloatParameter,
            {"low": 0.1, "high": 1.0, "hard_low": 0.2},
            ["hard_low: must be <= low (0.1), got 0.2"],
        ),
        (
            IntParameter,
            {"low": 1, "high": 4, "hard_high": 3},
            ["hard_high: must be >= high (4), got 3"],
        ),
    ],
)
def test_a_hard_end_lies_at_or_beyond_the_range(
    kind: type[Checked], options: dict[str, Any], lines: list[str]
) -> None:
    assert refusal(kind, **options) == lines


@pytest.mark.parametrize("text", ["", "1 +", "__import__('os')", "a.b.c("])
def test_a_derived_parameter_needs_an_expression(text: str) -> None:
    (line,) = refusal(DerivedParameter, expr=text)
    assert line.startswith("expr: ")
