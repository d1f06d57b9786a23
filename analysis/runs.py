"""One trial's directory as rows of the frames."""

import math
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from analysis.frames import number
from analysis.records import Row, UnreadableError, read_object, read_rows

T = TypeVar("T")


@dataclass(frozen=True)
class Run:
    """A trial's row, its curve and its samples; `unreadable` names the files left out."""

    trial: Row
    curve: list[Row]
    samples: list[Row]
    unreadable: list[str]


@dataclass
class _Folder:
    """Reads the files of a trial and remembers which of them could not be read."""

    path: Path
    unreadable: list[str] = field(default_factory=list)

    def object(self, name: str) -> Row:
        return self._try(read_object, name) or {}

    def rows(self, name: str) -> list[Row]:
        rows = self._try(read_rows, name) or []
        return [row for row in rows if _is_step(row.get("step"))]

    def _try(self, read: Callable[[Path], T], name: str) -> T | None:
        try:
            return read(self.path / name)
        except UnreadableError:
            self.unreadable.append(f"trials/{self.path.name}/{name}")
            return None


def read_run(path: Path, space: Mapping[str, Any]) -> Run:
    """Read the trial in `path`; what is missing or unreadable there is missing in the rows."""
    folder = _Folder(path)
    trial = int(path.name)
    config = folder.object("config.json")
    result = folder.object("result.json")
    curve = _curve(trial, folder.rows("metrics.jsonl"), folder.rows("timings.jsonl"))
    samples = [{**row, "trial": trial} for row in folder.rows("samples.jsonl")]
    row = {
        "trial": trial,
        **_outcome(result),
        **_measured(curve, result.get("metrics")),
        "best_step": result.get("best_step"),
        "steps_planned": at(config, "train.max_iters"),
        "seed": config.get("seed"),
        "checkpoint": _checkpoint(path, result.get("best_step")),
        **{f"p.{key}": at(config, key) for key in space},
    }
    return Run(row, curve, samples, folder.unreadable)


def at(config: Mapping[str, Any], dotted: str) -> Any:
    """Return the value at a dotted key of a nested config, None when there is none."""
    value: Any = config
    for key in dotted.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _outcome(result: Row) -> Row:
    state, value, reason = result.get("state"), number(result.get("value")), result.get("reason")
    if state == "complete" and not math.isfinite(value):
        return {"state": "failed", "reason": reason or "the objective is not a finite number"}
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
        "parameters": final.get("parameters"),
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
