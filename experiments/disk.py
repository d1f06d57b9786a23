"""How much of `max_disk` the checkpoints of finished trials may take, and which of them go."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments.extremes import checkpoint_bytes, extremes
from experiments.halving import cohorts
from experiments.pruners import Halving
from experiments.spec import Sweep
from experiments.trial import Trial
from tinygpt import durable


def dropped(trials: Sequence[Trial], sizes: Mapping[int, float], limit: float) -> list[int]:
    """The finished trials whose checkpoints go, so that those of the best remain within `limit`
    bytes; the best one's stay in any case.

    A trial ranks behind all better ones, complete before pruned. What is dropped once would be
    dropped later too, since more trials only push it further back: so the end does not depend on
    when this was asked.
    """
    finished = [trial for trial in trials if trial.state != "running" and sizes.get(trial.number)]
    ranked = sorted(finished, key=_rank)
    total, gone = 0.0, list[int]()
    for place, trial in enumerate(ranked):
        total += sizes[trial.number]
        if place and total > limit:
            gone.append(trial.number)
    return sorted(gone)


def _rank(trial: Trial) -> tuple[int, float, int]:
    states = {"complete": 0, "pruned": 1, "failed": 2}
    return states[trial.state], trial.value if trial.value is not None else 0.0, trial.number


def kept(sweep: Sweep, checkpoint: float) -> float:
    """The bytes of the checkpoints that a finished trial keeps, each of so many bytes: the newest
    and the best."""
    return (sweep.run.checkpoint.keep + 1) * checkpoint


def reserve(sweep: Sweep, vocabulary: int) -> float:
    """The bytes that the trials at work may take: all that run at a time, or two cohorts that pause
    and wait, each with one checkpoint more than it keeps and one being written."""
    found = extremes(sweep.configurations(vocabulary), checkpoint_bytes(vocabulary))
    if found is None:
        return 0.0
    largest = checkpoint_bytes(vocabulary)(found[1])
    at_work = sweep.max_concurrent
    if isinstance(sweep.pruner, Halving):
        first = next(cohorts(sweep.pruner, sweep.run.train.max_iters))
        at_work = 2 * first.size
    return at_work * (kept(sweep, largest) + 2 * largest)


def remove(directory: Path) -> None:
    """Remove a directory of checkpoints; what cannot be removed only goes on taking room."""
    with contextlib.suppress(OSError):
        durable.remove_tree(directory)
