"""The workers of a sweep measure what its runs take, all at the same time."""

import select
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from experiments.process import Child, Message
from experiments.rates import Point, measured
from experiments.search import Search
from experiments.sweepdir import SweepDir
from experiments.trial import Trial
from tinygpt import config
from tinygpt.config import RunConfig
from tinygpt.figures import Figures
from tinygpt.files import read_rows

LEAST_RUNS = 4
"""How many runs are measured at least, where there are so many."""
PROBE_SECONDS = 1.5
"""What a worker measures in, all its runs together."""
PATIENCE_SECONDS = 20.0
"""After that a sweep goes on without what is not measured yet."""
TICK_SECONDS = 0.1
MAX_REMEMBERED = 20
"""Finished trials whose times an estimate rests on: the last ones."""


@dataclass
class Crew:
    """Workers that have not been given a trial, and what they have said, by their place."""

    children: Sequence[Child]
    hellos: dict[int, Message] = field(default_factory=dict)
    probed: dict[int, Message] = field(default_factory=dict)

    def hear(self, seconds: float) -> None:
        """Take what is said within so many seconds."""
        alive = [child for child in self.children if child.alive]
        readable, _, _ = select.select(alive, [], [], seconds)
        for place, child in enumerate(self.children):
            if child not in readable:
                continue
            for message in child.receive():
                heard = self.hellos if message["event"] == "ready" else self.probed
                heard[place] = message

    def hello(self, seconds: float) -> Message | None:
        """What the first worker says of the machine; None if it does not come to that in time."""
        deadline = time.monotonic() + seconds
        while self.children and self.children[0].alive and time.monotonic() < deadline:
            if 0 in self.hellos:
                return self.hellos[0]
            self.hear(TICK_SECONDS)
        return None

    def measure(
        self,
        runs: Sequence[RunConfig],
        interrupted: Callable[[], bool] = lambda: False,
        patience: float = PATIENCE_SECONDS,
    ) -> list[Point]:
        """What the parts of some runs take while every worker is busy; the runs in order of their
        cost. Nothing for those that cannot be measured."""
        deals = dealt(runs, len(self.children))
        for child, deal in zip(self.children, deals, strict=True):
            nested = [config.as_dict(run) for run in deal]
            child.send(probe=nested, seconds=PROBE_SECONDS / len(deal))
        deadline = time.monotonic() + patience
        while any(c.alive and i not in self.probed for i, c in enumerate(self.children)):
            if interrupted() or time.monotonic() > deadline:
                break
            self.hear(TICK_SECONDS)
        return [
            point for place, answer in self.probed.items() for point in points(deals[place], answer)
        ]


def points(deal: Sequence[RunConfig], answer: Message) -> list[Point]:
    """What a worker has measured of the runs that it was dealt."""
    figures = [dict(one) for one in answer["figures"]]
    return [Point(deal[one.pop("place")], Figures(**one)) for one in figures]


def spread(
    ends: tuple[RunConfig, RunConfig],
    runs: Sequence[RunConfig],
    workers: int,
    cost: Callable[[RunConfig], float],
) -> list[RunConfig]:
    """The runs to measure, the cheapest first: both ends, and between them some that are spread
    over the costs of others."""
    between = sorted(dict.fromkeys(run for run in runs if run not in ends), key=cost)
    count = min(len(between), max(LEAST_RUNS, 2 * workers) - 2)
    chosen = [between[(2 * i + 1) * len(between) // (2 * count)] for i in range(count)]
    return sorted([*dict.fromkeys(ends), *chosen], key=cost)


def dealt(runs: Sequence[RunConfig], workers: int) -> list[list[RunConfig]]:
    """The runs by worker; every worker gets some, so that all are busy: cheap and dear ones alike,
    the last of them those that are left over at the other end."""
    count = max(len(runs), workers)
    cards = [runs[i % len(runs)] for i in range(count)]
    deals: list[list[RunConfig]] = [[] for _ in range(workers)]
    for place, card in enumerate(cards):
        row, column = divmod(place, workers)
        deals[column if row % 2 == 0 else workers - 1 - column].append(card)
    return deals


def remembered(
    sweep_dir: SweepDir, search: Search, trials: Sequence[Trial], characters: int
) -> list[Point]:
    """What the parts of the last trials took, as far as their times are known."""
    there = [t for t in trials if t.state in ("complete", "pruned") and t.same_as is None]
    found = [
        measured(
            config.run_config(search.run_of(trial)),
            read_rows(sweep_dir.trial(trial.number).timings),
            characters,
        )
        for trial in there[-MAX_REMEMBERED:]
    ]
    return [point for point in found if point is not None]
