"""The verdict in the terminal: what a sweep found, in at most 100 columns."""

from pathlib import Path
from typing import TYPE_CHECKING

from analysis import formats, stats, tables
from analysis.evidence import Evidence
from analysis.load import Sweep
from analysis.masthead import moves
from analysis.tables import Table
from analysis.verdict import generate, reproduce

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 100
COLOURS = {"ok": "green", "info": "cyan", "warn": "yellow", "fail": "red", "unknown": "dim"}


def tell(sweep: Sweep, evidence: Evidence, folder: Path) -> None:
    """Print the verdict, the lights, the best trials and what to run."""
    from rich.console import Console
    from rich.text import Text

    console, verdict = (
        Console(width=WIDTH, highlight=False, markup=False, emoji=False),
        evidence.verdict,
    )
    console.print(Text(verdict.sentence, style="bold"))
    counted = stats.counts(sweep.trials, sweep.meta["trials"])
    console.print(", ".join(f"{count} {state}" for state, count in counted.items() if count))
    console.print()
    for light in evidence.lights():
        console.print(Text(f"{light.light:<12}", style=COLOURS[light.level]), end="")
        console.print(formats.line(f"{light.level:<8} {light.evidence}", WIDTH - 12), style="")
    if verdict.winner is not None:
        console.print()
        ranked = tables.leaderboard(sweep, len(sweep.trials))
        table = tables.leaderboard(sweep, stats.LEADERS)
        _print_table(console, table, len(ranked.rows) - len(table.rows))
    failed = sweep.trials[sweep.trials["state"] == "failed"]
    for trial, reason in zip(failed["trial"], failed["reason"], strict=True):
        console.print(formats.line(f"trial {trial} failed: {reason or 'no reason given'}", WIDTH))
    for name in sweep.unreadable:
        console.print(f"left out, not as it was written: {name}", soft_wrap=True)
    console.print()
    for label, text in _paths(sweep, evidence, folder):
        # Never broken into lines: these are for copying.
        console.print(f"{label:<11}{text}", soft_wrap=True)


def _paths(sweep: Sweep, evidence: Evidence, folder: Path) -> list[tuple[str, str]]:
    lines, winner = [("report", str(folder / "report.html"))], evidence.verdict.winner
    following = [("next", command) for _, command in moves(sweep, evidence, str(sweep.directory))]
    if winner is None:
        return lines + following
    checkpoint = sweep.trial(winner)["checkpoint"]
    if checkpoint:
        lines.append(("checkpoint", str(sweep.directory / checkpoint)))
    trial = f"{sweep.directory}/trials/{winner:04d}"
    lines.append(("reproduce", reproduce(trial, sweep, winner)))
    return [*lines, ("generate", generate(trial)), *following]


def _print_table(console: "Console", table: Table, left_out: int) -> None:
    from rich.table import Table as Grid

    grid = Grid(box=None, pad_edge=False, header_style="dim")
    shown = _fitting(table)
    for column in table.columns[:shown]:
        grid.add_column(column, justify="left" if column in table.left else "right", no_wrap=True)
    for row in table.rows:
        grid.add_row(*row[:shown])
    console.print(grid)
    if left_out:
        console.print(f"and {left_out} more in report.html and leaderboard.csv")
    if shown < len(table.columns):
        console.print(f"not shown here: {', '.join(table.columns[shown:])}")


def _fitting(table: Table) -> int:
    """Return how many columns fit into WIDTH; half a column tells nothing."""
    used = 0
    for number, column in enumerate(table.columns):
        used += max(len(column), *(len(row[number]) for row in table.rows)) + 2
        if used > WIDTH:
            return number
    return len(table.columns)
