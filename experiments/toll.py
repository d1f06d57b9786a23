"""What it costs a sweep to be mirrored: the same one with the mirror and without it, in turn."""

import os
import re
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from experiments.contest import ContestError
from experiments.safety import SWEEP, WORKERS
from tinygpt.exits import DONE

MIRROR = re.compile(r"mirror used ([\d.]+) s of CPU")
"""What a sweep says of its mirror at its end."""


@dataclass(frozen=True)
class Toll:
    """The seconds from a command to its end, medians, without the mirror and with it (offline), and
    the CPU seconds that it adds to those of the whole sweep."""

    without: float
    beside: float
    cpu: float
    cpu_of_all: float

    @property
    def ratio(self) -> float:
        """How much longer the command takes with the mirror: 1 is not at all."""
        return self.beside / self.without


def toll(out: Path, rounds: int) -> Toll:
    """Run the small shipped sweep so often without and with a mirror."""
    found = {mode: list[Run]() for mode in ("disabled", "offline")}
    for number in range(rounds):
        # Whoever comes first finds a colder machine.
        for mode in list(found)[:: 1 if number % 2 else -1]:
            found[mode].append(run(out / f"{mode}-{number}", mode))
    without, beside = (found[mode] for mode in ("disabled", "offline"))
    return Toll(
        statistics.median(one.seconds for one in without),
        statistics.median(one.seconds for one in beside),
        statistics.median(one.mirror_cpu for one in beside),
        statistics.median(one.cpu for one in beside),
    )


@dataclass(frozen=True)
class Run:
    """One sweep: seconds on the clock, of the processors, and of those the mirror's."""

    seconds: float
    cpu: float
    mirror_cpu: float


def run(out: Path, mode: str) -> Run:
    """Run the sweep once; raises ContestError if it does not come to its end."""
    command = [sys.executable, "-m", "experiments.sweep", str(SWEEP), "--out", str(out)]
    command += ["--workers", str(WORKERS), "--no-progress", "--set", f"wandb.mode={mode}"]
    before, began = children_cpu(), time.perf_counter()
    ended = subprocess.run(command, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    if ended.returncode != DONE:
        raise ContestError(f"{SWEEP.name} ended with exit code {ended.returncode}")
    told = MIRROR.search(ended.stdout)
    return Run(seconds, children_cpu() - before, float(told[1]) if told else 0.0)


def children_cpu() -> float:
    """The CPU seconds of all processes that this one has started and seen to their end."""
    times = os.times()
    return times.children_user + times.children_system
