"""Which trials can be told before they are trained: those that see no result that is not known."""

from collections.abc import Sequence

from experiments import space
from experiments.samplers import (
    BruteForceSampler,
    CmaesSampler,
    GpSampler,
    GridSampler,
    NsgaiiSampler,
    QmcSampler,
    RandomSampler,
    TpeSampler,
)
from experiments.search import Search
from experiments.spec import Sweep
from experiments.trial import Trial


def exact(search: Search, trials: Sequence[Trial] = ()) -> int:
    """Of all trials the first so many, those that have begun included, have a configuration that
    no result can change any more."""
    settled = next((t.number for t in trials if t.state == "running"), len(trials))
    number, planned = len(trials), search.sweep.planned()
    while number < planned and _told(search, number, settled):
        number += 1
    return number


def foreseen(search: Search, trials: Sequence[Trial], count: int) -> list[Trial]:
    """The trials from the next one up to number `count`, exclusive; fewer if the sampler comes to
    its end. Raises ConfigError if no configuration meets the constraints."""
    known = list(trials)
    while len(known) < count and (trial := search.propose(len(known), known)) is not None:
        known.append(trial)
    return known[len(trials) :]


def results_seen(search: Search, number: int) -> int:
    """Of how many of the first trials a trial may see results."""
    cohort = search.cohort(number)
    return search.horizon(number) if cohort is None else cohort.first


def informed(search: Search, number: int) -> bool:
    """Whether the results of others may decide what a trial is."""
    sweep = search.version(number).sweep
    return results_seen(search, number) >= startup(sweep) and not _blind(sweep)


def startup(sweep: Sweep) -> int:
    """With fewer finished trials than this before it, a proposal of the sampler is chance; 1 where
    it always is."""
    match sweep.sampler:
        case TpeSampler() | GpSampler() | CmaesSampler():
            return max(1, sweep.sampler.n_startup_trials)
        case NsgaiiSampler():
            return sweep.sampler.population_size
    return 1


def _told(search: Search, number: int, settled: int) -> bool:
    seen, sweep = results_seen(search, number), search.version(number).sweep
    if seen <= settled:
        return True
    if sweep.replicates > 1:  # a result may call for another seed
        return False
    return _blind(sweep) or seen < startup(sweep) or _queued(search, number)


def _blind(sweep: Sweep) -> bool:
    """Whether the sampler looks at no results."""
    kinds = RandomSampler | QmcSampler | GridSampler | BruteForceSampler
    return isinstance(sweep.sampler, kinds)


def _queued(search: Search, number: int) -> bool:
    """Whether every parameter of a trial is queued."""
    version = search.version(number)
    place = number - version.first
    if version.first or place >= len(version.sweep.enqueue):
        return False
    queued = version.sweep.enqueue[place]
    if space.active(version.sweep.space, queued) != queued:
        return False
    return version.runs.objection(queued) is None
