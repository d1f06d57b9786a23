"""A sweep that promotes its trials, judged by how far they came: few of them are ever complete."""

import math
from dataclasses import replace

import pandas as pd

from analysis.load import Sweep
from analysis.records import at

ENOUGH = 10
"""Complete trials from which these alone are judged."""
NOTE = " Trials are judged by how far they were promoted, then by their loss there."


def promoted(sweep: Sweep) -> tuple[Sweep, str]:
    """Return the sweep to judge parameters by, and what a reader must know of it, "" for nothing.

    Where the pruner is halving and fewer than ENOUGH trials are complete, every trial that ended
    with a loss counts as complete, and its value and rank are its place: complete trials by rank,
    then those that came to a later step, then those with the lower loss at it.
    """
    trials = sweep.trials
    whole = trials["state"] == "complete"
    if at(sweep.meta, "pruner.type") != "halving" or whole.sum() >= ENOUGH:
        return sweep, ""
    ended = whole | ((trials["state"] == "pruned") & (trials["val_last_nats"].abs() < math.inf))
    order = (
        trials[ended]
        .assign(far=-trials["step"].astype("float64"))
        .sort_values(["rank", "far", "val_last_nats", "trial"], na_position="last")
    )
    counted = pd.Series(range(1, len(order) + 1), index=order.index, dtype="float64")
    places = counted.reindex(trials.index)
    judged = trials.assign(
        state=trials["state"].mask(ended, "complete"),
        rank=places.astype("Int64"),
        value=places if sweep.minimize else -places,
    )
    return replace(sweep, trials=judged), NOTE
