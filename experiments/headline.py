"""A whole sweep against one run of the recipe it starts from, each from its command to its end."""

import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.contest import ContestError, Entry, contending
from experiments.races import CPU_SHAPE, ENDLESS, FP32, NANOGPT
from experiments.sweepdir import SweepDir
from tinygpt.exits import DONE

SWEEP = Path(__file__).parent.parent / "sweeps" / "shakespeare.yaml"


@dataclass(frozen=True)
class Side:
    """What was run, how many trainings that were, the loss of the best on the whole validation
    split (nats per character), and seconds on the clock, everything included."""

    name: str
    trainings: int
    val_loss: float
    seconds: float


def recipe(text: Mapping[str, Any]) -> Side:
    """nanoGPT's recipe for a CPU in the plain loop, with the threads that torch chooses."""
    run = ENDLESS | CPU_SHAPE | dict(text) | NANOGPT | FP32
    began = time.perf_counter()
    with contending([Entry("reference", "reference", run, threaded=True)]) as ((contender,), _):
        contender.turn(run["train.max_iters"])
        loss = contender.loss()
    return Side("one run of nanoGPT's recipe", 1, loss, time.perf_counter() - began)


def sweep(out: Path) -> Side:
    """The shipped sweep on Tiny Shakespeare, its report and verdict included; nothing is uploaded.

    Raises ContestError if it does not come to its end.
    """
    began = time.perf_counter()
    sweep_dir = SweepDir(swept(SWEEP, out))
    seconds = time.perf_counter() - began
    trials = sweep_dir.history(sweep_dir.search())
    best = min(t.value for t in trials if t.state == "complete" and t.value is not None)
    return Side(f"the sweep of sweeps/{SWEEP.name}", len(trials), best, seconds)


def swept(file: Path, out: Path, *options: str) -> Path:
    """Run a sweep's command to its end, nothing uploaded; the directory that it made in `out`.

    Raises ContestError if it does not come to its end.
    """
    command = [sys.executable, "-m", "experiments.sweep", str(file), "--out", str(out), *options]
    command += ["--no-progress", "--set", "wandb.mode=offline"]
    ended = subprocess.run(command, stdout=subprocess.DEVNULL)
    if ended.returncode != DONE:
        raise ContestError(f"{file.name} ended with exit code {ended.returncode}")
    return out / file.stem
