"""One version of a sweep's file, and what decides for the trials that came from it."""

from collections.abc import Mapping
from dataclasses import dataclass

from optuna.trial import FrozenTrial

from experiments.configuration import Configurations
from experiments.parameter import Scalar
from experiments.proposal import Proposer
from experiments.pruning import Judge
from experiments.spec import Sweep


@dataclass(frozen=True)
class Earlier:
    """A sweep as its file had it until trial `until`, exclusive."""

    until: int
    sweep: Sweep


class Version:
    """One version of a sweep's file, the trials that came from it, and what decides for them."""

    def __init__(self, sweep: Sweep, vocabulary: int, first: int) -> None:
        self.sweep, self.first = sweep, first
        self.runs: Configurations = sweep.configurations(vocabulary)
        self.proposer = Proposer(sweep, self.runs, first)
        self.judge = Judge(sweep)
        self.seen: dict[int, FrozenTrial | None] = {}
        self.older: dict[int, Mapping[str, Scalar] | None] = {}
