"""The report as one HTML page that needs neither network nor, to be read, JavaScript."""

from html import escape
from importlib.resources import files
from string import Template

from analysis import markup, sections, tables
from analysis.environment import environment
from analysis.evidence import Evidence
from analysis.figures import Figures, page_charts
from analysis.library import library
from analysis.load import Sweep
from analysis.masthead import masthead

METHODS = (
    "The objective of a complete trial is measured once, after its last step, on the whole "
    "validation split.",
    "A learning curve shows the loss on the same fixed windows of that split at every step, so "
    "its end can differ a little from the objective.",
    "Only complete trials are ranked: the last value of a pruned one belongs to an earlier step. "
    "Ties go to the trial with fewer characters trained on, then to the lower number.",
    "With several seeds per configuration, the mean over the complete trials is ranked, the more "
    "complete trials first; sd is the standard deviation between seeds (n-1). The trial to use is "
    "the best of the best configuration.",
    "A duplicate has the configuration of an earlier trial and took its result without training; "
    "it counts as nothing.",
    "A parameter with a condition that does not hold is no part of a trial, whatever its config "
    "says.",
    "A trial is on the front if no other complete one is as good in every objective and better in "
    "one.",
    "Loss is in nats per character; divided by 0.6931 it is in bits per character.",
    "Time is the wall clock of the updates alone; it depends on what else the machine did.",
    "The same record gives the same report, byte for byte.",
)


def render(sweep: Sweep, evidence: Evidence, figures: Figures, refresh: int = 0) -> str:
    """Return the page; with `refresh` a browser loads it again after so many seconds."""
    template = Template(files("analysis").joinpath("page.html").read_text(encoding="utf-8"))
    parts = [
        masthead(sweep, evidence),
        _top(sweep, evidence, figures),
        _contents(evidence),
        _leaderboard(sweep, figures),
        _tradeoffs(sweep, figures),
        *(_part(title, ids, evidence, figures) for title, ids in sections.PARTS),
        _environment(sweep),
    ]
    renewed = f'<meta http-equiv="refresh" content="{refresh}">\n' if refresh else ""
    return template.substitute(
        refresh=renewed,
        title=f"{escape(sweep.name)}: sweep report",
        body="\n".join(part for part in parts if part),
        charts=page_charts(figures),
        library=library(),
    )


def _top(sweep: Sweep, evidence: Evidence, figures: Figures) -> str:
    """The best five beside their curves."""
    best = tables.top(sweep, evidence.verdict.ties, evidence.chances())
    if not best.rows:
        return ""
    drawn = sections.charts("curves", "Learning curves", figures)
    table = markup.table(best, swatches=tables.leading(sweep))
    head = f"<h2>The best {len(best.rows)}</h2>"
    return f'<div class="top"><div>{head}{table}</div><div>{drawn}</div></div>'


def _contents(evidence: Evidence) -> str:
    links = "".join(
        f'<a href="#{id}">{escape(evidence.findings[id].title)}</a>'
        for _, ids in sections.PARTS
        for id in ids
        if evidence.findings[id].known
    )
    return f'<nav class="contents" aria-label="Contents">{links}</nav>'


def _part(title: str, ids: tuple[str, ...], evidence: Evidence, figures: Figures) -> str:
    body = "".join(sections.section(evidence.findings[id], figures) for id in ids)
    return f'<h2 class="part">{title}</h2>\n{body}'


def _leaderboard(sweep: Sweep, figures: Figures) -> str:
    best = tables.leaderboard(sweep)
    text = escape(tables.about_leaderboard(sweep, len(best.rows)))
    parts = ['<h2 class="part">The trials</h2>\n<section id="leaderboard"><h2>Leaderboard</h2>']
    parts.append(f'<p class="soft">{text}</p>{markup.table(best, swatches=tables.leading(sweep))}')
    if "parallel" in figures.specs:
        about = "Every complete trial through its parameters; the better, the stronger its line."
        parts.append(f'<h3>What good configurations share</h3><p class="soft">{about}</p>')
        parts.append(sections.charts("parallel", "Parallel coordinates", figures))
    for state in tables.UNRANKED:
        table = tables.without_rank(sweep, state)
        if table.rows:
            number = int((sweep.trials["state"] == state).sum())
            parts.append(f"<h3>{state.capitalize()} ({number})</h3>\n{markup.table(table)}")
    return f"{''.join(parts)}</section>"


def _tradeoffs(sweep: Sweep, figures: Figures) -> str:
    if len(sweep.objectives) == 1:
        return ""
    text = escape(tables.about_front(sweep))
    drawn = sections.charts("front", "Trade-offs", figures)
    table = markup.table(tables.front(sweep))
    head = f'<h2>Trade-offs</h2><p class="answer">{text}</p>'
    return f'<section id="front">{head}{drawn}{table}</section>'


def _environment(sweep: Sweep) -> str:
    rows = environment(sweep).rows
    pairs = "".join(f"<dt>{escape(what)}</dt><dd>{escape(value)}</dd>" for what, value in rows)
    methods = "".join(f"<p>{escape(text)}</p>" for text in METHODS)
    return (
        '<h2 class="part">How</h2>\n<section id="environment"><h2>Environment</h2>\n'
        f"<dl>{pairs}</dl>\n"
        f"<details><summary>How the ranking was computed</summary>{methods}</details></section>"
    )
