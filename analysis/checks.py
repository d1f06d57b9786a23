"""Checks: what a reader should know before acting on the verdict."""

import pandas as pd

from analysis import space, stats
from analysis.finding import Check
from analysis.formats import listed
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
