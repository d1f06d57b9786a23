"""The pruners a sweep may name, in Optuna's words, and how Optuna is asked."""

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import optuna
from optuna.pruners import BasePruner

from experiments.quiet import quiet
from experiments.rungs import AshaPruner, BracketPruner, PairedPruner
from tinygpt.config import Count, Fraction, Positive
from tinygpt.schema import Checked, Problem, Range

Factor = Annotated[int, Range(minimum=2)]


@dataclass(frozen=True, kw_only=True, slots=True)
class NonePruner(Checked):
    """Every trial runs to its end."""

    type: Literal["none"] = "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantile(Checked):
    """A pruner that compares a trial's best loss so far with the others' at that step."""

    n_startup_trials: Count = 5
    """Complete trials before which nothing is pruned."""
    n_warmup_steps: Count = 0
    """Steps before which a trial is not pruned."""
    interval_steps: Positive = 1
    """Steps between checks."""
    n_min_trials: Positive = 1
    """Losses of others at a step below which it is not judged."""
    exempt: Fraction = 0.0
    """Share of trials that is never pruned, chosen by the seed: the report's pruning audit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MedianPruner(Quantile):
    """Stops a trial whose best loss so far is worse than the median of the others' at that step
    (Golovin et al. 2017, "Google Vizier")."""

    type: Literal["median"] = "median"


@dataclass(frozen=True, kw_only=True, slots=True)
class PercentilePruner(Quantile):
    """Stops a trial whose best loss so far is not among the best `percentile` percent of the
    others' at that step (Golovin et al. 2017, "Google Vizier", with another quantile)."""

    type: Literal["percentile"] = "percentile"
    percentile: Annotated[float, Range(minimum=0, maximum=100)]
    """Percent of the trials that go on; 50 is the median."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SuccessiveHalvingPruner(Checked):
    """Asynchronous successive halving, ASHA: at steps that grow by `reduction_factor`, a trial goes
    on if it is among the best 1 / reduction_factor of those that came so far (Li et al. 2020,
    arXiv:1810.05934)."""

    type: Literal["successive_halving"] = "successive_halving"
    min_resource: Positive | Literal["auto"] = "auto"
    """Steps before the first rung. auto: a hundredth of train.max_iters."""
    reduction_factor: Factor = 4
    """How many trials there are at a rung for one that goes on, and by how much rungs grow."""
    min_early_stopping_rate: Count = 0
    """Rungs left out at the beginning."""
    bootstrap_count: Count = 0
    """Trials that must have come to a rung before one passes it: the first so many are stopped."""
    exempt: Fraction = 0.0
    """Share of trials that is never pruned, chosen by the seed: the report's pruning audit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HyperbandPruner(Checked):
    """Successive halving with the first rung early for some trials and late for others, since a bad
    beginning need not be a bad end (Li et al. 2018, jmlr.org v18/16-558)."""

    type: Literal["hyperband"] = "hyperband"
    min_resource: Positive = 1
    """Steps before the first rung of the strictest bracket."""
    max_resource: Positive | Literal["auto"] = "auto"
    """Steps of a whole trial. auto: train.max_iters."""
    reduction_factor: Factor = 3
    """How many trials there are at a rung for one that goes on, and by how much rungs grow."""
    bootstrap_count: Count = 0
    """Trials that must have come to a rung before one passes it: the first so many are stopped."""
    exempt: Fraction = 0.0
    """Share of trials that is never pruned, chosen by the seed: the report's pruning audit."""

    def rules(self) -> Iterator[Problem]:
        if self.max_resource != "auto" and self.max_resource < self.min_resource:
            least = f"must be >= min_resource ({self.min_resource})"
            yield Problem(("max_resource",), f"{least}, got {self.max_resource}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ThresholdPruner(Checked):
    """Stops a trial whose loss leaves a band that is known beforehand, whatever others do (Optuna:
    Akiba et al. 2019, arXiv:1907.10902)."""

    type: Literal["threshold"] = "threshold"
    lower: float | None = None
    """Loss below which a trial is stopped, in nats per character; null: none."""
    upper: float | None = None
    """Loss above which a trial is stopped, in nats per character; null: none."""
    n_warmup_steps: Count = 0
    """Steps before which a trial is not pruned."""
    interval_steps: Positive = 1
    """Steps between checks."""
    exempt: Fraction = 0.0
    """Share of trials that is never pruned, chosen by the seed: the report's pruning audit."""

    def rules(self) -> Iterator[Problem]:
        if self.lower is None and self.upper is None:
            yield Problem((), "must have upper, lower or both; with neither nothing is pruned")
        elif self.lower is not None and self.upper is not None and self.lower > self.upper:
            yield Problem(("lower",), f"must be <= upper ({self.upper:g}), got {self.lower:g}")


@dataclass(frozen=True, kw_only=True, slots=True)
class WilcoxonPruner(Checked):
    """Stops a trial whose losses, step by step, are significantly worse than the best trial's, by
    the signed-rank test (Wilcoxon 1945, doi.org/10.2307/3001968). The steps of one curve are not
    independent, which the test takes them to be: p_threshold is no error rate here."""

    type: Literal["wilcoxon"] = "wilcoxon"
    p_threshold: Fraction = 0.1
    """Probability below which a difference counts; larger prunes more."""
    n_startup_steps: Count = 2
    """Evaluations before which a trial is not pruned, two at least."""
    exempt: Fraction = 0.0
    """Share of trials that is never pruned, chosen by the seed: the report's pruning audit."""


Simple = (
    MedianPruner
    | PercentilePruner
    | SuccessiveHalvingPruner
    | HyperbandPruner
    | ThresholdPruner
    | WilcoxonPruner
)


@dataclass(frozen=True, kw_only=True, slots=True)
class PatientPruner(Checked):
    """Lets another pruner stop a trial only once its loss has not fallen for a while (Prechelt
    1998, "Early Stopping - But When?")."""

    type: Literal["patient"] = "patient"
    wrapped_pruner: Simple | None = None
    """The pruner that is held back; null: a trial that has not improved is stopped at once."""
    patience: Count
    """Evaluations that may pass without improvement."""
    min_delta: Annotated[float, Range(minimum=0)] = 0.0
    """By how much the loss may rise and still count as improvement, in nats per character."""
    exempt: Fraction = 0.0
    """Share of trials that is never pruned, chosen by the seed: the report's pruning audit."""

    def rules(self) -> Iterator[Problem]:
        if self.wrapped_pruner is not None and self.wrapped_pruner.exempt:
            yield Problem(
                ("wrapped_pruner", "exempt"), "belongs to the outer pruner; move it there"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Halving(Checked):
    """Synchronous successive halving: whole cohorts wait at each rung, so that a trial is compared
    with all of its cohort and not with those that happened to be faster (Jamieson and Talwalkar
    2016, arXiv:1502.07943; with brackets Hyperband, Li et al. 2018, jmlr.org v18/16-558)."""

    type: Literal["halving"] = "halving"
    reduction_factor: Factor = 3
    """How many trials there are at a rung for one that goes on, and by how much rungs grow."""
    min_iters: Positive
    """Steps before the first rung."""
    brackets: Positive = 1
    """How many kinds of cohorts take turns, each with its first rung later than the one before."""
    cohort: Positive | None = None
    """Trials that are compared with each other; null: as many as leave one at the last rung."""


Pruner = NonePruner | Simple | PatientPruner | Halving


def missing_package(options: Pruner) -> str | None:
    """The package that a pruner needs and that is not installed."""
    if isinstance(options, PatientPruner) and options.wrapped_pruner is not None:
        return missing_package(options.wrapped_pruner)
    needs = "scipy" if isinstance(options, WilcoxonPruner) else None
    return needs if needs and importlib.util.find_spec(needs) is None else None


def optuna_pruner(options: Pruner, *, max_iters: int) -> BasePruner:
    """Optuna's pruner, which keeps nothing between two questions but what the study's trials
    reported; `auto` is settled by the length of a whole trial. Not for `halving`.

    Hyperband draws a trial's bracket by the name of the study, which has to be the same each time.
    """
    match options:
        case NonePruner():
            return optuna.pruners.NopPruner()
        case MedianPruner() | PercentilePruner():
            return _quantile(options)
        case SuccessiveHalvingPruner():
            asked = options.min_resource
            first = max(1, max_iters // 100) if asked == "auto" else asked
            skipped = options.min_early_stopping_rate
            return AshaPruner(first, options.reduction_factor, skipped, options.bootstrap_count)
        case HyperbandPruner():
            asked = options.max_resource
            longest = max_iters if asked == "auto" else asked
            first, factor = min(options.min_resource, longest), options.reduction_factor
            return BracketPruner(first, longest, factor, options.bootstrap_count)
        case ThresholdPruner():
            return optuna.pruners.ThresholdPruner(
                lower=options.lower,
                upper=options.upper,
                n_warmup_steps=options.n_warmup_steps,
                interval_steps=options.interval_steps,
            )
        case WilcoxonPruner():
            return PairedPruner(options.p_threshold, options.n_startup_steps)
        case PatientPruner(wrapped_pruner=inner):
            wrapped = None if inner is None else optuna_pruner(inner, max_iters=max_iters)
            with quiet():
                return optuna.pruners.PatientPruner(wrapped, options.patience, options.min_delta)
    raise TypeError(f"{options.type} is not one of Optuna's pruners")


def _quantile(options: MedianPruner | PercentilePruner) -> BasePruner:
    return optuna.pruners.PercentilePruner(
        options.percentile if isinstance(options, PercentilePruner) else 50.0,
        options.n_startup_trials,
        options.n_warmup_steps,
        options.interval_steps,
        n_min_trials=options.n_min_trials,
    )
