"""What a sweep will take of time, memory and disk, before it does; pure."""

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from experiments import budget, disk, halving, stopping, timeline
from experiments.outlook import Outlook
from experiments.pruners import Halving
from experiments.rates import Point, Rates
from experiments.search import Search
from tinygpt import size
from tinygpt.config import RunConfig

RECORD_BYTES, STUDY_BYTES = 150_000, 2_000_000
"""What a trial's records and its run on W&B take of the disk, and the study and the report."""


REPORT_SECONDS, MIRROR_SECONDS = 5.0, 2.0
"""What follows the last trial: the report, and W&B's mirror coming level."""


@dataclass(frozen=True)
class Time:
    """Seconds: of all that is left, as expected and if nothing is pruned and later trials are the
    dearest; of the cheapest and the dearest whole trial."""

    expected: float
    at_most: float
    cheapest: float
    dearest: float


@dataclass(frozen=True)
class Estimate:
    """What is left of a sweep takes: time on so many workers, bytes of the disk, and the memory of
    one worker and of those that share it, of what the machine or a GPU has; None if nobody told."""

    workers: int
    time: Time
    disk: float
    worker_memory: float | None = None
    memory: float | None = None
    machine: float | None = None


@dataclass(frozen=True)
class Room:
    """What a worker takes of memory without a model, and how much of it there is."""

    resident: int
    memory: int


def estimate(
    outlook: Outlook,
    points: Sequence[Point],
    workers: int,
    elapsed: float = 0.0,
    room: Room | None = None,
) -> Estimate:
    """What is left of a sweep takes, by what was measured at some of its runs. `elapsed` are the
    seconds that have gone already."""
    left = time_left(outlook, Rates(points, outlook.search.vocabulary), workers)
    fixed = elapsed + REPORT_SECONDS
    fixed += MIRROR_SECONDS if outlook.search.sweep.wandb.mode != "disabled" else 0.0
    left = replace(left, expected=left.expected + fixed, at_most=left.at_most + fixed)
    if room is None:
        return Estimate(workers, left, disk_bytes(outlook))
    one, devices = memory_bytes(outlook, room.resident), outlook.search.sweep.devices
    sharing = math.ceil(workers / len(set(devices))) if devices else workers
    return Estimate(workers, left, disk_bytes(outlook), one, sharing * one, room.memory)


class Clockwork:
    """The times of the trials of an outlook, at some rates."""

    def __init__(self, outlook: Outlook, rates: Rates) -> None:
        self._outlook, self._rates, self._search = outlook, rates, outlook.search
        whole = sorted(self._seconds(run) for run in [*outlook.drawn, *outlook.runs])
        self._middle: dict[int | None, float] = {}
        self.cheapest, self.dearest = whole[0], whole[-1]

    def expected(self, number: int) -> float:
        """What a trial takes: pruned ones stop early."""
        stops = stopping.expected(self._search, number)
        whole = 1 - sum(share for share, _ in stops)
        return whole * self.until(number, None) + sum(
            share * self.until(number, step) for share, step in stops
        )

    def at_most(self, number: int) -> float:
        """What a trial takes that nobody stops, and that is as dear as any if it is not known."""
        if self._outlook.run(number) is None:
            return self.dearest
        return self.until(number, None)

    def until(self, number: int, step: int | None) -> float:
        """What a trial takes from where it is to a step, or to its end; one that is not known, what
        half of those drawn at random do not pass."""
        trial, run = self._outlook.trial(number), self._outlook.run(number)
        if trial is None or run is None:
            if step not in self._middle:
                times = [self._seconds(one, step) for one in self._outlook.drawn]
                self._middle[step] = statistics.median(times)
            return self._middle[step]
        if trial.same_as is not None or trial.state != "running":
            return 0.0
        done = max(trial.reports, default=0)
        before = self._seconds(run, done) if done else 0.0
        return max(0.0, self._seconds(run, step) - before)

    def _seconds(self, run: RunConfig, until: int | None = None) -> float:
        return self._rates.seconds(run, self._outlook.characters, until)


def time_left(outlook: Outlook, rates: Rates, workers: int) -> Time:
    """How long the trials that are left take on so many workers."""
    clock, limit = Clockwork(outlook, rates), outlook.search.sweep.budget.time
    expected, at_most = _durations(outlook, clock, workers)
    if limit is not None:
        seconds = budget.seconds(limit) or 0.0
        expected = min(expected, seconds + (clock.cheapest + clock.dearest) / 2)
        at_most = min(at_most, seconds + clock.dearest)
    return Time(expected, max(expected, at_most), clock.cheapest, clock.dearest)


def _durations(outlook: Outlook, clock: Clockwork, workers: int) -> tuple[float, float]:
    search, first, numbers = outlook.search, outlook.first, outlook.numbers
    pruner = search.sweep.pruner
    if not isinstance(pruner, Halving):
        expected = [clock.expected(number) for number in numbers]
        at_most = [clock.at_most(number) for number in numbers]

        def horizon(place: int) -> int:
            return max(0, search.horizon(first + place) - first)

        return (
            timeline.in_turn(expected, workers, horizon),
            timeline.in_turn(at_most, workers, horizon),
        )
    factor = pruner.reduction_factor
    cohorts = list(_cohorts(search, numbers))
    rungs = {number: cohort.rungs for cohort in cohorts for number in cohort.numbers}

    def segment(number: int, rung: int) -> float:
        if number < first:
            return 0.0
        steps = rungs[number]
        before = clock.until(number, steps[rung - 1]) if rung else 0.0
        return max(0.0, clock.until(number, steps[rung]) - before)

    def dear(number: int, rung: int) -> float:
        share = clock.at_most(number) / max(1e-9, clock.until(number, None))
        return segment(number, rung) * share

    return (
        timeline.Cohorts(cohorts, factor, segment).duration(workers),
        timeline.Cohorts(cohorts, factor, dear).duration(workers),
    )


def _cohorts(search: Search, numbers: range) -> Iterator[halving.Cohort]:
    """The cohorts of the trials that are left, as if they were the first."""
    index, number = 0, numbers.start
    while number < numbers.stop:
        cohort = search.cohort(number)
        assert cohort is not None
        yield halving.Cohort(index, cohort.first, cohort.size, cohort.rungs)
        index, number = index + 1, cohort.end


def disk_bytes(outlook: Outlook) -> float:
    """What the trials that are left add to the directory of the sweep."""
    sweep, vocabulary = outlook.search.sweep, outlook.search.vocabulary
    mean = statistics.fmean(size.checkpoint_bytes(run, vocabulary) for run in outlook.drawn)
    total = 0.0
    for number in outlook.numbers:
        run, trial = outlook.run(number), outlook.trial(number)
        one = mean if run is None else size.checkpoint_bytes(run, vocabulary)
        there = trial is not None and (trial.same_as is not None or trial.state != "running")
        total += 0 if there else sweep.run.checkpoint.keep * one * _survivors(outlook, number)
    if isinstance(sweep.pruner, Halving):
        total += disk.reserve(sweep, vocabulary)
    return min(total, sweep.disk() or math.inf) + STUDY_BYTES + RECORD_BYTES * len(outlook.numbers)


def _survivors(outlook: Outlook, number: int) -> float:
    """The share of a trial's cohort that comes to its end, and keeps its checkpoints."""
    cohort, pruner = outlook.search.cohort(number), outlook.search.sweep.pruner
    if cohort is None or not isinstance(pruner, Halving):
        return 1.0
    left = cohort.size
    for _ in cohort.rungs[1:]:
        left = max(1, left // pruner.reduction_factor)
    return left / cohort.size


def memory_bytes(outlook: Outlook, resident: int) -> float:
    """What a worker takes at its height, given what it takes without a model."""
    vocabulary = outlook.search.vocabulary
    runs = [*outlook.drawn, *outlook.runs]
    return resident + max(size.training_bytes(run, vocabulary) for run in runs)
