"""Configurations drawn by chance, to know a space by; no trial comes from them."""

import math
import random
from collections.abc import Iterator

from experiments import fit, space
from experiments.configuration import Configurations
from experiments.parameter import CategoricalParameter, FloatParameter, Scalar, Searched
from experiments.search import Search
from experiments.space import Space, Values
from tinygpt.config import RunConfig
from tinygpt.schema import ConfigError
from tinygpt.seeding import derive

TRIES = 50
"""Draws for one that can be trained, before fewer are taken."""
COUNTED = 1_000
"""Points up to which each is looked at, and draws where there are more."""


def values(parameters: Space, seed: int) -> Iterator[Values]:
    """Points of a space without end, as a random sampler takes them."""
    searched, chance = space.searched(parameters), random.Random(derive(seed, "draws", 0))
    while True:
        chosen: dict[str, Scalar] = {}
        for key, parameter in searched.items():
            if space.applies(parameter, chosen):
                chosen |= fit.typed({key: drawn(parameter, chance)})
        yield chosen


def drawn(parameter: Searched, chance: random.Random) -> Scalar:
    """A value of a parameter."""
    if isinstance(parameter, CategoricalParameter):
        return chance.choice(parameter.choices)
    if parameter.log:
        low, high = math.log(parameter.low), math.log(parameter.high)
        value = min(parameter.high, max(parameter.low, math.exp(chance.uniform(low, high))))
        return value if isinstance(parameter, FloatParameter) else round(value)
    if isinstance(parameter, FloatParameter) and parameter.step is None:
        return chance.uniform(parameter.low, parameter.high)
    steps = round((parameter.high - parameter.low) / (parameter.step or 1))
    return parameter.low + chance.randint(0, steps) * (parameter.step or 1)


def runs(search: Search, count: int) -> list[RunConfig]:
    """So many runs that the sweep as it is now may train; fewer where few points can be trained.

    Raises ConfigError if none was found."""
    version = search.version(search.sweep.planned())
    points, found = values(version.sweep.space, version.sweep.seed), list[RunConfig]()
    problem: ConfigError | None = None
    for _ in range(TRIES * count):
        try:
            found.append(version.runs.checked(next(points)))
        except ConfigError as error:
            problem = error
        if len(found) == count:
            break
    if not found and problem is not None:
        raise problem
    return found


def infeasible(configurations: Configurations, seed: int) -> tuple[float, bool]:
    """The share of the points that cannot be trained, and whether all of them were looked at."""
    points, whole = values(configurations.space, seed), False
    if (count := space.size(configurations.space, COUNTED)) is not None:
        points, whole = space.points(configurations.space), True
    looked = count if count is not None else COUNTED
    bad = sum(configurations.objection(next(points)) is not None for _ in range(looked))
    return bad / looked, whole
