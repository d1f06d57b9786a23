"""One trial's directory as rows of the frames."""

import json
import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from analysis import space
from analysis.frames import number
from analysis.records import Row, UnreadableError, at, read_object, read_rows, refuse_other

T = TypeVar("T")
NO_VALUE = "the objective is not a finite number"


@dataclass(frozen=True)
class Run:
    """A trial's row, its curve and its samples; `unreadable` names the files left out.

    `identity` is the same text for two runs that differ in nothing but the seed.
    """

    identity: str
    trial: Row
    curve: list[Row]
    samples: list[Row]
    timings: list[Row]
    unreadable: list[str]


@dataclass
class _Folder:
    """Reads the files of a trial and remembers which of them could not be read, or are not those
    that its result `promised`."""

    path: Path
    unreadable: list[str] = field(default_factory=list)
    promised: Row = field(default_factory=dict)

    def object(self, name: str) -> Row:
        return self._try(read_object, name) or {}

    def rows(self, name: str) -> list[Row]:
        rows = self._try(read_rows, name) or []
        return [row for row in rows if _is_step(row.get("step"))]

    def _try(self, read: Callable[[Path], T], name: str) -> T | None:
        try:
            if name in self.promised:
                refuse_other(self.path / name, self.promised[name])
            return read(self.path / name)
        except UnreadableError:
            self.unreadable.append(f"trials/{self.path.name}/{name}")
            return None


def read_run(path: Path, parameters: space.Space) -> Run:
    """Read the trial in `path`; what is missing or unreadable there is missing in the rows.

    A duplicate has no curve and cost nothing: its record is a copy of another trial's.
    """
    folder = _Folder(path)
    trial = int(path.name)
    result = folder.object("result.json")
    files = result.get("files")
    folder.promised = files if isinstance(files, dict) else {}
    config = folder.object("config.json")
    copied = _is_step(result.get("same_as"))
    rows = [] if copied else folder.rows("metrics.jsonl")
    timings = folder.rows("timings.jsonl")
    curve = _curve(trial, rows, timings)
    samples = [{**row, "trial": trial} for row in folder.rows("samples.jsonl")]
    row = {
        "trial": trial,
        **_outcome(result),
        **_measured(curve, {} if copied else result.get("metrics")),
        "parameters": at(result, "metrics.parameters"),
        "same_as": result.get("same_as") if copied else None,
        "best_step": result.get("best_step"),
        "steps_planned": at(config, "train.max_iters"),
        "seed": config.get("seed"),
        "checkpoint": _checkpoint(path, result.get("best_step")),
        **{f"p.{key}": value for key, value in space.values(config, parameters).items()},
    }
    spent = [] if copied else _timings(trial, timings)
    return Run(_identity(config) or path.name, row, curve, samples, spent, folder.unreadable)


def _identity(config: Row) -> str:
    return json.dumps({**config, "seed": None}, sort_keys=True) if config else ""


def _outcome(result: Row) -> Row:
    state, value, reason = result.get("state"), number(result.get("value")), result.get("reason")
    if _is_step(result.get("same_as")):
        return {"state": "duplicate", "value": value, "reason": reason}
    if state == "complete" and not math.isfinite(value):
        return {"state": "failed", "reason": reason or NO_VALUE}
    if state not in ("complete", "pruned", "failed"):
        state = "unfinished"
    return {"state": state, "value": value, "reason": reason}


def _measured(curve: list[Row], metrics: object) -> Row:
    final = metrics if isinstance(metrics, dict) else {}
    trained = [row for row in curve if row["kind"] == "train"]
    losses = [row["val_loss_nats"] for row in curve if row["kind"] == "eval"]
    seconds = [s for row in trained if math.isfinite(s := number(row["seconds"]))]
    speeds = [s for row in trained if math.isfinite(s := number(row["tokens_per_s"]))]
    return {
        "val_loss_nats": final.get("val_loss"),
        "val_loss_subset_nats": final.get("val_loss_subset"),
        "val_best_nats": final.get("best_val_loss"),
        "val_last_nats": losses[-1] if losses else None,
        "train_loss_nats": final.get("train_loss"),
        "step": max((row["step"] for row in curve), default=None),
        "tokens": final.get("tokens") or max((_tokens(row) for row in curve), default=None),
        "flops": number(final.get("tokens")) * number(final.get("flops_per_token")),
        "seconds_per_token": final.get("seconds_per_token"),
        "train_s": sum(seconds) if seconds else None,
        "tokens_per_s": statistics.median(speeds) if speeds else None,
    }


def _tokens(row: Row) -> float:
    tokens = number(row["tokens"])
    return tokens if math.isfinite(tokens) else -math.inf


def _curve(trial: int, metrics: list[Row], timings: list[Row]) -> list[Row]:
    # A resume repeats the steps after its checkpoint: the last row of a step is the valid one.
    clock = {(str(row.get("kind")), row["step"]): row for row in timings}
    rows = {(str(row.get("kind")), row["step"]): row for row in metrics}
    return [
        {"trial": trial, **_point(row, clock.get(key, {}))}
        for key, row in sorted(rows.items(), key=lambda item: item[0])
        if key[0] in ("train", "eval")
    ]


def _timings(trial: int, timings: list[Row]) -> list[Row]:
    """The last row of each kind and step, in this order."""
    last = {(str(row.get("kind")), row["step"]): row for row in timings}
    return [{**row, "trial": trial} for _, row in sorted(last.items(), key=lambda item: item[0])]


def _point(row: Row, timing: Row) -> Row:
    # The last evaluation is on the whole split; a curve must measure one thing throughout.
    whole = "val_loss_subset" in row
    return {
        "kind": row["kind"],
        "step": row["step"],
        "tokens": row.get("tokens"),
        "val_loss_nats": row["val_loss_subset"] if whole else row.get("val_loss"),
        "val_loss_full_nats": row.get("val_loss") if whole else None,
        "train_loss_nats": row.get("train_loss"),
        "learning_rate": row.get("learning_rate"),
        "grad_norm": row.get("grad_norm"),
        "seconds": timing.get("seconds"),
        "tokens_per_s": timing.get("tokens_per_second"),
    }


def _checkpoint(path: Path, best_step: object) -> str:
    saved = sorted(
        manifest.parent.name for manifest in path.glob("checkpoints/step-*/manifest.json")
    )
    best = f"step-{best_step:08d}" if _is_step(best_step) else ""
    chosen = best if best in saved else (saved[-1] if saved else "")
    return f"trials/{path.name}/checkpoints/{chosen}" if chosen else ""


def _is_step(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63
