"""When the trials of a sweep would begin and end on some workers, given what each of them takes."""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from experiments.halving import Cohort


def in_turn(seconds: Sequence[float], workers: int, horizon: Callable[[int], int]) -> float:
    """How long trials take that begin in order, each once the first `horizon(n)` are finished."""
    free, finished = [0.0] * workers, list[float]()
    known = latest = 0.0
    needed = 0
    for number, takes in enumerate(seconds):
        while needed < min(horizon(number), number):
            known, needed = max(known, finished[needed]), needed + 1
        end = max(heapq.heappop(free), known) + takes
        heapq.heappush(free, end)
        finished.append(end)
        latest = max(latest, end)
    return latest


Job = tuple[int, int, int]
"""What waits for a worker, the first first: minus the step to which it goes, trial, rung."""


@dataclass
class Cohorts:
    """Trials that pause at rungs, as they come to workers. Which of them are promoted is not known
    beforehand; here it is every so many by their numbers, so cheap and dear ones alike."""

    cohorts: Sequence[Cohort]
    reduction_factor: int
    seconds: Callable[[int, int], float]
    """What a trial takes from the rung before to this one."""
    waiting: list[Job] = field(default_factory=list)
    _begun: int = 0
    _rivals: dict[int, list[int]] = field(default_factory=dict)
    _reached: dict[tuple[int, int], int] = field(default_factory=dict)
    _over: set[int] = field(default_factory=set)

    def duration(self, workers: int) -> float:
        """How long they all take."""
        running: list[tuple[float, int, int]] = []
        now = 0.0
        self._begin()
        while self.waiting or running:
            while self.waiting and len(running) < workers:
                _, trial, rung = heapq.heappop(self.waiting)
                heapq.heappush(running, (now + self.seconds(trial, rung), trial, rung))
            now, trial, rung = heapq.heappop(running)
            self._arrive(trial, rung)
            self._begin()
        return now

    def _cohort_of(self, trial: int) -> Cohort:
        return next(cohort for cohort in self.cohorts if trial < cohort.end)

    def _begin(self) -> None:
        """Begin the cohorts that may: the one before is past its first rung, those before it are
        over."""
        while self._begun < len(self.cohorts):
            index = self._begun
            if any(other not in self._over for other in range(index - 1)):
                return
            if index and index - 1 not in self._over and not self._past_first_rung(index - 1):
                return
            cohort = self.cohorts[index]
            self._rivals[index] = list(cohort.numbers)
            for trial in cohort.numbers:
                heapq.heappush(self.waiting, (-cohort.rungs[0], trial, 0))
            self._begun += 1

    def _past_first_rung(self, index: int) -> bool:
        return self._reached.get((index, 0), 0) == self.cohorts[index].size

    def _arrive(self, trial: int, rung: int) -> None:
        cohort = self._cohort_of(trial)
        index, place = self.cohorts.index(cohort), (self.cohorts.index(cohort), rung)
        self._reached[place] = self._reached.get(place, 0) + 1
        rivals = self._rivals[index]
        if self._reached[place] < len(rivals):
            return
        if rung == len(cohort.rungs) - 1:
            self._over.add(index)
            return
        count = max(1, len(rivals) // self.reduction_factor)
        self._rivals[index] = [rivals[i * len(rivals) // count] for i in range(count)]
        for promoted in self._rivals[index]:
            heapq.heappush(self.waiting, (-cohort.rungs[rung + 1], promoted, rung + 1))
