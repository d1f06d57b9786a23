"""The best trials, filtered: python -m analysis top SWEEP."""

import argparse
import operator
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from analysis import arguments, stats, tables
from analysis.frames import missing, number
from analysis.load import LoadError, Sweep

CONDITION = re.compile(r"(?P<key>[\w.]+)\s*(?P<sign><=|>=|!=|==|=|<|>)\s*(?P<value>.+)")
SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
}


def command(argv: Sequence[str]) -> int:
    """Print the best trials; returns the exit code."""
    given = _parser().parse_args(argv)
    sweep = Sweep.load(given.sweep, out=given.out)
    kept = sweep.trials
    for condition in given.where:
        kept = where(kept, condition)
    chosen = stats.leaders(kept).head(given.n)
    if given.csv:
        sys.stdout.write(chosen.to_csv(index=False, lineterminator="\n"))
        return 0
    out = arguments.console()
    if chosen.empty:
        out.print("no complete trial" + (" meets the conditions" if given.where else ""))
        return 0
    table = tables.of_trials(sweep, chosen)
    left_out = arguments.print_table(out, table)
    if left_out:
        out.print(f"not shown here: {', '.join(left_out)}; --csv has all")
    return 0


def where(trials: pd.DataFrame, condition: str) -> pd.DataFrame:
    """Return the trials that meet `KEY<=VALUE` or the like, KEY a parameter or a column.

    Numbers compare as numbers, else texts. Raises LoadError (2) for anything else.
    """
    parts = CONDITION.fullmatch(condition.strip())
    if parts is None:
        raise LoadError(f"--where {condition}: must be like model.n_layers=2 or value<1.6", 2)
    column = f"p.{parts['key']}" if f"p.{parts['key']}" in trials else parts["key"]
    if column not in trials:
        known = ", ".join(str(name).removeprefix("p.") for name in trials)
        raise LoadError(f"--where {condition}: no such column; there are {known}", 2)
    meets = [_meets(value, parts["sign"], parts["value"].strip()) for value in trials[column]]
    return trials[pd.Series(meets, index=trials.index, dtype="bool")]


def _meets(value: Any, sign: str, wanted: str) -> bool:
    if missing(value):
        return False
    size = number(value)
    try:
        limit = float(wanted)
    except ValueError:
        limit = float("nan")
    if size == size and limit == limit:
        return SIGNS[sign](size, limit)
    return SIGNS[sign](str(value).lower(), wanted.lower())


def _parser() -> argparse.ArgumentParser:
    parser = arguments.parser("top", "Print the best complete trials of a sweep.")
    parser.add_argument("-n", type=int, default=20, metavar="N", help="how many (default: 20)")
    meant = "only trials that meet this, as model.n_layers=2 or value<1.6; repeatable"
    parser.add_argument("--where", action="append", default=[], metavar="KEY=VALUE", help=meant)
    parser.add_argument("--csv", action="store_true", help="every column, as CSV")
    return parser
