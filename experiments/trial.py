"""A trial as the search knows it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from experiments.parameter import Scalar

State = Literal["running", "complete", "pruned", "failed"]


@dataclass(frozen=True, slots=True)
class Trial:
    """One training of one configuration.

    `params` are the parameters that apply to it. `reports` are the validation losses by step, in
    nats per character. `value` is the loss of a complete trial, the last report of a pruned one,
    None for others; `metrics` are those of its `result.json`. `replicate` counts the seeds of a
    configuration from 0. `same_as` is the earlier trial whose run is the same, and whose result
    this one takes.
    """

    number: int
    params: Mapping[str, Scalar]
    state: State = "running"
    value: float | None = None
    reports: Mapping[int, float] = field(default_factory=dict)
    reason: str | None = None
    replicate: int = 0
    metrics: Mapping[str, Any] = field(default_factory=dict)
    same_as: int | None = None


def finished(trial: Trial, result: Mapping[str, Any]) -> Trial:
    """The trial with what its `result.json` says."""
    return replace(
        trial,
        state=result["state"],
        value=result["value"],
        reason=result["reason"],
        metrics=result["metrics"],
        same_as=result.get("same_as"),
    )


def begun(trial: Trial) -> Trial:
    """The trial as whoever may not know its results yet sees it."""
    return Trial(trial.number, trial.params, replicate=trial.replicate, same_as=trial.same_as)
