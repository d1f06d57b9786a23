"""An Optuna study made for one question, of trials that are shared with others and never copied."""

import warnings
from collections.abc import Sequence

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from experiments.parameter import FloatParameter, IntParameter, Scalar, Searched

STATES = {
    "running": TrialState.RUNNING,
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


class Snapshot(InMemoryStorage):
    """A storage that begins with trials as they stand. Optuna's own copies each of them deeply,
    which of ten thousand takes seconds; only what is asked of this study is added to it."""

    def __init__(self, name: str, directions: Sequence[str], trials: list[FrozenTrial]) -> None:
        """`trials` must have the numbers and ids 0, 1, 2 ..."""
        super().__init__()
        ways = [StudyDirection[direction.upper()] for direction in directions]
        study = self.create_new_study(ways, name)
        self._studies[study].trials = list(trials)
        self._trial_id_to_study_id_and_number = {i: (study, i) for i in range(len(trials))}
        self._max_trial_id = len(trials) - 1
        complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
        if complete and len(ways) == 1:
            sign = 1 if ways[0] is StudyDirection.MINIMIZE else -1
            best = min(complete, key=lambda trial: (sign * (trial.value or 0.0), trial.number))
            self._studies[study].best_trial_id = best.number


def study_of(
    name: str,
    directions: Sequence[str],
    trials: list[FrozenTrial],
    sampler: BaseSampler | None = None,
    pruner: BasePruner | None = None,
) -> optuna.Study:
    """A study that holds these trials."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = Snapshot(name, directions, trials)
    return optuna.load_study(study_name=name, storage=storage, sampler=sampler, pruner=pruner)


def ask(study: optuna.Study) -> Trial:
    """The next trial of a study."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return study.ask()


def suggested(trial: Trial, key: str, parameter: Searched) -> Scalar:
    """What a trial's sampler suggests for a parameter."""
    if isinstance(parameter, FloatParameter):
        low, high = parameter.low, parameter.high
        return trial.suggest_float(key, low, high, log=parameter.log, step=parameter.step)
    if isinstance(parameter, IntParameter):
        low, high, step = parameter.low, parameter.high, parameter.step
        return trial.suggest_int(key, low, high, log=parameter.log, step=step)
    return trial.suggest_categorical(key, parameter.choices)


def distribution(parameter: Searched) -> BaseDistribution:
    """A parameter as Optuna draws it."""
    if isinstance(parameter, FloatParameter):
        return FloatDistribution(
            parameter.low, parameter.high, log=parameter.log, step=parameter.step
        )
    if isinstance(parameter, IntParameter):
        return IntDistribution(
            parameter.low, parameter.high, log=parameter.log, step=parameter.step
        )
    return CategoricalDistribution(parameter.choices)
