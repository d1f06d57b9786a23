"""What W&B is told of a record, and under which names."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.edits import SPENDING
from experiments.pruners import Halving
from experiments.spec import Sweep, as_dict
from experiments.sweepdir import SweepDir
from tinygpt.rundir import RunDir


@dataclass(frozen=True)
class Source:
    """A run directory, and what W&B calls it."""

    run_dir: RunDir
    id: str
    name: str
    group: str | None
    tags: tuple[str, ...]
    volatile: bool = False
    """Whether the sweep may remove its checkpoints once it has ended."""


class Sources:
    """The run directories below a path, as they come into being; their W&B ids follow from what
    they hold."""

    def __init__(self, path: Path) -> None:
        """`path` is a sweep's directory or a run's."""
        self._path = path
        self._sweep: Sweep | None = None
        if not (path / "config.json").exists():
            search = SweepDir(path).search()
            self._sweep, self._first = search.sweep, search.sweeps()[0]

    def __iter__(self) -> Iterator[Source]:
        if self._sweep is None:
            run_dir, name = RunDir(self._path), self._path.resolve().name
            identity = hashlib.sha256(run_dir.config.read_bytes()).hexdigest()[:8]
            yield Source(run_dir, f"{name}-{identity}", name, None, ())
        else:
            yield from self._trials(self._sweep)

    def _trials(self, sweep: Sweep) -> Iterator[Source]:
        sweep_dir, identity = SweepDir(self._path), identity_of(self._first)
        tags = (sweep.sampler.type, Path(sweep.run.data.corpus).stem[:64])
        for number in range(sweep_dir.count()):
            run_id = f"{sweep.name}-{identity}-t{number:04d}"
            run_dir = sweep_dir.trial(number)
            name, volatile = f"trial-{number:04d}", removes_checkpoints(sweep)
            yield Source(run_dir, run_id, name, sweep.name, tags, volatile)


def removes_checkpoints(sweep: Sweep) -> bool:
    """Whether checkpoints of finished trials may go: of those that were not promoted, and of the
    worst where disk is short."""
    return isinstance(sweep.pruner, Halving) or sweep.max_disk is not None


def identity_of(sweep: Sweep) -> str:
    """Eight characters that tell one sweep's trials from another's; `sweep` is as its file had it
    first."""
    data = {key: value for key, value in as_dict(sweep).items() if key not in SPENDING}
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:8]


def named(row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """A record's row under the names it has on W&B; losses are nats per character."""
    names = {"train_loss": "loss"} if row["kind"] == "train" else {}
    for name, value in row.items():
        if name == "tokens":
            yield name, value
        elif name not in ("kind", "step"):
            yield f"{row['kind']}/{names.get(name, name)}", value


def summary(result: Mapping[str, Any]) -> dict[str, Any]:
    """What a run's result puts into W&B's summary."""
    values = {
        "state": result["state"],
        "objective": result["value"],
        "best_step": result["best_step"],
        "best_val_loss": result["metrics"].get("best_val_loss"),
        "reason": result["reason"],
    }
    return {name: value for name, value in values.items() if value is not None}
