"""Arguments that the commands share, and how they print."""

import argparse
from typing import TYPE_CHECKING

from analysis.load import LoadError, Sweep
from analysis.tables import Table

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 100


def parser(name: str, description: str, sweeps: int = 1) -> argparse.ArgumentParser:
    """Return the parser of `python -m analysis NAME`, which takes so many sweeps."""
    made = argparse.ArgumentParser(
        prog=f"python -m analysis {name}",
        description=description,
        epilog="exit codes: 0 done, 2 no such sweep or trial, 3 its record cannot be used",
    )
    about = "a SWEEP.yaml, or a directory runs/NAME"
    made.add_argument("sweep", metavar="SWEEP", nargs=None if sweeps == 1 else sweeps, help=about)
    where = "where the sweep of a SWEEP.yaml lies, as DIR/NAME (default: runs)"
    made.add_argument("--out", default="runs", metavar="DIR", help=where)
    return made


def checked(sweep: Sweep, trial: int) -> int:
    """Return a trial's number. Raises LoadError with exit code 2 if it has not started."""
    if trial not in set(sweep.trials["trial"]):
        count = len(sweep.trials)
        known = f"its trials are 0 to {count - 1}" if count else "no trial has started"
        raise LoadError(f"{sweep.directory}: there is no trial {trial}; {known}", 2)
    return trial


def console() -> "Console":
    """Return what prints text as it is, in at most WIDTH columns."""
    from rich.console import Console

    return Console(width=WIDTH, highlight=False, markup=False, emoji=False)


def print_table(out: "Console", table: Table) -> list[str]:
    """Print a table; returns the columns that did not fit."""
    from rich.table import Table as Grid

    grid = Grid(box=None, pad_edge=False, header_style="dim")
    shown = fitting(table)
    for column in table.columns[:shown]:
        grid.add_column(column, justify="left" if column in table.left else "right", no_wrap=True)
    for row in table.rows:
        grid.add_row(*row[:shown])
    out.print(grid)
    return list(table.columns[shown:])


def fitting(table: Table) -> int:
    """Return how many columns fit into WIDTH; half a column tells nothing."""
    used = 0
    for number, column in enumerate(table.columns):
        used += max([len(column), *(len(row[number]) for row in table.rows)]) + 2
        if used > WIDTH + 2:
            return number
    return len(table.columns)
