"""The distributions of W&B's sweep files as parameters of ours.

W&B's draws are those of github.com/wandb/sweeps, src/sweeps/params.py. A quantised draw is rounded
to a multiple of q there; here it is one of low, low + step, …, high.
"""

import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from tinygpt import config, wording
from tinygpt.schema import ConfigError, Problem

ADVICE = "give it `value`, `values`, or `min` and `max`"
OPTIONS = {
    "constant": ("value",),
    "categorical": ("values",),
    "int_uniform": ("min", "max"),
    "uniform": ("min", "max"),
    "q_uniform": ("min", "max", "q"),
    "log_uniform": ("min", "max"),
    "log_uniform_values": ("min", "max"),
    "q_log_uniform": ("min", "max", "q"),
    "q_log_uniform_values": ("min", "max", "q"),
    "inv_log_uniform": ("min", "max"),
    "inv_log_uniform_values": ("min", "max"),
}
"""What may be said of each distribution that has a counterpart; all but q must be."""
MAX_LOGARITHM = 700
UNBOUNDED = ("normal", "q_normal", "log_normal", "q_log_normal")
REFUSED = (*UNBOUNDED, "beta", "q_beta", "categorical_w_probabilities")


@dataclass(frozen=True)
class Drawn:
    """A parameter in our words, which key of W&B's each of its keys comes from, and what W&B
    says, in short."""

    parameter: dict[str, Any]
    sources: dict[str, str]
    words: str


def drawn(entry: Mapping[str, Any], key: str) -> Drawn:
    """W&B's `entry` for the run key `key`, which is not a constant.

    Raises ConfigError with everything that cannot be mapped, its paths beginning at the entry.
    """
    name = distribution(entry)
    if found := list(_problems(entry, name)):
        raise ConfigError(found)
    made = _categorical(entry) if name == "categorical" else _numeric(entry, name)
    if made.parameter["type"] == "float" and takes_whole(key):
        where = ("distribution",) if "distribution" in entry else ()
        whole = "int_uniform" if name in ("uniform", "q_uniform") else "q_log_uniform_values"
        rule = f"draws real numbers, but {key} is a whole one; use distribution: {whole}"
        raise ConfigError([Problem(where, f"{rule}, with whole bounds")])
    return made


def constant(entry: Mapping[str, Any]) -> Any:
    """The value of W&B's `entry`, which is a constant; raises ConfigError as `drawn` does."""
    if found := list(_problems(entry, "constant")):
        raise ConfigError(found)
    return entry["value"]


def distribution(entry: Mapping[str, Any]) -> str:
    """The distribution that is named, or that W&B takes for such an entry; raises ConfigError."""
    if "distribution" in entry:
        return _named(entry["distribution"])
    if "value" in entry:
        return "constant"
    if "values" in entry:
        return "categorical_w_probabilities" if "probabilities" in entry else "categorical"
    if "min" in entry or "max" in entry:
        whole = all(type(entry.get(end, 0)) is int for end in ("min", "max"))
        return "int_uniform" if whole else "uniform"
    raise ConfigError([Problem((), f"says nothing to draw from; {ADVICE}")])


def _named(name: object) -> str:
    if isinstance(name, str) and name in (*OPTIONS, *REFUSED):
        return name
    near = wording.suggestion(name, OPTIONS)
    rule = f"must be {wording.either(OPTIONS)}, got {wording.shown(name)}{near}"
    raise ConfigError([Problem(("distribution",), rule)])


def takes_whole(key: str) -> bool:
    """Whether a run key holds whole numbers only."""
    hint = config.known_keys()[key]
    return getattr(hint, "__origin__", hint) is int


def _problems(entry: Mapping[str, Any], name: str) -> Iterator[Problem]:
    if name in REFUSED:
        where = ("distribution",) if "distribution" in entry else ("probabilities",)
        yield Problem(where, _way_out(entry, name))
        return
    for key in entry:
        if key not in (*OPTIONS[name], "distribution"):
            near = wording.suggestion(key, OPTIONS[name])
            way = "; use distribution: q_uniform" if key == "q" else ""
            yield Problem((key,), f"means nothing for {name}{near}{way}")
    for key in OPTIONS[name]:
        if key == "values":
            yield from _bad_list(entry)
        elif key == "q":
            yield from _bad_step(entry, name)
        elif key not in entry:
            yield Problem((), f"the key {key!r} is missing, which {name} needs")
        elif key != "value":
            yield from _bad_number(entry, key, name)


def _bad_list(entry: Mapping[str, Any]) -> Iterator[Problem]:
    if "values" not in entry:
        yield Problem((), "the key 'values' is missing, which categorical needs")
    elif not isinstance(entry["values"], list | tuple):
        yield Problem(("values",), f"must be a list, got {wording.shown(entry['values'])}")


def _bad_number(entry: Mapping[str, Any], key: str, name: str) -> Iterator[Problem]:
    value = entry[key]
    if not _is_number(value):
        yield Problem((key,), f"must be a number, got {wording.shown(value)}")
    elif name == "int_uniform" and not float(value).is_integer():
        yield Problem((key,), f"must be a whole number for int_uniform, got {value:g}")
    elif _is_logarithm(name) and abs(value) > MAX_LOGARITHM:
        rule = f"is a natural logarithm for {name}, and e to the {value:g} is no number"
        yield Problem((key,), f"{rule}; use {name}_values, whose bounds are the values themselves")


def _bad_step(entry: Mapping[str, Any], name: str) -> Iterator[Problem]:
    q = entry.get("q", 1)
    if not _is_number(q) or q <= 0:
        yield Problem(("q",), f"must be a number > 0, got {wording.shown(q)}")
    elif name != "q_uniform" and q != 1:
        yield Problem(("q",), "a logarithmic parameter has no steps but 1 here; use `values`")
    elif name == "q_uniform":
        for end in ("min", "max"):
            value = entry.get(end)
            if _is_number(value) and not _is_multiple(value, q):
                near = (math.ceil if end == "min" else math.floor)(value / q) * q
                rule = f"must be a multiple of q ({q:g}), to which W&B rounds; got {value:g}"
                yield Problem((end,), f"{rule}, use {near:g}")


def _is_number(value: object) -> TypeGuard[float]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= sys.float_info.max


def _is_multiple(value: float, q: float) -> bool:
    return math.isclose(round(value / q) * q, value, rel_tol=1e-9, abs_tol=1e-9 * q)


def _is_logarithm(name: str) -> bool:
    return "log_" in name and not name.endswith("_values")


def _way_out(entry: Mapping[str, Any], name: str) -> str:
    """Why a distribution has no counterpart, and what to write for it."""
    if name == "categorical_w_probabilities":
        return "choices are equally likely here; leave out the probabilities and the distribution"
    if name not in UNBOUNDED:
        return f"{name} has no counterpart here; use uniform, with min: 0.0 and max: 1.0"
    mu, sigma = entry.get("mu", 0.0), entry.get("sigma", 1.0)
    use = "log_uniform_values" if "log" in name else "uniform"
    try:
        ends = [mu - 2 * sigma, mu + 2 * sigma]
        low, high = map(math.exp, ends) if "log" in name else ends
        bounds = f"min: {low:g} and max: {high:g}"
    except (TypeError, ValueError, OverflowError):
        bounds = "min and max two sigma around mu"
    return f"{name} has no bounds, which a search here needs; use {use}, with {bounds}"


def _categorical(entry: Mapping[str, Any]) -> Drawn:
    choices = list(entry["values"])
    sources = {"choices": "values"} | ({"type": "distribution"} if "distribution" in entry else {})
    return Drawn({"type": "categorical", "choices": choices}, sources, f"{len(choices)} values")


def _numeric(entry: Mapping[str, Any], name: str) -> Drawn:
    inverse = name == "inv_log_uniform"
    low, high = ("max", "min") if inverse else ("min", "max")
    sources = {"low": low, "high": high}
    ends = {ours: _value(entry[theirs], name, inverse) for ours, theirs in sources.items()}
    parameter = {"type": "float", **ends}
    if "log_" in name:
        parameter["log"] = True
    if name == "q_uniform":
        parameter["step"] = entry.get("q", 1)
        sources["step"] = "q" if "q" in entry else "distribution"
    if _is_whole(parameter, name):
        parameter = {k: round(v) if type(v) is float else v for k, v in parameter.items()}
        parameter["type"] = "int"
    if "distribution" in entry:
        sources |= {"type": "distribution", "log": "distribution"}
    told = f"{name} {entry['min']:g}..{entry['max']:g}"
    return Drawn(parameter, {ours: sources[ours] for ours in parameter if ours in sources}, told)


def _value(bound: float, name: str, inverse: bool) -> float:
    if not _is_logarithm(name):
        return bound if name == "int_uniform" or name.startswith("q_") else float(bound)
    return math.exp(-bound if inverse else bound)


def _is_whole(parameter: Mapping[str, Any], name: str) -> bool:
    """Whether W&B draws whole numbers: it rounds to multiples of q, which is 1 by default."""
    numbers = [parameter[key] for key in ("low", "high", "step") if key in parameter]
    in_whole_steps = name == "q_uniform" and all(float(number).is_integer() for number in numbers)
    return name == "int_uniform" or name.startswith("q_log") or in_whole_steps
