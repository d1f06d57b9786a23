"""The smallest and the largest run that a sweep may train."""

import itertools
from collections.abc import Callable, Iterator

from experiments import space
from experiments.configuration import Configurations
from experiments.parameter import Scalar, Searched
from experiments.space import Values
from tinygpt import size
from tinygpt.config import RunConfig
from tinygpt.schema import ConfigError

MAX_TRIED = 2_000
FEW = 12
COSTLY = (
    "model.block_size",
    "model.d_model",
    "model.d_head",
    "model.n_layers",
    "model.activation",
    "model.tie_weights",
    "train.batch_size",
    "train.accumulation",
    "train.max_iters",
    "train.optimizer",
)
"""The keys that decide what a trial takes of time, memory and disk."""


def extremes(
    runs: Configurations, cost: Callable[[RunConfig], float]
) -> tuple[RunConfig, RunConfig] | None:
    """The cheapest and the dearest run of the space, each costly parameter at every value or, if
    they are many, at either end; None if none of these can be trained."""
    found = list(itertools.islice(_trainable(runs), MAX_TRIED))
    return (min(found, key=cost), max(found, key=cost)) if found else None


def checkpoint_bytes(vocabulary: int) -> Callable[[RunConfig], float]:
    """The cost of a run as the bytes of one checkpoint."""
    return lambda run: size.checkpoint_bytes(run, vocabulary)


def _trainable(runs: Configurations) -> Iterator[RunConfig]:
    searched = space.searched(runs.space)
    keys = list(searched)

    def grow(place: int, chosen: Values) -> Iterator[Values]:
        if place == len(keys):
            yield chosen
        elif not space.applies(searched[keys[place]], chosen):
            yield from grow(place + 1, chosen)
        else:
            for value in _ends(keys[place], searched):
                yield from grow(place + 1, {**chosen, keys[place]: value})

    for values in itertools.islice(grow(0, {}), 10 * MAX_TRIED):
        try:
            yield runs.checked(values)
        except ConfigError:
            continue


def _ends(key: str, searched: dict[str, Searched]) -> list[Scalar]:
    """Of a costly parameter, and of one that others depend on, every value where there are few,
    else both ends; of the rest one. Constraints may exclude the ends."""
    decides = any(key in parameter.when for parameter in searched.values())
    ends = list(dict.fromkeys(value for _, value in searched[key].ends()))
    if key not in COSTLY and not decides:
        return ends[:1]
    values = searched[key].values()
    return values if values is not None and len(values) <= FEW else ends
