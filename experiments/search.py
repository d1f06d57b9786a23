"""What to try next and what to stop, as functions of the sweep and its finished trials.

Trial n sees the results of trials 0 ... n - max_concurrent and, of those after them, only the
parameters, whatever else is known by then. Optuna is asked through a study made for each question
with a sampler seeded by (seed, n), so nothing is kept between questions and every answer can be had
again.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from experiments.space import FloatParameter, IntParameter, Parameter, Scalar
from experiments.spec import MedianPruner, Sweep, TpeSampler
from tinygpt import config, schema
from tinygpt.seeding import derive

State = Literal["running", "complete", "pruned", "failed"]

STATES = {
    "running": TrialState.RUNNING,
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial as the search knows it.

    `reports` are the validation losses by step, in nats per character. `value` is the objective of
    a complete trial, the last report of a pruned one, None for others.
    """

    number: int
    params: Mapping[str, Scalar]
    state: State = "running"
    value: float | None = None
    reports: Mapping[int, float] = field(default_factory=dict)
    reason: str | None = None


def may_start(sweep: Sweep, number: int, trials: Sequence[Trial]) -> bool:
    """Whether every trial that `number` must see is finished."""
    needed = max(0, number - sweep.max_concurrent + 1)
    return len(trials) >= needed and all(trial.state != "running" for trial in trials[:needed])


def propose(sweep: Sweep, number: int, trials: Sequence[Trial]) -> dict[str, Any]:
    """The parameters of trial `number`, given the trials 0 ... number - 1 at least."""
    study = _study(sweep, number, trials)
    if number < len(sweep.enqueue):
        study.enqueue_trial(dict(sweep.enqueue[number]))
    trial = study.ask(distributions(sweep))
    if trial.number != number:
        raise AssertionError(f"Optuna counted {trial.number}, the sweep {number}")
    # An enqueued 1 for a learning rate is 1.0 in the run's config, and so in the study.
    hints = config.known_keys()
    return {key: schema.convert(hints[key], value) for key, value in trial.params.items()}


def should_prune(sweep: Sweep, trial: Trial, trials: Sequence[Trial]) -> bool:
    """Whether a running trial stops at its last report, given the trials before it."""
    study = _study(sweep, trial.number, trials)
    study.add_trial(frozen(sweep, trial))
    return bool(study.pruner.prune(study, study.trials[trial.number]))


def run_of(sweep: Sweep, trial: Trial) -> dict[str, Any]:
    """The nested run config of a trial: what all share, with its parameters; nothing is checked."""
    return config.with_values(config.as_dict(sweep.run), trial.params)


def visible(sweep: Sweep, number: int, trials: Sequence[Trial]) -> list[Trial]:
    """The trials before `number` as it may see them: results up to the distance, then only
    parameters."""
    known = max(0, number - sweep.max_concurrent + 1)
    running = [Trial(trial.number, trial.params) for trial in trials[known:number]]
    return [*trials[:known], *running]


def frozen(sweep: Sweep, trial: Trial) -> FrozenTrial:
    """The trial as Optuna stores it."""
    value = trial.value if trial.state in ("complete", "pruned") else None
    return create_trial(
        state=STATES[trial.state],
        value=value,
        params=dict(trial.params),
        distributions={key: distribution(sweep.space[key]) for key in trial.params},
        intermediate_values=dict(trial.reports),
        user_attrs={"reason": trial.reason} if trial.reason else {},
    )


def distributions(sweep: Sweep) -> dict[str, BaseDistribution]:
    """The space in the order of its names: the order in the file decides nothing."""
    return {key: distribution(sweep.space[key]) for key in sorted(sweep.space)}


def distribution(parameter: Parameter) -> BaseDistribution:
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


def sampler(sweep: Sweep, number: int) -> BaseSampler:
    """A new sampler for one trial."""
    # Optuna's samplers take 32 bits.
    seed, options = derive(sweep.seed, "sampler", number) % 2**32, sweep.sampler
    if isinstance(options, TpeSampler):
        return optuna.samplers.TPESampler(
            seed=seed,
            n_startup_trials=options.n_startup_trials,
            n_ei_candidates=options.n_ei_candidates,
            multivariate=options.multivariate,
            constant_liar=options.constant_liar,
        )
    return optuna.samplers.RandomSampler(seed=seed)


def pruner(sweep: Sweep) -> BasePruner:
    """The sweep's pruner; Optuna's keep nothing between two questions but what is in the study."""
    options = sweep.pruner
    if isinstance(options, MedianPruner):
        return optuna.pruners.MedianPruner(
            n_startup_trials=options.n_startup_trials,
            n_warmup_steps=options.n_warmup_steps,
            interval_steps=options.interval_steps,
            n_min_trials=options.n_min_trials,
        )
    return NopPruner()


def finished(trial: Trial, result: Mapping[str, Any]) -> Trial:
    """The trial with what its `result.json` says."""
    return replace(trial, state=result["state"], value=result["value"], reason=result["reason"])


def _study(sweep: Sweep, number: int, trials: Sequence[Trial]) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = optuna.create_study(
            direction=sweep.objective.direction,
            sampler=sampler(sweep, number),
            pruner=pruner(sweep),
        )
    study.add_trials([frozen(sweep, trial) for trial in visible(sweep, number, trials)])
    return study
