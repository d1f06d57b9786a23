"""What a sweep and each of its trials may spend."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated

from tinygpt import wording
from tinygpt.schema import Checked, Problem, Range

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
BYTES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


@dataclass(frozen=True, kw_only=True, slots=True)
class PerTrial(Checked):
    """What each trial may spend, so that models of different size compare; train.max_iters follows
    from it."""

    tokens: Annotated[float, Range(above=0)] | None = None
    """Characters trained on, rounded to whole updates."""
    flops: Annotated[float, Range(above=0)] | None = None
    """Floating-point operations (tinygpt/flops.py), rounded to whole updates."""

    def limited(self) -> bool:
        """Whether there is a limit."""
        return self.tokens is not None or self.flops is not None

    def rules(self) -> Iterator[Problem]:
        if self.tokens is not None and self.flops is not None:
            yield Problem(("flops",), "cannot stand beside tokens; leave one out")


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget(Checked):
    """What the sweep may spend besides its number of trials. The trials it then has are the first
    ones of the same sequence."""

    time: str | None = None
    """Wall-clock time of all runs of the command together, as `90s`, `30m` or `2h`; no trial begins
    after it, those begun are finished."""
    tokens: Annotated[float, Range(above=0)] | None = None
    """Characters trained on by all trials."""
    flops: Annotated[float, Range(above=0)] | None = None
    """Floating-point operations of all trials."""
    per_trial: PerTrial = field(default_factory=PerTrial)

    def rules(self) -> Iterator[Problem]:
        if self.time is not None and seconds(self.time) is None:
            yield Problem(("time",), f"must be like 90s, 30m or 2h, got {wording.shown(self.time)}")


def seconds(text: str) -> float | None:
    """A duration such as 90s, 30m, 1.5h or 2d in seconds; None if it is none."""
    return _quantity(text, SECONDS)


def size(text: str) -> float | None:
    """An amount such as 500MB or 2 GB in bytes; None if it is none."""
    return _quantity(text, BYTES)


def _quantity(text: str, units: dict[str, int]) -> float | None:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", text.strip())
    if not match or match[2] not in units:
        return None
    return float(match[1]) * units[match[2]]
