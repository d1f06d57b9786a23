"""What a sweep improves: one metric, or several that are traded against each other."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tinygpt.schema import Checked, Problem


@dataclass(frozen=True, kw_only=True, slots=True)
class Objective(Checked):
    """What makes one configuration better than another."""

    metric: Literal["val_loss", "params", "tokens", "flops", "seconds_per_token"] = "val_loss"
    """val_loss: nats per character on the whole validation split, at the end of the training;
    params: weights of the model; tokens: characters trained on; flops: operations of the training;
    seconds_per_token: of a forward pass over a fixed batch, measured, so the trials of such a sweep
    are no function of its file."""
    direction: Literal["minimize", "maximize"] = "minimize"

    def rules(self) -> Iterator[Problem]:
        if self.metric == "val_loss" and self.direction != "minimize":
            yield Problem(("direction",), "must be minimize: a lower loss is better")


def measured(metric: str, value: float, metrics: Mapping[str, Any]) -> float:
    """A metric of a complete trial, given its validation loss and the `metrics` of its
    `result.json`."""
    if metric == "val_loss":
        return value
    if metric == "params":
        return float(metrics["parameters"])
    if metric == "flops":
        return float(metrics["tokens"] * metrics["flops_per_token"])
    return float(metrics[metric])
