"""How much of a layer is done, and what came of it."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Options:
    """`sample` is the number of cases in a layer, None: all; `draw` chooses them, and `jobs` are
    judged at a time."""

    sample: int | None
    draw: random.Random
    jobs: int = 1


def sample(size: int, jobs: int = 1) -> Options:
    """So many cases by a seed that is printed."""
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    return Options(size, random.Random(seed), jobs)


@dataclass
class Tally:
    """What a layer did and found."""

    title: str
    points: int = 0
    cases: int = 0
    faults: int = 0
    findings: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def line(self) -> str:
        """All of it in a line."""
        seconds = time.monotonic() - self.began
        return (
            f"{self.title}: {self.points} points, {self.cases} cases, {self.faults} faults, "
            f"{len(self.findings)} mismatches, {seconds:.0f} s, {self.cases / seconds:.1f} cases/s"
        )


def chosen(cases: Sequence[T], sample: int | None, draw: random.Random) -> list[T]:
    """So many of the cases, evenly spread from a random one on; all if None."""
    if sample is None or sample >= len(cases):
        return list(cases)
    offset = draw.random()
    return [cases[int((place + offset) * len(cases) / sample)] for place in range(sample)]
