"""A process that trains when it is its turn, and says how long that took.

It is told over its standard input how many steps to make, or to evaluate. A process of its own, so
that no contender runs with the threads or the memory of another.
"""

import json
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import chain, islice

from experiments import reference
from experiments.worker import Channel
from tinygpt import config, corpus, hardware
from tinygpt.config import RunConfig
from tinygpt.corpus import Corpus
from tinygpt.dataset import split
from tinygpt.events import Evaluated, Stepped
from tinygpt.trainer import Trainer


class Loop(ABC):
    """A way to train one model."""

    @abstractmethod
    def train(self, steps: int) -> None:
        """Make so many updates."""

    @abstractmethod
    def loss(self) -> float:
        """The loss on the whole validation split, in nats per character, once training is over."""


class Ours(Loop):
    def __init__(self, settled: RunConfig, text: Corpus) -> None:
        self._events = Trainer(settled, text).events()
        self.loss()  # there is an evaluation before the first update

    def train(self, steps: int) -> None:
        for _ in islice((event for event in self._events if isinstance(event, Stepped)), steps):
            pass

    def loss(self) -> float:
        return next(event.val_loss for event in self._events if isinstance(event, Evaluated))


class Reference(Loop):
    def __init__(self, settled: RunConfig, text: Corpus) -> None:
        train, self._val = split(text.ids, settled.data.val_fraction, settled.model.block_size)
        self._gpt = reference.GPT(settled, len(text.tokenizer))
        self._steps: Iterator[None] = reference.training(self._gpt, train.ids.long(), settled)

    def train(self, steps: int) -> None:
        for _ in islice(self._steps, steps):
            pass

    def loss(self) -> float:
        """Over every prediction that the text allows, as ours is."""
        windows, tail = self._val.fixed(self._val.spread(0)), self._val.tail()
        return reference.mean_loss(self._gpt, chain(windows, [tail] if tail else []))


LOOPS: dict[str, type[Ours] | type[Reference]] = {"ours": Ours, "reference": Reference}


def main() -> None:
    channel, told = Channel(), json.loads(sys.argv[1])
    wanted = config.run_config(told["config"])
    settled = config.settled(wanted, **hardware.offer())
    if not told["threaded"]:
        hardware.configure(settled.train)
    loop = LOOPS[told["loop"]](settled, corpus.load(settled.data.corpus, settled.data.sha256))
    channel.send(
        "ready",
        threads=hardware.threads(),
        precision=settled.train.precision,
        **hardware.versions(),
    )
    while (order := channel.receive()) is not None:
        if "loss" in order:
            channel.send("evaluated", loss=loop.loss())
        else:
            began, used = time.perf_counter(), time.process_time()
            loop.train(order["steps"])
            seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - used
            channel.send("trained", seconds=seconds, cpu_seconds=cpu_seconds)


if __name__ == "__main__":
    main()
