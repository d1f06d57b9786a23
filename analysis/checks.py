"""Checks: what a reader should know before acting on the verdict."""

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd

from analysis import space, stats
from analysis.finding import Check
from analysis.formats import listed, measure, setting
from analysis.frames import missing, number
from analysis.load import Sweep
from analysis.records import at

OUTER = 0.1
"""Share of a range at either end that counts as its edge."""
CLEAR = 2
"""Standard errors from which a difference is more than chance, about."""
TOLERATED_FAILURES = 0.2
"""Share of failed trials from which the space itself is in doubt."""


def run_checks(sweep: Sweep) -> list[Check]:
    """Return every check on `sweep`, in reading order."""
    return [
        done(sweep),
        completed(sweep),
        noise(sweep),
        failures(sweep),
        edge(sweep),
        versions(sweep),
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
        f"Run the sweep's command again: it goes on where it stopped{_unless(sweep)}.",
    )


def completed(sweep: Sweep) -> Check:
    """Is there anything to rank?"""
    counted = stats.counts(sweep.trials, 0)
    if counted["complete"]:
        trained = sum(counted.values()) - counted["duplicate"]
        again = f" {counted['duplicate']} more took another's result." * bool(counted["duplicate"])
        evidence = f"{counted['complete']} of {trained} trials are complete.{again}"
        return Check("completed", "ok", evidence)
    warms_up = at(sweep.meta, "pruner.n_warmup_steps") is not None
    later = f"Let the pruner start later{' (n_warmup_steps)' if warms_up else ''}."
    action = later if counted["pruned"] else ""
    return Check("completed", "fail", "No trial is complete, so nothing can be ranked.", action)


def noise(sweep: Sweep) -> Check:
    """Is a difference between two trials larger than that between two seeds?"""
    table = sweep.configurations
    spread = stats.seed_noise(table)
    if not math.isfinite(spread):
        return Check(
            "noise",
            "unknown",
            "Each configuration was trained with one seed, so small differences may be chance.",
            "Before trusting a small margin, train the leaders again with another seed.",
        )
    is_loss = sweep.ranking.loss
    between = f"Between seeds the standard deviation is {measure(spread, is_loss)}"
    if len(table) < 2:
        return Check("noise", "unknown", f"{between}; there is no other configuration.")
    margin, error = abs(table["delta"].iloc[1]), spread * math.sqrt((1 / table["n"][:2]).sum())
    evidence = (
        f"{between}, pooled over the configurations; the second best mean is "
        f"{measure(margin, is_loss)} away, and the standard error of that difference is "
        f"{measure(error, is_loss)}."
    )
    if margin > CLEAR * error:
        return Check("noise", "ok", evidence)
    return Check("noise", "warn", evidence, "Either may be the better one; add seeds to tell.")


def failures(sweep: Sweep) -> Check:
    """Do so many trials fail that the space itself is in doubt?"""
    trials = sweep.trials[~sweep.trials["state"].isin(["unfinished", "duplicate"])]
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


def versions(sweep: Sweep) -> Check:
    """Did all trials come from the file as it is now?"""
    numbers = sweep.trials["trial"]
    came = [
        _numbers(begun)
        for version in space.versions(sweep.meta)
        if len(begun := numbers[numbers.between(version.first, version.until - 1)])
    ]
    if not came:
        return Check("versions", "ok", "All trials came from the file as it is.")
    whose = "an earlier version" if len(came) == 1 else "earlier versions"
    who = listed(came)
    many = "-" in who or len(came) > 1
    evidence = f"Trial{'s' if many else ''} {who} came from {whose} of the file."
    return Check("versions", "info", evidence)


def record(sweep: Sweep) -> Check:
    """Could every file be read?"""
    if not sweep.unreadable:
        return Check("record", "ok", "Every file could be read.")
    files = ", ".join(sweep.unreadable)
    action = "Restore them; what they held is missing here."
    return Check("record", "warn", f"Could not be read: {files}.", action)


def _unless(sweep: Sweep) -> str:
    limits = ("budget.time", "budget.tokens", "budget.flops", "max_disk")
    limited = any(at(sweep.meta, key) is not None for key in limits)
    return ", unless its budget is spent" if limited else ""


def _numbers(trials: "pd.Series[int]") -> str:
    low, high = trials.min(), trials.max()
    return str(low) if low == high else f"{low}-{high}"


def _edges(parameters: pd.DataFrame, trial: "pd.Series[Any]") -> Iterator[str]:
    for row in parameters.to_dict("records"):
        value = trial[f"p.{row['parameter']}"]
        where = None if missing(value) else _position(row, value)
        if where is None or OUTER < where < 1 - OUTER:
            continue
        end = "low" if where <= OUTER else "high"
        if row[end] != row[f"hard_{end}"]:  # An end that may not be moved is no advice.
            yield f"{row['parameter']} = {setting(value)} ({end}est tenth)"


def _position(row: dict[Any, Any], value: Any) -> float | None:
    """Where a value lies in its range, None where there is no order or no inside."""
    if row["type"] != "categorical":
        value, low, high = number(value), row["low"], row["high"]
        inside = math.isfinite(value) and low <= value <= high and low < high
        return stats.position(value, low, high, row["log"]) if inside else None
    choices = row["choices"]
    numeric = all(isinstance(c, int | float) and not isinstance(c, bool) for c in choices)
    if not numeric or len(set(choices)) < 3 or value not in choices:
        return None
    return sorted(set(choices)).index(value) / (len(set(choices)) - 1)
