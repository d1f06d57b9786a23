"""What an analysis gives back: an answer, the frame it rests on, and checks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd

from analysis.frames import Schema, frame

Level = Literal["ok", "info", "warn", "fail", "unknown"]
LEVELS: tuple[Level, ...] = ("ok", "info", "unknown", "warn", "fail")
"""Every level, the gravest last."""
LIGHTS = ("noise", "space", "sampling", "feasibility", "length", "pruning")
"""The checks that the verdict shows as lights, in this order."""


@dataclass(frozen=True)
class Check:
    """One finding: its level, what was seen, and what to do about it ("" for nothing).

    `number` is what its light shows, one figure with its unit; `light` is which of LIGHTS it
    belongs to, "" for none.
    """

    id: str
    level: Level
    evidence: str
    action: str = ""
    light: str = ""
    number: str = ""


@dataclass(frozen=True)
class Finding:
    """An answered question.

    `frame` holds exactly the columns of `schema`, also when it is empty; it becomes `id`.csv.
    `known` is False where there is too little data: then `frame` is empty, `answer` says what is
    missing, and no number in it looks like a result. `facts` are single numbers by name, NaN for
    unknown ones.
    """

    id: str
    title: str
    answer: str
    frame: pd.DataFrame
    schema: Schema
    how: str
    checks: tuple[Check, ...] = ()
    known: bool = True
    facts: Mapping[str, float] = field(default_factory=dict)


def unknown(
    id: str, title: str, missing: str, schema: Schema, how: str, *checks: Check, **facts: Any
) -> Finding:
    """Return the finding of a question that the record cannot answer, and what is `missing`."""
    empty = frame([], schema)
    return Finding(id, title, missing, empty, schema, how, tuple(checks), False, facts)
