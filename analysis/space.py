"""The search space of a sweep: its parameters, and which of them a trial has."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from analysis.frames import number
from analysis.records import Row, at

Space = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Version:
    """An earlier version of the sweep's file: that of the trials from `first` to before `until`."""

    first: int
    until: int
    space: Space


def searched(space: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a space; what is derived from others is none."""
    return {key: spec for key, spec in space.items() if not _derived(spec)}


def versions(meta: Row) -> list[Version]:
    """Return the earlier versions of the file, oldest first; what is no version is left out."""
    found: list[Version] = []
    entries = meta.get("earlier")
    for entry in entries if isinstance(entries, list) else []:
        until, space = at(entry, "until"), at(entry, "sweep.space")
        first = found[-1].until if found else 0
        if isinstance(until, int) and until > first and isinstance(space, dict):
            usable = {key: spec for key, spec in space.items() if lacks(spec) is None}
            found.append(Version(first, until, searched(usable)))
    return found


def of_trial(meta: Row, trial: int) -> Space:
    """Return today's parameters as the version of the file that `trial` came from had them."""
    today = searched(meta["space"])
    for version in versions(meta):
        if trial < version.until:
            return {key: version.space.get(key, spec) for key, spec in today.items()}
    return today


def values(config: Row, space: Space) -> dict[str, Any]:
    """Return a run's parameters by dotted key; None for one that the run does not have."""
    return {key: at(config, key) if active(config, key, space) else None for key in space}


def active(config: Row, key: str, space: Space, below: frozenset[str] = frozenset()) -> bool:
    """Return whether a run has the parameter `key`: it and all that it hangs on have their values.

    The config holds a value even where the parameter is not in use.
    """
    spec = space.get(key)
    conditions = spec.get("when") if spec is not None else None
    if not isinstance(conditions, Mapping) or key in below:
        return True
    return all(
        _among(at(config, other), wanted) and active(config, other, space, below | {key})
        for other, wanted in conditions.items()
    )


def all_specs(meta: Row) -> dict[str, list[Mapping[str, Any]]]:
    """Return what today's file and every earlier version say of each of today's parameters."""
    spaces = [searched(meta["space"]), *(version.space for version in versions(meta))]
    return {key: [space[key] for space in spaces if key in space] for key in spaces[0]}


def rows(space: Mapping[str, Any]) -> list[Row]:
    """Return the parameters as rows of the frame `space`."""
    return [
        {
            **spec,
            "parameter": key,
            "log": bool(spec.get("log")),
            "choices": tuple(spec.get("choices", ())),
            "when": _condition(spec.get("when")),
        }
        for key, spec in searched(space).items()
    ]


def lacks(spec: object) -> str | None:
    """Return what a parameter's entry lacks, None when it is usable."""
    if _derived(spec):
        return None
    kind = spec.get("type") if isinstance(spec, dict) else None
    if not isinstance(spec, dict) or kind not in ("float", "int", "categorical"):
        return "a type (float, int, categorical or expr)"
    if kind == "categorical":
        return None if isinstance(spec.get("choices"), list) else "choices"
    low, high = number(spec.get("low")), number(spec.get("high"))
    usable = -math.inf < low <= high < math.inf and (low > 0 or not spec.get("log"))
    return None if usable else "finite low <= high, above 0 where log is true"


def _derived(spec: object) -> bool:
    return isinstance(spec, dict) and (spec.get("type") == "expr" or "expr" in spec)


def _options(wanted: object) -> list[Any]:
    return list(wanted) if isinstance(wanted, list | tuple) else [wanted]


def _among(value: object, wanted: object) -> bool:
    # 1 == True in Python, but not in a sweep.
    flag = isinstance(value, bool)
    return any(value == o and flag == isinstance(o, bool) for o in _options(wanted))


def _condition(conditions: object) -> str:
    return ", ".join(_clauses(conditions)) if isinstance(conditions, Mapping) else ""


def _clauses(conditions: Mapping[str, Any]) -> Iterator[str]:
    for key, wanted in conditions.items():
        yield f"{key} = {' or '.join(str(option) for option in _options(wanted))}"
