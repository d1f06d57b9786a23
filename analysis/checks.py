"""Checks: what a reader should know before acting on the verdict."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from analysis import stats
from analysis.formats import setting
from analysis.load import Sweep

Level = Literal["ok", "info", "warn", "fail", "unknown"]
OUTER = 0.1
"""Share of a range at either end that counts as its edge."""
TOLERATED_FAILURES = 0.2
"""Share of failed trials from which the space itself is in doubt."""


@dataclass(frozen=True)
class Check:
    """One finding: its level, what was seen, and what to do about it ("" for nothing)."""

    id: str
    level: Level
    evidence: str
    action: str = ""


def run_checks(sweep: Sweep) -> list[Check]:
    """Return every check on `sweep`, in reading order."""
    return [
        done(sweep),
        completed(sweep),
        noise(sweep),
        failures(sweep),
        edge(sweep),
        record(sweep),
    ]


def done(sweep: Sweep) -> Check:
    """Has every planned trial a result?"""
    counted = stats.counts(sweep.trials, sweep.meta["trials"])
    left = counted["unfinished"] + counted["not started"]
    if not left:
        return Check("done", "ok", f"All {len(sweep.trials)} trials have a result.")
    return Check(
        "done",
        "warn",
        f"{left} of {left + len(sweep.trials) - counted['unfinished']} trials have no result "
        f"({counted['unfinished']} unfinished, {counted['not started']} not started).",
        "Run the sweep's command again: it goes on where it stopped.",
    )


def completed(sweep: Sweep) -> Check:
    """Is there anything to rank?"""
    complete = len(stats.leaders(sweep.trials))
    if complete:
        return Check("completed", "ok", f"{complete} of {len(sweep.trials)} trials are complete.")
    pruned = stats.counts(sweep.trials, 0)["pruned"]
    action = "Let the pruner start later (n_warmup_steps)." if pruned else ""
    return Check("completed", "fail", "No trial is complete, so nothing can be ranked.", action)


def noise(sweep: Sweep) -> Check:
    """Is a difference between two trials larger than that between two seeds?"""
    return Check(
        "noise",
        "unknown",
        "Each configuration was trained with one seed, so small differences may be chance.",
        "Before trusting a small margin, train the leaders again with another seed.",
    )


def failures(sweep: Sweep) -> Check:
    """Do so many trials fail that the space itself is in doubt?"""
    trials = sweep.trials[sweep.trials["state"] != "unfinished"]
    failed = trials.loc[trials["state"] == "failed", "trial"]
    if failed.empty:
        return Check("failures", "ok", "No trial failed.")
    share = len(failed) / len(trials)
    evidence = f"{len(failed)} of {len(trials)} trials failed ({share:.1%})."
    if share == 1:
        return Check("failures", "fail", evidence, "Read the reasons: this is rarely chance.")
    action = "Read the reasons; shrink the range they have in common."
    return Check("failures", "warn" if share > TOLERATED_FAILURES else "info", evidence, action)


def edge(sweep: Sweep) -> Check:
    """Does the winner lie at the end of a range, so that better values may lie outside?"""
    best = stats.winner(sweep.trials)
    if best is None:
        return Check("edge", "unknown", "Without a winner there is no place in the ranges.")
    found = list(_edges(sweep.space, sweep.trial(best)))
    if not found:
        return Check("edge", "ok", f"Trial {best} is not at the edge of any range.")
    evidence = f"Trial {best} lies at the edge of a range: {'; '.join(found)}."
    return Check(
        "edge",
        "info",
        evidence,
        "Better values may lie outside: consider to widen it. One trial is no proof.",
    )


def record(sweep: Sweep) -> Check:
    """Could every file be read?"""
    if not sweep.unreadable:
        return Check("record", "ok", "Every file could be read.")
    files = ", ".join(sweep.unreadable)
    action = "Restore them; what they held is missing here."
    return Check("record", "warn", f"Could not be read: {files}.", action)


def _edges(space: pd.DataFrame, trial: "pd.Series[Any]") -> Iterator[str]:
    for row in space.to_dict("records"):
        value = trial[f"p.{row['parameter']}"]
        where = None if pd.isna(value) else _position(row, value)
        if where is not None and not OUTER < where < 1 - OUTER:
            end = "lowest" if where <= OUTER else "highest"
            yield f"{row['parameter']} = {setting(value)} ({end} tenth)"


def _position(row: dict[Any, Any], value: Any) -> float | None:
    """Where a value lies in its range, None where there is no order or no inside."""
    if row["type"] != "categorical":
        low, high = row["low"], row["high"]
        inside = math.isfinite(value) and low <= value <= high and low < high
        return stats.position(float(value), low, high, row["log"]) if inside else None
    choices = row["choices"]
    numeric = all(isinstance(c, int | float) and not isinstance(c, bool) for c in choices)
    if not numeric or len(set(choices)) < 3 or value not in choices:
        return None
    return sorted(set(choices)).index(value) / (len(set(choices)) - 1)
