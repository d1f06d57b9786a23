"""What W&B is told of a record, and under which names."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.spec import as_dict
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


def sources(path: Path) -> list[Source]:
    """The run directories below a path, with W&B ids that follow from what they hold."""
    if (path / "config.json").exists():
        run_dir = RunDir(path)
        identity = hashlib.sha256(run_dir.config.read_bytes()).hexdigest()[:8]
        name = path.resolve().name
        return [Source(run_dir, f"{name}-{identity}", name, None, ())]
    sweep_dir = SweepDir(path)
    sweep, _ = sweep_dir.read_sweep()
    data = {k: v for k, v in as_dict(sweep).items() if k not in ("trials", "wandb")}
    identity = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:8]
    tags = (sweep.sampler.type, Path(sweep.run.data.corpus).stem[:64])
    return [
        Source(
            sweep_dir.trial(number),
            f"{sweep.name}-{identity}-t{number:04d}",
            f"trial-{number:04d}",
            sweep.name,
            tags,
        )
        for number in range(len(list(sweep_dir.trials.glob("*/config.json"))))
    ]


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
