"""A space of parameters: which of them apply, in what order, and every point where they can be
counted."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from experiments.parameter import (
    MAX_ENUMERATED,
    DerivedParameter,
    Scalar,
    Searched,
)

Parameter = Searched | DerivedParameter
Space = Mapping[str, Parameter]
Values = Mapping[str, Scalar]


def searched(space: Space) -> dict[str, Searched]:
    """The parameters that are proposed: parents before those that depend on them, else in the order
    of their names, so that the order in the file decides nothing."""
    left = {key: space[key] for key in sorted(space)}
    ordered: dict[str, Searched] = {}
    while left:
        ready = [key for key, one in left.items() if not (_parents(one) & left.keys())]
        if not ready:  # a circle, which `circles` tells
            ready = list(left)
        for key in ready:
            parameter = left.pop(key)
            if not isinstance(parameter, DerivedParameter):
                ordered[key] = parameter
    return ordered


def circles(space: Space) -> list[str]:
    """The parameters whose conditions depend on themselves."""
    left = dict(space)
    while ready := [key for key, one in left.items() if not (_parents(one) & left.keys())]:
        for key in ready:
            del left[key]
    return sorted(left)


def derived(space: Space) -> dict[str, str]:
    """The expressions of the derived parameters, by key."""
    return {key: one.expr for key, one in space.items() if isinstance(one, DerivedParameter)}


def conditional(space: Space) -> bool:
    """Whether some parameters apply only to some trials."""
    return any(parameter.when for parameter in searched(space).values())


def applies(parameter: Searched, values: Values) -> bool:
    """Whether a parameter is searched where the parameters before it have these values."""
    return all(
        key in values and is_one_of(values[key], allowed) for key, allowed in parameter.when.items()
    )


def is_one_of(value: Scalar, allowed: Sequence[Scalar]) -> bool:
    """Whether a value is among others: true is not 1, but 1.0 is."""
    return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in allowed)


def active(space: Space, values: Values) -> dict[str, Scalar] | None:
    """Of the values of a run those that a trial of the space would have; None if one of them lies
    outside of it."""
    chosen: dict[str, Scalar] = {}
    for key, parameter in searched(space).items():
        if applies(parameter, chosen):
            if key not in values or values[key] not in parameter:
                return None
            chosen[key] = values[key]
    return chosen


def size(space: Space, limit: int = MAX_ENUMERATED) -> int | None:
    """How many different points a space has; None if they cannot be counted, or not up to the
    limit."""
    lists = {key: parameter.values() for key, parameter in searched(space).items()}
    if any(values is None for values in lists.values()):
        return None
    counted = sum(1 for _ in itertools.islice(points(space), limit + 1))
    return counted if counted <= limit else None


def points(space: Space, lists: Mapping[str, Sequence[Any]] | None = None) -> Iterator[Values]:
    """Every point, the last parameter turning fastest; `lists` are the values of those parameters
    that are to have others than their own.

    Raises ValueError naming a parameter that has too many values to list.
    """
    ordered = searched(space)
    values = {key: _listed(key, parameter, lists or {}) for key, parameter in ordered.items()}

    def grow(keys: list[str], chosen: dict[str, Scalar]) -> Iterator[Values]:
        if not keys:
            yield chosen
        elif applies(ordered[keys[0]], chosen):
            for value in values[keys[0]]:
                yield from grow(keys[1:], {**chosen, keys[0]: value})
        else:
            yield from grow(keys[1:], chosen)

    return grow(list(ordered), {})


def _listed(key: str, parameter: Searched, lists: Mapping[str, Sequence[Any]]) -> Sequence[Any]:
    values = lists[key] if key in lists else parameter.values()
    if values is None:
        raise ValueError(key)
    return values


def _parents(parameter: Parameter) -> set[str]:
    return set() if isinstance(parameter, DerivedParameter) else set(parameter.when)
