"""A sweep whose trials are computed from a formula and take made-up time: the real decisions, by a
clock that is only counted."""

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from experiments.halving import Standing
from experiments.search import Search
from experiments.trial import Trial


class Curve(Protocol):
    """The validation loss of a trial after so many steps."""

    def __call__(self, trial: Trial, step: int) -> float: ...


@dataclass(frozen=True)
class Outcome:
    """What a simulated sweep came to: its trials, how many steps were trained and how many of them
    for the second time, when it ended (seconds), and the share of that time its workers stood
    idle."""

    trials: list[Trial]
    steps: int
    trained_again: int
    seconds: float
    idle: float

    def best(self) -> float:
        """The lowest loss of a complete trial."""
        losses = [t.value for t in self.trials if t.state == "complete" and t.value is not None]
        return min(losses, default=math.inf)


@dataclass
class Simulation:
    """One run of a sweep over `workers` workers; a step of a trial takes `step_seconds`."""

    search: Search
    curve: Curve
    workers: int
    step_seconds: Callable[[Trial], float]
    count: int
    seconds: float = math.inf
    """No trial begins after this time; those begun are finished."""
    steps: float = math.inf
    """No trial begins once so many steps were trained."""

    def run(self) -> Outcome:
        """Until all trials are finished."""
        self._trials: list[Trial] = []
        self._at: dict[int, int] = {}
        self._seen: set[tuple[int, int]] = set()
        self._steps = self._again = 0
        events: list[tuple[float, int]] = []
        now, busy = 0.0, 0.0
        while True:
            taken = {number for _, number in events}
            while len(events) < self.workers and (n := self._next(taken, now)) is not None:
                spent = self._advance(n)
                busy += spent
                heapq.heappush(events, (now + spent, n))
                taken.add(n)
            if not events:
                return Outcome(
                    self._trials,
                    self._steps,
                    self._again,
                    now,
                    1 - busy / (now * self.workers) if now else 0.0,
                )
            now, number = heapq.heappop(events)
            if self._goes_on(number):
                spent = self._advance(number)
                busy += spent
                heapq.heappush(events, (now + spent, number))
            self._settle(number, {n for _, n in events})

    def _next(self, taken: set[int], now: float) -> int | None:
        """The promoted trial that is furthest, or a new one."""
        ready = [t for t in self._trials if t.state == "running" and t.number not in taken]
        able = [t.number for t in ready if self._standing(t.number).state == "training"]
        if able:
            return min(able, key=lambda n: (-self._standing(n).until, n))
        number = len(self._trials)
        if number >= self.count or now > self.seconds or self._steps >= self.steps:
            return None
        if not self.search.may_start(number, self._trials):
            return None
        trial = self.search.propose(number, self._trials)
        if trial is None:
            return None
        self._trials.append(replace(trial, same_as=None))
        self._at[number] = 0
        return number

    def _advance(self, number: int) -> float:
        """Train to the next evaluation; the seconds that takes."""
        train = self.search.version(number).sweep.run.train
        steps = min(train.eval_interval, train.max_iters - self._at[number])
        for step in range(self._at[number], self._at[number] + steps):
            self._again += (number, step) in self._seen
            self._seen.add((number, step))
        self._at[number] += steps
        self._steps += steps
        return steps * self.step_seconds(self._trials[number])

    def _goes_on(self, number: int) -> bool:
        trial, step = self._trials[number], self._at[number]
        loss = self.curve(trial, step)
        trial = replace(trial, reports={**trial.reports, step: loss})
        self._trials[number] = trial
        if step == self.search.version(number).sweep.run.train.max_iters:
            self._trials[number] = replace(trial, state="complete", value=loss)
            return False
        word = self.search.verdict(trial, step, self._trials).word
        if word == "prune":
            self._trials[number] = replace(trial, state="pruned", value=loss)
        return word == "go on"

    def _settle(self, number: int, taken: set[int]) -> None:
        for other, standing in self.search.standings(number, self._trials).items():
            trial = self._trials[other]
            if standing.state == "out" and trial.state == "running" and other not in taken:
                loss = trial.reports[max(trial.reports)]
                self._trials[other] = replace(trial, state="pruned", value=loss)

    def _standing(self, number: int) -> Standing:
        standings = self.search.standings(number, self._trials)
        return standings.get(number, Standing("training", 0))
