"""Where the time of a sweep's workers went."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

NAMES = {
    "train": "training steps",
    "eval": "evaluation",
    "sample": "samples",
    "checkpoint": "checkpoints",
    "setup": "setting up trials",
    "verdict": "hand-shake",
    "record": "record",
    "start": "starting",
    "idle": "waiting for trials",
    "report": "report",
    "mirror": "waiting for W&B's mirror",
}
MODEL = ("train", "eval", "sample")
"""The phases in which the model computes; the others are the harness's."""


@dataclass
class Account:
    """Seconds by phase, summed over `workers` that all exist from `began` on (monotonic clock)."""

    began: float
    workers: int
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    _since: dict[int, float] = field(default_factory=dict)

    def starts(self, worker: int, now: float) -> None:
        """A worker gets a trial; until now it was starting, or waiting for one."""
        phase = "idle" if worker in self._since else "start"
        self.seconds[phase] += now - self._since.get(worker, self.began)
        self._since[worker] = now

    def ends(self, worker: int, now: float, spent: Mapping[str, float]) -> None:
        """A worker gives a trial back and says how it spent the time; the rest is the record's."""
        for phase, seconds in spent.items():
            self.seconds[phase] += seconds
        self.seconds["record"] += max(0.0, now - self._since[worker] - sum(spent.values()))
        self._since[worker] = now

    def closes(self, worked_until: float, reported_at: float, now: float) -> None:
        """All trials are done at `worked_until`, the report at `reported_at`, all else `now`."""
        for worker in range(self.workers):
            self.seconds["idle"] += max(0.0, worked_until - self._since.get(worker, self.began))
        self.seconds["report"] += self.workers * (reported_at - worked_until)
        self.seconds["mirror"] += self.workers * (now - reported_at)

    def summary(self) -> str:
        """One line: the share of the model, then what the rest went into, largest first."""
        total = sum(self.seconds.values()) or 1.0
        shares = {phase: seconds / total for phase, seconds in self.seconds.items()}
        model = sum(shares.get(phase, 0.0) for phase in MODEL)
        parts = [phase for phase in MODEL if shares.get(phase)]
        rest = sorted(set(shares) - set(MODEL), key=lambda phase: -shares[phase])
        return (
            f"{model:.1%} of the workers' time in the model ({listed(parts, shares)}), "
            f"{1 - model:.1%} outside it ({listed(rest, shares)})"
        )


def listed(phases: list[str], shares: Mapping[str, float]) -> str:
    return ", ".join(f"{NAMES[phase]} {shares[phase]:.1%}" for phase in phases)
