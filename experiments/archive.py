"""What a report of a large sweep costs: one that was made up, by those who write real ones."""

import math
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments import spec
from experiments.spec import Sweep
from experiments.sweepdir import SweepDir
from tinygpt import config, durable
from tinygpt.record import Record
from tinygpt.rundir import RunDir

MEMORY = Path("/dev/shm")
"""A directory in memory, where there is one: that disks sync slowly is measured elsewhere."""
EVERY = 100
LOAD = "from analysis import Sweep; import sys; Sweep.load(sys.argv[1])"
SPACE: dict[str, dict[str, Any]] = {
    "train.learning_rate": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True},
    "train.weight_decay": {"type": "float", "low": 0.0, "high": 0.2},
    "train.beta2": {"type": "float", "low": 0.9, "high": 0.999},
    "model.dropout": {"type": "float", "low": 0.0, "high": 0.3},
    "model.d_model": {"type": "categorical", "choices": [32, 64, 96, 128]},
    "model.n_layers": {"type": "int", "low": 1, "high": 4},
}


@dataclass(frozen=True)
class Cost:
    """Seconds to load a sweep, beyond what importing takes, and of the whole command that reports
    it; the most memory that command had, and the size of its page, in bytes."""

    trials: int
    evaluations: int
    load: float
    report: float
    memory: int
    page: int


def cost(directory: Path, trials: int, evaluations: int) -> Cost:
    """Make a sweep up below `directory` and measure what reading and reporting it costs."""
    path = make(directory / "archive", trials, evaluations)
    empty = make(directory / "empty", 0, 1)
    importing, loading = timed("-c", LOAD, str(empty)), timed("-c", LOAD, str(path))
    report = timed("-m", "analysis", str(path))
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    page = (path / "report" / "report.html").stat().st_size
    return Cost(trials, evaluations, loading - importing, report, memory, page)


def timed(*command: str) -> float:
    """The seconds that a Python command takes."""
    began = time.monotonic()
    subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def make(path: Path, trials: int, evaluations: int) -> Path:
    """Write a sweep of so many trials, of which one in ten is pruned half-way and one in fifty
    fails."""
    sweep, draw = made_up(evaluations, trials), random.Random(0)
    sweep_dir = SweepDir(path)
    durable.make_directory(path)
    facts = {"name": "made up", "sha256": "0" * 64, "characters": 10**6, "vocabulary": 65}
    sweep_dir.write_sweep(sweep, {"corpus": facts, "versions": {"python": "3", "torch": "2"}})
    durable.make_directory(sweep_dir.trials)
    for number in range(trials):
        write(sweep_dir.trial(number), sweep, number, draw)
    for event in ("started", *(("finished",) if trials else ())):
        sweep_dir.log(event, workers=2, trials=trials)
    return path


def made_up(evaluations: int, trials: int) -> Sweep:
    return spec.build(
        {
            "name": "archive",
            "trials": max(1, trials),
            "pruner": {"type": "median"},
            "run": {
                "train": {"max_iters": EVERY * (evaluations - 1) or 1, "eval_interval": EVERY},
                "model": {"d_head": 16},
            },
            "space": SPACE,
        }
    )


def write(run_dir: RunDir, sweep: Sweep, number: int, draw: random.Random) -> None:
    """Write one trial as its worker would."""
    params = {key: drawn(one, draw) for key, one in SPACE.items()}
    seeded = {**config.as_dict(sweep.run), "seed": number}
    run_dir.write_config(config.run_config(config.with_values(seeded, params)))
    ending = "pruned" if number % 10 == 9 else "failed" if number % 50 == 7 else "complete"
    whole = sweep.run.train.max_iters
    last = whole if ending == "complete" else whole // 2 // EVERY * EVERY
    metrics, timings = Record(run_dir.metrics), Record(run_dir.timings)
    for row, seconds in rows(params, last, last == whole, draw):
        metrics.append(row)
        timings.append({"kind": row["kind"], "step": row["step"], "seconds": seconds})
    samples = Record(run_dir.samples)
    samples.append({"step": last, "prompt": "the ", "text": "sea and the old stone"})
    for record in (metrics, timings, samples):
        record.close()
    failure = "diverged: a loss is not finite" if ending == "failed" else None
    run_dir.conclude(ending, failure, parameters=100_000, flops_per_token=600_000)  # type: ignore[arg-type]


def drawn(one: dict[str, Any], draw: random.Random) -> Any:
    if one["type"] == "categorical":
        return draw.choice(one["choices"])
    if one["type"] == "int":
        return draw.randint(one["low"], one["high"])
    if one.get("log"):
        return math.exp(draw.uniform(math.log(one["low"]), math.log(one["high"])))
    return draw.uniform(one["low"], one["high"])


def rows(
    params: dict[str, Any], last: int, whole: bool, draw: random.Random
) -> Iterator[tuple[dict[str, Any], float]]:
    """The rows of a run up to a step, with the seconds of each; `whole` if it is complete."""
    away = abs(math.log10(params["train.learning_rate"]) + 2.2)
    end = 1.5 + 0.2 * away**2 + 0.5 / params["model.d_model"] ** 0.5 + draw.gauss(0, 0.01)
    for step in range(0, last + 1, EVERY):
        loss = end + 2.5 * math.exp(-step / 900) + draw.gauss(0, 0.003)
        tokens = step * 1024
        if step:
            rate = {"learning_rate": params["train.learning_rate"], "grad_norm": draw.random()}
            trained = {"train_loss": loss - 0.05, **rate, "tokens": tokens}
            yield {"kind": "train", "step": step, **trained}, 0.5 + draw.random()
        evaluated = {"val_loss": loss, "train_loss": loss - 0.04, "tokens": tokens}
        if whole and step == last:
            evaluated |= {"val_loss": loss + 0.01, "val_loss_subset": loss}
        yield {"kind": "eval", "step": step, **evaluated}, 0.1


def workplace() -> Path | None:
    """Where to make a sweep up: in memory where that can be, else where temporary files are."""
    return MEMORY if os.access(MEMORY, os.W_OK) else None
