"""Whether the budget of a sweep has room for one more trial."""

from collections.abc import Sequence
from typing import Literal

from experiments import halving
from experiments.pruners import Halving
from experiments.search import Search
from experiments.trial import Trial
from tinygpt import config
from tinygpt.flops import flops_per_token

Measure = Literal["tokens", "flops"]


def affordable(search: Search, trial: Trial, trials: Sequence[Trial]) -> bool:
    """Whether a proposed trial may begin within the sweep's tokens and FLOPs.

    Trials whose results it sees count with what they took, the others with what they may take, and
    cohorts are begun whole; so the answer, too, is a function of what the trial may see.
    """
    budget, cohort = search.version(trial.number).sweep.budget, search.cohort(trial.number)
    if cohort is not None and trial.number != cohort.first:
        return True
    limits: dict[Measure, float | None] = {"tokens": budget.tokens, "flops": budget.flops}
    return all(
        limit is None or _upto(search, trial, trials, measure) <= limit
        for measure, limit in limits.items()
    )


def _upto(search: Search, trial: Trial, trials: Sequence[Trial], measure: Measure) -> float:
    known, cohort = search.horizon(trial.number), search.cohort(trial.number)
    total = sum(_taken(search, one, measure) for one in trials[:known])
    total += sum(_planned(search, one, measure) for one in trials[known : trial.number])
    return total + _planned(search, trial, measure) * (cohort.size if cohort else 1)


def _taken(search: Search, trial: Trial, measure: Measure) -> float:
    if trial.same_as is not None or "tokens" not in trial.metrics:
        return 0.0
    return _measured(search, trial, measure, float(trial.metrics["tokens"]))


def _planned(search: Search, trial: Trial, measure: Measure) -> float:
    """What a trial may take; in a cohort its share of what all take."""
    if trial.same_as is not None:
        return 0.0
    run = config.run_config(search.run_of(trial))
    tokens = float(run.train.max_iters * run.tokens_per_step)
    cohort, pruner = search.cohort(trial.number), search.version(trial.number).sweep.pruner
    if cohort is not None and isinstance(pruner, Halving):
        tokens *= halving.fraction_trained(cohort, pruner.reduction_factor)
    return _measured(search, trial, measure, tokens)


def _measured(search: Search, trial: Trial, measure: Measure, tokens: float) -> float:
    """A trial's tokens, or the FLOPs they take; the result of a failed one does not tell them."""
    if measure == "tokens":
        return tokens
    run = config.run_config(search.run_of(trial))
    return tokens * flops_per_token(run.model, search.vocabulary)
