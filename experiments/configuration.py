"""From the parameters of a trial to the run that it trains, and what is known of it before."""

import functools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from experiments import space
from experiments.expression import Expression
from experiments.parameter import Scalar
from experiments.space import Space, Values
from tinygpt import config, schema, size
from tinygpt.config import RunConfig
from tinygpt.flops import flops_per_token
from tinygpt.schema import ConfigError, Problem

FACTS = ("params", "params_millions", "tokens", "tokens_per_step", "flops", "flops_per_token")
"""What a constraint may name besides the keys of the run; `tokens` and `flops` are of the whole
training of the trial."""


@dataclass(frozen=True, kw_only=True)
class Configurations:
    """The runs of a sweep: what all share, with a trial's parameters and what follows from them."""

    run: Mapping[str, Any]
    """The shared run config, nested."""
    space: Space
    constraints: tuple[str, ...] = ()
    tokens: float | None = None
    """Characters that every trial trains on; max_iters follows."""
    flops: float | None = None
    """Floating-point operations that every trial may take; max_iters follows."""
    vocabulary: int

    def nested(self, values: Values) -> dict[str, Any]:
        """The nested run config of a trial. Raises ConfigError where what follows from its
        parameters cannot be computed; the rest is not checked."""
        run = config.with_values(self.run, values)
        order = derivation_order(space.derived(self.space))
        if self.tokens is not None or self.flops is not None:
            later = following("train.max_iters", space.derived(self.space))
            order = [key for key in order if key not in later] + [
                "train.max_iters",
                *(key for key in order if key in later),
            ]
        for key in order:
            run = config.with_values(run, {key: self._derived(key, run)})
        return run

    def checked(self, values: Values) -> RunConfig:
        """The run of a trial; raises ConfigError if it cannot be trained, or if a constraint of the
        sweep does not hold."""
        run = config.run_config(self.nested(values))
        facts = named(config.as_dict(run)) | facts_of(run, self.vocabulary)
        problems = [Problem((), text) for text in violated(self.constraints, facts)]
        if problems:
            raise ConfigError(problems)
        return run

    def objection(self, values: Values) -> str | None:
        """Why a trial with these parameters would not be trained; None if it would."""
        try:
            self.checked(values)
        except ConfigError as error:
            return "; ".join(map(str, error.problems))
        return None

    def _derived(self, key: str, run: Mapping[str, Any]) -> Any:
        expressions = space.derived(self.space)
        if key not in expressions:
            return self._max_iters(config.run_config(run))
        expression = Expression.parse(expressions[key])
        hint = config.known_keys()[key]
        try:
            value = expression.value(named(run))
        except ValueError as error:
            raise ConfigError([Problem((key,), str(error))]) from None
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # it becomes a float again where one is due
        return schema.convert(hint, value, (key,))

    def _max_iters(self, run: RunConfig) -> int:
        cost = run.tokens_per_step
        if self.flops is not None:
            cost *= flops_per_token(run.model, self.vocabulary)
        return max(1, round((self.tokens or self.flops or 0) / cost))


def facts_of(run: RunConfig, vocabulary: int) -> dict[str, Scalar]:
    """The FACTS of a run."""
    params = size.parameters(run.model, vocabulary)
    per_token = flops_per_token(run.model, vocabulary)
    tokens = run.train.max_iters * run.tokens_per_step
    return {
        "params": params,
        "params_millions": params / 1e6,
        "tokens": tokens,
        "tokens_per_step": run.tokens_per_step,
        "flops": tokens * per_token,
        "flops_per_token": per_token,
    }


def violated(constraints: tuple[str, ...], facts: Mapping[str, Scalar]) -> Iterator[str]:
    """The constraints that do not hold, in words."""
    for text in constraints:
        try:
            holds = Expression.parse(text).value(facts)
        except ValueError as error:
            yield f"{text}: {error}"
            continue
        if not holds:
            names = ", ".join(f"{name} {facts[name]}" for name in Expression.parse(text).names)
            yield f"{text} does not hold ({names})"


def named(run: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a nested run config by every name an expression may use: the dotted key, or its
    last part where no other key ends so."""
    flat = config.flat(run)
    return flat | {short: flat[key] for short, key in short_names().items() if key in flat}


@functools.cache
def short_names() -> dict[str, str]:
    """The last parts of the run's keys that name one key only, with that key."""
    last = {key: key.rpartition(".")[2] for key in config.known_keys()}
    counted = Counter(last.values())
    return {short: key for key, short in last.items() if counted[short] == 1}


def derivation_order(expressions: Mapping[str, str]) -> list[str]:
    """The keys of derived values, each after those it is computed from; what goes in a circle is
    left out."""
    left, order = dict(sorted(expressions.items())), list[str]()
    while True:
        ready = [key for key in left if not (_sources(left[key]) & left.keys())]
        if not ready:
            return order
        order += ready
        for key in ready:
            del left[key]


def following(key: str, expressions: Mapping[str, str]) -> set[str]:
    """The derived keys that depend on a key, also by way of others."""
    found: set[str] = set()
    while more := {
        name
        for name, text in expressions.items()
        if name not in found and _sources(text) & {key, *found}
    }:
        found |= more
    return found


def _sources(text: str) -> set[str]:
    return {short_names().get(name, name) for name in Expression.parse(text).names}
