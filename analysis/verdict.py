"""The verdict: which trial to use, and how it compares."""

import math
import shlex
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis import certainty, noise, stats
from analysis.certainty import Certainty
from analysis.findings.confirmation import standing
from analysis.formats import listed, loss, measure
from analysis.load import Sweep

BASELINE = 0
UNSURE = "One seed each: how sure is not known yet."
ALONE = "There is nothing to rank it with."


@dataclass(frozen=True)
class Verdict:
    """One sentence or a few, and the winner's number (None while no trial is complete).

    `ties` are the trials that are not told apart from it; `low` and `high` the 95 % interval of
    its mean over seeds, NaN while unknown; `confirmed` counts its runs with fresh seeds.
    """

    sentence: str
    winner: int | None
    ties: tuple[int, ...] = ()
    low: float = math.nan
    high: float = math.nan
    confirmed: int = 0


def judge(sweep: Sweep) -> Verdict:
    """Return the verdict on a sweep in any state.

    It rests on runs with fresh seeds once the search's best has some: then the winner is the
    configuration with the best mean among those with the most of them.
    """
    best, measured = stats.winner(sweep.trials), noise.measured(sweep)
    if best is None:
        return Verdict(_without_winner(sweep), None)
    table = standing(sweep, measured)
    if len(table):
        return _on_confirmed(sweep, table, best)
    sure = certainty.of_search(sweep, measured)
    parts = _on_configuration(sweep, sure) if sweep.replicates > 1 else _on_trial(sweep, best, sure)
    said = [*parts, *_lucky(sweep, sure), *_outside(sweep, best), *_front(sweep)]
    return Verdict(" ".join(said), best, sure.ties, sure.low, sure.high)


def _on_confirmed(sweep: Sweep, table: pd.DataFrame, first: int) -> Verdict:
    """The verdict on fresh seeds alone; `first` is who was the best of the search."""
    row, sure = table.iloc[0], certainty.of_fresh(table)
    best, n, mean = int(row["trial"]), int(row["n"]), float(row["mean"])
    between, luck = (part(sure, sweep.ranking.loss) for part in (certainty.between, certainty.luck))
    seeds = f" over {n} fresh seed{'s' if n > 1 else ''}"
    value = f"{_value(sweep, mean)}{between}{seeds}{_fresh_baseline(sweep, table)}"
    said = [
        f"Trial {best}{_if_baseline(best)} {_verb(sweep)}: {value}{certainty.tied(sure.ties)}.",
        *([f"Its search value was {luck}."] if luck else []),
        *([] if sure.known else ["One fresh seed each: how sure is not known yet."]),
        *([] if best == first else [f"The search had trial {first} first."]),
        *_outside(sweep, best),
        *_front(sweep),
    ]
    return Verdict(" ".join(said), best, sure.ties, sure.low, sure.high, n)


def _fresh_baseline(sweep: Sweep, table: pd.DataFrame) -> str:
    best, base = table.iloc[0], table.loc[table["trial"] == BASELINE, "mean"]
    if best["trial"] == BASELINE:
        return ""
    if base.empty:
        return f" (the baseline, trial {BASELINE}, has no fresh run to compare with)"
    return _compared(sweep, float(best["mean"] - base.iloc[0]), "the baseline")


def _lucky(sweep: Sweep, sure: Certainty) -> list[str]:
    luck = certainty.luck(sure, sweep.ranking.loss)
    return [f"It was picked for that, and so it looks about {luck}."] if luck else []


def _on_trial(sweep: Sweep, best: int, sure: Certainty) -> list[str]:
    row = sweep.trial(best)
    who = f"trial {best}{_if_baseline(best)}"
    value = f"{_value(sweep, float(row['value']))}{certainty.between(sure, sweep.ranking.loss)}"
    if best != BASELINE:
        value += _compared(sweep, float(row["delta_baseline"]), "the baseline")
    if len(stats.leaders(sweep.trials)) == 1:
        return _alone(sweep, who, value)
    said = f"{_capital(who)} {_verb(sweep)}: {value}{certainty.tied(sure.ties)}."
    return [said, "It has no fresh run yet." if sure.known else UNSURE]


def _alone(sweep: Sweep, who: str, value: str) -> list[str]:
    """The verdict where one trial alone is complete: others were pruned, or are still to come."""
    pruned = stats.counts(sweep.trials, sweep.meta["trials"])["pruned"]
    if _over(sweep) and pruned:
        others = "The other trial was" if pruned == 1 else f"The other {pruned} were"
        return [f"{_capital(who)} {_verb(sweep)}: {value}.", f"{others} pruned on the way."]
    return [f"Only {who} is complete{'' if _over(sweep) else ' so far'}: {value}.", ALONE]


def _on_configuration(sweep: Sweep, sure: Certainty) -> list[str]:
    table = sweep.configurations
    best = table.iloc[0]
    trials = f"trial{'s' if best['n'] > 1 else ''} {listed(best['trials'])}"
    who = f"the configuration of {trials}{_if_baseline(best['configuration'])}"
    between = certainty.between(sure, sweep.ranking.loss)
    value = f"mean {_value(sweep, float(best['mean']))}{between}"
    if best["configuration"] != BASELINE:
        value += _compared(sweep, float(best["delta_baseline"]), "the baseline's mean")
    if len(table) == 1:
        return [f"Only {who} has a complete trial so far: {value}.", _spread(sweep, best), ALONE]
    later = "Those with one complete seed come after it, whatever its loss."
    fewer = [later] if (table["n"] < min(best["n"], 2)).any() else []
    said = f"{_capital(who)} {_verb(sweep)}: {value}{certainty.tied(sure.ties)}."
    return [said, _spread(sweep, best), *fewer]


def _spread(sweep: Sweep, best: "pd.Series[Any]") -> str:
    if best["n"] == 1:
        return f"That is one seed of {sweep.replicates}: how sure is not known yet."
    part = "" if best["n"] >= sweep.replicates else f" of {sweep.replicates}"
    deviation = measure(float(best["sd"]), sweep.ranking.loss)
    return f"Over {best['n']}{part} seeds the standard deviation is {deviation}."


def _outside(sweep: Sweep, best: int) -> list[str]:
    outside = sweep.meta.get("outside")
    if not isinstance(outside, list) or best not in outside:
        return []
    return ["It is of an earlier version of the file and lies outside of the space as it is now."]


def _if_baseline(number: int) -> str:
    return ", the baseline," if number == BASELINE else ""


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _front(sweep: Sweep) -> list[str]:
    if len(sweep.objectives) == 1:
        return []
    count = len(sweep.front)
    names = listed([objective.metric for objective in sweep.objectives])
    who = "1 trial is" if count == 1 else f"{count} trials are"
    return [f"{who} on the front of {names}: see the trade-offs."]


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


def _verb(sweep: Sweep) -> str:
    verb = "is best" if len(sweep.objectives) == 1 else f"has the best {sweep.metric}"
    done = _over(sweep) and not (sweep.confirmed["state"] == "unfinished").any()
    return verb if done else f"{verb} so far"


def _value(sweep: Sweep, value: float) -> str:
    return f"{measure(value, sweep.ranking.loss)} {sweep.ranking.unit or sweep.metric}"


def _compared(sweep: Sweep, delta: float, whom: str) -> str:
    if not math.isfinite(delta):
        return f" (the baseline, trial {BASELINE}, is not complete: nothing to compare with)"
    if delta == 0:
        return f", the same as {whom} (trial {BASELINE})"
    side = "below" if delta < 0 else "above"
    return f", {measure(abs(delta), sweep.ranking.loss)} {side} {whom} (trial {BASELINE})"


def _without_winner(sweep: Sweep) -> str:
    counted = stats.counts(sweep.trials, 0)
    if not len(sweep.trials):
        return "No winner: no trial has started."
    if counted["failed"] == len(sweep.trials) - counted["duplicate"]:
        return "No winner: every trial failed."
    seen = sweep.trials[sweep.trials["val_last_nats"].abs() < math.inf]
    head = "No winner: every trial was pruned." if _over(sweep) else "No winner yet."
    if seen.empty:
        return f"{head} No trial is complete."
    low = seen.sort_values(["val_last_nats", "trial"]).iloc[0]
    lowest = f"{loss(low['val_last_nats'])} (trial {low['trial']} at step {low['step']})"
    return f"{head} The lowest validation loss on record is {lowest}."
