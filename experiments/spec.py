"""A sweep as its YAML file describes it: every key, default and rule."""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from experiments import loading, space
from experiments.loading import Document
from experiments.space import CategoricalParameter, FloatParameter, IntParameter, Scalar
from tinygpt import config, schema, wording
from tinygpt.config import Count, Positive, RunConfig
from tinygpt.schema import Checked, ConfigError, Problem

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
BUDGET = ("trials", "wandb", "devices")
"""The keys that may change under a begun sweep: no trial depends on them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Objective(Checked):
    """What makes one configuration better than another."""

    metric: Literal["val_loss"] = "val_loss"
    """Nats per character on the whole validation split, at the end of the training."""
    direction: Literal["minimize"] = "minimize"


@dataclass(frozen=True, kw_only=True, slots=True)
class TpeSampler(Checked):
    """Tree-structured Parzen estimator (Bergstra et al. 2011; Watanabe 2023, arXiv:2304.11127)."""

    type: Literal["tpe"] = "tpe"
    n_startup_trials: Count = 10
    """Finished trials before which it draws at random."""
    n_ei_candidates: Positive = 24
    """Candidates drawn for each proposal."""
    multivariate: bool = True
    """Whether parameters are modelled jointly."""
    constant_liar: bool = True
    """Whether running trials count as bad, so that their neighbourhood is avoided."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RandomSampler(Checked):
    """Independent uniform draws (Bergstra and Bengio 2012)."""

    type: Literal["random"] = "random"


@dataclass(frozen=True, kw_only=True, slots=True)
class NonePruner(Checked):
    """Every trial runs to its end."""

    type: Literal["none"] = "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class MedianPruner(Checked):
    """Stops a trial whose best loss so far is worse than the median of the others' at that step."""

    type: Literal["median"] = "median"
    n_startup_trials: Count = 5
    """Complete trials before which nothing is pruned."""
    n_warmup_steps: Count = 0
    """Steps before which a trial is not pruned."""
    interval_steps: Positive = 1
    """Steps between checks."""
    n_min_trials: Positive = 1
    """Losses of others at a step below which it is not judged."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WandbConfig(Checked):
    """Where the mirror of the sweep goes; no trial depends on it."""

    project: str = "tinygpt"
    entity: str | None = None
    """User or team; null: the account's own."""
    mode: Literal["auto", "online", "offline", "disabled"] = "auto"
    """auto: online when logged in, else offline."""

    def rules(self) -> Iterator[Problem]:
        if not 0 < len(self.project) <= 128 or set(self.project) & set("/\\#?%:"):
            yield Problem(("project",), "must have 1 to 128 characters, none of / \\ # ? % :")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sweep(Checked):
    """A search over run configs. Its trials are functions of these values, all but `trials` (how
    many there are), `devices` and `wandb`."""

    name: str
    """Names the directory; letters, digits, `.`, `_` and `-`. Default: the file's."""
    seed: Count = 0
    """Seed of the search, and of every run unless run.seed says otherwise."""
    trials: Positive
    """How many trials to run."""
    max_concurrent: Positive = 4
    """How many trials may run at a time. A proposal sees the results of all trials before the last
    max_concurrent - 1, however many workers there really are."""
    objective: Objective = field(default_factory=Objective)
    sampler: TpeSampler | RandomSampler = field(default_factory=TpeSampler)
    pruner: NonePruner | MedianPruner = field(default_factory=NonePruner)
    run: RunConfig = field(default_factory=RunConfig)
    """What all trials share."""
    space: dict[str, FloatParameter | IntParameter | CategoricalParameter]
    """What is searched, by dotted keys of the run."""
    enqueue: tuple[dict[str, Scalar], ...] = ()
    """Parameters tried first, in this order; what one leaves out is proposed. Trial 0 is the
    baseline."""
    devices: tuple[Count, ...] = ()
    """GPUs that the workers take in turn, by index, so that several may share one; empty: all
    workers share the first. No trial depends on it, if the GPUs are of one kind."""
    wandb: WandbConfig = field(default_factory=WandbConfig)

    def rules(self) -> Iterator[Problem]:
        if not NAME.fullmatch(self.name):
            rule = "must be 1 to 64 letters, digits, '.', '_' or '-', the first a letter or digit"
            yield Problem(("name",), f"{rule}; got {wording.shown(self.name)}")
        if not self.space:
            yield Problem(("space",), "must name at least one parameter to search")
        for problem in space.problems(self.space, config.as_dict(self.run)):
            yield problem.under(("space",))
        for place, values in enumerate(self.enqueue):
            for key, value in values.items():
                yield from self._queued(("enqueue", place, key), key, value)

    def _queued(self, where: schema.Path, key: str, value: Scalar) -> Iterator[Problem]:
        if key not in self.space:
            near = wording.suggestion(key, self.space)
            yield Problem(where, f"is not in space{near}; add it there or leave it out")
        elif value not in self.space[key]:
            yield Problem(where, f"{wording.shown(value)} is outside of what space.{key} allows")


def read(path: Path, overrides: list[str]) -> tuple[Sweep, Document]:
    """The sweep of a YAML file with some `key=value` set.

    Raises ConfigError with every problem, each at its line and column.
    """
    document = loading.read(path)
    if not isinstance(document.data, Mapping):
        raise document.located(ConfigError([Problem((), "must be a mapping of keys")]))
    data = dict(document.data)
    data.setdefault("name", path.stem)
    try:
        for override in overrides:
            data = overridden(data, override)
        return build(data), document
    except ConfigError as error:
        raise document.located(error) from None


def build(data: Mapping[str, Any]) -> Sweep:
    """The sweep that a mapping describes; raises ConfigError with every problem."""
    run = data.get("run", {})
    if isinstance(run, Mapping):
        data = {**data, "run": {"seed": data.get("seed", 0), **run}}
    return schema.build(Sweep, data)


def overridden(data: Mapping[str, Any], override: str) -> dict[str, Any]:
    """`data` with `key=value` set, the key dotted as in `trials`, `run.train.max_iters`,
    `train.max_iters` (the same) or `space.train.learning_rate.high`."""
    dotted, equals, text = override.partition("=")
    if not equals:
        raise ConfigError([Problem((), f"--set {override}: must have the form key=value")])
    changed: dict[str, Any] = _with(data, _keys(dotted), loading.scalar(text))
    return changed


def _keys(dotted: str) -> list[str]:
    parts = dotted.split(".")
    if parts[0] in {key.partition(".")[0] for key in config.known_keys() if "." in key}:
        parts = ["run", *parts]
    if parts[0] == "space" and len(parts) > 2:
        parts = ["space", ".".join(parts[1:3]), *parts[3:]]
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
    """The nested mapping that `build` reads back."""
    return dataclasses.asdict(sweep)


def changes(begun: Mapping[str, Any], asked: Sweep) -> Iterator[Problem]:
    """The keys on which a sweep differs from the one a directory was begun with.

    `auto` agrees with what it was settled to. The corpus is compared elsewhere, by its digest.
    """
    old, new = _leaves(begun), _leaves(as_dict(asked))
    for keys in dict.fromkeys([*old, *new]):
        before, after = old.get(keys), new.get(keys)
        settled = keys[0] == "run" and (after == "auto" or keys[-1] == "sha256")
        if keys[0] in BUDGET or settled or before == after or keys[-1] == "corpus":
            continue
        was, now = wording.shown(before), wording.shown(after)
        yield Problem(keys, f"was {was} when the sweep was begun, is {now}")


def _leaves(data: Any, keys: schema.Path = ()) -> dict[schema.Path, Any]:
    if isinstance(data, Mapping) and data:
        pairs: Any = data.items()
    elif isinstance(data, list | tuple) and data:
        pairs = enumerate(data)
    else:
        return {keys: data}
    return {
        path: leaf for key, value in pairs for path, leaf in _leaves(value, (*keys, key)).items()
    }
