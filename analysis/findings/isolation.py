"""With everything else tuned, what does each parameter give?"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from analysis import formats
from analysis.expected import expected_best
from analysis.finding import Finding, unknown
from analysis.frames import Column, Schema, frame
from analysis.load import Sweep
from analysis.noise import Noise
from analysis.unit import comparable, is_ordered, levels, varied

SCHEMA: Schema = {
    "parameter": Column("str", "dotted key"),
    "bucket": Column("str", "its value, or the range of values"),
    "trials": Column("int64", "complete trials in it"),
    "best": Column("float64", "best objective of these"),
    "trial": Column("int64", "the trial that has it"),
    "compared": Column(
        "int64", "trials that the expected best is of, at most as many as there are"
    ),
    "expected": Column("float64", "expected best of so many of the bucket's trials"),
    "low": Column("float64", "10 % quantile of that over bootstraps; missing below three trials"),
    "high": Column("float64", "90 % quantile"),
}
ID, TITLE = "isolation", "With everything else tuned, what does each parameter give?"
HOW = (
    "The complete trials are put into buckets by one parameter: its values, or ranges with "
    "equally many trials. A bucket with more trials has had more luck, so what is compared is the "
    "expected best of as many trials as the smallest bucket has that has three or more, over all "
    "sets of them. Intervals are 10 to 90 % over 200 bootstrapped buckets; the sampler has not "
    "drawn at random, so they are a guide."
)
NEEDED = 6
BUCKETS = (3, 8)
"""Buckets of a parameter with many values, at least and at most."""
FEW = 3
"""Trials below which a bucket has no interval."""
BOOTSTRAPS = 200


def find(sweep: Sweep, measured: Noise) -> Finding:
    """Return the buckets of every parameter that varied."""
    trials = comparable(sweep.trials)
    table = buckets(trials, sweep.space, sweep.minimize)
    if table.empty:
        few = f"It takes {NEEDED} complete trials to tell; there are {len(trials)}."
        missing = few if len(trials) < NEEDED else "No parameter takes more than one value."
        return unknown(ID, TITLE, missing, SCHEMA, HOW)
    return Finding(ID, TITLE, _answer(sweep, table), table, SCHEMA, HOW)


def buckets(trials: pd.DataFrame, space: pd.DataFrame, minimize: bool) -> pd.DataFrame:
    """Return SCHEMA for comparable `trials`; empty below NEEDED."""
    if len(trials) < NEEDED:
        return frame([], SCHEMA)
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for key in varied(trials, space):
        spec = space[space["parameter"] == key].to_dict("records")[0]
        parts = list(_parts(trials, spec, key))
        sizes = [len(values) for _, values in parts]
        compared = min([size for size in sizes if size >= FEW], default=1)
        rows += [
            _row(key, name, part, min(compared, len(part)), minimize, rng) for name, part in parts
        ]
    return frame(rows, SCHEMA)


def _parts(
    trials: pd.DataFrame, spec: dict[Any, Any], key: str
) -> Iterator[tuple[str, pd.DataFrame]]:
    """The trials of each bucket with its name, in order."""
    values = trials[f"p.{key}"]
    has = trials[values.notna()]
    if not is_ordered(spec):
        named = levels(trials, pd.DataFrame([spec]))[key]
        yield from ((str(name), trials[named == name]) for name in sorted(named.dropna().unique()))
        return
    real = pd.to_numeric(has[f"p.{key}"], errors="coerce").astype("float64").dropna()
    kinds = sorted(real.unique())
    if len(kinds) <= BUCKETS[1]:
        yield from ((f"{kind:.4g}", has.loc[real.index[real == kind]]) for kind in kinds)
        return
    count = int(np.clip(len(real) // 6, *BUCKETS))
    for part in np.array_split(real.sort_values(kind="stable").index.to_numpy(), count):
        low, high = real[part].min(), real[part].max()
        yield f"{low:.3g} to {high:.3g}", has.loc[part]


def _row(
    key: str,
    name: str,
    part: pd.DataFrame,
    compared: int,
    minimize: bool,
    rng: np.random.Generator,
) -> dict[str, Any]:
    values = part["value"].to_numpy(dtype="float64")
    best = values.argmin() if minimize else values.argmax()
    low, high = _spread(values, compared, minimize, rng)
    return {
        "parameter": key,
        "bucket": name,
        "trials": len(values),
        "best": values[best],
        "trial": part["trial"].iloc[int(best)],
        "compared": compared,
        "expected": expected_best(values, minimize, [compared])[0],
        "low": low,
        "high": high,
    }


def _spread(
    values: "np.typing.NDArray[np.float64]", compared: int, minimize: bool, rng: np.random.Generator
) -> tuple[float, float]:
    if len(values) < FEW:
        return math.nan, math.nan
    drawn = values[rng.integers(0, len(values), (BOOTSTRAPS, len(values)))]
    best = [expected_best(one, minimize, [compared])[0] for one in drawn]
    low, high = np.quantile(best, [0.1, 0.9])
    return float(low), float(high)


def _answer(sweep: Sweep, table: pd.DataFrame) -> str:
    signed = table.assign(signed=table["expected"] * (1 if sweep.minimize else -1))
    gaps = {}
    for key, rows in signed[signed["trials"] >= FEW].groupby("parameter", sort=False):
        ordered = rows.sort_values("signed", kind="stable")
        if len(rows) > 1:
            size = float(ordered["signed"].iloc[-1] - ordered["signed"].iloc[0])
            gaps[str(key)] = (size, str(ordered["bucket"].iloc[0]))
    if not gaps:
        return f"Not told yet: no parameter has two buckets with {FEW} complete trials."
    key = max(gaps, key=lambda one: gaps[one][0])
    size, best = gaps[key]
    gain = formats.measure(size, sweep.ranking.loss)
    return (
        f"{key} gives most: its best bucket ({best}) is expected to be {gain} better than its "
        "worst, with equally many trials in both."
    )
