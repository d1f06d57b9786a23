"""Two sweeps against each other: whether they can be compared at all, and which is better."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis import formats, noise, stats
from analysis.expected import expected_best
from analysis.findings.history import exchangeable
from analysis.frames import Column, Schema, frame
from analysis.load import Sweep
from analysis.noise import Noise
from analysis.quantiles import t_cdf
from analysis.records import UnreadableError, at, read_object
from analysis.unit import comparable
from analysis.verdict import judge

BARRIERS = {
    "objective": "objective",
    "corpus": "corpus.sha256",
    "validation split": "run.data.val_fraction",
    "vocabulary": "corpus.vocabulary",
}
"""What must be equal for two objectives to measure the same thing."""
DIFFERENCES = {
    "training length": "run.train.max_iters",
    "batch size": "run.train.batch_size",
    "context": "run.model.block_size",
    "precision": "run.train.precision",
    "device": "run.train.device",
    "torch": "versions.torch",
    "optuna": "versions.optuna",
    "processor": "versions.cpu",
}
"""What makes a comparison one of more than the search."""
MATCHED: Schema = {
    "trial": Column("int64", "number in the first sweep"),
    "other": Column("int64", "number in the second one, of the same config and seed"),
    "difference": Column("float64", "second value minus the first"),
}


@dataclass(frozen=True)
class Contest:
    """What a comparison rests on: the values of the two winners, over so many runs each, and what
    chance does; `fresh` says that they are means over fresh seeds."""

    values: tuple[float, float]
    runs: tuple[int, int]
    measured: Noise
    fresh: bool


def barriers(one: Sweep, other: Sweep) -> list[str]:
    """Return what makes two sweeps incomparable, a line each; none if they can be compared."""
    return list(_unequal(one, other, BARRIERS))


def differences(one: Sweep, other: Sweep) -> list[str]:
    """Return what else differs between the runs of two sweeps, a line each."""
    return list(_unequal(one, other, DIFFERENCES))


def spaces(one: Sweep, other: Sweep) -> list[str]:
    """Return how the search spaces differ, a line per parameter."""
    before, after = (dict(sweep.meta["space"]) for sweep in (one, other))
    lines = []
    for key in dict.fromkeys([*before, *after]):
        ranges = [
            _range(space[key]) if key in space else "not searched" for space in (before, after)
        ]
        if ranges[0] != ranges[1]:
            lines.append(f"{key}: {ranges[0]} against {ranges[1]}")
    return lines


def contest(one: Sweep, other: Sweep) -> Contest | None:
    """Return what the comparison of the winners rests on, None where one has no winner.

    Confirmed means where both have them, else the values of the search; the noise is pooled.
    """
    verdicts = [judge(sweep) for sweep in (one, other)]
    if any(verdict.winner is None for verdict in verdicts):
        return None
    measured = pooled(noise.measured(one), noise.measured(other))
    fresh = all(verdict.confirmed for verdict in verdicts)
    found = [_reached(s, v.winner, fresh) for s, v in zip((one, other), verdicts, strict=True)]
    (first, n), (second, m) = found
    return Contest((first, second), (n, m), measured, fresh)


def pooled(one: Noise, other: Noise) -> Noise:
    """Return the noise of two measurements together."""
    known = [noise for noise in (one, other) if noise.known]
    freedom = sum(noise.freedom for noise in known)
    if not freedom:
        return Noise()
    squares = sum(noise.sd**2 * noise.freedom for noise in known)
    return Noise(math.sqrt(squares / freedom), freedom, known[0].source)


def verdict(one: Sweep, other: Sweep) -> str:
    """Return which winner is better, in a sentence, and whether by more than chance."""
    found = contest(one, other)
    if found is None:
        lacking = [sweep.name for sweep in (one, other) if judge(sweep).winner is None]
        return f"Not told: {formats.listed(lacking)} has no complete trial."
    first, second = found.values
    gain = (first - second) * (1 if one.minimize else -1)
    shown = [formats.measure(value, one.ranking.loss) for value in found.values]
    several = "single runs" if max(found.runs) == 1 else "means over seeds"
    basis = "means over fresh seeds" if found.fresh else several
    names = (one.name, other.name) if one.name != other.name else ("the first", "the second")
    values = f"{names[1]} {shown[1]} against {names[0]} {shown[0]} ({basis})"
    if gain == 0:
        return f"Equal: {values}."
    better = names[1] if gain > 0 else names[0]
    if not found.measured.known:
        return (
            f"{better} has the better value, by how much more than chance is not known: {values}."
        )
    n, m = found.runs
    odds = t_cdf(abs(gain) / (found.measured.sd * math.sqrt(1 / n + 1 / m)), found.measured.freedom)
    if abs(gain) <= noise.margin(found.measured, n, m):
        return f"Tied: {values}; the chance that {better} is better is {formats.percent(odds)}."
    return (
        f"{better} is better: {values}; the chance that it is not is {formats.percent(1 - odds)}."
    )


def matched(one: Sweep, other: Sweep) -> pd.DataFrame:
    """Return MATCHED: the complete trials that both sweeps have, to the seed."""
    known = [dict(_configs(sweep)) for sweep in (one, other)]
    rows = [
        {
            "trial": trial,
            "other": known[1][text],
            "difference": _gap(one, other, trial, known[1][text]),
        }
        for text, trial in known[0].items()
        if text in known[1]
    ]
    return frame(rows, MATCHED)


def side(sweep: Sweep, trials: int) -> list[tuple[str, str]]:
    """Return what a table says of one sweep; `trials` is how many random ones are compared."""
    counted = stats.counts(sweep.trials, sweep.meta["trials"])
    complete, found = comparable(sweep.trials), judge(sweep)
    loss = sweep.ranking.loss
    best = stats.leaders(sweep.trials)["value"].iloc[0] if len(complete) else math.nan
    ended = counted["complete"] + counted["pruned"] + counted["failed"]
    values = exchangeable(sweep)
    expected = (
        expected_best(values, sweep.minimize, [trials])[0]
        if 0 < trials <= len(values)
        else math.nan
    )
    mean = f"{formats.measure(found.low, loss)} to {formats.measure(found.high, loss)}"
    return [
        ("trials", ", ".join(f"{n} {state}" for state, n in counted.items() if n)),
        ("winner", "none" if found.winner is None else f"trial {found.winner}"),
        (f"best {sweep.metric}", formats.measure(best, loss)),
        ("95 % interval of its mean", mean if math.isfinite(found.low) else "not known"),
        ("tied with it", formats.listed(found.ties) or "none known"),
        *(
            [(f"expected best of {trials} random", formats.measure(expected, loss))]
            if trials
            else []
        ),
        ("failed", formats.percent(counted["failed"] / ended) if ended else formats.MISSING),
        ("characters trained on", formats.count(sweep.trials["tokens"].sum())),
        ("time in updates", formats.duration(float(sweep.trials["train_s"].sum()))),
    ]


def _unequal(one: Sweep, other: Sweep, keys: dict[str, str]) -> Iterator[str]:
    for name, key in keys.items():
        before, after = at(one.meta, key), at(other.meta, key)
        if before != after:
            shown = [
                json.dumps(value) if isinstance(value, dict | list) else str(value)[:16]
                for value in (before, after)
            ]
            yield f"{name}: {shown[0]} against {shown[1]}"


def _range(spec: Any) -> str:
    if not isinstance(spec, dict):
        return str(spec)
    if spec.get("type") == "categorical":
        return ", ".join(str(choice) for choice in spec["choices"])
    if "expr" in spec:
        return str(spec["expr"])
    scale = " (log)" if spec.get("log") else ""
    return f"{formats.setting(spec['low'])} to {formats.setting(spec['high'])}{scale}"


def _reached(sweep: Sweep, winner: int | None, fresh: bool) -> tuple[float, int]:
    """The value of a winner, and over how many runs it is."""
    if fresh:
        runs = sweep.confirmed[(sweep.confirmed["trial"] == winner)]
        values = runs.loc[runs["state"] == "complete", "value"]
        return float(values.mean()), len(values)
    row = sweep.configurations.iloc[0]
    return float(row["mean"]), int(row["n"])


def _configs(sweep: Sweep) -> Iterator[tuple[str, int]]:
    for trial in comparable(sweep.trials)["trial"]:
        path = sweep.directory / f"trials/{trial:04d}/config.json"
        try:
            yield json.dumps(read_object(path), sort_keys=True), int(trial)
        except UnreadableError:
            continue


def _gap(one: Sweep, other: Sweep, trial: int, same: int) -> float:
    return float(other.trial(same)["value"] - one.trial(trial)["value"])
