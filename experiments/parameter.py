"""The parameters that a sweep searches, in Optuna's words, and those that follow from others."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal

from experiments.expression import Expression
from experiments.operations import Scalar as Scalar
from tinygpt.schema import Checked, Problem, Range

MAX_ENUMERATED = 10_000

Condition = dict[str, tuple[Scalar, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class FloatParameter(Checked):
    """A real number between low and high, both included."""

    type: Literal["float"] = "float"
    low: float
    high: float
    log: bool = False
    """Draw its logarithm."""
    step: Annotated[float, Range(above=0)] | None = None
    """Distance between the values that may be drawn; null: any."""
    hard_low: float | None = None
    """No report advises to search below it; null: nothing is known."""
    hard_high: float | None = None
    """No report advises to search above it."""
    when: Condition = field(default_factory=dict)
    """Searched only where other parameters of the space have one of these values; elsewhere the run
    has what all trials share."""

    def rules(self) -> Iterator[Problem]:
        yield from _bounds(self)
        if self.log and self.low <= 0:
            yield Problem(("low",), f"must be > 0 where log is true, got {self.low:g}")
        if self.log and self.step is not None:
            yield Problem(("step",), "cannot be combined with log: true; leave one out")
        if self.step is not None and not _divides(self.step, self.high - self.low):
            yield Problem(("high",), _unreached(self.low, self.high, self.step))

    def ends(self) -> list[tuple[str, Scalar]]:
        return [("low", self.low), ("high", self.high)]

    def values(self) -> list[Scalar] | None:
        """Every value, None if there are too many to list."""
        if self.low == self.high:
            return [self.low]
        steps = _steps(self.step, self.high - self.low) if self.step else MAX_ENUMERATED
        if self.step is None or steps >= MAX_ENUMERATED:
            return None
        # 3 * 0.1 is more than 0.3.
        return [min(self.low + i * self.step, self.high) for i in range(steps + 1)]

    def __contains__(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        on_grid = self.step is None or _divides(self.step, value - self.low)
        return self.low <= value <= self.high and on_grid


@dataclass(frozen=True, kw_only=True, slots=True)
class IntParameter(Checked):
    """A whole number between low and high, both included."""

    type: Literal["int"] = "int"
    low: Annotated[int, Range(minimum=-(2**53), maximum=2**53)]
    high: Annotated[int, Range(minimum=-(2**53), maximum=2**53)]
    log: bool = False
    """Draw its logarithm."""
    step: Annotated[int, Range(minimum=1)] = 1
    """Distance between the values that may be drawn."""
    hard_low: int | None = None
    """No report advises to search below it; null: nothing is known."""
    hard_high: int | None = None
    """No report advises to search above it."""
    when: Condition = field(default_factory=dict)
    """Searched only where other parameters of the space have one of these values; elsewhere the run
    has what all trials share."""

    def rules(self) -> Iterator[Problem]:
        yield from _bounds(self)
        if self.log and self.low < 1:
            yield Problem(("low",), f"must be >= 1 where log is true, got {self.low}")
        if self.log and self.step != 1:
            yield Problem(("step",), "cannot be combined with log: true; leave one out")
        if (self.high - self.low) % self.step:
            yield Problem(("high",), _unreached(self.low, self.high, self.step))

    def ends(self) -> list[tuple[str, Scalar]]:
        return [("low", self.low), ("high", self.high)]

    def values(self) -> list[Scalar] | None:
        """Every value, None if there are too many to list."""
        if (self.high - self.low) // self.step >= MAX_ENUMERATED:
            return None
        return list(range(self.low, self.high + 1, self.step))

    def __contains__(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
            return False
        return int(value) in range(self.low, self.high + 1, self.step)


@dataclass(frozen=True, kw_only=True, slots=True)
class CategoricalParameter(Checked):
    """One of some values without an order."""

    type: Literal["categorical"] = "categorical"
    choices: tuple[Scalar, ...]
    when: Condition = field(default_factory=dict)
    """Searched only where other parameters of the space have one of these values; elsewhere the run
    has what all trials share."""

    def rules(self) -> Iterator[Problem]:
        if not self.choices:
            yield Problem(("choices",), "must hold at least one value")
        # Optuna finds a choice by equality, for which 1, 1.0 and true are the same.
        for i, choice in enumerate(self.choices):
            if choice in self.choices[:i]:
                yield Problem(("choices", i), f"{choice!r} stands here twice; remove one")

    def ends(self) -> list[tuple[str | int, Scalar]]:
        return list(enumerate(self.choices))

    def values(self) -> list[Scalar] | None:
        return list(self.choices)

    def __contains__(self, value: object) -> bool:
        return any(value == choice and type(value) is type(choice) for choice in self.choices)


Searched = FloatParameter | IntParameter | CategoricalParameter


@dataclass(frozen=True, kw_only=True, slots=True)
class DerivedParameter(Checked):
    """A value that follows from others of the run; it is not searched."""

    type: Literal["expr"] = "expr"
    expr: str
    """An expression of keys of the run (experiments/expression.py): `20 * train.learning_rate`,
    `model.d_model // 4`; a key alone ties the two."""

    def rules(self) -> Iterator[Problem]:
        try:
            Expression.parse(self.expr)
        except ValueError as error:
            yield Problem(("expr",), str(error))


def _bounds(parameter: FloatParameter | IntParameter) -> Iterator[Problem]:
    low, high = parameter.low, parameter.high
    if low > high:
        yield Problem(("low",), f"must be <= high ({high:g}), got {low:g}")
    if parameter.hard_low is not None and parameter.hard_low > low:
        yield Problem(("hard_low",), f"must be <= low ({low:g}), got {parameter.hard_low:g}")
    if parameter.hard_high is not None and parameter.hard_high < high:
        yield Problem(("hard_high",), f"must be >= high ({high:g}), got {parameter.hard_high:g}")


def _unreached(low: float, high: float, step: float) -> str:
    below = low + (high - low) // step * step
    return f"is not reached from low in steps of {step:g}; take {below:g} or {below + step:g}"


def _steps(step: float, distance: float) -> int:
    """How many steps fit, at most as many as a float can count."""
    return round(min(distance / step, 2.0**53))


def _divides(step: float, distance: float) -> bool:
    return math.isclose(_steps(step, distance) * step, distance, abs_tol=1e-9 * step)
