"""The trials that are left of a sweep, as far as they can be told, and what the others may be."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from experiments import draws, extremes, foresight, halving
from experiments.pruners import Halving
from experiments.rates import update_operations
from experiments.search import Search
from experiments.trial import Trial
from tinygpt import config
from tinygpt.config import RunConfig
from tinygpt.flops import flops_per_token

DRAWN = 100
"""Configurations drawn for what later trials are like."""
PROPOSED = 100
"""Trials that are looked at exactly, at most."""


@dataclass(frozen=True)
class Outlook:
    """The trials of a sweep that are not finished, as far as they can be told: those that have
    begun or can be proposed, in order from number `first`; and some that were drawn by chance."""

    search: Search
    first: int
    known: Sequence[Trial]
    drawn: Sequence[RunConfig]
    characters: int
    planned: int
    """How many trials there are to be; fewer than in the file if the sampler has no more."""
    begun: int
    """How many trials have begun, finished ones included."""
    tokens: float
    """Characters that the budget has left for what is not finished; infinite if it has no limit."""
    flops: float
    """Operations, likewise."""

    @cached_property
    def runs(self) -> list[RunConfig]:
        """The runs of the known trials."""
        return [config.run_config(self.search.run_of(trial)) for trial in self.known]

    @cached_property
    def numbers(self) -> range:
        """The trials that are left."""
        return range(self.first, max(self.begun, self._end()))

    def cost(self, run: RunConfig) -> float:
        """What an update of a run costs, in operations."""
        return update_operations(run, self.search.vocabulary)

    def run(self, number: int) -> RunConfig | None:
        """What a trial trains; None if that is not known."""
        place = number - self.first
        return self.runs[place] if place < len(self.runs) else None

    def trial(self, number: int) -> Trial | None:
        """A trial that is known."""
        place = number - self.first
        return self.known[place] if place < len(self.known) else None

    def _end(self) -> int:
        """The number after the last trial that the plan and the budget have room for."""
        tokens, flops = self.tokens, self.flops
        if math.isinf(tokens) and math.isinf(flops):
            return self.planned
        mean_tokens = statistics.fmean(map(tokens_of, self.drawn))
        mean_flops = statistics.fmean(map(self._flops, self.drawn))
        for number in range(self.first, self.planned):
            run, share = self.run(number), self._share(number)
            tokens -= share * (mean_tokens if run is None else tokens_of(run))
            flops -= share * (mean_flops if run is None else self._flops(run))
            if tokens < 0 or flops < 0:
                return number
        return self.planned

    def _share(self, number: int) -> float:
        cohort, pruner = self.search.cohort(number), self.search.sweep.pruner
        if cohort is None or not isinstance(pruner, Halving):
            return 1.0
        return halving.fraction_trained(cohort, pruner.reduction_factor)

    def _flops(self, run: RunConfig) -> float:
        return tokens_of(run) * flops_per_token(run.model, self.search.vocabulary)


def tokens_of(run: RunConfig) -> float:
    """The characters that a whole trial trains on."""
    return run.train.max_iters * run.tokens_per_step


def outlook_of(search: Search, trials: Sequence[Trial], characters: int) -> Outlook:
    """What is left of a sweep whose first trials are these. The ends of its space are among what
    is drawn no more often than chance has it."""
    settled = next((t.number for t in trials if t.state == "running"), len(trials))
    count = foresight.exact(search, trials)
    count = min(count, len(trials) + PROPOSED)
    ahead, planned = foresight.foreseen(search, trials, count), search.sweep.planned()
    if len(trials) + len(ahead) < count:
        planned = len(trials) + len(ahead)
    drawn = draws.runs(search, DRAWN)
    limits, before = search.sweep.budget, trials[:settled]
    return Outlook(
        search=search,
        first=settled,
        known=[*trials[settled:], *ahead],
        drawn=drawn,
        characters=characters,
        planned=planned,
        begun=len(trials),
        tokens=(limits.tokens or math.inf) - sum(t for t, _ in map(spent, before)),
        flops=(limits.flops or math.inf) - sum(f for _, f in map(spent, before)),
    )


def spent(trial: Trial) -> tuple[float, float]:
    """The characters that a finished trial trained on, and the operations that took."""
    if trial.same_as is not None:
        return 0.0, 0.0
    tokens = float(trial.metrics.get("tokens", 0))
    return tokens, tokens * float(trial.metrics.get("flops_per_token", 0))


def ends(outlook: Outlook) -> tuple[RunConfig, RunConfig]:
    """The runs with the cheapest and with the dearest updates, of the space's corners and of what
    is known and drawn."""
    version = outlook.search.version(outlook.search.sweep.planned())
    corners = extremes.extremes(version.runs, outlook.cost)
    runs = [*outlook.drawn, *outlook.runs, *(corners or ())]
    return min(runs, key=outlook.cost), max(runs, key=outlook.cost)


TRIVIAL_SECONDS = 15.0
UPDATE_SECONDS, OPERATIONS_PER_SECOND = 0.002, 5e10
"""What an update of a tiny model takes at least, and what a core computes at most."""


def is_trivial(outlook: Outlook, workers: int) -> bool:
    """Whether the trials are done almost as soon as they could be measured."""
    updates = statistics.fmean(run.train.max_iters for run in outlook.drawn)
    flops = map(outlook.cost, outlook.drawn)
    one = UPDATE_SECONDS + statistics.fmean(flops) / OPERATIONS_PER_SECOND
    return len(outlook.numbers) * updates * one / max(1, workers) < TRIVIAL_SECONDS
