"""What did pruning save, and did it cost a winner?"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from analysis import formats, stats
from analysis.finding import Check, Finding
from analysis.findings.curves import Curve, split
from analysis.frames import Column, Schema, frame
from analysis.load import Sweep
from analysis.noise import Noise
from analysis.quantiles import t_cdf
from analysis.records import at

SCHEMA: Schema = {
    "trial": Column("int64", "number of the pruned trial"),
    "step": Column("int64", "step it was pruned at"),
    "loss_nats": Column("float64", "its loss then, on the fixed windows"),
    "predicted_nats": Column("float64", "loss it would have ended with"),
    "error_nats": Column("float64", "standard error of that prediction"),
    "p_better": Column("float64", "probability that it would have beaten the best"),
    "saved_tokens": Column("float64", "characters it was not trained on"),
}
ID, TITLE = "pruning", "What did pruning save, and did it cost a winner?"
HOW = (
    "Saved: what the pruned trials had left of their planned steps. Whether one would have won: "
    "the last loss of the complete trials is regressed on their loss at the step of the prune (at "
    "least eight of them); the prediction's Student t gives the probability to end below the "
    "best. The sum over the pruned trials is the number of winners lost, and errs to the high "
    "side, so at most about that many. The chart shows the rank correlation between the losses at "
    "a step and the last ones among the trials that came to their end; since these are the good "
    "ones, it is too low rather than too high."
)
NEEDED = 8
FORETELLS = 0.7
"""Rank correlation from which the order at a step foretells that at the end."""
COSTLY = 0.5
"""Expected lost winners from which the pruner is in doubt."""


def find(sweep: Sweep, measured: Noise) -> Finding:
    """Return the pruned trials with what they might have become."""
    pruner = at(sweep.meta, "pruner.type") or "none"
    table = audit(sweep.trials, sweep.curves)
    if table.empty:
        said = "No trial was pruned." if pruner != "none" else "There is no pruner."
        check = Check(ID, "ok", said, "", ID, "none pruned")
        return Finding(ID, TITLE, said, table, SCHEMA, HOW, (check,))
    share, lost = saved(sweep.trials), float(table["p_better"].sum(min_count=1))
    facts = {"saved_share": share, "expected_lost": lost, "earliest": _earliest(sweep)}
    answer = _answer(sweep, table, facts, pruner)
    check = _check(sweep, table, facts, pruner)
    return Finding(ID, TITLE, answer, table, SCHEMA, HOW, (check,), facts=facts)


def audit(trials: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """Return SCHEMA, the likeliest winner first."""
    evals = curves[(curves["kind"] == "eval") & (curves["val_loss_nats"].abs() < math.inf)]
    losses = dict(split(evals, ["step", "val_loss_nats"]))
    complete = [losses[n] for n in stats.leaders(trials)["trial"] if n in losses]
    rows = []
    for row in trials[trials["state"] == "pruned"].to_dict("records"):
        if row["trial"] in losses:
            last = losses[row["trial"]][-1]
            predicted = predict(complete, last[0], last[1])
            saved_tokens = _left(row)
            rows.append({"trial": row["trial"], **predicted, "saved_tokens": saved_tokens})
    table = frame(rows, SCHEMA)
    return table.sort_values(["p_better", "trial"], ascending=[False, True], ignore_index=True)


def predict(complete: list[Curve], step: float, loss: float) -> dict[str, float]:
    """Return how a curve that has `loss` at `step` would end, by those that did.

    Least squares of the last loss on that at `step`; NaN with fewer than NEEDED curves.
    """
    known = {"step": step, "loss_nats": loss}
    at_step = [(curve[curve[:, 0] == step, 1], curve[-1, 1]) for curve in complete]
    pairs = np.array([(then[0], last) for then, last in at_step if len(then)]).reshape(-1, 2)
    n = len(pairs)
    if n < NEEDED or np.ptp(pairs[:, 0]) == 0:
        return known
    x, y = pairs[:, 0] - pairs[:, 0].mean(), pairs[:, 1]
    slope = float(x @ (y - y.mean()) / (x @ x))
    away = loss - float(pairs[:, 0].mean())
    predicted = float(y.mean()) + slope * away
    left = y - y.mean() - slope * x
    variance = float(left @ left) / (n - 2)
    error = math.sqrt(variance * (1 + 1 / n + away * away / float(x @ x)))
    chance = t_cdf((float(y.min()) - predicted) / error, n - 2) if error else math.nan
    return {**known, "predicted_nats": predicted, "error_nats": error, "p_better": chance}


def saved(trials: pd.DataFrame) -> float:
    """Return which share of the planned characters of all ended trials was not trained on."""
    ended = trials[trials["state"].isin(["complete", "pruned"])]
    left = [_left(row) for row in ended.to_dict("records")]
    spent = float(ended["tokens"].sum())
    rest = float(np.nansum(left))
    return rest / (rest + spent) if rest + spent else math.nan


def correlations(trials: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """Return `step`, `n` and `spearman`: the rank correlation of the losses at a step with the last
    ones, over the complete trials that were evaluated then; empty below NEEDED of them."""
    complete = trials.loc[trials["state"] == "complete", "trial"]
    evals = curves[(curves["kind"] == "eval") & curves["trial"].isin(complete)]
    finite = evals[evals["val_loss_nats"].abs() < math.inf]
    wide = finite.pivot(index="trial", columns="step", values="val_loss_nats")
    last = finite.groupby("trial")["val_loss_nats"].last().rank()
    rows = []
    for step in wide.columns:
        then = wide[step].dropna()
        if len(then) >= NEEDED and then.nunique() > 1:
            spearman = then.rank().corr(last[then.index].rank())
            rows.append({"step": step, "n": len(then), "spearman": spearman})
    return pd.DataFrame(rows, columns=["step", "n", "spearman"])


def _left(row: Any) -> float:
    """Characters that a trial had left of its plan, at as many for a step as it had until then."""
    step, planned, tokens = (row[key] for key in ("step", "steps_planned", "tokens"))
    if pd.isna(step) or pd.isna(planned) or pd.isna(tokens) or not step:
        return math.nan
    return float(tokens) / float(step) * max(0.0, float(planned) - float(step))


def _earliest(sweep: Sweep) -> float:
    """The first step from which on the order foretells that at the end; NaN if not known."""
    table = correlations(sweep.trials, sweep.curves)
    good = table.loc[table["spearman"] >= FORETELLS, "step"]
    return float(good.iloc[0]) if len(good) else math.nan


def _answer(sweep: Sweep, table: pd.DataFrame, facts: dict[str, float], pruner: str) -> str:
    return " ".join(_parts(sweep, table, facts, pruner))


def _parts(
    sweep: Sweep, table: pd.DataFrame, facts: dict[str, float], pruner: str
) -> Iterator[str]:
    many = f"{len(table)} trial{'s were' if len(table) > 1 else ' was'} pruned"
    share = formats.percent(facts["saved_share"])
    yield f"{many}, which saved {share} of the characters that all would have been trained on."
    if math.isfinite(facts["expected_lost"]):
        first = table.iloc[0]
        chance = formats.percent(float(first["p_better"]))
        yield (
            f"At most about {facts['expected_lost']:.2g} winners were lost; likeliest trial "
            f"{first['trial']:.0f}, with a chance of {chance}."
        )
    elif pruner == "halving":
        yield "Promotion leaves too few complete trials to tell what the others would have become."
    else:
        yield f"It takes {NEEDED} complete trials to tell what they would have become."
    if math.isfinite(facts["earliest"]):
        yield f"From step {facts['earliest']:.0f} on the order is much like that at the end."


def _check(sweep: Sweep, table: pd.DataFrame, facts: dict[str, float], pruner: str) -> Check:
    number = f"{formats.percent(facts['saved_share'])} saved"
    evidence = _answer(sweep, table, facts, pruner)
    if not (sweep.trials["state"] == "complete").any() and len(table) > 1:
        action = "Let the pruner start later."
        return Check(ID, "warn", "Every trial that ended was pruned.", action, ID, number)
    if not math.isfinite(facts["expected_lost"]):
        return Check(ID, "unknown" if pruner != "halving" else "info", evidence, "", ID, number)
    if facts["expected_lost"] > COSTLY:
        worst = table["trial"].iloc[0]
        action = f"Let the pruner start later, or train trial {worst} to its end."
        return Check(ID, "warn", evidence, action, ID, number)
    return Check(ID, "ok", evidence, "", ID, number)
