"""Which of two sweeps is better: python -m analysis compare SWEEP SWEEP."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from analysis import arguments, formats, versus
from analysis.findings.history import exchangeable
from analysis.load import Sweep
from analysis.tables import Table

if TYPE_CHECKING:
    from rich.console import Console


def command(argv: Sequence[str]) -> int:
    """Print the comparison, what makes it void first; returns the exit code."""
    parser = arguments.parser(
        "compare",
        "Say which of two sweeps has the better winner, and whether that is more than chance. What "
        "makes them incomparable is said first, and then nothing is ranked.",
        sweeps=2,
    )
    given = parser.parse_args(argv)
    one, other = (Sweep.load(path, out=given.out) for path in given.sweep)
    out = arguments.console()
    void = versus.barriers(one, other)
    if void:
        out.print("These sweeps cannot be compared: they do not measure the same.")
        for line in void:
            out.print(f"  {line}")
    else:
        out.print(versus.verdict(one, other), style="bold")
        out.print("One study each: another seed of the search might have found another winner.")
    for head, lines in (
        ("They differ in more than the search:", versus.differences(one, other)),
        ("The spaces differ:", versus.spaces(one, other)),
    ):
        if lines:
            out.print(f"\n{head}")
        for line in lines:
            out.print(f"  {line}", soft_wrap=True)
    if not void:
        out.print()
        arguments.print_table(out, sides(one, other))
        _tell_matched(out, one, other)
    return 0


def sides(one: Sweep, other: Sweep) -> Table:
    """Return the two sweeps side by side."""
    trials = min(len(exchangeable(one)), len(exchangeable(other)))
    first, second = (dict(versus.side(sweep, trials)) for sweep in (one, other))
    rows = tuple((key, first[key], second[key]) for key in first)
    head = ("", str(one.directory), str(other.directory))
    return Table(head, rows, frozenset({""}))


def _tell_matched(out: "Console", one: Sweep, other: Sweep) -> None:
    same = versus.matched(one, other)
    if same.empty:
        return
    equal = int((same["difference"] == 0).sum())
    mean = formats.difference(float(same["difference"].mean()), one.ranking.loss)
    out.print(
        f"\nTrials with the same config and seed in both: {len(same)}, of which {equal} came to "
        f"the same value; the mean difference is {mean}."
    )
