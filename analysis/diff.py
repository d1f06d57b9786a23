"""What two trials of a sweep differ in: python -m analysis diff SWEEP N M."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from analysis import arguments, formats
from analysis.load import Sweep
from analysis.records import UnreadableError, read_object
from analysis.show import curve, spark
from analysis.tables import Table

MEASURES = ("state", "value", "step", "tokens", "parameters", "train_s", "tokens_per_s")
STEPS = 8
"""Steps of the curves that are printed at most."""


def command(argv: Sequence[str]) -> int:
    """Print what two trials differ in; returns the exit code."""
    parser = arguments.parser("diff", "Print what two trials differ in: settings, results, texts.")
    parser.add_argument("trials", type=int, nargs=2, metavar="N", help="their numbers")
    given = parser.parse_args(argv)
    sweep = Sweep.load(given.sweep, out=given.out)
    pair = [arguments.checked(sweep, trial) for trial in given.trials]
    out = arguments.console()
    for table in (settings(sweep, pair), results(sweep, pair), curves(sweep, pair)):
        arguments.print_table(out, table)
        out.print()
    for line in texts(sweep, pair):
        out.print(line, soft_wrap=True)
    return 0


def settings(sweep: Sweep, pair: Sequence[int]) -> Table:
    """Return every key of the configs that has two values."""
    configs = [_config(sweep, trial) for trial in pair]
    keys = dict.fromkeys(key for config in configs for key in config)
    rows = [
        (key, *(_shown(config, key) for config in configs))
        for key in keys
        if configs[0].get(key) != configs[1].get(key)
    ]
    return _table("setting", pair, rows or [("none differs", "", "")])


def results(sweep: Sweep, pair: Sequence[int]) -> Table:
    """Return what the trials came to, side by side."""
    found = [sweep.trial(trial) for trial in pair]
    rows = [(name, *(_measure(sweep, name, row[name]) for row in found)) for name in MEASURES]
    return _table("result", pair, rows)


def curves(sweep: Sweep, pair: Sequence[int]) -> Table:
    """Return the validation losses at some steps that both were evaluated at."""
    both = pd.concat([curve(sweep, trial) for trial in pair], axis=1, join="inner")
    every = max(1, -(-len(both) // STEPS))
    kept = both.iloc[::-1].iloc[::every].iloc[::-1]
    rows = [
        (f"at step {step}", formats.loss(one), formats.loss(other), formats.signed(other - one))
        for step, (one, other) in zip(kept.index, kept.to_numpy().tolist(), strict=True)
    ]
    drawn = ["".join(spark(curve(sweep, trial).tolist()[-STEPS:])) for trial in pair]
    table = _table("validation loss", pair, [*rows, ("the last ones", *drawn, "")])
    return Table((*table.columns, "difference"), table.rows, table.left)


def texts(sweep: Sweep, pair: Sequence[int]) -> Iterator[str]:
    """Yield the last text of both."""
    for trial in pair:
        known = sweep.samples[sweep.samples["trial"] == trial]
        if len(known):
            last = known.sort_values("step", kind="stable").iloc[-1]
            yield f"trial {trial} writes: {formats.line(last['prompt'] + last['text'], 300)}"


def _config(sweep: Sweep, trial: int) -> dict[str, Any]:
    try:
        nested = read_object(sweep.directory / f"trials/{trial:04d}/config.json") or {}
    except UnreadableError:
        return {}
    return dict(_leaves(nested))


def _leaves(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _shown(config: Mapping[str, Any], key: str) -> str:
    return formats.setting(config.get(key)) if key in config else formats.MISSING


def _measure(sweep: Sweep, name: str, value: Any) -> str:
    if name == "value":
        return formats.measure(value, sweep.ranking.loss)
    if name == "train_s":
        return formats.duration(value)
    return str(value) if name in ("state", "step") else formats.count(value)


def _table(head: str, pair: Sequence[int], rows: Sequence[tuple[str, ...]]) -> Table:
    columns = (head, *(f"trial {trial}" for trial in pair))
    return Table(columns, tuple(rows), frozenset({head}))
