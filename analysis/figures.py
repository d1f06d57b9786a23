"""Figures of a report: charts as files, and as specifications for the page.

A chart is named after the finding it is evidence for, `ID` or `ID:PART`; the parts of one finding
are one file.
"""

import base64
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import vl_convert

from analysis import charts, exhibits, spendings, stats, unit
from analysis.evidence import Evidence
from analysis.findings import history, interactions, pruning, resources
from analysis.load import Sweep
from analysis.marks import Spec
from analysis.promotion import promoted
from analysis.theme import PAGE, PRINT, config

COLUMNS, PAIRS, LEVELS = 3, 3, 3
STILL = frozenset({"curves", "history", "space"})
"""Figures that the page has as an image, too, for a browser without JavaScript."""
DRAWN = 2000
"""Trials that a chart shows as points at most."""
HEIGHTS = {"space": 210, "isolation": 190, "interactions": 280}
"""Pixels of charts that stand beside each other."""
COSTS = {
    "parameters": "trainable weights",
    "train_s": "training time (seconds)",
    "flops": "operations of the training",
}


@dataclass(frozen=True)
class Figures:
    """Charts by name as the page draws them, and by file stem as SVG and PNG.

    `brushed` names the points that a range drawn in a chart chooses from; `trials` holds each
    trial's value, None for none; `better` is 1 where more is better, else -1. `stills` are images
    for a browser without scripts; `left_out` counts the trials that charts do not show.
    """

    specs: Mapping[str, Spec]
    brushed: Mapping[str, str]
    svg: Mapping[str, str]
    png: Mapping[str, bytes]
    stills: Mapping[str, bytes]
    trials: Mapping[int, float | None]
    better: int
    left_out: int


def draw(sweep: Sweep, evidence: Evidence, files: bool = True) -> Figures:
    """Draw every chart there is data for; without `files` those of the page alone, for scripts."""
    shown = drawn_of(sweep.trials)
    drawn = {name: spec for name, spec in _charts(sweep, evidence, shown) if spec is not None}
    svg = {name: _svg(spec) for name, spec in _by_file(drawn).items()} if files else {}
    return Figures(
        specs={name: _responsive(name, spec) for name, spec in drawn.items()},
        brushed={name: _points(name) for name in drawn if name.startswith("space:")},
        svg=svg,
        png={name: _png(of, scale=2) for name, of in svg.items()},
        stills={name: _png(svg[name], scale=1) for name in STILL if name in svg},
        trials=_values(shown),
        better=-1 if sweep.minimize else 1,
        left_out=len(sweep.trials) - len(shown),
    )


def drawn_of(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the trials that charts show as points: all, or of a large sweep the best DRAWN / 2 and
    as many others, evenly from first to last."""
    if len(trials) <= DRAWN:
        return trials
    best = stats.leaders(trials).head(DRAWN // 2).index
    others = trials.index.difference(best)
    kept = others[:: -(-len(others) // (DRAWN // 2))]
    return trials.loc[best.union(kept)]


def _charts(
    sweep: Sweep, evidence: Evidence, shown: pd.DataFrame
) -> Iterator[tuple[str, Spec | None]]:
    trials, found, title = _on_one_scale(sweep, shown), evidence.findings, sweep.ranking.title
    frames = {name: finding.frame for name, finding in found.items()}
    own = trials[trials["state"] != "duplicate"]
    yield "curves", charts.learning_curves(sweep.trials, sweep.curves)
    yield "confirmation", exhibits.confirmation(frames["confirmation"], title)
    yield "optimism", exhibits.probabilities(frames["optimism"])
    slices = charts.slices(own, sweep.space, sweep.minimize, sweep.metric)
    yield from ((f"space:{name}", spec) for name, spec in slices.items())
    judged = promoted(sweep)[0].trials.loc[shown.index]
    yield "parallel", exhibits.parallel(judged, unit.places(judged, sweep.space))
    yield "importance", exhibits.importance(frames["importance"])
    small = exhibits.isolation(frames["isolation"], sweep.metric)
    yield from ((f"isolation:{name}", spec) for name, spec in small.items())
    yield from _surfaces(sweep, frames["interactions"])
    yield "history:trials", charts.history(trials, sweep.minimize, title)
    yield "history:cost", spendings.over_cost(frames["history"], title)
    yield "sampling", spendings.expected(history.curve(sweep), title)
    yield "pruning", spendings.correlation(pruning.correlations(sweep.trials, sweep.curves))
    for column, name in COSTS.items():
        costs = frames["tradeoffs"].head(DRAWN)
        yield f"tradeoffs:{column}", spendings.cost(costs, column, name, title)
    yield "resources", spendings.timeline(resources.timeline(sweep).head(DRAWN))
    if len(sweep.objectives) > 1:
        yield "front", charts.tradeoffs(sweep.trials, sweep.front, sweep.objectives)


def _surfaces(sweep: Sweep, pairs: pd.DataFrame) -> Iterator[tuple[str, Spec | None]]:
    judged, _ = promoted(sweep)
    known = drawn_of(unit.comparable(judged.trials))
    placed = unit.places(known, sweep.space)
    for row in pairs.head(PAIRS).to_dict("records"):
        a, b = row["parameter"], row["other"]
        points = known.assign(x=placed[a], y=placed[b], rank=known["rank"].rank(pct=True))
        fit = interactions.surface(known, placed, a, b)
        inside = points.dropna(subset=["x", "y"])
        if min(inside["x"].nunique(), inside["y"].nunique()) < LEVELS:
            continue  # a table says as much of so few points
        yield f"interactions:{a}:{b}", exhibits.surface(fit, inside, (a, b))


def _values(trials: pd.DataFrame) -> dict[int, float | None]:
    values = trials["value"].where(trials["state"] == "complete").tolist()
    pairs = zip(trials["trial"], values, strict=True)
    return {int(trial): value if math.isfinite(value) else None for trial, value in pairs}


def _on_one_scale(sweep: Sweep, trials: pd.DataFrame) -> pd.DataFrame:
    """Return trials without the loss that stands in for a value, where that is no loss."""
    return trials if sweep.ranking.column == "value" else trials.assign(val_last_nats=math.nan)


def page_charts(figures: Figures) -> str:
    """Return configuration and specifications as JSON that is safe inside a script element."""
    text = json.dumps(
        {
            "config": {"vega": config(PAGE), "better": figures.better},
            "specs": figures.specs,
            "trials": figures.trials,
        },
        allow_nan=False,
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=True,
    )
    # "<" only occurs within strings, so that neither </script> nor <!-- can be in the page.
    return text.replace("<", "\\u003c")


def data_uri(png: bytes) -> str:
    """Return an image's source that needs no other file."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _points(name: str) -> str:
    return f"points:{name.partition(':')[2]}"


def _responsive(name: str, spec: Spec) -> Spec:
    """Return a chart as wide as its place; what a range is drawn over has the parameter brush."""
    head = name.partition(":")[0]
    spec = {**spec, "width": "container", "height": HEIGHTS.get(head, spec["height"])}
    if head != "space":
        return spec
    drawn = {"name": "brush", "select": {"type": "interval", "encodings": ["x"]}}
    first, *others = spec["layer"]
    return {**spec, "layer": [{**first, "params": [*first.get("params", []), drawn]}, *others]}


def _by_file(drawn: Mapping[str, Spec]) -> dict[str, Spec]:
    """Return the charts as they are filed: the parts of one beside each other."""
    parts: dict[str, dict[str, Spec]] = {}
    for name, spec in drawn.items():
        parts.setdefault(name.partition(":")[0], {})[name] = spec
    if "curves" in parts:  # what carries the tooltips is seen by nobody on paper
        spec = parts["curves"]["curves"]
        parts["curves"]["curves"] = {**spec, "layer": spec["layer"][:-1]}
    return {
        head: _grid(of) if any(":" in name for name in of) else of[head]
        for head, of in parts.items()
    }


def _grid(drawn: Mapping[str, Spec]) -> Spec:
    """Return charts as one: what they share moves to the top."""
    shared = ("$schema", "params", "datasets")
    cells = [
        {key: part for key, part in spec.items() if key not in shared}
        | {"width": 230, "height": 190}
        for spec in drawn.values()
    ]
    data: dict[str, Any] = {}
    for spec in drawn.values():
        data |= spec["datasets"]
    first = next(iter(drawn.values()))
    top = {"$schema": first["$schema"], "params": first["params"], "datasets": data}
    return {**top, "concat": cells, "columns": COLUMNS}


def _svg(spec: Spec) -> str:
    return vl_convert.vegalite_to_svg(spec, config=config(PRINT))


def _png(svg: str, scale: int) -> bytes:
    return vl_convert.svg_to_png(svg, scale=scale)
