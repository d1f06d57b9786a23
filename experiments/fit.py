"""Whether a space fits the run around it: every value and every combination that can be counted."""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from experiments import aliases, configuration, space
from experiments.configuration import Configurations
from experiments.expression import Expression
from experiments.parameter import MAX_ENUMERATED, DerivedParameter, Scalar
from experiments.space import Parameter, Space
from tinygpt import config, schema, wording
from tinygpt.schema import ConfigError, Path, Problem


def plain(key: str, parameter: object) -> object:
    """A parameter as the file has it, without the shorter forms, its values of their key's type."""
    if not isinstance(parameter, Mapping):
        return parameter
    plain = dict(parameter)
    if "expr" in plain:
        plain.setdefault("type", "expr")
    if "choices" in plain:
        plain["choices"] = typed_list(key, plain["choices"])
    if isinstance(plain.get("when"), Mapping):
        listed = {k: v if isinstance(v, list | tuple) else [v] for k, v in plain["when"].items()}
        plain["when"] = {parent: typed_list(parent, v) for parent, v in listed.items()}
    return plain


def typed_list(key: str, values: Any) -> Any:
    """Values of one key in its type."""
    if not isinstance(values, list | tuple):
        return values
    return [typed({key: value})[key] for value in values]


def typed(values: Any) -> Any:
    """Values by key in the types of their keys: 1 for a learning rate is 1.0. What does not fit
    stays, to be told of later."""
    if not isinstance(values, Mapping):
        return values
    hints = config.known_keys()
    return {key: _typed(hints[key], v) if key in hints else v for key, v in values.items()}


def _typed(hint: Any, value: Any) -> Any:
    try:
        return schema.convert(hint, value)
    except ConfigError:
        return value


def problems(
    parameters: Space, run: Mapping[str, Any], constraints: tuple[str, ...] = ()
) -> Iterator[Problem]:
    """What is wrong with a space around a nested run config, and with the constraints on both; the
    paths begin at the sweep.

    Combinations are tried where they can be counted: every one of the parameters with finitely many
    values, the others at either end.
    """
    found = [problem for key, one in parameters.items() for problem in _fit(key, one, parameters)]
    found += [
        Problem((key, "when"), "depends on itself through the conditions of others")
        for key in space.circles(parameters)
        if key not in getattr(parameters[key], "when", {})
    ]
    yield from (problem.under(("space",)) for problem in found)
    wrong = list(_constraints(constraints))
    yield from wrong
    if not found and not wrong:
        for problem in _combinations(parameters, run, constraints):
            yield problem.under(("space",))


def _fit(key: str, parameter: Parameter, parameters: Space) -> Iterator[Problem]:
    hints = config.known_keys()
    if key not in hints:
        yield Problem((key,), _unknown(key))
        return
    if key.startswith("data."):
        yield Problem((key,), "cannot be searched: losses on different texts do not compare")
    if isinstance(parameter, DerivedParameter):
        yield from _derivation(key, parameter.expr, parameters)
        return
    for place, value in parameter.ends():
        where = ("choices", place) if isinstance(place, int) else (place,)
        if value == "auto":
            yield Problem((key, *where), "must be settled, name the choice itself")
        try:
            schema.convert(hints[key], value)
        except ConfigError as error:
            yield Problem((key, *where), error.problems[0].message)
    for parent, allowed in parameter.when.items():
        yield from _condition((key, "when", parent), parent, allowed, parameters)


def strangers(parameters: object) -> Iterator[Problem]:
    """The keys of a space, as a file has it, that are none of a run, whatever else is wrong."""
    if isinstance(parameters, Mapping):
        for key in parameters:
            if key not in config.known_keys():
                yield Problem(("space", key), _unknown(key))


def _unknown(key: object) -> str:
    try:
        return f"unknown key (did you mean {aliases.run_key(str(key))!r}?)"
    except ConfigError as error:
        return error.problems[0].message


def _condition(
    where: Path, parent: str, allowed: tuple[Scalar, ...], parameters: Space
) -> Iterator[Problem]:
    searched = space.searched(parameters)
    if parent == where[0]:
        yield Problem(where, "is this parameter itself; a condition names another of space")
        return
    if parent not in searched:
        known = searched if parent in config.known_keys() else {**config.known_keys(), **searched}
        near = wording.suggestion(parent, known)
        yield Problem(where, f"is not searched in space{near}; a condition names another parameter")
        return
    for value in allowed:
        if value not in searched[parent]:
            message = f"{wording.shown(value)} is outside of what space.{parent} allows"
            yield Problem(where, message)


def _derivation(key: str, text: str, parameters: Space) -> Iterator[Problem]:
    known = {*config.known_keys(), *configuration.short_names()}
    for name in Expression.parse(text).names:
        if name not in known:
            near = wording.suggestion(name, known)
            yield Problem((key, "expr"), f"{name} is no key of a run{near}")
            return
    expressions = space.derived(parameters)
    if key not in configuration.derivation_order(expressions):
        yield Problem((key, "expr"), "depends on itself")


def _constraints(constraints: tuple[str, ...]) -> Iterator[Problem]:
    known = {*config.known_keys(), *configuration.short_names(), *configuration.FACTS}
    for place, text in enumerate(constraints):
        try:
            names = Expression.parse(text).names
        except ValueError as error:
            yield Problem(("constraints", place), str(error))
            continue
        for name in names:
            if name not in known:
                near = wording.suggestion(name, known)
                message = (
                    f"{name} is no key of a run{near}, nor {wording.either(configuration.FACTS)}"
                )
                yield Problem(("constraints", place), message)


def _combinations(
    parameters: Space, run: Mapping[str, Any], constraints: tuple[str, ...]
) -> Iterator[Problem]:
    """Rules hold within a section of the run, so each section's parameters are combined apart, with
    those that decide about them."""
    for section, hint in schema.field_types(config.RunConfig).items():
        own = [key for key in parameters if key.startswith(f"{section}.")]
        needed = _deciding(own, parameters, constraints)
        part = {key: one for key, one in parameters.items() if key in needed}
        searched = space.searched(part)
        lists = [one.values() or [end for _, end in one.ends()] for one in searched.values()]
        if own and math.prod(map(len, lists)) <= MAX_ENUMERATED:
            combined = (dict(zip(searched, v, strict=True)) for v in itertools.product(*lists))
            runs = Configurations(run=run, space=part, vocabulary=1)
            yield from _bad_combination(runs, section, hint, combined, constraints)


def _deciding(keys: list[str], parameters: Space, constraints: tuple[str, ...]) -> list[str]:
    """Parameters with those they depend on, are computed from or share a constraint with."""
    needed, together = list(keys), [_keys_in(text) for text in constraints]
    for key in needed:
        one = parameters[key]
        more = _keys_in(one.expr) if isinstance(one, DerivedParameter) else set(one.when)
        more = more.union(*(names for names in together if key in names))
        needed += [other for other in parameters if other in more and other not in needed]
    return needed


def _keys_in(text: str) -> set[str]:
    short = configuration.short_names()
    return {short.get(name, name) for name in Expression.parse(text).names}


def _bad_combination(
    runs: Configurations,
    section: str,
    kind: type,
    combined: Iterable[dict[str, Scalar]],
    constraints: tuple[str, ...],
) -> Iterator[Problem]:
    """The first combination that cannot be trained."""
    searched = space.searched(runs.space)
    for values in combined:
        chosen: dict[str, Scalar] = {}
        for key, value in values.items():
            if space.applies(searched[key], chosen):
                chosen[key] = value
        try:
            nested = runs.nested(chosen)
            if not _excluded(constraints, nested):
                schema.build(kind, nested[section])
        except ConfigError as error:
            yield _blamed(error.problems[0], section, runs.space, chosen)
            return


def _blamed(first: Problem, section: str, parameters: Space, chosen: space.Values) -> Problem:
    """A problem of a combination at the parameter that has it, or else at the space."""
    path = first.path if first.path[0] in parameters else (section, *first.path)
    blamed = schema.dotted(path)
    told = ", ".join(f"{key}: {value}" for key, value in chosen.items())
    beside = f", with {told}" if told else ""
    way = "narrow the space, or exclude it by a constraint"
    if blamed in parameters:
        return Problem((blamed,), f"{first.message}{beside}; {way}")
    return Problem((), f"{blamed} {first.message}{beside}; {way}")


def _excluded(constraints: tuple[str, ...], nested: Mapping[str, Any]) -> bool:
    """Whether a constraint that only needs the run's keys forbids a combination."""
    names = configuration.named(nested)
    for text in constraints:
        expression = Expression.parse(text)
        if not all(name in names for name in expression.names):
            continue
        try:
            holds = bool(expression.value(names))
        except ValueError:  # it divides by zero, say
            holds = False
        if not holds:
            return True
    return False


def unlisted(
    parameters: Space, lists: Mapping[str, tuple[Scalar, ...]], sampler: str
) -> Iterator[Problem]:
    """What keeps a sampler that takes every point from having them all."""
    for key, values in lists.items():
        parameter = space.searched(parameters).get(key)
        where: Path = ("sampler", "search_space", key)
        if parameter is None:
            near = wording.suggestion(key, space.searched(parameters))
            yield Problem(where, f"is not searched in space{near}")
            continue
        for value in values:
            if value not in parameter:
                yield Problem(
                    where, f"{wording.shown(value)} is outside of what space.{key} allows"
                )
    for key, parameter in space.searched(parameters).items():
        if key not in lists and parameter.values() is None:
            finite = "give it a step or choices" + (
                ", or values in sampler.search_space" if sampler == "grid" else ""
            )
            yield Problem(("space", key), f"has too many values for sampler {sampler}; {finite}")
            return
    count = sum(1 for _ in itertools.islice(space.points(parameters, lists), MAX_ENUMERATED + 1))
    if count > MAX_ENUMERATED:
        message = f"has more than {MAX_ENUMERATED:,} points, too many for sampler {sampler}"
        yield Problem(("space",), message)
