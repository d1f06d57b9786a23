"""Trials as Optuna stores them."""

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, create_trial

from experiments.objective import Objective, measured
from experiments.snapshot import STATES
from experiments.trial import Trial


def frozen(
    trial: Trial,
    distributions: Mapping[str, BaseDistribution],
    objectives: Sequence[Objective],
    number: int,
    system_attrs: Mapping[str, Any] | None = None,
) -> FrozenTrial:
    """A trial under the number that a study has for it; `distributions` are those of its
    parameters, among others, and not copied: Optuna compares them fastest with themselves."""
    made = create_trial(
        state=STATES[trial.state],
        values=values(trial, objectives),
        params=dict(trial.params),
        distributions={key: distributions[key] for key in trial.params},
        intermediate_values=dict(trial.reports),
        user_attrs=user_attrs(trial),
        system_attrs=dict(system_attrs or {}),
    )
    made.number = made._trial_id = number
    return made


def values(trial: Trial, objectives: Sequence[Objective]) -> list[float] | None:
    """The objectives of a complete trial; of a pruned one the last report, where there is one
    objective: Optuna has none for a pruned trial with several."""
    if trial.value is None or trial.state not in ("complete", "pruned"):
        return None
    if trial.state == "pruned":
        return [trial.value] if len(objectives) == 1 else None
    return [measured(one.metric, trial.value, trial.metrics) for one in objectives]


def user_attrs(trial: Trial) -> dict[str, Any]:
    """What else a study tells of a trial."""
    attrs: dict[str, Any] = {}
    if trial.reason:
        attrs["reason"] = trial.reason
    if trial.same_as is not None:
        attrs["same_as"] = trial.same_as
    if trial.replicate:
        attrs["replicate"] = trial.replicate
    return attrs
