"""Is the winner really better? What the leaders reach again with fresh seeds."""

import math

import numpy as np
import pandas as pd

from analysis import formats, noise, stats
from analysis.finding import Check, Finding, unknown
from analysis.frames import Column, Schema, frame
from analysis.load import Sweep
from analysis.noise import Noise

SCHEMA: Schema = {
    "trial": Column("int64", "number of the trial whose configuration it is"),
    "n": Column("int64", "complete runs with fresh seeds"),
    "mean": Column("float64", "of their objectives"),
    "sd": Column("float64", "between them (n-1); missing for one"),
    "low": Column("float64", "lower end of the 95 % interval of the mean, pooled t"),
    "high": Column("float64", "upper end"),
    "delta": Column("float64", "mean minus the best mean"),
    "p_equal": Column("float64", "Dunnett's p for the best being no better than this one"),
    "p_best": Column("float64", "probability of the best true mean among the confirmed"),
    "tied": Column("boolean", "not told apart from the best; the best itself is not tied"),
    "search_value": Column("float64", "objective that the search saw"),
    "optimism": Column("float64", "how much too good that was"),
}
ID, TITLE = "confirmation", "Is the winner really better?"
HOW = (
    "The leaders and the baseline were trained again with fresh seeds that the search never saw, "
    "the same for all. The standard deviation between seeds is pooled over the configurations, "
    "and the interval of a mean is Student's t with its degrees of freedom: with three to five "
    "seeds a bootstrap would cover too little. p is Dunnett's, which allows for comparing several "
    "with the best (20,000 draws of the largest t); configurations above 0.05 are tied with it."
)
TIED = 0.05
"""Dunnett's p from which two configurations are not told apart."""
DRAWS = 20_000


def find(sweep: Sweep, measured: Noise) -> Finding:
    """Return what the confirmation runs say; unknown until a configuration has a fresh run."""
    table = confirmed(sweep.confirmed, sweep.trials, measured, sweep.minimize)
    if table.empty:
        return unknown(
            ID, TITLE, _missing(sweep, measured), SCHEMA, HOW, _unconfirmed(sweep, measured)
        )
    best = table.iloc[0]
    parts = [_best(sweep, table), _others(table), _luck(sweep, table), _running(sweep)]
    facts = {"mean": float(best["mean"]), "sd": measured.sd, "seeds": float(best["n"])}
    answer = " ".join(part for part in parts if part)
    check = _check(sweep, table, measured)
    return Finding(ID, TITLE, answer, table, SCHEMA, HOW, (check,), facts=facts)


def confirmed(
    runs: pd.DataFrame, trials: pd.DataFrame, measured: Noise, minimize: bool
) -> pd.DataFrame:
    """Return one row per configuration with a complete fresh run, the best mean first.

    Those with fewer seeds than others come after them: one lucky run is no confirmation.
    """
    complete = runs[runs["state"] == "complete"]
    grouped = complete.groupby("trial")["value"].agg(mean="mean", sd="std", n="count").reset_index()
    order = grouped.sort_values(
        ["n", "mean", "trial"], ascending=[False, minimize, True], ignore_index=True
    )
    search = trials.set_index("trial")["value"]
    sign = 1 if minimize else -1
    p_equal, p_best = dunnett(order["mean"], order["n"], measured, minimize)
    rows = []
    for place, row in enumerate(order.to_dict("records")):
        low, high = noise.interval(row["mean"], row["n"], measured)
        value = float(search.get(row["trial"], math.nan))
        rows.append(
            {
                **row,
                "low": low,
                "high": high,
                "delta": row["mean"] - order["mean"].iloc[0],
                "p_equal": p_equal[place],
                "p_best": p_best[place],
                "tied": bool(place and p_equal[place] > TIED) if measured.known else None,
                "search_value": value,
                "optimism": sign * (row["mean"] - value),
            }
        )
    return frame(rows, SCHEMA)


def dunnett(
    means: "pd.Series[float]",
    n: "pd.Series[int]",
    measured: Noise,
    minimize: bool,
) -> tuple[list[float], list[float]]:
    """Return, for each mean, Dunnett's p against the first and the probability to be truly best.

    The first is the one that the others are compared with and has no p: NaN. One-sided, since the
    first is the best of what was seen. Unknown noise gives NaN throughout (Dunnett 1955, by Monte
    Carlo).
    """
    values, counts = np.asarray(means, float), np.asarray(n, float)
    if not measured.known or not len(values):
        return [math.nan] * len(values), [math.nan] * len(values)
    rng, sign = np.random.default_rng(0), 1 if minimize else -1
    spread = np.sqrt(rng.chisquare(measured.freedom, (DRAWS, 1)) / measured.freedom)
    noises = rng.normal(0, 1, (DRAWS, len(values))) / np.sqrt(counts)
    scale = np.sqrt(1 / counts + 1 / counts[0])
    with np.errstate(invalid="ignore"):
        drawn = ((noises - noises[:, :1]) / scale / spread)[:, 1:]
    largest = drawn.max(axis=1) if len(values) > 1 else np.zeros(DRAWS)
    apart = sign * (values - values[0]) / (measured.sd * scale)
    p = [math.nan, *(float((largest >= one).mean()) for one in apart[1:])]
    best = (sign * values + measured.sd * noises / spread).argmin(axis=1)
    chances = np.bincount(best, minlength=len(values)) / DRAWS
    return p, [float(chance) for chance in chances]


def _best(sweep: Sweep, table: pd.DataFrame) -> str:
    best = table.iloc[0]
    seeds = f"over {best['n']} fresh seed{'s' if best['n'] > 1 else ''}"
    mean = _value(sweep, best["mean"])
    return f"Trial {best['trial']} has the best mean {seeds}: {mean}{_interval(sweep, best)}."


def _interval(sweep: Sweep, row: "pd.Series[float]") -> str:
    if not math.isfinite(row["low"]):
        return ""
    low, high = (formats.measure(row[end], sweep.ranking.loss) for end in ("low", "high"))
    return f", 95 % interval {low} to {high}"


def _others(table: pd.DataFrame) -> str:
    if len(table) == 1:
        return "No other configuration has a fresh run to compare it with."
    if table["tied"].isna().all():
        return "One seed each does not show how much chance there is."
    tied = table.loc[table["tied"].fillna(False), "trial"].tolist()
    if not tied:
        return "All others are worse by more than chance."
    who = f"Trial{'s' if len(tied) > 1 else ''} {formats.listed(tied)}"
    return f"{who} {'are' if len(tied) > 1 else 'is'} tied with it."


def _luck(sweep: Sweep, table: pd.DataFrame) -> str:
    winner = stats.winner(sweep.trials)
    row = table[table["trial"] == winner]
    if row.empty or not math.isfinite(row["optimism"].iloc[0]):
        return ""
    gap = float(row["optimism"].iloc[0])
    size = formats.measure(abs(gap), sweep.ranking.loss)
    return f"The search's winner, trial {winner}, looked {size} {'better' if gap > 0 else 'worse'}."


def _running(sweep: Sweep) -> str:
    left = int((sweep.confirmed["state"] == "unfinished").sum())
    return f"{left} confirmation run{'s have' if left > 1 else ' has'} not ended." * bool(left)


def _value(sweep: Sweep, value: float) -> str:
    return f"{formats.measure(value, sweep.ranking.loss)} {sweep.ranking.unit}".strip()


def _missing(sweep: Sweep, measured: Noise) -> str:
    if measured.known:
        return (
            "The winner's replicates were part of the search; no run with fresh seeds confirms it. "
            f"Between seeds the standard deviation is {_value(sweep, measured.sd)}."
        )
    return "Not known yet: every configuration was trained with one seed."


def _unconfirmed(sweep: Sweep, measured: Noise) -> Check:
    if not measured.known:
        evidence = (
            "Each configuration was trained with one seed, so small differences may be chance."
        )
        return Check("noise", "unknown", evidence, _advice(sweep), "noise", "not measured")
    table, spread = sweep.configurations, formats.measure(measured.sd, sweep.ranking.loss)
    between = f"Between seeds the standard deviation is {spread}"
    number = f"sd {spread}"
    if len(table) < 2:
        evidence = f"{between}; there is no other configuration."
        return Check("noise", "unknown", evidence, "", "noise", number)
    first, second = table["n"].iloc[0], table["n"].iloc[1]
    apart, needed = abs(table["delta"].iloc[1]), noise.margin(measured, first, second)
    evidence = (
        f"{between}, pooled over the configurations; the second best mean is "
        f"{formats.measure(apart, sweep.ranking.loss)} away, and chance alone makes up to "
        f"{formats.measure(needed, sweep.ranking.loss)}."
    )
    if apart > needed:
        return Check("noise", "ok", evidence, "", "noise", number)
    return Check(
        "noise",
        "warn",
        evidence,
        "Either may be the better one; " + _advice(sweep),
        "noise",
        number,
    )


def _advice(sweep: Sweep) -> str:
    where = f"runs/{sweep.name}"
    return f"train the leaders again: python -m experiments.confirm {where} --top 3 --seeds 3"


def _check(sweep: Sweep, table: pd.DataFrame, measured: Noise) -> Check:
    best, evidence = table.iloc[0], f"{_best(sweep, table)} {_others(table)}"
    if not measured.known:
        return Check(
            "noise", "unknown", evidence, "More seeds will tell.", "noise", "one seed each"
        )
    number = f"{best['n']} fresh seeds, sd {formats.measure(measured.sd, sweep.ranking.loss)}"
    others = _seeds(sweep, int(best["n"]))
    if table["tied"].fillna(False).any():
        return Check("noise", "warn", evidence, f"Use any of them, or {others}.", "noise", number)
    if len(table) == 1:
        return Check(
            "noise", "unknown", evidence, f"Confirm the others, too: {others}.", "noise", number
        )
    return Check("noise", "ok", evidence, "", "noise", number)


def _seeds(sweep: Sweep, n: int) -> str:
    command = f"python -m experiments.confirm runs/{sweep.name} --top 3 --seeds {2 * max(2, n)}"
    return f"tell them apart with more seeds: {command}"
