"""How many trials a pruner is taken to stop, and when, for an estimate of time.

With `halving` that is a matter of the rungs (experiments/timeline.py). Elsewhere it depends on the
losses. Assumed is that a trial that is judged by the others' quantile is as good as they are; where
the search knows their results, half as likely to be worse. It stops at its first judgement.
"""

from experiments import foresight
from experiments.pruners import (
    Halving,
    HyperbandPruner,
    MedianPruner,
    NonePruner,
    PatientPruner,
    PercentilePruner,
    Pruner,
    SuccessiveHalvingPruner,
    ThresholdPruner,
)
from experiments.search import Search
from experiments.trial import Trial
from tinygpt.config import TrainConfig

Stop = tuple[float, int]
"""A share of the trials, and the step at which they stop."""


def expected(search: Search, number: int) -> list[Stop]:
    """The shares of trials like this one that stop before their end."""
    version = search.version(number)
    if version.judge.is_exempt(Trial(number, {})):
        return []
    stops = shares(version.sweep.pruner, version.sweep.run.train, search.horizon(number))
    better = 0.5 if foresight.informed(search, number) else 1.0
    return [(better * share, step) for share, step in stops]


def shares(pruner: Pruner, train: TrainConfig, seen: int) -> list[Stop]:
    """The shares that a pruner stops of trials that are no better than the `seen` finished ones
    before them."""
    match pruner:
        case NonePruner() | Halving() | ThresholdPruner():
            return []
        case MedianPruner() | PercentilePruner():
            keeps = pruner.percentile / 100 if isinstance(pruner, PercentilePruner) else 0.5
            first = evaluation_from(max(1, pruner.n_warmup_steps), train)
            if seen < max(1, pruner.n_startup_trials) or first is None:
                return []
            return [(1 - keeps, first)]
        case SuccessiveHalvingPruner():
            asked = pruner.min_resource
            rung = max(1, train.max_iters // 100) if asked == "auto" else asked
            rung *= pruner.reduction_factor**pruner.min_early_stopping_rate
            return rungs(rung, pruner.reduction_factor, train) if seen else []
        case HyperbandPruner():
            return rungs(pruner.min_resource, pruner.reduction_factor, train)[:1] if seen else []
        case PatientPruner(wrapped_pruner=None):
            return [(0.5, half(train))]
        case PatientPruner(wrapped_pruner=inner):
            assert inner is not None
            wait = pruner.patience * train.eval_interval
            late = [(share, step + wait) for share, step in shares(inner, train, seen)]
            return [(share, step) for share, step in late if step < train.max_iters]
    return [(0.25, half(train))] if seen else []


def rungs(first: int, factor: int, train: TrainConfig) -> list[Stop]:
    """At each rung all but one in `factor` of those that come to it stop."""
    stops, there, step = list[Stop](), 1.0, first
    while (at := evaluation_from(step, train)) is not None:
        stops.append((there * (1 - 1 / factor), at))
        there, step = there / factor, max(step * factor, at + 1)
    return stops


def evaluation_from(step: int, train: TrainConfig) -> int | None:
    """The first evaluation at a step or after it that is not the last; None if there is none."""
    at = -(-step // train.eval_interval) * train.eval_interval
    return at if at < train.max_iters else None


def half(train: TrainConfig) -> int:
    """The middle of the training."""
    return max(1, train.max_iters // 2)
