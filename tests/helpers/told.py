"""What W&B is to know of a trial's record."""

import json
from pathlib import Path
from typing import Any


def rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSONL file that may not be there yet, without a torn last line."""
    if not path.exists():
        return []
    data = path.read_bytes()
    return [json.loads(line) for line in data[: data.rfind(b"\n") + 1].splitlines()]


def is_metric(name: str) -> bool:
    """Whether a value on W&B is of the record, and not of the machine or W&B's own."""
    return name == "_step" or name.startswith(("train/", "eval/"))


def logged(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of W&B's rows what is of the record."""
    return [{name: value for name, value in row.items() if is_metric(name)} for row in history]


def recorded(trial: Path) -> list[dict[str, Any]]:
    """A trial's record, step by step, under W&B's names."""
    steps: dict[int, dict[str, Any]] = {}
    for row in rows(trial / "metrics.jsonl"):
        values = steps.setdefault(row["step"], {"_step": row["step"]})
        for name, value in row.items():
            if name == "tokens":
                values["train/tokens"] = value
            elif row["kind"] == "train" and name == "train_loss":
                values["train/loss_nats"] = value
            elif row["kind"] == "eval" and "loss" in name:
                values[f"eval/{name}_nats"] = value
            elif name not in ("kind", "step"):
                values[f"{row['kind']}/{name}"] = value
    return list(steps.values())
