"""The learning rate, and what is due, as functions of the step."""

import math

from tinygpt.config import TrainConfig


def learning_rate(step: int, train: TrainConfig) -> float:
    """The learning rate of the update that follows `step` completed ones, 0 <= step < max_iters."""
    return train.learning_rate * share(step, train)


def share(step: int, train: TrainConfig) -> float:
    """The share of its peak that every learning rate has in the update after `step`.

    It rises linearly over `warmup_iters` updates to 1 and then follows the schedule, to be
    `min_lr_ratio` at `max_iters`.
    """
    if step < train.warmup_iters:
        return (step + 1) / train.warmup_iters
    progress = (step - train.warmup_iters) / max(1, train.max_iters - train.warmup_iters)
    height = _height(step, progress, train)
    return height + train.min_lr_ratio * (1 - height)


def _height(step: int, progress: float, train: TrainConfig) -> float:
    """How far above the floor, 1 to 0; `progress` goes from 0 after the warmup to 1."""
    match train.schedule:
        case "cosine":
            return (1 + math.cos(math.pi * progress)) / 2
        case "linear":
            return 1 - progress
        case "wsd":
            after_warmup = train.max_iters - train.warmup_iters
            falling = min(train.decay_fraction * train.max_iters, max(1, after_warmup))
            return min(1.0, (train.max_iters - step) / falling)
        case "constant":
            return 1.0


def due(step: int, interval: int, last: int) -> bool:
    """Whether something done every `interval` steps (0: never), and at `last`, is due at `step`."""
    return step == last or (interval > 0 and step % interval == 0)
