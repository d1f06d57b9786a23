"""What a changed file means for a sweep that has begun: what goes on, and what would make its
results incomparable."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from experiments import space, spec
from experiments.parameter import CategoricalParameter
from experiments.pruners import Halving
from experiments.spec import Sweep
from tinygpt import schema, wording
from tinygpt.schema import Problem

SPENDING = ("trials", "budget", "max_retries", "worker_timeout", "max_disk", "devices", "wandb")
"""The keys no trial depends on."""
SEARCH = ("space", "constraints", "sampler", "pruner", "enqueue", "max_concurrent")
"""The keys that only decide which trials come next and how long they train."""

_ABSENT = object()


def refused(begun: Sweep, asked: Sweep) -> Iterator[Problem]:
    """What a sweep that has begun cannot take over from its changed file.

    `auto` agrees with what it was settled to. The corpus is compared elsewhere, by its digest.
    """
    old, new = leaves(spec.as_dict(begun)), leaves(spec.as_dict(asked))
    for keys in dict.fromkeys([*old, *new]):
        before, after = old.get(keys), new.get(keys)
        settled = keys[0] == "run" and (after == "auto" or keys[-1] == "sha256")
        free = keys[0] in (*SPENDING, *SEARCH) and keys[:2] != ("budget", "per_trial")
        if free or settled or before == after or keys[-1] == "corpus":
            continue
        was, now = wording.shown(before), wording.shown(after)
        yield Problem(keys, f"was {was} when the sweep was begun, is {now}")
    yield from _cohorts(begun, asked)
    yield from _kinds(begun, asked)


def _cohorts(begun: Sweep, asked: Sweep) -> Iterator[Problem]:
    halves = any(isinstance(one.pruner, Halving) for one in (begun, asked))
    if halves and begun.pruner != asked.pruner:
        message = "pruner halving compares whole cohorts, so it cannot come, go or change"
        yield Problem(("pruner",), message)


def _kinds(begun: Sweep, asked: Sweep) -> Iterator[Problem]:
    before, after = space.searched(begun.space), space.searched(asked.space)
    for key in before.keys() & after.keys():
        kinds = [isinstance(one[key], CategoricalParameter) for one in (before, after)]
        if kinds[0] != kinds[1]:
            was, now = before[key].type, after[key].type
            yield Problem(("space", key, "type"), f"was {was} when the sweep was begun, is {now}")


def edited(begun: Sweep, asked: Sweep) -> Sweep:
    """The begun sweep with what the changed file may change."""
    return dataclasses.replace(
        begun, **{name: getattr(asked, name) for name in (*SPENDING, *SEARCH)}
    )


def searches_alike(one: Sweep, other: Sweep) -> bool:
    """Whether two sweeps decide alike about every trial, so that no new version begins."""
    return all(getattr(one, name) == getattr(other, name) for name in SEARCH)


def differences(begun: Sweep, asked: Sweep) -> list[str]:
    """What has changed of the search, a line each; a parameter that came or went is one change."""
    old, new = leaves(spec.as_dict(begun)), leaves(spec.as_dict(asked))
    both = begun.space.keys() & asked.space.keys()
    moved = [key for key in {**begun.space, **asked.space} if key not in both]
    whole = [f"space.{key}: {'new' if key in asked.space else 'removed'}" for key in moved]
    return whole + [
        f"{schema.dotted(keys)}: {_shown(old.get(keys, _ABSENT))} -> "
        f"{_shown(new.get(keys, _ABSENT))}"
        for keys in dict.fromkeys([*old, *new])
        if keys[0] in SEARCH
        and not (keys[0] == "space" and keys[1:2] and keys[1] in moved)
        and old.get(keys, _ABSENT) != new.get(keys, _ABSENT)
    ]


def leaves(data: Any, keys: schema.Path = ()) -> dict[schema.Path, Any]:
    """The values of nested mappings and lists, by their paths."""
    if isinstance(data, Mapping) and data:
        pairs: Any = data.items()
    elif isinstance(data, list | tuple) and data:
        pairs = enumerate(data)
    else:
        return {keys: data}
    return {
        path: leaf for key, value in pairs for path, leaf in leaves(value, (*keys, key)).items()
    }


def _shown(value: object) -> str:
    return "(none)" if value is _ABSENT else wording.shown(value)
