"""What a sweep looks for: one objective, or several that are traded off."""

from dataclasses import dataclass
from typing import Any

from analysis.records import Row

COLUMNS = {
    "params": "parameters",
    "tokens": "tokens",
    "flops": "flops",
    "seconds_per_token": "seconds_per_token",
}
"""The columns of a trial's frame that hold a metric; any other one is its `value`."""
UNITS = {"seconds_per_token": "s"}


@dataclass(frozen=True)
class Objective:
    """A metric, and whether less of it is better."""

    metric: str
    minimize: bool = True

    @property
    def column(self) -> str:
        """The column of the frame of trials that holds the metric."""
        return COLUMNS.get(self.metric, "value")

    @property
    def loss(self) -> bool:
        """Whether it is a loss or the like, whose fourth decimal counts."""
        return self.column == "value"

    @property
    def unit(self) -> str:
        """The unit of the metric, "" when it has none or it is not known."""
        return "nats per character" if "loss" in self.metric else UNITS.get(self.metric, "")

    @property
    def title(self) -> str:
        """The metric with its unit, as axes call it."""
        return f"{self.metric} ({self.unit})" if self.unit else self.metric


def objectives(meta: Row) -> tuple[Objective, ...]:
    """Return the objectives of a sweep.json that has no `problem`, in order."""
    return tuple(
        Objective(str(entry["metric"]), entry["direction"] == "minimize")
        for entry in _entries(meta["objective"])
    )


def ranking(found: tuple[Objective, ...]) -> Objective:
    """Return the objective that trials are ranked by: the only one, or the validation loss."""
    losses = [objective for objective in found if objective.column == "value"]
    return found[0] if len(found) == 1 else [*losses, Objective("val_loss")][0]


def problem(value: object) -> str | None:
    """Return what is wrong with the objective of a sweep.json, None when it is usable."""
    entries = _entries(value)
    if entries and all(_usable(entry) for entry in entries):
        return None
    return f"objective: needs a metric and a direction, got {value!r}"


def _entries(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]


def _usable(entry: object) -> bool:
    known = ("minimize", "maximize")
    return isinstance(entry, dict) and "metric" in entry and entry.get("direction") in known
