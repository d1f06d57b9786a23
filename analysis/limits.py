"""What values the keys of a run may have, so that no advice leaves them (tinygpt/config.py)."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The least and the greatest value of a key; `open` ends are not values themselves."""

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def clipped(self, value: float, inside: float) -> float:
        """Return `value` within the limits; at an open end halfway from `inside` to it."""
        if value < self.low or (self.open_low and value == self.low):
            return (inside + self.low) / 2 if self.open_low else self.low
        if value > self.high or (self.open_high and value == self.high):
            return (inside + self.high) / 2 if self.open_high else self.high
        return value


COUNT, FROM_ONE = Limits(low=0), Limits(low=1)
ABOVE_ZERO = Limits(low=0, open_low=True)
BELOW_ONE = Limits(low=0, high=1, open_high=True)
KEYS = {
    "model.dropout": BELOW_ONE,
    "train.beta1": BELOW_ONE,
    "train.beta2": BELOW_ONE,
    "train.muon_momentum": BELOW_ONE,
    "train.min_lr_ratio": Limits(0, 1),
    "train.decay_fraction": Limits(0, 1, open_low=True),
    "data.val_fraction": Limits(0, 1, open_low=True, open_high=True),
    "sample.top_p": Limits(0, 1, open_low=True),
    "train.learning_rate": ABOVE_ZERO,
    "train.muon_lr": ABOVE_ZERO,
    "train.warmup_iters": COUNT,
    "train.eval_iters": COUNT,
    "train.weight_decay": COUNT,
    "train.grad_clip": COUNT,
    "seed": COUNT,
    "train.muon_ns_steps": Limits(1, 99),
    "checkpoint.keep": Limits(low=2),
}


def of(key: str, kind: str) -> Limits:
    """Return the limits of a dotted key whose parameter is of the type float, int or categorical;
    counts are at least 1 where nothing else is said."""
    return KEYS.get(key, COUNT if kind == "float" else FROM_ONE)
