"""Figures of a report: charts as files, and as specifications for the page."""

import base64
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import vl_convert

from analysis import charts
from analysis.load import Sweep
from analysis.marks import Spec
from analysis.theme import PAGE, PRINT, config

COLUMNS = 3


@dataclass(frozen=True)
class Figures:
    """Charts by name, as they go into the page, and as SVG files by file stem."""

    specs: Mapping[str, Spec]
    svg: Mapping[str, str]
    png: Mapping[str, bytes]


def draw(sweep: Sweep) -> Figures:
    """Draw every chart there is data for."""
    trials = _on_one_scale(sweep)
    slices = charts.slices(
        trials[trials["state"] != "duplicate"], sweep.space, sweep.minimize, sweep.metric
    )
    still = charts.learning_curves(sweep.trials, sweep.curves, touch=False)
    shown = {
        "learning_curves": charts.learning_curves(sweep.trials, sweep.curves),
        "history": charts.history(trials, sweep.minimize, sweep.ranking.title),
        "tradeoffs": _tradeoffs(sweep),
    }
    specs = {name: _responsive(spec, 300) for name, spec in shown.items() if spec is not None}
    specs |= {f"slice:{name}": _responsive(spec, 210) for name, spec in slices.items()}
    filed = {**shown, "learning_curves": still, "slices": _grid(slices)}
    files = {name: spec for name, spec in filed.items() if spec is not None}
    svg = {name: _svg(spec) for name, spec in files.items()}
    png = {name: _png(svg[name]) for name in svg if name == "learning_curves"}
    return Figures(specs, svg, png)


def _on_one_scale(sweep: Sweep) -> pd.DataFrame:
    """Return the trials without the loss that stands in for a value, where that is no loss."""
    if sweep.ranking.column == "value":
        return sweep.trials
    return sweep.trials.assign(val_last_nats=math.nan)


def _tradeoffs(sweep: Sweep) -> Spec | None:
    several = len(sweep.objectives) > 1
    return charts.tradeoffs(sweep.trials, sweep.front, sweep.objectives) if several else None


def page_charts(figures: Figures) -> str:
    """Return configuration and specifications as JSON that is safe inside a script element."""
    text = json.dumps(
        {"config": config(PAGE), "specs": figures.specs},
        allow_nan=False,
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=True,
    )
    # "<" only occurs within strings, so that neither </script> nor <!-- can be in the page.
    return text.replace("<", "\\u003c")


def library() -> str:
    """Return the drawing library, as a script that needs no network."""
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")


def data_uri(svg: str) -> str:
    """Return an image's source for a page without scripts."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode("ascii")


def _responsive(spec: Spec, height: int) -> Spec:
    return {**spec, "width": "container", "height": height}


def _grid(drawn: Mapping[str, Spec]) -> Spec | None:
    """Return all charts as one: what they share moves to the top."""
    if not drawn:
        return None
    shared = ("$schema", "params", "datasets")
    cells = [
        {key: part for key, part in spec.items() if key not in shared}
        | {"width": 230, "height": 190}
        for spec in drawn.values()
    ]
    data = {name: rows for spec in drawn.values() for name, rows in spec["datasets"].items()}
    first = next(iter(drawn.values()))
    top = {"$schema": first["$schema"], "params": first["params"], "datasets": data}
    return {**top, "concat": cells, "columns": COLUMNS}


def _svg(spec: Spec) -> str:
    return vl_convert.vegalite_to_svg(spec, config=config(PRINT))


def _png(svg: str) -> bytes:
    return vl_convert.svg_to_png(svg, scale=2)
