"""The report as Markdown, for pull requests and terminals."""

import html
import re
from collections.abc import Iterator

from analysis import cells, nextspace, stats, tables
from analysis.environment import environment
from analysis.evidence import Evidence
from analysis.figures import Figures
from analysis.finding import Check, Finding
from analysis.load import Sweep
from analysis.masthead import moves
from analysis.sections import PARTS
from analysis.tables import Table
from analysis.verdict import generate, place, reproduce

ROWS = 12
"""Rows of a finding's table at most; its CSV has all."""


def render(sweep: Sweep, evidence: Evidence, figures: Figures) -> str:
    """Return the report; its images lie in figures/ beside it, its data in tables/."""
    counted = stats.counts(sweep.trials, sweep.meta["trials"])
    states = ", ".join(f"{count} {state}" for state, count in counted.items() if count)
    parts = [f"# Sweep {text(sweep.name)}", states or "no trials"]
    parts += [f"**{text(evidence.verdict.sentence)}**", _lights(evidence), _told(evidence)]
    parts += [*_use(sweep, evidence), *_next(sweep, evidence), *_trials(sweep, figures)]
    for title, ids in PARTS:
        parts.append(f"## {title}")
        for id in ids:
            parts += _finding(evidence.findings[id], figures)
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
    """Return `raw` as one line that Markdown shows as it is."""
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", html.escape(" ".join(raw.split()), quote=False))


def _lights(evidence: Evidence) -> str:
    lights = evidence.lights()
    cells = [(light.light, light.level, light.number) for light in lights]
    return table(Table(("light", "says", "because"), tuple(cells), frozenset({"light", "says"})))


def _told(evidence: Evidence) -> str:
    return "\n".join(_check(check) for check in evidence.checks if check.level != "ok")


def _check(check: Check) -> str:
    return f"- {check.level}: {text(f'{check.evidence} {check.action}'.strip())}"


def _use(sweep: Sweep, evidence: Evidence) -> Iterator[str]:
    winner = evidence.verdict.winner
    if winner is None:
        return
    folder = place(sweep, winner)
    yield f"## Use trial {winner}"
    yield table(tables.configuration(sweep, winner))
    yield _code("sh", generate(folder), reproduce(folder, sweep, winner))


def _next(sweep: Sweep, evidence: Evidence) -> Iterator[str]:
    changed = nextspace.fragment(evidence.findings["space"])
    commands = [command for _, command in moves(sweep, evidence, f"runs/{sweep.name}")]
    if commands or changed:
        yield "## Next"
    if commands:
        yield _code("sh", *commands)
    if changed:
        yield _code("yaml", changed.rstrip())


def _trials(sweep: Sweep, figures: Figures) -> Iterator[str]:
    best = tables.leaderboard(sweep)
    yield "## Leaderboard"
    if sweep.replicates > 1:
        yield text(tables.about_leaderboard(sweep, len(best.rows)))
    yield table(best)
    if len(sweep.objectives) > 1:
        yield "## Trade-offs"
        yield text(tables.about_front(sweep))
        yield table(tables.front(sweep))
        yield _image(figures, "front", "Trade-offs")
    for state in tables.UNRANKED:
        others = tables.without_rank(sweep, state)
        if others.rows:
            yield f"## {state.capitalize()}"
            yield table(others)


def _finding(finding: Finding, figures: Figures) -> Iterator[str]:
    yield f"### {text(finding.title)}"
    yield text(finding.answer)
    yield _image(figures, finding.id, finding.title)
    if not finding.frame.empty and finding.id != "samples":
        yield table(cells.table(finding, ROWS))
    if len(finding.frame) > ROWS:
        yield f"The first {ROWS} of {len(finding.frame)} rows: tables/{finding.id}.csv has all."
    if finding.id == "samples":
        for row in finding.frame.to_dict("records"):
            yield f"Trial {row['trial']}, {text(str(row['role']))}:"
            yield _code("text", f"{row['prompt']}{row['text']}")


def _image(figures: Figures, name: str, title: str) -> str:
    if name not in figures.svg:
        return ""
    return f"![{title}](figures/{name}.{'png' if name in figures.png else 'svg'})"


def _code(language: str, *lines: str) -> str:
    """Return a block of code, in a fence that is longer than any in it."""
    inside = "\n".join(lines)
    longest = max((len(run) for run in re.findall(r"`+", inside)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{inside}\n{fence}"
