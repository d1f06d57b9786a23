"""What will a re-run give? The best of many looks better than it is."""

from collections.abc import Mapping

import pandas as pd

from analysis import formats, noise, stats
from analysis.finding import Finding, unknown
from analysis.findings.confirmation import standing
from analysis.frames import Column, Schema, frame
from analysis.load import Sweep
from analysis.noise import Noise
from analysis.unit import comparable

SCHEMA: Schema = {
    "trial": Column("int64", "number; of several replicates the best"),
    "n": Column("int64", "runs behind the value: fresh ones, once the leaders are confirmed"),
    "value": Column("float64", "objective, the mean of these runs"),
    "p_best": Column("float64", "probability of being the best of those compared"),
}
ID, TITLE = "optimism", "What will a re-run give?"
HOW = (
    "Noise with the standard deviation between seeds is drawn once more on top of every value, "
    "4,000 times: the share of draws that a trial wins is its chance of being the best, and how "
    "far the best of a draw lies from the value that it was drawn from, how much picking flatters; "
    "the same with twice the variance tells what it is for the values themselves (simulation "
    "extrapolation). The values are those of complete trials, with replicates the means; once the "
    "leaders are confirmed, their means over fresh seeds alone. The range is Student's t for one "
    "run beside those behind the value."
)
SHOWN = 20
NATS = "nats per character"
SUPPOSED = (0.003, 0.01)
"""Standard deviations between seeds of tiny character models, in nats: a usual and a large one."""
MANY = 10**6
"""Degrees of freedom of a standard deviation that is supposed, not measured."""


def find(sweep: Sweep, measured: Noise) -> Finding:
    """Return each trial's chance of being the best, and the value to expect of one more run."""
    fresh = standing(sweep, measured)
    table = _confirmed(fresh) if len(fresh) else searched(sweep)
    if table.empty:
        return unknown(ID, TITLE, "No trial is complete.", SCHEMA, HOW)
    if len(table) < 2 and fresh.empty:
        return unknown(ID, TITLE, "It takes two complete trials to tell.", SCHEMA, HOW)
    if not measured.known:
        return unknown(ID, TITLE, _supposed(sweep, table), SCHEMA, HOW)
    chances, gain = picked(table, measured, sweep.minimize)
    rows = table.assign(p_best=fresh["p_best"] if len(fresh) else chances)
    facts = _facts(rows, gain, measured, sweep.minimize)
    likely = rows[rows["p_best"] > 0].sort_values(["p_best", "trial"], ascending=[False, True])
    shown = frame(likely.head(SHOWN).to_dict("records"), SCHEMA)
    answer = _answer(sweep, rows, facts, of_fresh=len(fresh) > 0)
    return Finding(ID, TITLE, answer, shown, SCHEMA, HOW, facts=facts)


def searched(sweep: Sweep) -> pd.DataFrame:
    """Return `trial`, `n` and `value` of all that the search picks its best from, that one first.

    With replicates a row is a configuration, the trial its best one; those with a single complete
    trial are out of the question once others have several.
    """
    leaders: pd.DataFrame = comparable(stats.leaders(sweep.trials))
    if sweep.replicates == 1:
        return leaders[["trial", "value"]].assign(n=1).reset_index(drop=True)
    table = sweep.configurations
    enough = table[table["n"].clip(upper=2) == table["n"].clip(upper=2).max()]
    best = leaders.drop_duplicates("configuration").set_index("configuration")["trial"]
    return pd.DataFrame(
        {"trial": enough["configuration"].map(best), "n": enough["n"], "value": enough["mean"]}
    )


def picked(
    table: pd.DataFrame, measured: Noise, minimize: bool
) -> tuple["pd.Series[float]", float]:
    """Return the chance of each row of `searched` to be the best, and how much too good the value
    of the first one looks for having been picked; NaN while noise is unknown."""
    return noise.renoised(table["value"], measured, minimize, seeds=table["n"])


def _confirmed(fresh: pd.DataFrame) -> pd.DataFrame:
    """The rows of `standing` that the verdict picks from: those with the most seeds."""
    rows: pd.DataFrame = fresh[fresh["n"] == fresh["n"].max()]
    return rows[["trial", "n"]].assign(value=rows["mean"])


def _facts(rows: pd.DataFrame, gain: float, measured: Noise, minimize: bool) -> dict[str, float]:
    """What one more run of the first row's configuration should give, and within what."""
    first = rows.iloc[0]
    expected = _expected(rows, gain, minimize)
    reach = noise.margin(measured, 1, int(first["n"]))
    return {
        "optimism": gain,
        "expected": expected,
        "low": expected - reach,
        "high": expected + reach,
        "p_best": float(first["p_best"]),
    }


def _expected(table: pd.DataFrame, gain: float, minimize: bool) -> float:
    return float(table["value"].iloc[0]) + (gain if minimize else -gain)


def _answer(sweep: Sweep, rows: pd.DataFrame, facts: Mapping[str, float], of_fresh: bool) -> str:
    first, count = rows.iloc[0], len(rows)
    expected, low, high, gain = (
        _measure(sweep, facts[name]) for name in ("expected", "low", "high", "optimism")
    )
    said = (
        f"One more run of trial {first['trial']:.0f} should give about {expected}"
        f"{_unit(sweep)}, with 95 % probability between {low} and {high}"
    )
    if count == 1:
        return f"{said}."
    mean = f"its mean over {first['n']:.0f} seeds" if first["n"] > 1 else "its value"
    fresh = " with fresh runs" if of_fresh else ""
    share = _share(facts["p_best"])
    chance = f"With a probability of {share} none of the others{fresh} is better."
    if gain == _measure(sweep, 0.0):
        return (
            f"{said}: {mean} is too far ahead of the others to have been picked by luck. {chance}"
        )
    return f"{said}: picked as the best of {count}, {mean} looks {gain} too good. {chance}"


def _supposed(sweep: Sweep, table: pd.DataFrame) -> str:
    """What it would be, for losses, whose noise is known from elsewhere."""
    unknown = "Not known while the noise between seeds is not measured"
    if sweep.ranking.unit != NATS:
        return f"{unknown}."
    said = []
    for sd in SUPPOSED:
        _, gain = picked(table, Noise(sd, MANY), sweep.minimize)
        value = _measure(sweep, _expected(table, gain, sweep.minimize))
        said.append(f"about {value} if its standard deviation were {sd:g} nats")
    trial = int(table["trial"].iloc[0])
    return f"{unknown}; one more run of trial {trial} would give {formats.listed(said)}."


def _share(probability: float) -> str:
    if 0.01 <= probability <= 0.99:
        return formats.percent(probability)
    return "under 1%" if probability < 0.01 else "over 99%"


def _measure(sweep: Sweep, value: float) -> str:
    return formats.measure(value, sweep.ranking.loss)


def _unit(sweep: Sweep) -> str:
    return f" {sweep.ranking.unit}" if sweep.ranking.unit else ""
