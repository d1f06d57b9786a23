"""A sweep as its YAML file describes it: every key, default and rule."""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments import agreement, budget, fit, foreign, loading, pruners, samplers, space
from experiments.budget import Budget
from experiments.configuration import Configurations
from experiments.loading import Document
from experiments.objective import Objective
from experiments.parameter import (
    CategoricalParameter,
    DerivedParameter,
    FloatParameter,
    IntParameter,
    Scalar,
)
from experiments.samplers import GridSampler
from experiments.wandbconfig import WandbConfig
from tinygpt import config, schema, wording
from tinygpt.config import Count, Positive, RunConfig
from tinygpt.schema import Checked, ConfigError, Problem

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sweep(Checked):
    """A search over run configs. Its trials are functions of these values, all but `trials` and
    `budget` (how many there are), `max_retries`, `worker_timeout`, `devices`, `max_disk` and
    `wandb`."""

    name: str
    """Names the directory; letters, digits, `.`, `_` and `-`. Default: the file's."""
    seed: Count = 0
    """Seed of the search, and of every run unless run.seed says otherwise."""
    trials: Positive | None = None
    """How many trainings to run; may be left out where the sampler has an end (grid, brute_force).
    With pruner halving they must be whole cohorts."""
    max_concurrent: Positive = 4
    """How many trials may run at a time. A proposal sees the results of all trials before the last
    max_concurrent - 1, however many workers there really are; with pruner halving, of the cohorts
    before."""
    objective: tuple[Objective, ...] = (Objective(),)
    """What makes a configuration good; several objectives are traded against each other."""
    sampler: samplers.Sampler = field(default_factory=samplers.TpeSampler)
    """Who proposes configurations."""
    pruner: pruners.Pruner = field(default_factory=pruners.NonePruner)
    """Which trials do not train to their end. Always judged by val_loss."""
    replicates: Positive = 1
    """How many seeds a configuration is trained with, as long as it can still win; its objective is
    the mean."""
    run: RunConfig = field(default_factory=RunConfig)
    """What all trials share."""
    space: dict[str, FloatParameter | IntParameter | CategoricalParameter | DerivedParameter]
    """What is searched, by dotted keys of the run."""
    constraints: tuple[str, ...] = ()
    """Expressions that must hold for every trial, of keys of the run and of params,
    params_millions, tokens, tokens_per_step, flops and flops_per_token. What does not meet them is
    not proposed."""
    enqueue: tuple[dict[str, Scalar], ...] = ()
    """Parameters tried first, in this order; what one leaves out is proposed. Trial 0 is the
    baseline."""
    budget: Budget = field(default_factory=Budget)
    max_retries: Count = 3
    """How often a trial whose worker died is tried again without a new checkpoint before it fails;
    each time it goes on from its last one."""
    worker_timeout: str | None = None
    """After so long without a word, as `10m`, a worker is killed and its trial goes on with
    another; a worker speaks at every step, so longer than an evaluation or a text takes. null:
    never, a silence is only told."""
    max_disk: str | None = None
    """What the trial directories may take, as `500MB` or `2GB`; checkpoints of the worst finished
    trials go first."""
    devices: tuple[Count, ...] = ()
    """GPUs that the workers take in turn, by index, so that several may share one; empty: all
    workers share the first. No trial depends on it, if the GPUs are of one kind."""
    wandb: WandbConfig = field(default_factory=WandbConfig)

    def rules(self) -> Iterator[Problem]:
        yield from self._names()
        problems = list(fit.problems(self.space, config.as_dict(self.run), self.constraints))
        yield from problems
        yield from agreement.queued(self)
        if not problems:
            yield from agreement.problems(self)

    def planned(self) -> int:
        """How many trials there are to be."""
        if self.trials is not None:
            return self.trials
        return self.replicates * sum(1 for _ in space.points(self.space, self.listed()))

    def listed(self) -> dict[str, tuple[Scalar, ...]]:
        """The values that a grid has for parameters instead of their own."""
        return dict(self.sampler.search_space) if isinstance(self.sampler, GridSampler) else {}

    def configurations(self, vocabulary: int) -> Configurations:
        """The runs of this sweep over a text with so many different characters."""
        return Configurations(
            run=config.as_dict(self.run),
            space=self.space,
            constraints=self.constraints,
            tokens=self.budget.per_trial.tokens,
            flops=self.budget.per_trial.flops,
            vocabulary=vocabulary,
        )

    def disk(self) -> float | None:
        """`max_disk` in bytes."""
        return None if self.max_disk is None else budget.size(self.max_disk)

    def _names(self) -> Iterator[Problem]:
        if not NAME.fullmatch(self.name):
            rule = "must be 1 to 64 letters, digits, '.', '_' or '-', the first a letter or digit"
            yield Problem(("name",), f"{rule}; got {wording.shown(self.name)}")
        if not space.searched(self.space):
            yield Problem(("space",), "must name at least one parameter to search")
        if self.max_disk is not None and self.disk() is None:
            shown = wording.shown(self.max_disk)
            yield Problem(("max_disk",), f"must be like 500MB or 2GB, got {shown}")
        if self.worker_timeout is not None and not budget.seconds(self.worker_timeout):
            shown = wording.shown(self.worker_timeout)
            yield Problem(("worker_timeout",), f"must be above 0, like 90s, 10m or 2h, got {shown}")
        metrics = [objective.metric for objective in self.objective]
        for place, metric in enumerate(metrics):
            if metric in metrics[:place]:
                yield Problem(("objective", place, "metric"), f"{metric} stands here twice")
        if "val_loss" not in metrics:
            yield Problem(
                ("objective",), "must have val_loss among its metrics: it is what training lowers"
            )


def read(path: Path, overrides: list[str], trials: int | None = None) -> tuple[Sweep, Document]:
    """The sweep of a YAML file, ours or W&B's, with some `key=value` set, and so many trials
    instead of the file's.

    Raises ConfigError with every problem, each at its line and column.
    """
    document = loading.read(path)
    if not isinstance(document.data, Mapping):
        raise document.located(ConfigError([Problem((), "must be a mapping of keys")]))
    data = dict(document.data)
    try:
        if foreign.is_wandb_sweep(data):
            data, places, told = foreign.translated(data, counted=trials is not None)
            document = document.translated(places, told)
        data.setdefault("name", path.stem)
        for override in overrides:
            data = overridden(data, override)
        return build(data if trials is None else {**data, "trials": trials}), document
    except ConfigError as error:
        raise document.located(error) from None


def build(data: Mapping[str, Any]) -> Sweep:
    """The sweep that a mapping describes; raises ConfigError with every problem."""
    run, one = data.get("run", {}), isinstance(data.get("objective"), Mapping)
    if isinstance(run, Mapping):
        data = {**data, "run": {"seed": data.get("seed", 0), **run}}
    try:
        return schema.build(Sweep, plain(data))
    except ConfigError as error:
        problems = [_as_written(problem, one) for problem in error.problems]
        paths = {problem.path for problem in problems}
        problems += [new for new in fit.strangers(data.get("space")) if new.path not in paths]
        raise ConfigError(problems) from None


def _as_written(problem: Problem, one_objective: bool) -> Problem:
    """The problem with the path that the file has for it."""
    path = problem.path
    if one_objective and path[:2] == ("objective", 0):
        path = ("objective", *path[2:])
    return Problem(path, problem.message)


def plain(data: Mapping[str, Any]) -> dict[str, Any]:
    """The mapping without the shorter forms: one objective for a list of one, one value for a list
    in `when`, `{expr: ...}` without its type; values of the space in the type of their key, and
    amounts as text, so that one without a unit is told the units there are."""
    data = dict(data)
    if isinstance(data.get("objective"), Mapping):
        data["objective"] = [data["objective"]]
    if isinstance(data.get("space"), Mapping):
        data["space"] = {key: fit.plain(key, one) for key, one in data["space"].items()}
    if isinstance(data.get("enqueue"), list | tuple):
        data["enqueue"] = [fit.typed(queued) for queued in data["enqueue"]]
    sampler = data.get("sampler")
    if isinstance(sampler, Mapping) and isinstance(sampler.get("search_space"), Mapping):
        lists = {key: fit.typed_list(key, v) for key, v in sampler["search_space"].items()}
        data["sampler"] = {**sampler, "search_space": lists}
    limits = data.get("budget")
    if isinstance(limits, Mapping) and type(limits.get("time")) in (int, float):
        data["budget"] = {**limits, "time": str(limits["time"])}
    mirrored = data.get("wandb")
    if isinstance(mirrored, Mapping) and type(mirrored.get("finish_timeout")) in (int, float):
        data["wandb"] = {**mirrored, "finish_timeout": str(mirrored["finish_timeout"])}
    for amount in ("max_disk", "worker_timeout"):
        if type(data.get(amount)) in (int, float):
            data[amount] = str(data[amount])
    return data


def overridden(data: Mapping[str, Any], override: str) -> dict[str, Any]:
    """`data` with `key=value` set, the key dotted as in `trials`, `run.train.max_iters`,
    `train.max_iters` (the same) or `space.train.learning_rate.high`."""
    dotted, equals, text = override.partition("=")
    if not equals:
        raise ConfigError([Problem((), f"--set {override}: must have the form key=value")])
    keys = _keys(dotted)
    try:
        changed: dict[str, Any] = _with(data, keys, loading.scalar(text))
    except ConfigError as error:
        raise ConfigError(problem.under(tuple(keys)) for problem in error.problems) from None
    return changed


def _keys(dotted: str) -> list[str]:
    parts = dotted.split(".")
    if parts[0] in {key.partition(".")[0] for key in config.known_keys() if "." in key}:
        parts = ["run", *parts]
    for prefix in (["space"], ["sampler", "search_space"], ["sampler", "x0"]):
        if parts[: len(prefix)] == prefix and len(parts) > len(prefix) + 1:
            rest = parts[len(prefix) :]
            count = 1 if rest[0] in config.known_keys() else 2
            return [*prefix, ".".join(rest[:count]), *rest[count:]]
    return parts


def _with(data: object, keys: list[str], value: object) -> Any:
    if not keys:
        return value
    inner = dict(data) if isinstance(data, Mapping) else {}
    nested: dict[str, Any] = {**inner, keys[0]: _with(inner.get(keys[0]), keys[1:], value)}
    return nested


def field_names() -> list[str]:
    """The top-level keys of a sweep."""
    return [field.name for field in dataclasses.fields(Sweep)]


def as_dict(sweep: Sweep) -> dict[str, Any]:
    """The nested mapping that `build` reads back; a single objective stands without a list."""
    data = dataclasses.asdict(sweep)
    if len(sweep.objective) == 1:
        data["objective"] = data["objective"][0]
    return data
