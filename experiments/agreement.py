"""Whether the parts of a sweep, each right by itself, go together."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from experiments import configuration, fit, halving, pruners, samplers, space
from experiments.parameter import CategoricalParameter, DerivedParameter, Scalar
from experiments.pruners import Halving
from experiments.samplers import BruteForceSampler, CmaesSampler, GridSampler
from tinygpt import schema, wording
from tinygpt.schema import Problem

if TYPE_CHECKING:
    from experiments.spec import Sweep


def queued(sweep: "Sweep") -> Iterator[Problem]:
    """What is wrong with the configurations that are tried first."""
    for place, values in enumerate(sweep.enqueue):
        for key, value in values.items():
            yield from _outside(sweep, ("enqueue", place, key), key, value)
            yield from _unused(sweep, ("enqueue", place, key), key, values)


def _outside(sweep: "Sweep", where: schema.Path, key: str, value: Scalar) -> Iterator[Problem]:
    parameter = sweep.space.get(key)
    if parameter is None or isinstance(parameter, DerivedParameter):
        near = wording.suggestion(key, space.searched(sweep.space))
        yield Problem(where, f"is not searched in space{near}; add it there or leave it out")
    elif value not in parameter:
        yield Problem(where, f"{wording.shown(value)} is outside of what space.{key} allows")


def _unused(
    sweep: "Sweep", where: schema.Path, key: str, values: Mapping[str, Scalar]
) -> Iterator[Problem]:
    """A queued value that plays no part beside those it is queued with."""
    for parent, allowed in getattr(sweep.space.get(key), "when", {}).items():
        if parent in values and not space.is_one_of(values[parent], allowed):
            beside = f"{parent}: {wording.shown(values[parent])}"
            yield Problem(where, f"does not apply beside {beside}; leave it out")


def problems(sweep: "Sweep") -> Iterator[Problem]:
    """What does not go together in a sweep whose space fits its run."""
    yield from _sampling(sweep)
    if isinstance(sweep.pruner, Halving):
        yield from _cohorts(sweep, sweep.pruner)
    if sweep.replicates > 1:
        yield from _replication(sweep)
    if sweep.budget.per_trial.limited():
        yield from _length(sweep)
    for package, where in _packages(sweep):
        yield Problem((where, "type"), f"needs the package {package}: pip install {package}")


def _sampling(sweep: "Sweep") -> Iterator[Problem]:
    if not samplers.accepts_objectives(sweep.sampler, len(sweep.objective)):
        message = f"{sweep.sampler.type} takes one objective; use tpe, gp, nsgaii or random"
        yield Problem(("sampler", "type"), message)
    if isinstance(sweep.sampler, CmaesSampler) and sweep.sampler.x0 is not None:
        yield from _start(sweep, sweep.sampler.x0)
    if isinstance(sweep.sampler, GridSampler | BruteForceSampler):
        yield from fit.unlisted(sweep.space, sweep.listed(), sweep.sampler.type)
    elif sweep.trials is None:
        message = "is missing; only samplers grid and brute_force end by themselves"
        yield Problem(("trials",), message)


def _start(sweep: "Sweep", x0: Mapping[str, Scalar]) -> Iterator[Problem]:
    """CMA-ES starts from a point with a value for every number that is searched."""
    numbers = {
        key
        for key, one in space.searched(sweep.space).items()
        if not isinstance(one, CategoricalParameter) and one.low < one.high
    }
    for key in sorted(numbers ^ x0.keys()):
        rule = "is missing" if key in numbers else "is no number that is searched in space"
        yield Problem(("sampler", "x0", key), f"{rule}; x0 names each of them")


def _cohorts(sweep: "Sweep", options: Halving) -> Iterator[Problem]:
    train = sweep.run.train
    for key in ("train.max_iters", "train.eval_interval"):
        if key in sweep.space:
            message = "cannot be searched with pruner halving, which compares equal steps"
            yield Problem(("space", key), message)
    if sweep.budget.per_trial.limited():
        message = "cannot stand beside pruner halving, which compares equal steps"
        yield Problem(("budget", "per_trial"), message)
    if sweep.replicates > 1:
        yield Problem(("replicates",), "cannot stand beside pruner halving; leave one out")
    if options.min_iters >= train.max_iters:
        message = f"must be below run.train.max_iters ({train.max_iters})"
        yield Problem(("pruner", "min_iters"), f"{message}, got {options.min_iters}")
    elif options.min_iters % train.eval_interval:
        message = f"must be a multiple of run.train.eval_interval ({train.eval_interval})"
        yield Problem(("pruner", "min_iters"), f"{message}, got {options.min_iters}")
    elif sweep.trials is not None:
        yield from _whole(sweep, options, sweep.trials)


def _whole(sweep: "Sweep", options: Halving, trials: int) -> Iterator[Problem]:
    totals = halving.totals(options, sweep.run.train.max_iters, trials)
    if trials not in totals:
        fitting = wording.either(totals[-2:])
        message = f"must be whole cohorts of pruner halving: {fitting}, got {trials}"
        yield Problem(("trials",), message)


def _replication(sweep: "Sweep") -> Iterator[Problem]:
    if "seed" in sweep.space:
        yield Problem(("space", "seed"), "cannot be searched beside replicates; leave one out")
    if len(sweep.objective) > 1:
        yield Problem(("replicates",), "needs one objective; leave it out, or all but val_loss")


def _length(sweep: "Sweep") -> Iterator[Problem]:
    """A length that follows from a budget cannot be searched, nor decide what it follows from."""
    if "train.max_iters" in sweep.space:
        message = "follows from budget.per_trial; leave one of the two out"
        yield Problem(("space", "train.max_iters"), message)
    for key in configuration.following("train.max_iters", space.derived(sweep.space)):
        if key.startswith("model.") or key in ("train.batch_size", "train.accumulation"):
            message = "depends on train.max_iters, which budget.per_trial computes from it"
            yield Problem(("space", key, "expr"), message)


def _packages(sweep: "Sweep") -> Iterator[tuple[str, str]]:
    if package := samplers.missing_package(sweep.sampler):
        yield package, "sampler"
    if package := pruners.missing_package(sweep.pruner):
        yield package, "pruner"
