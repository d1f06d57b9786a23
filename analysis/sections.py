"""The evidence on the page: one section per question, the answer first."""

from html import escape

from analysis import cells, markup
from analysis.figures import Figures, data_uri
from analysis.finding import Finding

ROWS = 60
"""Rows of a finding's table on the page at most; its CSV has all."""
PARTS = (
    ("Is it real?", ("confirmation", "optimism")),
    ("The search space", ("space", "importance", "isolation", "interactions", "ablation")),
    ("Training", ("curves", "length", "samples")),
    ("The search", ("history", "sampling", "sampler", "pruning", "feasibility", "interruptions")),
    ("Cost", ("tradeoffs", "scaling", "resources")),
)
"""Findings by part of the page."""
THINNED = frozenset({"space", "history", "interactions"})
"""Findings whose charts show every trial as a point."""
NARROW = frozenset({"interactions"})
"""Findings whose charts do not get better by being wide."""
NOTES = {
    "curves": "The best five in colour, the winner's training loss dashed; &times; pruned, "
    '&#9661; failed, &#9671; unfinished. <span class="hint">Point at a trial, here or in a table, '
    "to light it up everywhere; click to hold it.</span>",
    "history": "The line is the best complete trial so far; &times; pruned, &#9661; failed, "
    "&#9671; unfinished, &#9633; duplicate, at the last loss.",
    "space": "The objective over each parameter, in the range that was searched. "
    '<span class="hint">Draw over a range, in as many charts as you like: the trials inside light '
    "up in all charts and tables.</span>",
    "confirmation": "Means over fresh seeds with 95 % intervals; &#9671; is the value that the "
    "search saw.",
    "isolation": "The expected best of as many trials for every bucket, so that none is lucky "
    "because it had more.",
    "importance": "Grey bars cannot be told from chance: they end before the dashed line.",
    "interactions": "Dark is good. Behind the trials lies the fitted surface, where there are "
    "trials near.",
}
"""What a reader has to know to read the charts of a finding."""


def section(finding: Finding, figures: Figures) -> str:
    """Return a finding as a section: answer, charts, and folded its data and its method."""
    drawn = "" if finding.id == "curves" else charts(finding.id, finding.title, figures)
    title, answer = escape(finding.title), escape(finding.answer)
    if not finding.known and not drawn:
        return (
            f'<section class="grey" id="{finding.id}"><h2>{title}</h2>'
            f'<p class="missing">{answer}</p></section>\n'
        )
    told = " ".join(
        part for part in (NOTES.get(finding.id, ""), _thinned(finding, figures)) if part
    )
    note = f'<p class="soft">{told}</p>' if drawn and told else ""
    return (
        f'<section id="{finding.id}"><h2>{title}</h2>\n<p class="answer">{answer}</p>\n{note}'
        f"{drawn}{_texts(finding)}\n{_folds(finding)}</section>\n"
    )


def charts(id: str, title: str, figures: Figures) -> str:
    """Return the charts of a finding as a figure, "" if there are none; several stand beside each
    other, and without scripts they are an image."""
    names = [name for name in figures.specs if name.partition(":")[0] == id]
    if not names:
        return ""
    boxes = "".join(_box(name, figures) for name in names)
    source = data_uri(figures.stills[id]) if id in figures.stills else ""
    image = f'<noscript><img alt="{escape(title)}" src="{source}"></noscript>' if source else ""
    style = ' class="small"' if len(names) > 1 or id in NARROW else ""
    return f"<figure><div{style}>{boxes}</div>{image}</figure>"


def _box(name: str, figures: Figures) -> str:
    points = figures.brushed.get(name)
    brush = f' data-brush="{escape(points)}"' if points else ""
    # As high as it will be, so that nothing jumps when it is drawn.
    height = f' style="min-height:{figures.specs[name]["height"]}px"'
    return f'<div class="chart" data-chart="{escape(name)}"{brush}{height}></div>'


def _thinned(finding: Finding, figures: Figures) -> str:
    """What a chart does not show of a large sweep."""
    if not figures.left_out or finding.id not in THINNED:
        return ""
    return f"Drawn are {len(figures.trials)} trials: the best ones, and others at even distances."


def _texts(finding: Finding) -> str:
    """What the models wrote, side by side."""
    if finding.id != "samples":
        return ""
    cards = "".join(
        f"<div><h3>Trial {row['trial']}, {escape(str(row['role']))}, after {row['step']} steps</h3>"
        f'<pre class="sample"><b>{escape(row["prompt"])}</b>{escape(row["text"])}</pre></div>\n'
        for row in finding.frame.to_dict("records")
    )
    return f'<div class="pair">{cards}</div>'


def _folds(finding: Finding) -> str:
    how = f"<details><summary>How computed</summary><p>{escape(finding.how)}</p></details>"
    if finding.frame.empty:
        return f'<div class="folds">{how}</div>'
    shown = markup.table(cells.table(finding, ROWS))
    count = len(finding.frame)
    more = f", the first {ROWS}" if count > ROWS else ""
    rows = f"{count} row{'s' if count > 1 else ''}{more}"
    data = f"<details><summary>Data ({rows})</summary>{shown}</details>"
    link = f'<a href="tables/{finding.id}.csv">{finding.id}.csv</a>'
    return f'<div class="folds">{data}{link}{how}</div>'
