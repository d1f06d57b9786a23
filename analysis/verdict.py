"""The verdict: which trial to use, and how it compares."""

import math
import shlex
from dataclasses import dataclass

from analysis import stats
from analysis.formats import loss
from analysis.load import Sweep

BASELINE = 0


@dataclass(frozen=True)
class Verdict:
    """One sentence or a few, and the winner's number (None while no trial is complete)."""

    sentence: str
    winner: int | None


def judge(sweep: Sweep) -> Verdict:
    """Return the verdict on a sweep in any state."""
    best = stats.winner(sweep.trials)
    if best is None:
        return Verdict(_without_winner(sweep), None)
    if len(stats.leaders(sweep.trials)) == 1:
        who = f"trial {best}, the baseline," if best == BASELINE else f"trial {best}"
        head = f"Only {who} is complete so far: {_value(sweep, best)}{_compared(sweep, best)}."
        return Verdict(f"{head} There is nothing to rank it with.", best)
    verb = "is best" if _over(sweep) else "is best so far"
    who = f"Trial {best}, the baseline," if best == BASELINE else f"Trial {best}"
    head = f"{who} {verb}: {_value(sweep, best)}{_compared(sweep, best)}."
    return Verdict(f"{head} One seed each: how sure is not known yet.", best)


def unit(metric: str) -> str:
    """Return the unit of an objective, "" when it is not known."""
    return "nats per character" if "loss" in metric else ""


def place(sweep: Sweep, trial: int) -> str:
    """Return a trial's folder for a sweep in the default `--out`, seen from the project's root."""
    return f"runs/{sweep.name}/trials/{trial:04d}"


def reproduce(folder: str, sweep: Sweep, trial: int) -> str:
    """Return the shell command that trains the trial in `folder` again, beside the sweep."""
    config = shlex.quote(f"{folder}/config.json")
    out = shlex.quote(f"{folder.split('/trials/')[0]}-trial-{trial:04d}")
    return f"python -m experiments.run {config} --out {out}"


def generate(folder: str) -> str:
    """Return the shell command that writes text with the trial in `folder`."""
    return f"python -m tinygpt.generate {shlex.quote(folder)}"


def _over(sweep: Sweep) -> bool:
    counted = stats.counts(sweep.trials, sweep.meta["trials"])
    return counted["unfinished"] + counted["not started"] == 0


def _value(sweep: Sweep, trial: int) -> str:
    return f"{loss(sweep.trial(trial)['value'])} {unit(sweep.metric) or sweep.metric}"


def _compared(sweep: Sweep, best: int) -> str:
    if best == BASELINE:
        return ""
    delta = float(sweep.trial(best)["delta_baseline"])
    if not math.isfinite(delta):
        return f" (the baseline, trial {BASELINE}, is not complete: nothing to compare with)"
    if delta == 0:
        return f", the same as the baseline (trial {BASELINE})"
    side = "below" if delta < 0 else "above"
    return f", {loss(abs(delta))} {side} the baseline (trial {BASELINE})"


def _without_winner(sweep: Sweep) -> str:
    counted = stats.counts(sweep.trials, 0)
    if not len(sweep.trials):
        return "No winner: no trial has started."
    if counted["failed"] == len(sweep.trials):
        return "No winner: every trial failed."
    seen = sweep.trials[sweep.trials["val_last_nats"].abs() < math.inf]
    head = "No winner: every trial was pruned." if _over(sweep) else "No winner yet."
    if seen.empty:
        return f"{head} No trial is complete."
    low = seen.sort_values(["val_last_nats", "trial"]).iloc[0]
    lowest = f"{loss(low['val_last_nats'])} (trial {low['trial']} at step {low['step']})"
    return f"{head} The lowest validation loss on record is {lowest}."
