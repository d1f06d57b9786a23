"""The frame of a finding as a table of text, by the units that its columns are named with."""

from collections.abc import Callable
from typing import Any

import pandas as pd

from analysis import formats
from analysis.finding import Finding
from analysis.frames import missing, number
from analysis.tables import Table

SHARES = ("share", "probability")
WORDS = frozenset({"str", "object", "category", "boolean", "bool"})


def table(finding: Finding, limit: int) -> Table:
    """Return the first `limit` rows of a finding as text; rows about trials know which."""
    rows = finding.frame.head(limit)
    columns = [str(name) for name in rows.columns]
    texts = [tuple(map(_text(name), rows[name])) for name in columns]
    trials = _trials(rows) if "trial" in columns else ()
    heads = tuple(_head(name) for name in columns)
    left = frozenset(
        head
        for head, name in zip(heads, columns, strict=True)
        if str(rows[name].dtype) in WORDS or "datetime" in str(rows[name].dtype)
    )
    return Table(heads, tuple(zip(*texts, strict=True)), left, trials)


def _trials(rows: pd.DataFrame) -> tuple[int, ...]:
    return () if rows["trial"].isna().any() else tuple(int(trial) for trial in rows["trial"])


def _head(name: str) -> str:
    for ending in ("_nats", "_s"):
        if name.endswith(ending):
            name = name[: -len(ending)]
    return name.replace("_", " ")


def _text(name: str) -> Callable[[Any], str]:
    if name.endswith("_nats") or name == "value":
        return lambda value: formats.loss(number(value))
    if name.endswith("_s"):
        return lambda value: formats.duration(number(value))
    if name.endswith(SHARES) or name.startswith("p_"):
        return lambda value: formats.percent(number(value))
    if name in ("tokens", "flops", "parameters", "memory") or name.endswith("_tokens"):
        return formats.count
    return _plain


def _plain(value: object) -> str:
    if missing(value):
        return formats.MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, pd.Timestamp):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return formats.setting(value)
