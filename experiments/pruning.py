"""Whether a running trial stops, as a function of its reports and of what it may see."""

from collections.abc import Sequence
from dataclasses import replace

from optuna.trial import FrozenTrial

from experiments.frozen import frozen
from experiments.objective import Objective
from experiments.pruners import Halving, NonePruner, optuna_pruner
from experiments.snapshot import study_of
from experiments.spec import Sweep
from experiments.trial import Trial
from tinygpt.seeding import derive

LOSS = (Objective(),)


class Judge:
    """The pruner of one version of a sweep."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._finished: dict[int, FrozenTrial] = {}

    def stops(self, trial: Trial, visible: Sequence[Trial]) -> bool:
        """Whether a trial stops at its last report. `visible` are the trials before it as it may
        see them: finished, or as they began."""
        if isinstance(self._sweep.pruner, NonePruner | Halving) or self.is_exempt(trial):
            return False
        max_iters = self._sweep.run.train.max_iters
        # The number decides Hyperband's bracket, so it must be the trial's own in the study.
        trials = [*map(self._frozen, visible), freeze(trial)]
        pruner = optuna_pruner(self._sweep.pruner, max_iters=max_iters)
        study = study_of(self._sweep.name, ["minimize"], trials)
        return bool(pruner.prune(study, trials[trial.number]))

    def is_exempt(self, trial: Trial) -> bool:
        """Whether a trial is never pruned: by lot, as a control for the pruning, or as a replicate,
        since a mean over those that do well would be too good."""
        if isinstance(self._sweep.pruner, NonePruner | Halving):
            return True
        share = derive(self._sweep.seed, "exempt", trial.number) / 2**63
        return trial.replicate > 0 or share < self._sweep.pruner.exempt

    def _frozen(self, trial: Trial) -> FrozenTrial:
        if trial.state == "running":
            return freeze(trial)
        if trial.number not in self._finished:
            self._finished[trial.number] = freeze(trial)
        return self._finished[trial.number]


def freeze(trial: Trial) -> FrozenTrial:
    """A trial with its losses and without its parameters, which no pruner looks at."""
    return frozen(replace(trial, params={}), {}, LOSS, trial.number)
