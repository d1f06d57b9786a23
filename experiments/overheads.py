"""What a run costs besides its steps: checkpoints, evaluations, verdicts, and starting at all."""

import dataclasses
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments import process
from experiments.contest import ContestError
from experiments.process import Child, Message
from experiments.races import CPU_SHAPE
from tinygpt import config
from tinygpt.config import RunConfig
from tinygpt.files import read_rows
from tinygpt.rundir import RunDir

INTERVAL = 20
"""Steps between evaluations in the run that is measured."""
COMMANDS = {
    "import torch": ("-c", "import torch"),
    "tinygpt.train --help": ("-m", "tinygpt.train", "--help"),
    "experiments.sweep --help": ("-m", "experiments.sweep", "--help"),
}


@dataclass(frozen=True)
class Overheads:
    """Milliseconds of one of each, medians; a step is one of the CPU shape."""

    step: float
    checkpoint: float
    evaluation: float
    sample: float
    verdict: float

    def in_steps(self) -> dict[str, float]:
        """Each as a multiple of a step."""
        return {name: ms / self.step for name, ms in dataclasses.asdict(self).items()}


def overheads(text: Mapping[str, Any], count: int, path: Path) -> Overheads:
    """Train a run with so many evaluations before its last in the empty directory `path`, by a
    real worker whose driver answers at once."""
    child = process.worker(0, ())
    try:
        offer = heard(child, "ready")["offer"]
        run_dir = RunDir(path)
        run_dir.write_config(measured(text, count, offer))
        child.send(run=str(path))
        while (message := heard(child, "evaluated", "ended"))["event"] == "evaluated":
            child.send(verdict="go on")
    finally:
        leave(child)
    if "seconds" not in message:
        raise ContestError("the run that is measured diverged")
    asked = len(run_dir.evaluations())
    return from_timings(read_rows(run_dir.timings), message["seconds"]["verdict"] / asked)


def measured(text: Mapping[str, Any], count: int, offer: Mapping[str, bool]) -> RunConfig:
    values = {
        **CPU_SHAPE,
        **text,
        "train.device": "cpu",
        "train.max_iters": INTERVAL * (count + 1),
        "train.eval_interval": INTERVAL,
    }
    return config.settled(config.run_config(config.with_values({}, values)), **offer)


def from_timings(rows: list[dict[str, Any]], verdict_seconds: float) -> Overheads:
    """The medians of a run's timings; its last evaluation is on the whole split and does not
    count."""
    last = max(row["step"] for row in rows)

    def median(kind: str) -> float:
        times = [row["seconds"] for row in rows if row["kind"] == kind and row["step"] < last]
        return 1000 * float(statistics.median(times))

    # A row of kind "train" is of all the steps since the one before it.
    trains = [row for row in rows if row["kind"] == "train"]
    step = median("train") / (trains[1]["step"] - trains[0]["step"])
    return Overheads(
        step, median("checkpoint"), median("eval"), median("sample"), 1000 * verdict_seconds
    )


def starts(count: int) -> Iterator[tuple[str, float]]:
    """Milliseconds until each command is done, or the worker ready: medians of so many times."""
    for name, arguments in COMMANDS.items():
        yield name, statistics.median(command_ms(*arguments) for _ in range(count))
    yield "worker, until it is ready", statistics.median(worker_ms() for _ in range(count))


def command_ms(*arguments: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    return 1000 * (time.perf_counter() - began)


def worker_ms() -> float:
    began = time.perf_counter()
    child = process.worker(0, ())
    try:
        heard(child, "ready")
        return 1000 * (time.perf_counter() - began)
    finally:
        leave(child)


def heard(child: Child, *events: str) -> Message:
    """The next message of these kinds; others are passed over. A worker waits for an answer to
    each of them, so none follows in the same breath."""
    while child.alive:
        for message in child.poll(60):
            if message["event"] in events:
                return message
            if message["event"] in ("storage", "unusable"):
                raise ContestError(message["reason"])
    raise ContestError(f"a worker does not go on: {child.last_words()}")


def leave(child: Child) -> None:
    child.dismiss()
    child.join()
    child.close()
