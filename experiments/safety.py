"""What it costs that nothing is ever lost: a checkpoint against a plain `torch.save`, and the share
of a whole sweep that goes into saving."""

import json
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.headline import swept
from experiments.overheads import heard, leave
from experiments.process import Child
from experiments.races import CPU_SHAPE
from experiments.sweepdir import SweepDir
from tinygpt import config
from tinygpt.files import read_rows
from tinygpt.rundir import RunDir

SWEEP = Path(__file__).parent.parent / "sweeps" / "small.yaml"
WORKERS = 2


@dataclass(frozen=True)
class Saving:
    """Milliseconds of one checkpoint of a model with so many parameters, medians: `plain` is
    `torch.save` into a file, `safe` all that is done here, from the copy of the weights to the
    removal of older checkpoints."""

    parameters: int
    plain: float
    safe: float


@dataclass(frozen=True)
class Share:
    """The seconds that all workers of a sweep had together, and those of them that went into
    checkpoints."""

    seconds: float
    checkpoints: float


def saving(text: Mapping[str, Any], count: int, path: Path) -> Saving:
    """Save so many steps of nanoGPT's CPU model in the empty directory `path`."""
    values = {
        **CPU_SHAPE,
        **text,
        "train.device": "cpu",
        "train.max_iters": count,
        "train.eval_interval": count,
        "train.eval_iters": 1,
        "checkpoint.interval": 1,
        "sample.max_new_tokens": 0,
    }
    told = {"config": config.with_values({}, values), "run": str(path)}
    child = Child("experiments.saver", json.dumps(told))
    try:
        plain = heard(child, "saved")["seconds"]
    finally:
        leave(child)
    run_dir = RunDir(path)
    rows = read_rows(run_dir.timings)
    safe = [row["seconds"] for row in rows if row["kind"] == "checkpoint"]
    result = run_dir.read_result() or {}
    # The first state has no moments yet.
    return Saving(result["metrics"]["parameters"], _ms(plain[1:]), _ms(safe[1:]))


def _ms(seconds: list[float]) -> float:
    return 1000 * statistics.median(seconds)


def share(out: Path) -> Share:
    """Run the small shipped sweep, and count what its trials spent on checkpoints."""
    began = time.perf_counter()
    sweep_dir = SweepDir(swept(SWEEP, out, "--workers", str(WORKERS)))
    seconds = WORKERS * (time.perf_counter() - began)
    runs = [sweep_dir.trial(number) for number in range(sweep_dir.count())]
    rows = [row for run in runs for row in read_rows(run.timings)]
    return Share(seconds, sum(row["seconds"] for row in rows if row["kind"] == "checkpoint"))
