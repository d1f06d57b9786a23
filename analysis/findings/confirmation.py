"""Is the winner really better? What the leaders reach again with fresh seeds."""

import math

import pandas as pd

from analysis import formats, noise, stats
from analysis.comparison import BASELINE, compared
from analysis.finding import Check, Finding, Level, unknown
from analysis.frames import Column, Schema, frame
from analysis.load import Sweep
from analysis.noise import Noise

SCHEMA: Schema = {
    "trial": Column("int64", "number of the trial whose configuration it is"),
    "n": Column("int64", "complete runs with fresh seeds"),
    "search_value": Column("float64", "objective that the search saw; the mean of replicates"),
    "mean": Column("float64", "of the objective over the fresh seeds"),
    "sd": Column("float64", "between these seeds (n-1); missing for one"),
    "low": Column("float64", "lower end of the 95 % interval of the mean, pooled t"),
    "high": Column("float64", "upper end"),
    "delta": Column("float64", "mean minus that of the first row"),
    "delta_low": Column("float64", "lower end of its 95 % interval, which allows for all of them"),
    "delta_high": Column("float64", "upper end"),
    "p_dunnett": Column("float64", "how often chance alone makes as large a difference"),
    "tied": Column("boolean", "in more than 5 %; the first row is not tied with itself"),
    "p_beats_baseline": Column(
        "float64", "probability that its true mean is better than trial 0's"
    ),
    "p_best": Column("float64", "probability that its true mean is the best of these"),
    "optimism": Column("float64", "how much too good search_value was; below 0, too bad"),
}
ID, TITLE = "confirmation", "Is the winner really better?"
HOW = (
    "Leaders and baseline are trained again with fresh seeds that the search never saw, the same "
    "for all. The standard deviation between seeds is pooled over configurations, and the "
    "interval of a mean is Student's t with the pooled degrees of freedom: with three to five "
    "seeds a bootstrap covers too little. Differences to the best mean are judged by Dunnett's "
    "two-sided test, which allows for there being several (the largest |t| in 100,000 draws); "
    "those with p above 0.05 are tied. Probabilities are of true means, with a flat prior."
)


def find(sweep: Sweep, measured: Noise) -> Finding:
    """Return what the fresh runs say; unknown until a configuration has a complete one."""
    table = confirmed(sweep, measured)
    check = _check(sweep, measured, table)
    if table.empty:
        return unknown(ID, TITLE, _missing(sweep, measured), SCHEMA, HOW, check, sd=measured.sd)
    best = table.iloc[0]
    facts = {"mean": float(best["mean"]), "sd": measured.sd, "seeds": float(best["n"])}
    answer = " ".join([*_said(sweep, table), *_luck(sweep, table)])
    return Finding(ID, TITLE, answer, table, SCHEMA, HOW, (check,), facts=facts)


def standing(sweep: Sweep, measured: Noise) -> pd.DataFrame:
    """Return `confirmed` where the verdict can rest on it, else no row.

    It cannot until a fresh run of the search's best has ended: another would take its place for
    no reason but that it was trained again first.
    """
    ended = sweep.confirmed.loc[sweep.confirmed["state"] != "unfinished", "trial"]
    table = confirmed(sweep, measured)
    return table if stats.winner(sweep.trials) in set(ended) else table.head(0)


def confirmed(sweep: Sweep, measured: Noise) -> pd.DataFrame:
    """Return SCHEMA, one row per configuration with a complete fresh run, the best mean first.

    Those with fewer fresh seeds than others come after them: one lucky run does not outrank a mean.
    """
    fresh = sweep.confirmed[sweep.confirmed["state"] == "complete"]
    means = fresh.groupby("trial")["value"].agg(mean="mean", sd="std", n="count").reset_index()
    table = means[means["n"] > 0].sort_values(
        ["n", "mean", "trial"], ascending=[False, sweep.minimize, True], ignore_index=True
    )
    seen = table["trial"].map(_search_values(sweep.trials)).astype("float64")
    worse = (table["mean"] - seen) * (1 if sweep.minimize else -1)
    whole = compared(table, measured, sweep.minimize).assign(search_value=seen, optimism=worse)
    return frame(whole.to_dict("records"), SCHEMA)


def _search_values(trials: pd.DataFrame) -> dict[int, float]:
    """What the search saw of each complete trial's configuration."""
    complete = trials[trials["state"] == "complete"]
    means = complete.groupby("configuration")["value"].transform("mean")
    return dict(zip(complete["trial"], means, strict=True))


def _said(sweep: Sweep, table: pd.DataFrame) -> list[str]:
    winner = stats.winner(sweep.trials)
    lacking = f"Trial {winner}, the search's best, has no complete fresh run."
    first = [] if winner is None or winner in set(table["trial"]) else [lacking]
    return [*first, _best(sweep, table), *_erratic(sweep, table), *_left(sweep, table)]


def _erratic(sweep: Sweep, table: pd.DataFrame) -> list[str]:
    """Who differs so much from seed to seed that it is no measure for the others."""
    own = table[table["trial"].isin(noise.measured(sweep).erratic)]
    return [
        f"Trial {row['trial']} differs far more from seed to seed than the others (standard "
        f"deviation {_measure(sweep, row['sd'])}): that counts for its own interval alone."
        for row in own.to_dict("records")
    ]


def _best(sweep: Sweep, table: pd.DataFrame) -> str:
    best = table.iloc[0]
    over = f"over {best['n']} fresh seed{'s' if best['n'] > 1 else ''}"
    mean = f"{_measure(sweep, best['mean'])} {sweep.ranking.unit}".strip()
    low, high = _measure(sweep, best["low"]), _measure(sweep, best["high"])
    between = f" (95 % interval {low} to {high})" if math.isfinite(best["low"]) else ""
    return f"Trial {best['trial']} has the best mean {over}, {mean}{between}; {_others(table)}."


def _others(table: pd.DataFrame) -> str:
    if len(table) == 1:
        return "no other configuration has a fresh run to compare it with"
    if table["tied"].isna().all():
        return "one fresh seed each does not show how much of a difference is chance"
    near = _ties(table)
    if not near:
        return "the others differ from it by more than chance"
    return f"{_trials(near)} {'are' if len(near) > 1 else 'is'} tied with it"


def _ties(table: pd.DataFrame) -> list[int]:
    return [int(trial) for trial in table.loc[table["tied"].fillna(False), "trial"]]


def _luck(sweep: Sweep, table: pd.DataFrame) -> list[str]:
    """How much too good the search saw its own best."""
    row = table[(table["trial"] == stats.winner(sweep.trials)) & table["low"].notna()]
    if row.empty:
        return []
    gap, behind = float(row["optimism"].iloc[0]), float(row["delta"].iloc[0])
    away = f" is {_measure(sweep, abs(behind))} away and" if behind else ""
    looked = f"{_measure(sweep, abs(gap))} too {'good' if gap > 0 else 'bad'}"
    return [f"The search's best, trial {row['trial'].iloc[0]},{away} looked {looked}."]


def _left(sweep: Sweep, table: pd.DataFrame) -> list[str]:
    """What is not done or failed, and who has fewer seeds for it."""
    states = sweep.confirmed["state"]
    undone = int((states == "unfinished").sum())
    lost = int(states.isin(["failed", "pruned"]).sum())
    few = [int(trial) for trial in table.loc[table["n"] < table["n"].max(), "trial"]]
    said = []
    if undone:
        said.append(
            f"{undone} of {len(states)} fresh runs {'are' if undone > 1 else 'is'} not done."
        )
    if lost:
        said.append(f"{lost} of {len(states)} fresh runs failed.")
    if few:
        come = f"{'come' if len(few) > 1 else 'comes'} after it, with fewer fresh seeds"
        said.append(f"{_trials(few).capitalize()} {come}.")
    return said


def _trials(numbers: list[int]) -> str:
    return f"trial{'s' if len(numbers) > 1 else ''} {formats.listed(numbers)}"


def _measure(sweep: Sweep, value: float) -> str:
    return formats.measure(float(value), sweep.ranking.loss)


def _missing(sweep: Sweep, measured: Noise) -> str:
    if stats.winner(sweep.trials) is None:
        return "No trial is complete, so there is nothing to train again."
    if not measured.known:
        return "Not known yet: every configuration was trained with one seed."
    return (
        f"Between seeds of the search the standard deviation is {_measure(sweep, measured.sd)}; no "
        "run with a fresh seed confirms that the best is not so by chance."
    )


def _check(sweep: Sweep, measured: Noise, table: pd.DataFrame) -> Check:
    """Whether differences can be trusted: the light "noise"."""
    winner = stats.winner(sweep.trials)
    if winner is None:
        return _light("unknown", "No trial is complete.", "")
    if not measured.known:
        fresh = "has one fresh seed" if len(table) else "was trained with one seed"
        evidence = f"Each configuration {fresh}, so small differences may be chance."
        return _light("unknown", evidence, f"Train the leaders again: {_command(sweep, table)}")
    number = f"sd {_measure(sweep, measured.sd)}"
    if table.empty:
        return _light(*_of_search(sweep, measured), number)
    level, action = _of_fresh(sweep, table, winner)
    return _light(level, " ".join(_said(sweep, table)), action, number)


def _light(level: Level, evidence: str, action: str, number: str = "not measured") -> Check:
    return Check("noise", level, evidence, action, "noise", number)


def _of_search(sweep: Sweep, measured: Noise) -> tuple[Level, str, str]:
    """Level, evidence and action where replicates alone show the noise."""
    table, spread = sweep.configurations, _measure(sweep, measured.sd)
    between = f"Between seeds the standard deviation is {spread}, pooled over the configurations"
    if len(table) < 2:
        return "unknown", f"{between}; there is no other configuration.", ""
    first, second = table.iloc[0], table.iloc[1]
    behind = float(second["delta"]) * (1 if sweep.minimize else -1)
    needed = noise.margin(measured, int(first["n"]), int(second["n"]))
    evidence = (
        f"{between}; the second best mean is {_measure(sweep, abs(behind))} away, and chance "
        f"alone makes up to {_measure(sweep, needed)}."
    )
    if behind > needed:
        return "ok", evidence, ""
    again = _command(sweep, table.head(0))
    return "warn", evidence, f"Either may be the better one; train the leaders again: {again}"


def _of_fresh(sweep: Sweep, table: pd.DataFrame, winner: int) -> tuple[Level, str]:
    """Level and action where there are fresh runs and the noise is known."""
    best, seeds = int(table["trial"].iloc[0]), int(table["n"].iloc[0])
    if winner not in set(table["trial"]):
        return "warn", f"Train it again: {_command(sweep, table, seeds)}"
    if _ties(table):
        more = _command(sweep, table, 2 * seeds)
        return "warn", f"Use any of them, or tell them apart with more seeds: {more}"
    if len(table) == 1:
        return "unknown", f"Train others again, too: {_command(sweep, table, seeds)}"
    if best != winner:
        return "warn", f"Use trial {best}, not trial {winner}, which the search had first."
    if (sweep.confirmed["state"] == "unfinished").any():
        return "info", f"Go on with the confirmation: {_command(sweep, table, seeds)}"
    return "ok", ""


def _command(sweep: Sweep, table: pd.DataFrame, seeds: int = 0) -> str:
    top = 3 if table.empty else max(3, int((table["trial"] != BASELINE).sum()))
    return f"python -m experiments.confirm runs/{sweep.name} --top {top} --seeds {max(3, seeds)}"
