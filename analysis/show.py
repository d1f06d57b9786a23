"""One trial: python -m analysis show SWEEP N."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from analysis import arguments, formats, tables
from analysis.load import Sweep
from analysis.verdict import generate, reproduce

BARS = "\N{LOWER ONE EIGHTH BLOCK}\N{LOWER ONE QUARTER BLOCK}\N{LOWER THREE EIGHTHS BLOCK}" + (
    "\N{LOWER HALF BLOCK}\N{LOWER FIVE EIGHTHS BLOCK}\N{LOWER THREE QUARTERS BLOCK}"
    "\N{LOWER SEVEN EIGHTHS BLOCK}\N{FULL BLOCK}"
)
POINTS = 60


def command(argv: Sequence[str]) -> int:
    """Print what is known of a trial; returns the exit code."""
    parser = arguments.parser("show", "Print what is known of one trial.")
    parser.add_argument("trial", type=int, metavar="N", help="its number")
    given = parser.parse_args(argv)
    sweep = Sweep.load(given.sweep, out=given.out)
    trial = arguments.checked(sweep, given.trial)
    out = arguments.console()
    for line in lines(sweep, trial):
        out.print(line, soft_wrap=True)
    out.print()
    arguments.print_table(out, tables.configuration(sweep, trial))
    for line in commands(sweep, trial):
        out.print(line, soft_wrap=True)
    return 0


def lines(sweep: Sweep, trial: int) -> Iterator[str]:
    """Yield what became of a trial, its curve and its last text."""
    row = sweep.trial(trial)
    yield f"trial {trial}: {row['state']}{_value(sweep, row)}"
    if row["reason"]:
        yield f"because {formats.line(row['reason'])}"
    speed = formats.count(row["tokens_per_s"])
    yield (
        f"step {tables.reached(row)}, {formats.count(row['parameters'])} weights, "
        f"{formats.duration(row['train_s'])} of updates, {speed} characters per second"
    )
    losses = curve(sweep, trial)
    if len(losses):
        first, last = formats.loss(losses.iloc[0]), formats.loss(losses.iloc[-1])
        yield f"validation loss {first} {spark(losses.tolist())} {last}"
    texts = sweep.samples[sweep.samples["trial"] == trial]
    if len(texts):
        last_text = texts.sort_values("step", kind="stable").iloc[-1]
        yield f"it writes: {formats.line(last_text['prompt'] + last_text['text'], 300)}"


def curve(sweep: Sweep, trial: int) -> "pd.Series[float]":
    """Return the validation losses of a trial by step, on the fixed windows."""
    rows = sweep.curves[(sweep.curves["trial"] == trial) & (sweep.curves["kind"] == "eval")]
    return rows.set_index("step")["val_loss_nats"].dropna()


def spark(values: Sequence[float]) -> str:
    """Return numbers as a row of bars, the lowest the smallest."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return ""
    step = max(1, math.ceil(len(values) / POINTS))
    low, span = min(finite), (max(finite) - min(finite)) or 1.0
    shown = [*values[::step]]
    return "".join(
        BARS[int((value - low) / span * (len(BARS) - 1))] if math.isfinite(value) else "?"
        for value in shown
    )


def commands(sweep: Sweep, trial: int) -> list[str]:
    """Return what writes with a trial, and what trains it again."""
    folder = f"{sweep.directory}/trials/{trial:04d}"
    return [f"generate   {generate(folder)}", f"reproduce  {reproduce(folder, sweep, trial)}"]


def _value(sweep: Sweep, row: "pd.Series[Any]") -> str:
    if row["state"] != "complete":
        last = row["val_last_nats"]
        return f", last validation loss {formats.loss(last)}" if math.isfinite(last) else ""
    value = formats.measure(row["value"], sweep.ranking.loss)
    unit = f" {sweep.ranking.unit}" if sweep.ranking.unit else ""
    best = formats.difference(row["delta"], sweep.ranking.loss)
    return f", rank {row['rank']}, {sweep.metric} {value}{unit} ({best} to the best)"
