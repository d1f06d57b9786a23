"""What W&B is told of a record, and under which names."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from experiments import space
from experiments.edits import SPENDING
from experiments.fetch import origin_of
from experiments.pruners import Halving
from experiments.spec import Sweep, as_dict
from experiments.sweepdir import SweepDir, search_of
from experiments.tail import Step
from experiments.trial import Trial, finished
from tinygpt import config
from tinygpt.files import read_mapping
from tinygpt.redaction import without_secrets
from tinygpt.rundir import RunDir, best_of, comparable_loss

NAMES = {
    ("train", "train_loss"): "train/loss_nats",
    ("eval", "train_loss"): "eval/train_loss_nats",
    ("eval", "val_loss"): "eval/val_loss_nats",
    ("eval", "val_loss_subset"): "eval/val_loss_subset_nats",
    ("train", "tokens"): "train/tokens",
    ("eval", "tokens"): "train/tokens",
}
"""Names with their units; losses are nats per character. Others are called after their kind."""
TIMED = {
    "tokens_per_second": "speed/tokens_per_second",
    "mfu": "speed/mfu",
    "peak_memory": "machine/peak_memory_bytes",
}
"""What is taken over from the timings of a training row."""


@dataclass(frozen=True)
class Source:
    """A run directory, and what W&B calls it."""

    run_dir: RunDir
    id: str
    name: str | None
    """None: as it is."""
    group: str | None
    tags: tuple[str, ...]
    volatile: bool = False
    """Whether the sweep may remove its checkpoints once it has ended."""
    number: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What its config says besides the run's own."""

    def config(self) -> dict[str, Any]:
        """The run's config and facts, nested, without secrets."""
        told: dict[str, Any] = without_secrets({**read_mapping(self.run_dir.config), **self.facts})
        return told


class Sources:
    """The run directories below a path, in order, as they come into being; their W&B ids follow
    from what they hold."""

    def __init__(self, path: Path) -> None:
        """`path` is a sweep's directory, a run's, or that of a sweep's trial."""
        self.path, self.only = path, trial_number(path)
        self.sweep: Sweep | None = None
        if not (path / "config.json").exists() or self.only is not None:
            self.sweep_dir = SweepDir(home_of(path).parent)
            self.sweep, self._facts = self.sweep_dir.read_sweep()
            first = search_of(self.sweep, self._facts).sweeps()[0]
            self.id = f"{self.sweep.name}-{identity_of(first)}"
        self._next = 0

    def new(self) -> Iterator[Source]:
        """Those that have come into being since the last call."""
        if self.sweep is None:
            if self._next == 0:
                self._next = 1
                yield self._run()
            return
        while self.sweep_dir.trial(self._next).config.exists():
            self._next += 1
            if self.only in (None, self._next - 1):
                yield self._trial(self.sweep, self._next - 1)

    def _run(self) -> Source:
        run_dir, name = RunDir(self.path), self.path.resolve().name
        origin = origin_of(run_dir)
        facts = {"origin": asdict(origin)} if origin else {}
        if origin and origin.continued:
            return Source(run_dir, origin.run_id, None, None, (), facts=facts)
        identity = hashlib.sha256(run_dir.config.read_bytes()).hexdigest()[:8]
        return Source(run_dir, f"{name}-{identity}", name, None, (), facts=facts)

    def _trial(self, sweep: Sweep, number: int) -> Source:
        return Source(
            run_dir=self.sweep_dir.trial(number),
            id=f"{self.id}-t{number:04d}",
            name=f"trial-{number:04d}",
            group=sweep.name,
            tags=tags_of(sweep),
            volatile=removes_checkpoints(sweep),
            number=number,
            facts={"trial": number, "sweep": self.about(sweep)},
        )

    def trial(self, source: Source, result: Mapping[str, Any]) -> Trial:
        """The trial that has ended with a result."""
        assert self.sweep is not None
        assert source.number is not None
        params = space.active(self.sweep.space, config.flat(read_mapping(source.run_dir.config)))
        return finished(Trial(source.number, params or {}), result)

    def settled(self) -> dict[str, Any]:
        """The sweep as its own run's config, without secrets."""
        assert self.sweep is not None
        told: dict[str, Any] = without_secrets(
            {**as_dict(self.sweep), "sweep": self.about(self.sweep)}
        )
        return told

    def planned(self) -> int:
        """How many trials the last command wanted."""
        assert self.sweep is not None
        return self.sweep_dir.planned(self.sweep)

    def fingerprint(self) -> str:
        """What tells one state of a sweep from another: sixteen characters."""
        report = self.sweep_dir.report / "report.html"
        parts = [path.read_bytes() for path in (self.sweep_dir.sweep, report) if path.exists()]
        parts += [str(self.sweep_dir.ended()).encode()]
        return hashlib.sha256(b"\n".join(parts)).hexdigest()[:16]

    def about(self, sweep: Sweep) -> dict[str, Any]:
        """What a trial's config says of its sweep."""
        return {
            "name": sweep.name,
            "id": self.id,
            "seed": sweep.seed,
            "sampler": sweep.sampler.type,
            "pruner": sweep.pruner.type,
            "searched": list(space.searched(sweep.space)),
            "corpus": self._facts["corpus"],
            "versions": self._facts.get("versions", {}),
        }


def has_begun(path: Path) -> bool:
    """Whether there is a sweep or a run in a directory."""
    return (path / "sweep.json").exists() or (path / "config.json").exists()


def home_of(path: Path) -> Path:
    """Where W&B's files of a sweep or a run lie; a trial's are among those of its sweep."""
    return (path if trial_number(path) is None else path.parent.parent) / "wandb"


def trial_number(path: Path) -> int | None:
    """Which trial of a sweep has this directory; None if it is none's."""
    where = path.resolve()
    below = where.parent.name == "trials" and (where.parent.parent / "sweep.json").exists()
    return int(where.name) if below and where.name.isdecimal() else None


def tags_of(sweep: Sweep) -> tuple[str, ...]:
    """The sampler and the corpus."""
    return (sweep.sampler.type, Path(sweep.run.data.corpus).stem[:64])


def removes_checkpoints(sweep: Sweep) -> bool:
    """Whether checkpoints of finished trials may go: of those that were not promoted, and of the
    worst where disk is short."""
    return isinstance(sweep.pruner, Halving) or sweep.max_disk is not None


def identity_of(sweep: Sweep) -> str:
    """Eight characters that tell one sweep's trials from another's; `sweep` is as its file had it
    first."""
    data = {key: value for key, value in as_dict(sweep).items() if key not in SPENDING}
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:8]


def values(step: Step) -> dict[str, Any]:
    """The row of a step on W&B."""
    told = {name: value for row in step.rows for name, value in named(row)}
    timing = step.timing or {}
    told |= {name: timing[key] for key, name in TIMED.items() if key in timing}
    if step.sample is not None:
        told["samples/text"] = step.sample["prompt"] + step.sample["text"]
    return told


def named(row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """A record's row under the names it has on W&B."""
    for name, value in row.items():
        if name not in ("kind", "step"):
            yield NAMES.get((row["kind"], name), f"{row['kind']}/{name}"), value


class Extremes:
    """The best and the last evaluation of a run, as they stand."""

    def __init__(self) -> None:
        self._evaluations: list[Mapping[str, Any]] = []

    def take(self, step: Step) -> dict[str, Any]:
        """What the summary says after a step; nothing if that is no evaluation."""
        evaluated = [row for row in step.rows if row["kind"] == "eval"]
        if not evaluated:
            return {}
        self._evaluations = [best_of([*self._evaluations, *evaluated])]
        best, last = self._evaluations[0], evaluated[-1]
        return {
            "best/val_loss_nats": comparable_loss(best),
            "best/step": best["step"],
            "last/val_loss_nats": last["val_loss"],
            "last/train_loss_nats": last["train_loss"],
            "last/step": last["step"],
        }


def summary(result: Mapping[str, Any]) -> dict[str, Any]:
    """What a run's result puts into W&B's summary."""
    told = {"state": result["state"], "objective": result["value"], "reason": result["reason"]}
    told |= {f"result/{name}": value for name, value in result["metrics"].items()}
    return {name: value for name, value in without_secrets(told).items() if is_told(value)}


def is_told(value: Any) -> bool:
    """Whether a value says anything."""
    return value is not None and not (isinstance(value, float) and math.isnan(value))
