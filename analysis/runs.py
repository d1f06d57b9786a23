"""One trial's directory as rows of the frames."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from analysis import space
from analysis.block import Block, Value, block, numbers
from analysis.frames import number
from analysis.records import (
    Row,
    UnreadableError,
    at,
    object_of,
    read_bytes,
    read_promised,
    rows_of,
)

T = TypeVar("T")
KINDS = ("eval", "train")
CURVE = (
    "tokens",
    "val_loss_nats",
    "val_loss_full_nats",
    "train_loss_nats",
    "learning_rate",
    "grad_norm",
    "seconds",
    "tokens_per_s",
)
"""The columns of a curve's values."""
TIMED = ("checkpoint", "eval", "sample", "train")
TIMES = ("seconds", "peak_memory", "mfu")
NO_VALUE = "the objective is not a finite number"


@dataclass(frozen=True)
class Run:
    """A trial's row, its curve (kinds KINDS, columns CURVE), its samples and its times (kinds
    TIMED, columns TIMES); `unreadable` names the files left out.

    `identity` is the same text for two runs that differ in nothing but the seed.
    """

    identity: str
    trial: Row
    curve: Block
    samples: list[Row]
    timings: Block
    unreadable: list[str]


@dataclass
class _Folder:
    """Reads the files of a trial and remembers which of them could not be read, or are not those
    that its result `promised`."""

    path: Path
    unreadable: list[str] = field(default_factory=list)
    promised: Row = field(default_factory=dict)

    def object(self, name: str) -> Row:
        content = self._content(name)
        if content is None:
            return {}
        return self._try(lambda: object_of(content, self.path / name), name) or {}

    def rows(self, name: str) -> list[Row]:
        content = self._content(name)
        rows = self._try(lambda: rows_of(content, self.path / name), name)
        return [row for row in rows or () if _is_step(row.get("step"))]

    def _content(self, name: str) -> bytes | None:
        path = self.path / name
        if name in self.promised:
            return self._try(lambda: read_promised(path, self.promised[name]), name)
        return self._try(lambda: read_bytes(path), name)

    def _try(self, read: Callable[[], T], name: str) -> T | None:
        try:
            return read()
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
    timings = [] if copied else folder.rows("timings.jsonl")
    timed = _in_order(timings, TIMED)
    curve = _curve(rows, [row for _, row in timed])
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
    spent = block(timed, TIMES)
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


def _measured(curve: Block, metrics: object) -> Row:
    final = metrics if isinstance(metrics, dict) else {}
    evaluated, trained = curve.of_kind(KINDS.index("eval")), curve.of_kind(KINDS.index("train"))
    seconds, speeds = (
        _finite(trained[:, CURVE.index(name)]) for name in ("seconds", "tokens_per_s")
    )
    tokens = _finite(curve.values[:, CURVE.index("tokens")])
    return {
        "val_loss_nats": final.get("val_loss"),
        "val_loss_subset_nats": final.get("val_loss_subset"),
        "val_best_nats": final.get("best_val_loss"),
        "val_last_nats": float(evaluated[-1, 1]) if len(evaluated) else None,
        "train_loss_nats": final.get("train_loss"),
        "step": int(curve.steps.max()) if len(curve.steps) else None,
        "tokens": final.get("tokens") or (int(tokens.max()) if len(tokens) else None),
        "flops": number(final.get("tokens")) * number(final.get("flops_per_token")),
        "seconds_per_token": final.get("seconds_per_token"),
        "train_s": float(sum(seconds.tolist())) if len(seconds) else None,
        "tokens_per_s": float(np.median(speeds)) if len(speeds) else None,
    }


def _finite(values: Any) -> Any:
    return values[np.isfinite(values)]


def _on_windows(row: Row) -> object:
    """The validation loss on the fixed windows: the last evaluation is on the whole split, and a
    curve must measure one thing throughout."""
    return row["val_loss_subset"] if "val_loss_subset" in row else row.get("val_loss")


def _on_whole(row: Row) -> object:
    return row.get("val_loss") if "val_loss_subset" in row else None


def _curve(metrics: list[Row], timings: list[Row]) -> Block:
    clock = {(row["kind"], row["step"]): row for row in timings}
    rows = _in_order(metrics, KINDS)
    own = block(rows, OWN)
    timed = [clock.get((row["kind"], row["step"]), {}) for _, row in rows]
    beside = [
        numbers([row.get(name) for row in timed]) for name in ("seconds", "tokens_per_second")
    ]
    return Block(own.kinds, own.steps, np.column_stack([own.values, *beside]))


def _in_order(rows: list[Row], kinds: Sequence[str]) -> list[tuple[int, Row]]:
    """The rows of each of `kinds` by step, with the place of their kind. A resume repeats the steps
    after its checkpoint: the last row of a step is the valid one."""
    ordered: list[tuple[int, Row]] = []
    for place, kind in enumerate(kinds):
        of_kind = [row for row in rows if row.get("kind") == kind]
        if any(a["step"] >= b["step"] for a, b in pairwise(of_kind)):
            last = {row["step"]: row for row in of_kind}
            of_kind = [last[step] for step in sorted(last)]
        ordered += [(place, row) for row in of_kind]
    return ordered


OWN: tuple[Value, ...] = (
    "tokens",
    _on_windows,
    _on_whole,
    "train_loss",
    "learning_rate",
    "grad_norm",
)
"""The columns of a curve that its own record has, the first of CURVE."""


def _checkpoint(path: Path, best_step: object) -> str:
    saved = sorted(
        manifest.parent.name for manifest in path.glob("checkpoints/step-*/manifest.json")
    )
    best = f"step-{best_step:08d}" if _is_step(best_step) else ""
    chosen = best if best in saved else (saved[-1] if saved else "")
    return f"trials/{path.name}/checkpoints/{chosen}" if chosen else ""


def _is_step(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**63
