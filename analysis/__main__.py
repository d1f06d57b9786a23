"""The verdict on a sweep, in the terminal and as a report: python -m analysis SWEEP."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from analysis import formats, stats, tables
from analysis.load import LoadError, Sweep
from analysis.tables import Table
from analysis.verdict import Verdict, generate, judge, reproduce

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 100
EPILOG = """\
The report is written into SWEEP's directory, under report/: report.html (one file, opens
without a network), report.md, leaderboard.csv, curves.csv, checks.json and figures/;
configurations.csv where there are replicates, pareto.csv where there are several objectives.
Works on a finished, a running and an interrupted sweep. Nothing is trained, and nothing
but report/ is written.

exit codes: 0 done, 2 no such sweep, 3 its record cannot be used, 75 cannot write: try again

examples:
  python -m analysis sweeps/small.yaml
  python -m analysis runs/small
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Write the report of one sweep, print its verdict, return the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        sweep = Sweep.load(arguments.sweep, out=arguments.out)
        from analysis import report  # drawing takes a second to import; errors need not wait

        folder = report.write(sweep)
    except LoadError as error:
        print(formats.line(str(error), 1000), file=sys.stderr)
        return error.exit_code
    except OSError as error:
        hint = "free space or make it writable, then run this again"
        where = error.filename or arguments.sweep
        print(f"{where}: {error.strerror or error}; {hint}", file=sys.stderr)
        return 75
    _print(sweep, judge(sweep), folder)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m analysis",
        description="Say which trial of a sweep is best, and write the report.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sweep", metavar="SWEEP", help="a SWEEP.yaml, or a directory runs/NAME")
    parser.add_argument(
        "--out",
        default="runs",
        metavar="DIR",
        help="where the sweep of a SWEEP.yaml lies, as DIR/NAME (default: runs)",
    )
    return parser


def _print(sweep: Sweep, verdict: Verdict, folder: Path) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(width=WIDTH, highlight=False, markup=False, emoji=False)
    console.print(Text(verdict.sentence, style="bold"))
    counted = stats.counts(sweep.trials, sweep.meta["trials"])
    console.print(", ".join(f"{count} {state}" for state, count in counted.items() if count))
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
    for label, text in _paths(sweep, verdict, folder):
        # Never broken into lines: these are for copying.
        console.print(f"{label:<11}{text}", soft_wrap=True)


def _paths(sweep: Sweep, verdict: Verdict, folder: Path) -> list[tuple[str, str]]:
    lines = [("report", str(folder / "report.html"))]
    if verdict.winner is None:
        return lines
    checkpoint = sweep.trial(verdict.winner)["checkpoint"]
    if checkpoint:
        lines.append(("checkpoint", str(sweep.directory / checkpoint)))
    trial = f"{sweep.directory}/trials/{verdict.winner:04d}"
    lines.append(("reproduce", reproduce(trial, sweep, verdict.winner)))
    return [*lines, ("generate", generate(trial))]


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


if __name__ == "__main__":
    raise SystemExit(main())
