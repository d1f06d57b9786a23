"""The verdict in the terminal: what a sweep found, in at most 100 columns."""

from pathlib import Path
from typing import TYPE_CHECKING

from analysis import formats, stats, tables
from analysis.arguments import WIDTH, console, print_table
from analysis.evidence import Evidence
from analysis.load import Sweep
from analysis.masthead import moves
from analysis.verdict import generate, reproduce

if TYPE_CHECKING:
    from rich.table import Table

COLOURS = {"ok": "green", "info": "cyan", "warn": "yellow", "fail": "red", "unknown": "dim"}


def tell(sweep: Sweep, evidence: Evidence, folder: Path) -> None:
    """Print the verdict, the lights, the best trials and what to run."""
    from rich.text import Text

    out, verdict = console(), evidence.verdict
    out.print(Text(verdict.sentence, style="bold"))
    counted = stats.counts(sweep.trials, sweep.meta["trials"])
    out.print(", ".join(f"{count} {state}" for state, count in counted.items() if count))
    out.print()
    out.print(_lights(evidence))
    if verdict.winner is not None:
        out.print()
        ranked = tables.leaderboard(sweep, len(sweep.trials))
        table = tables.leaderboard(sweep, stats.LEADERS)
        left_out, more = print_table(out, table), len(ranked.rows) - len(table.rows)
        if more:
            out.print(f"and {more} more in report.html and leaderboard.csv")
        if left_out:
            out.print(f"not shown here: {', '.join(left_out)}")
    failed = sweep.trials[sweep.trials["state"] == "failed"]
    for trial, reason in zip(failed["trial"], failed["reason"], strict=True):
        out.print(formats.line(f"trial {trial} failed: {reason or 'no reason given'}", WIDTH))
    for name in sweep.unreadable:
        out.print(f"left out, not as it was written: {name}", soft_wrap=True)
    out.print()
    for label, text in _paths(sweep, evidence, folder):
        # Never broken into lines: these are for copying.
        out.print(f"{label:<11}{text}", soft_wrap=True)


def _lights(evidence: Evidence) -> "Table":
    """The lights, those that are well in a few words."""
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, show_header=False)
    for light in evidence.lights():
        said = light.number if light.level == "ok" else light.evidence
        grid.add_row(light.light, Text(light.level, style=COLOURS[light.level]), said)
    return grid


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
