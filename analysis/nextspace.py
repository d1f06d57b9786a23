"""The file of the next sweep: this one's, over the ranges that its trials speak for."""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from analysis import space, stats
from analysis.finding import Finding
from analysis.frames import missing
from analysis.load import Sweep
from analysis.records import at

Changes = dict[str, tuple[dict[str, Any], str]]
"""What changes of each parameter, by its words in the file, and why."""

KEYS = (
    "trials",
    "max_concurrent",
    "objective",
    "sampler",
    "pruner",
    "replicates",
    "constraints",
    "budget",
    "max_retries",
    "worker_timeout",
    "max_disk",
    "devices",
    "run",
)
"""What the next sweep takes over as it is."""
WIDTHS = ("model.d_model", "model.d_head")
"""The first of them must be a multiple of the second (tinygpt/config.py)."""
NAME_LENGTH = 64
PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf"})


def text(sweep: Sweep, finding: Finding) -> str:
    """Return the file, which runs as it is: `finding` is what findings/space.py says of `sweep`.

    Without advice it is the same search with another seed.
    """
    changed = _fitting(sweep.meta, _changes(finding))
    searched = _searched(sweep.meta["space"], changed)
    name = f"{sweep.name[: NAME_LENGTH - len('-next')]}-next"
    seed = int(sweep.meta.get("seed") or 0) + (0 if changed else 1)
    lines = [_about(sweep, changed), f"name: {_scalar(name)}", f"seed: {seed}"]
    taken = {key: value for key in KEYS if (value := _given(sweep.meta.get(key))) is not None}
    lines += [line for key, value in taken.items() for line in _block(key, value, 0)]
    lines += _space(searched, changed)
    lines += _enqueue(sweep, searched)
    # Nothing is left out here: a ttl_days of null is not the default.
    lines += _block("wandb", sweep.meta.get("wandb") or {}, 0)
    return "\n".join(lines) + "\n"


def fragment(finding: Finding) -> str:
    """Return the changed parameters as they stand in a file, "" if there is no advice."""
    changed = _changes(finding)
    rows = [f"  {key}: {_flow(_whole(change))}" for key, (change, _) in changed.items()]
    return "\n".join(["space:", *rows, ""]) if rows else ""


def _whole(change: Mapping[str, Any]) -> dict[str, Any]:
    """The ends without a point where they are whole, which suits every type."""
    return {
        name: int(end) if isinstance(end, float) and end.is_integer() else end
        for name, end in change.items()
    }


def _changes(finding: Finding) -> Changes:
    """What changes of each parameter, and why."""
    found: Changes = {}
    for row in finding.frame.to_dict("records"):
        change = {
            name: row[f"new_{name}"]
            for name in ("low", "high", "choices")
            if not missing(row[f"new_{name}"])
        }
        if change:
            found[str(row["parameter"])] = (change, str(row["evidence"]))
    return found


def _fitting(meta: Mapping[str, Any], changed: Changes) -> Changes:
    """The changes without those after which a width is no multiple of a head's, if all were."""
    if _divides(meta, {}) and not _divides(meta, changed):
        said = "as it was: widths have to be multiples of model.d_head"
        return changed | {key: ({}, said) for key in WIDTHS if key in changed}
    return changed


def _divides(meta: Mapping[str, Any], changed: Changes) -> bool:
    """Whether every width is a multiple of every head's, as far as they are searched by number."""
    searched = _searched(space.searched(meta["space"]), changed)
    widths, heads = (_values(meta, searched, key) for key in WIDTHS)
    return all(width % head == 0 for width in widths for head in heads)


def _values(meta: Mapping[str, Any], searched: Mapping[str, Any], key: str) -> Sequence[int]:
    """The values of a whole number; none where it follows from others."""
    spec = searched.get(key)
    if spec is None:
        shared = at(meta, f"run.{key}")
        return [shared] if isinstance(shared, int) and key not in meta["space"] else []
    if spec["type"] == "categorical":
        return list(spec["choices"])
    return range(spec["low"], spec["high"] + 1, spec.get("step", 1))


def _about(sweep: Sweep, changed: Changes) -> str:
    what = "where its trials say that the ranges end too early or reach too far"
    same = "with another seed: its trials give no reason to change a range"
    return f"# The sweep {_one_line(sweep.name)} again, {what if changed else same}."


def _searched(meta: Mapping[str, Any], changed: Changes) -> dict[str, dict[str, Any]]:
    """The space with its changes; whole numbers stay whole."""
    found = {}
    for key, spec in meta.items():
        new = {name: _like(spec, value) for name, value in changed.get(key, ({}, ""))[0].items()}
        found[key] = {name: v for name, v in {**spec, **new}.items() if v not in (None, {}, "")}
        if found[key].get("log") is False:
            del found[key]["log"]
    return found


def _like(spec: Mapping[str, Any], value: Any) -> Any:
    if spec.get("type") == "int":
        return round(value)
    return list(value) if isinstance(value, tuple) else value


def _space(searched: Mapping[str, Any], changed: Changes) -> Iterator[str]:
    yield "space:"
    for key, spec in searched.items():
        if key in changed:
            yield f"  # {_one_line(changed[key][1])}"
        yield f"  {_scalar(key)}: {_flow(spec)}"


def _enqueue(sweep: Sweep, searched: Mapping[str, Any]) -> Iterator[str]:
    """The baseline's parameters and the winner's, as far as they lie in the space."""
    entries: dict[str, str] = {}
    for who, number in (("the baseline", 0), ("the winner", stats.winner(sweep.trials))):
        for _, row in sweep.trials[sweep.trials["trial"] == number].iterrows():
            entry = _parameters(row, searched)
            if entry and _inside(entry, searched):
                entries.setdefault(_flow(entry), who)
    if entries:
        yield f"enqueue: # {', then '.join(entries.values())}"
    for written in entries:
        yield f"  - {written}"


def _parameters(row: "pd.Series[Any]", searched: Mapping[str, Any]) -> dict[str, Any]:
    keys = [key for key in space.searched(searched) if not missing(row.get(f"p.{key}"))]
    return {key: _python(row[f"p.{key}"]) for key in keys}


def _inside(entry: Mapping[str, Any], searched: Mapping[str, Any]) -> bool:
    return all(_holds(searched[key], value) for key, value in entry.items())


def _holds(spec: Mapping[str, Any], value: Any) -> bool:
    if spec["type"] == "categorical":
        return value in spec["choices"]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    low, high, step = float(spec["low"]), float(spec["high"]), float(spec.get("step") or 0)
    steps = (value - low) / step if step else 0.0
    return low <= value <= high and abs(steps - round(steps)) < 1e-6


def _python(value: Any) -> Any:
    """A value without what numpy adds to it."""
    return value.item() if hasattr(value, "item") else value


def _given(value: Any) -> Any:
    """A value without the parts that say nothing; None if nothing is left."""
    if isinstance(value, Mapping):
        parts = {key: part for key, one in value.items() if (part := _given(one)) is not None}
        return parts or None
    if isinstance(value, list | tuple):
        return list(value) or None
    return None if value == "" else value


def _block(key: str, value: Any, depth: int) -> Iterator[str]:
    """A key and its value, nested mappings on lines of their own where they are deep."""
    head = f"{'  ' * depth}{_scalar(key)}:"
    if isinstance(value, Mapping) and any(isinstance(part, Mapping) for part in value.values()):
        yield head
        for name, part in value.items():
            yield from _block(name, part, depth + 1)
    else:
        yield f"{head} {_flow(value)}"


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_scalar(key)}: {_flow(part)}" for key, part in value.items())
        return f"{{{inner}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_flow(part) for part in value)}]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    """A scalar of YAML; texts are quoted unless they are words that nothing else is written as."""
    if isinstance(value, str):
        plain = PLAIN.fullmatch(value) and value.lower() not in WORDS
        return value if plain else _quoted(value)
    if isinstance(value, float):
        return _real(value)
    return json.dumps(value)


def _quoted(words: str) -> str:
    """A text between quotes, as YAML escapes what cannot be printed."""
    shown = json.dumps(words, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08X}" for c in shown)


def _real(value: float) -> str:
    if not math.isfinite(value):
        return f"{'-' * (value < 0)}.{'nan' if math.isnan(value) else 'inf'}"
    written = repr(value)
    # YAML takes a number without a point before its exponent for a text.
    return written.replace("e", ".0e") if "e" in written and "." not in written else written


def _one_line(words: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in words).split())
