"""What will a re-run give? The best of many looks better than it is."""

import math

import pandas as pd

from analysis import formats, noise, stats
from analysis.finding import Finding, unknown
from analysis.frames import Column, Schema, frame
from analysis.load import Sweep
from analysis.noise import Noise
from analysis.unit import comparable

SCHEMA: Schema = {
    "trial": Column("int64", "number"),
    "value": Column("float64", "objective of its one run"),
    "p_best": Column("float64", "probability of being the best of the complete trials"),
}
ID, TITLE = "optimism", "What will a re-run give?"
HOW = (
    "Noise with the standard deviation between seeds is drawn once more on top of every value, "
    "4,000 times. How far the best of a draw lies from the value that it was drawn from is how "
    "much too good the best of this sweep looks; the share of draws that a trial wins is its "
    "chance of being the best. A re-run is expected to give the winner's value, less that."
)
SHOWN = 20
SUPPOSED = (0.003, 0.01)
"""Standard deviations of small character models in nats, to suppose while it is not measured."""


def find(sweep: Sweep, measured: Noise) -> Finding:
    """Return each trial's chance of being the best, and the value to expect of a re-run."""
    trials = comparable(sweep.trials)
    if len(trials) < 2:
        return unknown(ID, TITLE, "It takes two complete trials to tell.", SCHEMA, HOW)
    if not measured.known:
        return unknown(ID, TITLE, _supposed(sweep), SCHEMA, HOW)
    chances, gain = noise.renoised(trials["value"], measured, sweep.minimize)
    table = trials[["trial", "value"]].assign(p_best=chances)
    table = table.sort_values(["p_best", "trial"], ascending=[False, True])
    shown = table[table["p_best"] > 0].head(SHOWN)
    rows = frame(shown.to_dict("records"), SCHEMA)
    expected = _expected(sweep, gain)
    facts = {"optimism": gain, "expected": expected}
    answer = _answer(sweep, expected, gain, rows)
    return Finding(ID, TITLE, answer, rows, SCHEMA, HOW, facts=facts)


def _expected(sweep: Sweep, gain: float) -> float:
    best = float(stats.leaders(sweep.trials)["value"].iloc[0])
    return best + gain if sweep.minimize else best - gain


def _answer(sweep: Sweep, expected: float, gain: float, rows: pd.DataFrame) -> str:
    unit = f" {sweep.ranking.unit}" if sweep.ranking.unit else ""
    said = formats.measure(expected, sweep.ranking.loss)
    size = formats.measure(gain, sweep.ranking.loss)
    best = stats.winner(sweep.trials)
    chance = rows.loc[rows["trial"] == best, "p_best"]
    share = formats.percent(float(chance.iloc[0])) if len(chance) else "0%"
    count = len(comparable(sweep.trials))
    return (
        f"One more run of trial {best} should give about {said}{unit}: picking the best of {count} "
        f"flatters it by {size}. The chance that no other trial is better is {share}."
    )


def _supposed(sweep: Sweep) -> str:
    if not sweep.ranking.loss or not sweep.ranking.unit:
        return "Not known while the noise between seeds is not measured."
    trials = comparable(sweep.trials)
    parts = []
    for sd in SUPPOSED:
        _, gain = noise.renoised(trials["value"], Noise(sd, 10_000, ""), sweep.minimize)
        value = formats.loss(_expected(sweep, gain)) if math.isfinite(gain) else formats.MISSING
        parts.append(f"{value} if the standard deviation between seeds were {sd:g} nats")
    return f"Not known while the noise is not measured; it would be {formats.listed(parts)}."
