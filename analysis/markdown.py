"""The report as Markdown, for pull requests and terminals."""

import html
import re
from collections.abc import Sequence

from analysis import stats, tables
from analysis.environment import environment
from analysis.figures import Figures
from analysis.finding import Check
from analysis.load import Sweep
from analysis.tables import Table
from analysis.verdict import Verdict, generate, place, reproduce

TITLES = {
    "learning_curves": "Learning curves",
    "history": "Every trial in order",
    "slices": "Where good values lie",
}


def render(sweep: Sweep, verdict: Verdict, checks: Sequence[Check], figures: Figures) -> str:
    """Return the report; its images lie in figures/ beside it."""
    counted = stats.counts(sweep.trials, sweep.meta["trials"])
    states = ", ".join(f"{count} {state}" for state, count in counted.items() if count)
    parts = [f"# Sweep {text(sweep.name)}", states or "no trials", f"**{text(verdict.sentence)}**"]
    parts.append("\n".join(_check(check) for check in checks if check.level != "ok"))
    parts += _use(sweep, verdict)
    best = tables.leaderboard(sweep)
    note = [text(tables.about_leaderboard(sweep, len(best.rows)))] if sweep.replicates > 1 else []
    parts += ["## Leaderboard", *note, table(best)]
    parts += _tradeoffs(sweep, figures)
    for state in tables.UNRANKED:
        others = tables.without_rank(sweep, state)
        parts += [f"## {state.capitalize()}", table(others)] if others.rows else []
    for name, title in TITLES.items():
        if name in figures.svg:
            parts += [f"## {title}", _image(figures, name, title)]
    parts += ["## Environment", table(environment(sweep))]
    return "\n\n".join(part for part in parts if part) + "\n"


def table(content: Table) -> str:
    """Return a table in GitHub's Markdown, "None." for one without rows."""
    if not content.rows:
        return "None."
    rule = ["---" if column in content.left else "---:" for column in content.columns]
    rows = [[text(cell) for cell in row] for row in (content.columns, *content.rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (rows[0], rule, *rows[1:]))


def text(raw: str) -> str:
    """Return `raw` so that Markdown shows it as it is."""
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", html.escape(raw, quote=False))


def _check(check: Check) -> str:
    return f"- {check.level}: {text(f'{check.evidence} {check.action}'.strip())}"


def _image(figures: Figures, name: str, title: str) -> str:
    return f"![{title}](figures/{name}.{'png' if name in figures.png else 'svg'})"


def _tradeoffs(sweep: Sweep, figures: Figures) -> list[str]:
    if len(sweep.objectives) == 1:
        return []
    drawn = "tradeoffs" in figures.svg
    image = [_image(figures, "tradeoffs", "Trade-offs")] if drawn else []
    return ["## Trade-offs", text(tables.about_front(sweep)), table(tables.front(sweep)), *image]


def _use(sweep: Sweep, verdict: Verdict) -> list[str]:
    if verdict.winner is None:
        return []
    folder = place(sweep, verdict.winner)
    commands = [generate(folder), reproduce(folder, sweep, verdict.winner)]
    return [
        f"## Use trial {verdict.winner}",
        table(tables.configuration(sweep, verdict.winner)),
        "\n".join(f"    {command}" for command in commands),
    ]
