"""Optuna's pruners that remember or complain, as functions of what trials reported.

Successive halving and Hyperband write the loss at each rung into a trial as they judge it, and so
depend on having been asked at every report. Here a rung's loss is looked up: it is the first report
at or after the rung.
"""

import math
from collections.abc import Mapping, Sequence

from optuna import Study
from optuna.pruners import HyperbandPruner, SuccessiveHalvingPruner, WilcoxonPruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from experiments.quiet import quiet


class AshaPruner(SuccessiveHalvingPruner):
    """Asynchronous successive halving, asked afresh for each report."""

    def __init__(
        self, min_resource: int, reduction_factor: int, skipped_rungs: int, bootstrap_count: int
    ) -> None:
        super().__init__(min_resource, reduction_factor, skipped_rungs, bootstrap_count)
        self._first, self._growth = min_resource * reduction_factor**skipped_rungs, reduction_factor
        self._bootstrap = bootstrap_count

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether a trial fails at a rung that its last report is the first to come to."""
        step = trial.last_step
        if step is None:
            return False
        others = [
            other.intermediate_values
            for other in study.get_trials(deepcopy=False)
            if other.number != trial.number
        ]
        own = trial.intermediate_values
        before = max((other for other in own if other < step), default=-1)
        sign = -1 if study.direction == StudyDirection.MAXIMIZE else 1
        return any(
            self._fails(sign * own[step], [sign * value for value in _values_at(rung, others)])
            for rung in self._rungs_within(before, step)
        )

    def _rungs_within(self, before: int, step: int) -> list[int]:
        """The rungs after one report, up to and including the next."""
        rungs, rung = [], self._first
        while rung <= step:
            if rung > before:
                rungs.append(rung)
            rung *= self._growth
        return rungs

    def _fails(self, loss: float, others: list[float]) -> bool:
        """Whether a loss is not among the best at its rung; where none may pass yet, the very best
        does."""
        count = len(others) + 1
        if math.isnan(loss) or count <= self._bootstrap:
            return True
        passing = max(1, count // self._growth)
        return sum(other < loss for other in others) >= passing


class BracketPruner(HyperbandPruner):
    """Hyperband over brackets that are asked afresh for each report."""

    def _try_initialization(self, study: Study) -> None:
        super()._try_initialization(study)
        self._pruners = [
            AshaPruner(self._min_resource, self._reduction_factor, rate, self._bootstrap_count)
            for rate in range(len(self._pruners))
        ]


def _values_at(rung: int, reports: Sequence[Mapping[int, float]]) -> list[float]:
    """What each came to the rung with, of those that came to it."""
    reached = [min((step for step in of if step >= rung), default=None) for of in reports]
    return [of[step] for of, step in zip(reports, reached, strict=True) if step is not None]


class PairedPruner(WilcoxonPruner):
    """The signed-rank test, without a warning where two trials were evaluated at other steps."""

    def __init__(self, p_threshold: float, n_startup_steps: int) -> None:
        with quiet():
            super().__init__(p_threshold=p_threshold, n_startup_steps=n_startup_steps)

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether the losses are worse than the best trial's at the steps that both have."""
        with quiet(UserWarning):
            return super().prune(study, trial)
