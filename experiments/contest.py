"""Contenders that train by turns, and what their times come to.

A machine is faster at one moment than at another, so times are compared within a round, in which
every contender has its turn, and a ratio is the median over the rounds.
"""

import contextlib
import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from experiments.process import Child, Message
from tinygpt import config
from tinygpt.config import RunConfig

T = TypeVar("T")

WARM_STEPS = 5
"""Steps that a contender makes before any are counted."""
CHUNK = 50
"""Steps of a long training between two looks at whether anybody still wants them."""


class ContestError(RuntimeError):
    """A contender is gone before its turn was over."""


class Spent(NamedTuple):
    """What some steps took: on the clock, and on the processor by all threads together."""

    steps: int
    seconds: float
    cpu_seconds: float

    @property
    def steps_per_second(self) -> float:
        return self.steps / self.seconds


@dataclass(frozen=True)
class Entry:
    """Who contends: a loop ("ours" or "reference"), its run by dotted keys, and whether it has the
    threads that torch chooses, in place of `train.threads`."""

    name: str
    loop: str
    values: Mapping[str, Any]
    threaded: bool = False

    @property
    def run(self) -> RunConfig:
        return config.run_config(config.with_values({}, self.values))


class Contender:
    """An entry in a process of its own, which computes only when it is told to."""

    def __init__(self, entry: Entry) -> None:
        self.name = entry.name
        told = {
            "loop": entry.loop,
            "config": config.as_dict(entry.run),
            "threaded": entry.threaded,
        }
        threads = None if entry.threaded else entry.run.train.threads
        self._child = Child("experiments.contender", json.dumps(told), threads=threads)
        self._heard: list[Message] = []

    def ready(self) -> Message:
        """Wait until it can begin; its threads, precision and versions."""
        return self._hear()

    def begin(self, steps: int) -> None:
        self._begun = steps
        self._child.send(steps=steps)

    def end(self) -> Spent:
        """Wait for what was begun."""
        message = self._hear()
        return Spent(self._begun, message["seconds"], message["cpu_seconds"])

    def turn(self, steps: int) -> Spent:
        self.begin(steps)
        return self.end()

    def training(self, steps: int) -> Spent:
        """A long turn, in chunks."""
        chunks = [min(CHUNK, steps - done) for done in range(0, steps, CHUNK)]
        spent = [self.turn(chunk) for chunk in chunks]
        return Spent(steps, sum(s.seconds for s in spent), sum(s.cpu_seconds for s in spent))

    def loss(self) -> float:
        """The loss on the whole validation split, nats per character, once training is over."""
        self._child.send(loss=True)
        return float(self._hear()["loss"])

    def leave(self) -> None:
        self._child.dismiss()
        self._child.join()
        self._child.close()

    def _hear(self) -> Message:
        while not self._heard:
            self._heard += self._child.poll(60)
            if not self._heard and not self._child.alive:
                raise ContestError(f"{self.name}: {self._child.last_words()}")
        return self._heard.pop(0)


@contextlib.contextmanager
def contending(entries: Sequence[Entry]) -> Iterator[tuple[list[Contender], list[Message]]]:
    """The contenders, when all are ready, and what each said then."""
    with contextlib.ExitStack() as stack:
        contenders = []
        for entry in entries:
            contenders.append(Contender(entry))
            stack.callback(contenders[-1].leave)
        yield contenders, [contender.ready() for contender in contenders]


def rounds(
    contenders: Sequence[Contender], steps: Mapping[str, int], count: int
) -> Iterator[dict[str, Spent]]:
    """What the `steps` of each, by its name, take in round after round, never two at once."""
    for number in range(count):
        order = turned(contenders, number)
        yield {contender.name: contender.turn(steps[contender.name]) for contender in order}


def turned(contenders: Sequence[T], number: int) -> Sequence[T]:
    """The order of a round: every other one goes the other way, so that a machine that becomes
    slower favours nobody."""
    return contenders if number % 2 == 0 else contenders[::-1]


def warmed(contenders: Sequence[Contender], seconds: float) -> dict[str, int]:
    """Let each make a few steps that do not count; how many of its steps fill a turn."""
    for contender in contenders:
        contender.turn(WARM_STEPS)
    return {
        contender.name: steps_in(seconds, contender.turn(WARM_STEPS)) for contender in contenders
    }


def steps_in(seconds: float, spent: Spent) -> int:
    """How many steps fill so many seconds, at the pace of those that took what was `spent`."""
    return max(1, round(seconds * spent.steps_per_second))


@dataclass(frozen=True)
class Ratio:
    """The median of the ratios of all rounds, and the lowest and highest of them."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, ours: Sequence[float], theirs: Sequence[float]) -> "Ratio":
        """Ours over theirs, round by round; both have one figure per round."""
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        return cls(statistics.median(ratios), min(ratios), max(ratios))

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}-{self.high:.2f})"
