"""W&B's `early_terminate` as a pruner of ours.

W&B counts evaluations where a pruner here counts updates. When it looks is told in
github.com/wandb/sweeps, src/sweeps/hyperband_stopping.py.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from tinygpt import wording
from tinygpt.schema import ConfigError, Problem

OPTIONS = ("type", "min_iter", "max_iter", "eta", "s", "strict")
LEAST = {"min_iter": 1, "max_iter": 1, "eta": 2, "s": 1}
DEFAULT_ETA = 3


def pruner(options: object, interval: int) -> tuple[dict[str, Any], dict[str, str]]:
    """The pruner for W&B's options, an evaluation every `interval` updates; and the option that
    each of its keys comes from.

    Raises ConfigError with everything that cannot be mapped, its paths beginning at the options.
    """
    if not isinstance(options, Mapping):
        rule = f"must be a mapping of keys, got {wording.shown(options)}"
        raise ConfigError([Problem((), f"{rule}; write {{type: hyperband, min_iter: 3}}")])
    if problems := [*_bad_options(options), *_bad_numbers(options), *_bad_choice(options)]:
        raise ConfigError(problems)
    first = "min_iter" if "min_iter" in options else "s"
    made = {
        "type": ("hyperband", "type"),
        "min_resource": (first_look(options) * interval, first),
        "reduction_factor": (int(options.get("eta", DEFAULT_ETA)), "eta"),
    }
    if "max_iter" in options:
        made["max_resource"] = (int(options["max_iter"]) * interval, "max_iter")
    keys = {key: value for key, (value, _) in made.items()}
    return keys, {key: option for key, (_, option) in made.items() if option in options}


def first_look(options: Mapping[str, Any]) -> int:
    """The evaluation at which W&B first stops runs."""
    if "min_iter" in options:
        return int(options["min_iter"])
    eta, last = int(options.get("eta", DEFAULT_ETA)), int(options["max_iter"])
    looks = [last // eta**look for look in range(1, min(int(options["s"]), 64) + 1)]
    return min((look for look in looks if look >= 1), default=1)


def _bad_options(options: Mapping[str, Any]) -> Iterator[Problem]:
    kind = options.get("type")
    if kind != "hyperband":
        where = ("type",) if "type" in options else ()
        yield Problem(where, f"must have type hyperband, got {wording.shown(kind)}")
    for key in options:
        if key not in OPTIONS:
            yield Problem((key,), f"unknown key{wording.suggestion(key, OPTIONS)}")


def _bad_numbers(options: Mapping[str, Any]) -> Iterator[Problem]:
    for key, least in LEAST.items():
        value = options.get(key, least)
        whole = isinstance(value, int | float) and value % 1 == 0
        if isinstance(value, bool) or not whole or value < least:
            rule = f"must be a whole number >= {least}, got {wording.shown(value)}"
            yield Problem((key,), rule)


def _bad_choice(options: Mapping[str, Any]) -> Iterator[Problem]:
    if ("min_iter" in options) == ("max_iter" in options):
        yield Problem((), "must have either min_iter, the first look, or max_iter, after the last")
    elif "max_iter" in options and "s" not in options:
        yield Problem((), "the key 's' is missing: how often to look before max_iter")
