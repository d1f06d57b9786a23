"""A sweep in a notebook: its verdict, its states and its best trials."""

from html import escape

from analysis import markup, stats, tables
from analysis.load import Sweep
from analysis.verdict import judge


def html(sweep: Sweep) -> str:
    """Return a sweep as HTML that is shown within a page of others; it has no styles of its own."""
    counted = stats.counts(sweep.trials, sweep.meta["trials"])
    states = ", ".join(f"{count} {state}" for state, count in counted.items() if count)
    best = markup.table(tables.leaderboard(sweep, stats.LEADERS))
    head = f"<p>Sweep {escape(sweep.name)}: {states or 'no trials'}</p>"
    return f"<div>{head}<p><b>{escape(judge(sweep).sentence)}</b></p>{best}</div>"
