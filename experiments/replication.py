"""Which configuration deserves another seed: one that can still win, in a race over fixed distance.

A configuration is judged by the mean of its trainings. Two means are apart when they differ by more
than twice the standard error that the spread between seeds gives, pooled over all configurations
(Maron and Moore 1997, doi.org/10.1023/A:1006556606079, race in this way).
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.parameter import Scalar
from experiments.trial import Trial
from tinygpt.seeding import derive

STANDARD_ERRORS = 2.0


@dataclass(frozen=True)
class Entrant:
    """A configuration in the race: its parameters, how many trainings have begun and the losses of
    those that are known; `lost` if one of them did not reach its end."""

    params: Mapping[str, Scalar]
    begun: int
    losses: tuple[float, ...]
    lost: bool = False

    @property
    def mean(self) -> float:
        return statistics.fmean(self.losses)


def seed_of(seed: int, replicate: int) -> int:
    """The seed of a replicate: the first has the sweep's own, and all configurations share them, so
    that their differences are not those of the seeds."""
    return derive(seed, "replicate", replicate) % 2**32 if replicate else seed


def entrants(known: Sequence[Trial], running: Sequence[Trial]) -> list[Entrant]:
    """The configurations of some trials, in the order in which they were first tried. Those that
    only took another's result are left out."""
    begun: dict[tuple[tuple[str, Scalar], ...], list[Trial]] = {}
    for trial in [*known, *running]:
        if trial.same_as is None:
            begun.setdefault(identity(trial), []).append(trial)
    numbers = {trial.number for trial in known}
    return [_entrant(trials, numbers) for trials in begun.values()]


def identity(trial: Trial) -> tuple[tuple[str, Scalar], ...]:
    """What the replicates of a configuration share."""
    return tuple(sorted(trial.params.items()))


def contender(entrants: Sequence[Entrant], replicates: int) -> Entrant | None:
    """Who is trained again next: of those that are not, can win, and have no training whose result
    is not known, the one with the best mean."""
    known = [one for one in entrants if one.losses and not one.lost]
    if not known:
        return None
    best = min(known, key=lambda one: one.mean)
    spread = _spread(known)
    waiting = [
        one
        for one in known
        if len(one.losses) == one.begun < replicates and can_win(one, best, spread)
    ]
    return min(waiting, key=lambda one: one.mean, default=None)


def fewest(entrants: Sequence[Entrant], replicates: int) -> Entrant | None:
    """Who was trained with the fewest seeds, of those that were with less than all and, as far as
    is known, came to their end; the first of equal ones."""
    open_ = [one for one in entrants if one.begun < replicates and not one.lost]
    return min(open_, key=lambda one: one.begun, default=None)


def can_win(one: Entrant, best: Entrant, spread: float | None) -> bool:
    """Whether a configuration may yet prove better than the best. As long as no configuration was
    trained twice, nothing is known of the spread, and only the best itself may."""
    if one is best:
        return True
    if spread is None:
        return False
    error = spread * math.sqrt(1 / len(one.losses) + 1 / len(best.losses))
    return one.mean - best.mean <= STANDARD_ERRORS * error


def _spread(entrants: Sequence[Entrant]) -> float | None:
    """The standard deviation between seeds of one configuration, pooled over all."""
    squares = [(loss - one.mean) ** 2 for one in entrants for loss in one.losses]
    freedom = len(squares) - len(entrants)
    return math.sqrt(sum(squares) / freedom) if freedom else None


def _entrant(trials: Sequence[Trial], known: set[int]) -> Entrant:
    seen = [trial for trial in trials if trial.number in known]
    losses = tuple(t.value for t in seen if t.state == "complete" and t.value is not None)
    lost = any(trial.state in ("pruned", "failed") for trial in seen)
    return Entrant(trials[0].params, len(trials), losses, lost)


def means(visible: Sequence[Trial]) -> dict[int, float]:
    """The mean losses of the configurations, by the number of their first trial."""
    losses: dict[Any, list[float]] = {}
    first: dict[Any, int] = {}
    for trial in visible:
        if trial.same_as is not None:
            continue
        first.setdefault(identity(trial), trial.number)
        if trial.state == "complete" and trial.value is not None:
            losses.setdefault(identity(trial), []).append(trial.value)
    return {first[key]: statistics.fmean(of) for key, of in losses.items() if key in first}
