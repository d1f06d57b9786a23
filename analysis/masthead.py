"""The top of the page: status, verdict, lights, what to use and what to do next."""

import math
from html import escape

from analysis import formats, markup, nextspace, stats, tables
from analysis.evidence import Evidence
from analysis.finding import Check
from analysis.findings.sampling import PER_PARAMETER
from analysis.load import Sweep
from analysis.records import at
from analysis.verdict import generate, place, reproduce

SIGNS = {
    "ok": "\N{CHECK MARK}",
    "info": "i",
    "warn": "!",
    "fail": "\N{MULTIPLICATION SIGN}",
    "unknown": "?",
}
PLACES = {
    "noise": "confirmation",
    "space": "space",
    "sampling": "sampling",
    "feasibility": "feasibility",
    "length": "length",
    "pruning": "pruning",
}
"""The section that a light leads to."""
LEFT = "Train what is left"
RUN_FROM = "Run from the project's root; replace runs by your --out."


def masthead(sweep: Sweep, evidence: Evidence) -> str:
    """Return all that stands above the evidence, as HTML."""
    boxes = "".join(box for box in (_use(sweep, evidence), _next(sweep, evidence)) if box)
    first, _, rest = evidence.verdict.sentence.partition(". ")
    said = f"<h1>{escape(f'{first}. ' if rest else first)}</h1>"
    said += f'\n<p class="lede">{escape(rest)}</p>' if rest else ""
    return (
        f"<header>\n{_status(sweep)}\n{said}\n"
        f"{_lights(evidence.lights())}\n{_told(evidence)}\n</header>\n"
        f'<div class="boxes">{boxes}</div>\n'
    )


def _status(sweep: Sweep) -> str:
    counted = stats.counts(sweep.trials, sweep.meta["trials"])
    parts = stats.shares(counted)
    style = {state: state.replace(" ", "-") for state in counted}
    bar = "".join(
        f'<i class="{style[s]}" style="flex:{part:.4f}"></i>' for s, part in parts.items()
    )
    key = "".join(f'<li><i class="{style[s]}"></i>{counted[s]} {s}</li>' for s in parts)
    return (
        f'<p class="name">Sweep <b>{escape(sweep.name)}</b> &middot; '
        f"{sum(counted.values())} trials &middot; {escape(_objective(sweep))}{_spent(sweep)}</p>\n"
        f'<div class="bar">{bar}</div>\n<ul class="key">{key}</ul>'
    )


def _objective(sweep: Sweep) -> str:
    direction = "lower is better" if sweep.minimize else "higher is better"
    if len(sweep.objectives) > 1:
        return formats.listed([objective.metric for objective in sweep.objectives])
    return ", ".join(part for part in (sweep.metric, sweep.ranking.unit, direction) if part)


def _spent(sweep: Sweep) -> str:
    tokens, seconds = sweep.trials["tokens"].sum(), float(sweep.trials["train_s"].sum())
    if not tokens:
        return ""
    spent = f"{formats.count(tokens)} characters, {formats.duration(seconds)} of training"
    return f" &middot; {spent}"


def _lights(lights: list[Check]) -> str:
    cells = "".join(
        f'<li class="{light.level}"><a href="#{PLACES[light.light]}" '
        f'title="{escape(light.evidence)}"><b><i>{SIGNS[light.level]}</i>{light.light}</b>'
        f"<span>{escape(light.number or light.level)}</span></a></li>"
        for light in lights
    )
    return f'<ul class="lights">{cells}</ul>'


def _told(evidence: Evidence) -> str:
    """The checks that are not well, in words; what a light only mentions is in its section."""
    noted = "".join(
        f'<li class="{check.level}"><b>{check.level}</b>{escape(check.evidence)} '
        f"<span>{escape(check.action)}</span></li>"
        for check in evidence.checks
        if check.level != "ok" and not (check.level == "info" and check.light)
    )
    return f'<ul class="checks">{noted}</ul>'


def _use(sweep: Sweep, evidence: Evidence) -> str:
    winner = evidence.verdict.winner
    if winner is None:
        return ""
    folder = place(sweep, winner)
    commands = [
        markup.command("Write text with it", generate(folder)),
        markup.command("Train it again", reproduce(folder, sweep, winner)),
    ]
    checkpoint = sweep.trial(winner)["checkpoint"]
    if checkpoint:
        commands.append(markup.command("Checkpoint", f"runs/{sweep.name}/{checkpoint}"))
    table = tables.configuration(sweep, winner)
    marks = ["changed" if row[1] != row[-1] else "same" for row in table.rows]
    return (
        f'<section class="box" id="use">\n<h2>Use trial {winner}</h2>\n'
        f"{markup.table(table, marks if len(table.columns) > 2 else ())}"
        f'{"".join(commands)}<p class="soft">{RUN_FROM}</p>\n</section>'
    )


def _next(sweep: Sweep, evidence: Evidence) -> str:
    where = f"runs/{sweep.name}"
    parts = [markup.command(why, command) for why, command in moves(sweep, evidence, where)]
    changed = nextspace.fragment(evidence.findings["space"])
    again = f"python -m experiments.sweep {where}/report/next_space.yaml"
    if changed:
        parts.append(markup.command("Search where these ranges end", changed))
        parts.append(markup.command("That file, ready to run", again))
    elif evidence.verdict.winner is not None:
        parts.append(markup.command("Search again from the winner, with another seed", again))
    return f'<section class="box" id="next">\n<h2>Next</h2>\n{"".join(parts)}</section>'


def moves(sweep: Sweep, evidence: Evidence, where: str) -> list[tuple[str, str]]:
    """Return what to run next for the sweep that lies `where`, each with its reason."""
    counted = stats.counts(sweep.trials, sweep.meta["trials"])
    found = []
    if counted["unfinished"] + counted["not started"]:
        found.append((LEFT, f"python -m experiments.sweep {where}"))
    if counted["complete"] and evidence.noise.source != "confirmation":
        confirm = f"python -m experiments.confirm {where} --top 3 --seeds 3"
        found.append(("Find out how sure the verdict is", confirm))
    elif evidence.verdict.ties:
        seeds = 2 * max(2, evidence.verdict.confirmed)
        confirm = f"python -m experiments.confirm {where} --top 3 --seeds {seeds}"
        found.append(("Tell the tied ones apart", confirm))
    enough = needed(sweep)
    if LEFT not in dict(found) and sum(counted.values()) < enough:
        more = f"python -m experiments.sweep {where} --trials {enough}"
        found.append((f"Search on: {enough} trials are the least for so many parameters", more))
    return found


def needed(sweep: Sweep) -> int:
    """Return the least trials for the parameters that are searched, in whole cohorts."""
    cohort = at(sweep.meta, "pruner.cohort")
    size = cohort if isinstance(cohort, int) and cohort > 0 else 1
    return size * math.ceil(PER_PARAMETER * len(sweep.space) / size)
