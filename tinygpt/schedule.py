"""The learning rate, and what is due, as functions of the step."""

import math

from tinygpt.config import TrainConfig


def learning_rate(step: int, train: TrainConfig) -> float:
    """The learning rate of the update that follows `step` completed ones, 0 <= step < max_iters.

    It rises linearly over `warmup_iters` updates to its peak and then follows the schedule, to be
    `min_lr_ratio` of the peak at `max_iters` (cosine: Loshchilov and Hutter 2017,
    arXiv:1608.03983).
    """
    if step < train.warmup_iters:
        return train.learning_rate * (step + 1) / train.warmup_iters
    progress = (step - train.warmup_iters) / max(1, train.max_iters - train.warmup_iters)
    return train.learning_rate * _share(progress, train)


def _share(progress: float, train: TrainConfig) -> float:
    match train.schedule:
        case "cosine":
            fall = (1 + math.cos(math.pi * progress)) / 2
        case "linear":
            fall = 1 - progress
        case "constant":
            return 1.0
    return train.min_lr_ratio + (1 - train.min_lr_ratio) * fall


def due(step: int, interval: int, last: int) -> bool:
    """Whether something done every `interval` steps (0: never), and at `last`, is due at `step`."""
    return step == last or (interval > 0 and step % interval == 0)
