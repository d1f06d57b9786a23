"""The report as one HTML page that needs neither network nor, to be read, JavaScript."""

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from string import Template

import pandas as pd

from analysis import formats, markup, stats, tables
from analysis.environment import environment
from analysis.figures import Figures, library, page_charts
from analysis.finding import Check
from analysis.load import Sweep
from analysis.verdict import Verdict, generate, place, reproduce

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


def render(sweep: Sweep, verdict: Verdict, checks: Sequence[Check], figures: Figures) -> str:
    """Return the page."""
    template = Template(files("analysis").joinpath("page.html").read_text(encoding="utf-8"))
    body = "\n".join(
        [
            _header(sweep, verdict, checks),
            _use(sweep, verdict),
            _leaderboard(sweep),
            _tradeoffs(sweep, figures),
            _figures(sweep, figures),
            _samples(sweep, verdict),
            _environment(sweep),
        ]
    )
    return template.substitute(
        title=f"{escape(sweep.name)}: sweep report",
        body=body,
        charts=page_charts(figures),
        library=library(),
    )


def _header(sweep: Sweep, verdict: Verdict, checks: Sequence[Check]) -> str:
    counted = stats.counts(sweep.trials, sweep.meta["trials"])
    parts = stats.shares(counted)
    style = {state: state.replace(" ", "-") for state in counted}
    bar = "".join(
        f'<i class="{style[s]}" style="flex:{part:.4f}"></i>' for s, part in parts.items()
    )
    key = "".join(f'<li><i class="{style[s]}"></i>{counted[s]} {s}</li>' for s in parts)
    noted = "".join(
        f'<li class="{check.level}"><b>{check.level}</b>{escape(check.evidence)} '
        f"<span>{escape(check.action)}</span></li>"
        for check in checks
        if check.level != "ok"
    )
    return (
        f'<header>\n<p class="name">Sweep <b>{escape(sweep.name)}</b> &middot; '
        f"{sum(counted.values())} trials &middot; {escape(_objective(sweep))}</p>\n"
        f'<div class="bar">{bar}</div>\n<ul class="key">{key}</ul>\n'
        f"<h1>{escape(verdict.sentence)}</h1>\n"
        f'<ul class="checks">{noted}</ul>\n</header>'
    )


def _objective(sweep: Sweep) -> str:
    direction = "lower is better" if sweep.minimize else "higher is better"
    if len(sweep.objectives) > 1:
        return formats.listed([objective.metric for objective in sweep.objectives])
    return ", ".join(part for part in (sweep.metric, sweep.ranking.unit, direction) if part)


def _use(sweep: Sweep, verdict: Verdict) -> str:
    if verdict.winner is None:
        return ""
    folder = place(sweep, verdict.winner)
    checkpoint = sweep.trial(verdict.winner)["checkpoint"]
    commands = [
        markup.command("Write text with it", generate(folder)),
        markup.command("Train it again", reproduce(folder, sweep, verdict.winner)),
    ]
    if checkpoint:
        commands.append(markup.command("Checkpoint", f"runs/{sweep.name}/{checkpoint}"))
    table = tables.configuration(sweep, verdict.winner)
    marks = ["changed" if row[1] != row[-1] else "same" for row in table.rows]
    return (
        f'<section class="use">\n<h2>Use trial {verdict.winner}</h2>\n<div class="pair">\n'
        f"<div>{markup.table(table, marks if len(table.columns) > 2 else ())}</div>\n"
        f"<div>{''.join(commands)}"
        '<p class="soft">Run from the project\'s root; replace runs by your --out.</p></div>\n'
        "</div>\n</section>"
    )


def _leaderboard(sweep: Sweep) -> str:
    best = tables.leaderboard(sweep)
    text = escape(tables.about_leaderboard(sweep, len(best.rows)))
    parts = [f'<h2>Leaderboard</h2>\n<p class="soft">{text}</p>']
    parts.append(markup.table(best, swatches=tables.leading(sweep)))
    for state in tables.UNRANKED:
        table = tables.without_rank(sweep, state)
        if table.rows:
            number = int((sweep.trials["state"] == state).sum())
            parts.append(f"<h3>{state.capitalize()} ({number})</h3>\n{markup.table(table)}")
    return f"<section>{''.join(parts)}</section>"


def _tradeoffs(sweep: Sweep, figures: Figures) -> str:
    if len(sweep.objectives) == 1:
        return ""
    text = escape(tables.about_front(sweep))
    chart = markup.section("Trade-offs", ["tradeoffs"], "tradeoffs", figures, text)
    return f"{chart}\n{markup.table(tables.front(sweep))}"


def _figures(sweep: Sweep, figures: Figures) -> str:
    marks = "&times; pruned, &#9661; failed, &#9671; unfinished"
    square = ", &#9633; duplicate" if (sweep.trials["state"] == "duplicate").any() else ""
    beyond = "Beyond the range shown, points lie at its edge."
    seeds = "The best seed of each of the best five configurations"
    best = seeds if sweep.replicates > 1 else "The best five"
    slices = [name for name in figures.specs if name.startswith("slice:")]
    return "\n".join(
        [
            markup.section(
                "Learning curves",
                ["learning_curves"],
                "learning_curves",
                figures,
                f"{best} in colour, the winner's training loss dashed; {marks}. "
                '<span class="hint">Point at a trial, here or in a table, to light it up '
                "everywhere; click to hold it.</span>",
            ),
            markup.section(
                "Every trial in order",
                ["history"],
                "history",
                figures,
                f"The line is the best complete trial so far; {marks}{square}, at the last "
                f"loss. {beyond}",
            ),
            markup.section(
                "Where good values lie",
                slices,
                "slices",
                figures,
                f"The objective over each parameter, in the range that was searched. {beyond}",
            ),
        ]
    )


def _samples(sweep: Sweep, verdict: Verdict) -> str:
    chosen = [("the winner", verdict.winner), ("the median", stats.middle(sweep.trials))]
    parts = [_sample(sweep, who, trial) for who, trial in chosen if trial is not None]
    if not any(parts):
        return ""
    return f'<section><h2>What they write</h2>\n<div class="pair">{"".join(parts)}</div></section>'


def _sample(sweep: Sweep, who: str, trial: int) -> str:
    texts = sweep.samples[sweep.samples["trial"] == trial]
    if texts.empty:
        return ""
    last: pd.Series[str] = texts.sort_values("step", kind="stable").iloc[-1]
    return (
        f"<div><h3>Trial {trial}, {who}, after {last['step']} steps</h3>\n"
        f'<pre class="sample"><b>{escape(last["prompt"])}</b>{escape(last["text"])}</pre></div>\n'
    )


def _environment(sweep: Sweep) -> str:
    rows = environment(sweep).rows
    pairs = "".join(f"<dt>{escape(what)}</dt><dd>{escape(value)}</dd>" for what, value in rows)
    methods = "".join(f"<p>{escape(text)}</p>" for text in METHODS)
    return (
        f"<section><h2>Environment</h2>\n<dl>{pairs}</dl>\n"
        f"<details><summary>How this was computed</summary>{methods}</details></section>"
    )
