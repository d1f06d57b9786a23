"""The parameters that a sweep searches, in Optuna's words, and what they may be."""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from tinygpt import config, schema, wording
from tinygpt.schema import Checked, ConfigError, Problem, Range

MAX_ENUMERATED = 10_000

Scalar = float | int | str | bool | None


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

    def rules(self) -> Iterator[Problem]:
        yield from _bounds(self.low, self.high)
        if self.log and self.low <= 0:
            yield Problem(("low",), f"must be > 0 where log is true, got {self.low:g}")
        if self.log and self.step is not None:
            yield Problem(("step",), "cannot be combined with log: true; leave one out")
        if self.step is not None and not _divides(self.step, self.high - self.low):
            yield Problem(("high",), f"is not reached from low in steps of {self.step:g}")

    def ends(self) -> list[tuple[str, Scalar]]:
        return [("low", self.low), ("high", self.high)]

    def values(self) -> list[Scalar] | None:
        """Every value, None if there are too many to list."""
        if self.low == self.high:
            return [self.low]
        steps = _steps(self.step, self.high - self.low) if self.step else MAX_ENUMERATED
        if self.step is None or steps >= MAX_ENUMERATED:
            return None
        return [self.low + i * self.step for i in range(steps + 1)]

    def __contains__(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        on_grid = self.step is None or _divides(self.step, value - self.low)
        return self.low <= value <= self.high and on_grid


@dataclass(frozen=True, kw_only=True, slots=True)
class IntParameter(Checked):
    """A whole number between low and high, both included."""

    type: Literal["int"] = "int"
    low: int
    high: int
    log: bool = False
    """Draw its logarithm."""
    step: Annotated[int, Range(minimum=1)] = 1
    """Distance between the values that may be drawn."""

    def rules(self) -> Iterator[Problem]:
        yield from _bounds(self.low, self.high)
        if self.log and self.low < 1:
            yield Problem(("low",), f"must be >= 1 where log is true, got {self.low}")
        if self.log and self.step != 1:
            yield Problem(("step",), "cannot be combined with log: true; leave one out")
        if (self.high - self.low) % self.step:
            yield Problem(("high",), f"is not reached from low in steps of {self.step}")

    def ends(self) -> list[tuple[str, Scalar]]:
        return [("low", self.low), ("high", self.high)]

    def values(self) -> list[Scalar] | None:
        """Every value, None if there are too many to list."""
        values = range(self.low, self.high + 1, self.step)
        return list(values) if len(values) <= MAX_ENUMERATED else None

    def __contains__(self, value: object) -> bool:
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole and value in range(self.low, self.high + 1, self.step)


@dataclass(frozen=True, kw_only=True, slots=True)
class CategoricalParameter(Checked):
    """One of some values without an order."""

    type: Literal["categorical"] = "categorical"
    choices: tuple[Scalar, ...]

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


Parameter = FloatParameter | IntParameter | CategoricalParameter
Space = Mapping[str, Parameter]


def problems(space: Space, run: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong with a space around a nested run config, its paths beginning at the space.

    Combinations are tried where they can be counted: every one of the parameters with finitely many
    values, the others at either end.
    """
    found = [problem for key, parameter in space.items() for problem in _fit(key, parameter)]
    yield from found
    if not found:
        yield from _combinations(space, run)


def _fit(key: str, parameter: Parameter) -> Iterator[Problem]:
    hints = config.known_keys()
    if key not in hints:
        yield Problem((key,), wording.unknown(key, hints))
        return
    if key.startswith("data."):
        yield Problem((key,), "cannot be searched: losses on different texts do not compare")
    for place, value in parameter.ends():
        where = ("choices", place) if isinstance(place, int) else (place,)
        if value == "auto":
            yield Problem((key, *where), "must be settled, name the choice itself")
        try:
            schema.convert(hints[key], value)
        except ConfigError as error:
            yield Problem((key, *where), error.problems[0].message)


def _combinations(space: Space, run: Mapping[str, Any]) -> Iterator[Problem]:
    """Rules hold within a section of the run, so each section's parameters are combined apart."""
    for section, hint in schema.field_types(config.RunConfig).items():
        keys = [key for key in space if key.startswith(f"{section}.")]
        lists = [space[key].values() or [end for _, end in space[key].ends()] for key in keys]
        if keys and math.prod(map(len, lists)) <= MAX_ENUMERATED:
            yield from _bad_combination(hint, section, keys, itertools.product(*lists), run)


def _bad_combination(
    kind: type, section: str, keys: list[str], combinations: Iterable[Any], run: Mapping[str, Any]
) -> Iterator[Problem]:
    names = [key.partition(".")[2] for key in keys]
    for values in combinations:
        chosen = dict(zip(names, values, strict=True))
        try:
            schema.build(kind, {**run[section], **chosen})
        except ConfigError as error:
            first = error.problems[0].under((section,))
            blamed = schema.dotted(first.path)
            told = ", ".join(f"{key}: {value}" for key, value in zip(keys, values, strict=True))
            where = (blamed,) if blamed in keys else ()
            yield Problem(where, f"{blamed} {first.message}, with {told}; narrow the space")
            return


def _bounds(low: float, high: float) -> Iterator[Problem]:
    if low > high:
        yield Problem(("low",), f"must be <= high ({high:g}), got {low:g}")


def _steps(step: float, distance: float) -> int:
    """How many steps fit, at most as many as a float can count."""
    return round(min(distance / step, 2.0**53))


def _divides(step: float, distance: float) -> bool:
    return math.isclose(_steps(step, distance) * step, distance, abs_tol=1e-9 * step)
