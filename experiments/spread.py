"""Distributions wide enough for every version of a sweep's space."""

from collections.abc import Iterator, Sequence

from optuna.distributions import BaseDistribution, CategoricalDistribution

from experiments.parameter import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    Scalar,
    Searched,
)
from experiments.snapshot import distribution
from experiments.space import searched
from experiments.spec import Sweep


def widest(sweeps: Sequence[Sweep]) -> dict[str, BaseDistribution]:
    """By key, a distribution that holds the values that any of the sweeps may give it. A study in a
    database takes one distribution for a parameter, whatever was edited."""
    spaces = [searched(sweep.space) for sweep in sweeps]
    keys = dict.fromkeys(key for one in spaces for key in one)
    return {key: _hull([one[key] for one in spaces if key in one]) for key in keys}


def _hull(parameters: Sequence[Searched]) -> BaseDistribution:
    """The distribution of parameters that are all alike; else every choice of any, or a range
    from the lowest to the highest bound, whole and logarithmic where all are."""
    last, kinds = parameters[-1], {type(one) for one in parameters}
    if all(one == last for one in parameters):
        return distribution(last)
    if kinds == {CategoricalParameter}:
        return CategoricalDistribution(list(dict.fromkeys(_choices(parameters))))
    numeric = [one for one in parameters if not isinstance(one, CategoricalParameter)]
    if len(numeric) < len(parameters):
        raise ValueError("a parameter cannot become categorical, nor cease to be")
    low, high = min(one.low for one in numeric), max(one.high for one in numeric)
    if kinds == {IntParameter}:
        log = all(one.log for one in numeric)
        return distribution(IntParameter(low=int(low), high=int(high), log=log))
    log = all(one.log for one in numeric) and low > 0
    return distribution(FloatParameter(low=float(low), high=float(high), log=log))


def _choices(parameters: Sequence[Searched]) -> Iterator[Scalar]:
    for one in parameters:
        assert isinstance(one, CategoricalParameter)
        yield from one.choices
