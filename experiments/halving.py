"""Successive halving by whole cohorts: trials pause at a rung until all have reached it, and the
best go on (Jamieson and Talwalkar 2016, arXiv:1502.07943; brackets: Li et al. 2018,
arXiv:1603.06560).

Everything is a function of the trials' losses at the rungs, so in whatever order they were trained,
on however many workers, the same ones are promoted.
"""

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from experiments.pruners import Halving
from experiments.trial import Trial


@dataclass(frozen=True)
class Cohort:
    """Trials that compete: `size` of them from number `first`. They pause after `rungs[:-1]`
    updates; `rungs[-1]` ends the training."""

    index: int
    first: int
    size: int
    rungs: tuple[int, ...]

    @property
    def numbers(self) -> range:
        return range(self.first, self.first + self.size)

    @property
    def end(self) -> int:
        """The number after its last trial's."""
        return self.first + self.size


@dataclass(frozen=True)
class Standing:
    """How a trial does: it trains to the step `until`, or waits there for the others to come, or is
    out for the reason."""

    state: Literal["training", "paused", "out"]
    until: int
    reason: str = ""


def cohorts(options: Halving, max_iters: int) -> Iterator[Cohort]:
    """The cohorts of a sweep without end, one bracket after the other."""
    index = first = 0
    while True:
        bracket = index % options.brackets
        rungs = _rungs(options, max_iters, bracket)
        decisions = len(_rungs(options, max_iters, 0)) - 1
        size = options.cohort or _size(options.reduction_factor, decisions, bracket)
        yield Cohort(index, first, size, rungs)
        index, first = index + 1, first + size


@functools.cache
def cohort_of(options: Halving, max_iters: int, number: int) -> Cohort:
    """The cohort of a trial."""
    return next(c for c in cohorts(options, max_iters) if number < c.end)


def totals(options: Halving, max_iters: int, most: int) -> list[int]:
    """The numbers of trials up to `most` that are whole cohorts, and the one after."""
    ends: list[int] = []
    for cohort in cohorts(options, max_iters):
        ends.append(cohort.end)
        if cohort.end > most:
            return ends
    raise AssertionError("cohorts go on for ever")


def standings(
    cohort: Cohort, reduction_factor: int, trials: Sequence[Trial]
) -> dict[int, Standing]:
    """How every begun trial of a cohort does, by number. One that takes another's result does not
    compete and is not told of."""
    there = {n: trials[n] for n in cohort.numbers if n < len(trials)}
    failed = {n for n in there if there[n].state == "failed"}
    rivals = [n for n in cohort.numbers if n not in there or there[n].same_as is None]
    standing = {n: Standing("training", cohort.rungs[0]) for n in rivals if n in there}
    for step, after in zip(cohort.rungs, cohort.rungs[1:], strict=False):
        losses = {n: there[n].reports.get(step) for n in rivals if n in there}
        reached = {n: loss for n, loss in losses.items() if loss is not None}
        if not set(rivals) <= reached.keys() | failed:
            return standing | {n: Standing("paused", step) for n in reached}
        ranked = sorted(reached, key=lambda n: (reached[n], n))
        places = max(1, len(rivals) // reduction_factor)
        rivals = sorted(ranked[:places])
        standing |= {n: Standing("training", after) for n in rivals}
        standing |= {
            n: Standing("out", step, f"not promoted at step {step}: place {place} of {len(ranked)}")
            for place, n in enumerate(ranked, 1)
            if place > places
        }
    return standing


def fraction_trained(cohort: Cohort, reduction_factor: int) -> float:
    """The updates that a cohort trains, as a share of what its trials would train to their ends."""
    members, trained, before = cohort.size, 0, 0
    for rung in cohort.rungs:
        trained += members * (rung - before)
        members, before = max(1, members // reduction_factor), rung
    return trained / (cohort.size * cohort.rungs[-1])


def _rungs(options: Halving, max_iters: int, bracket: int) -> tuple[int, ...]:
    steps, step = list[int](), options.min_iters * options.reduction_factor**bracket
    while step < max_iters:
        steps.append(step)
        step *= options.reduction_factor
    return (*steps, max_iters)


def _size(reduction_factor: int, decisions: int, bracket: int) -> int:
    """So many that one is left at the end; brackets that begin later are as dear as the first."""
    left = max(0, decisions - bracket)
    size: int = reduction_factor**left
    return math.ceil((decisions + 1) / (left + 1) * size)
