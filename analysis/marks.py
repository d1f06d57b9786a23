"""Marks that charts have in common: trials as points, leaders in their colours."""

import math
from collections.abc import Mapping
from typing import Any

import altair as alt
import pandas as pd

from analysis import stats
from analysis.frames import number
from analysis.theme import OTHERS

Spec = dict[str, Any]
Values = list[dict[str, Any]]

SHAPES = {
    "complete": "circle",
    "pruned": "M-.8,-.8L.8,.8M-.8,.8L.8,-.8",
    "failed": "triangle-down",
    "unfinished": "diamond",
    "duplicate": "square",
}
DIMMED: list[Any] = [
    {"test": "lit && !lit[datum.trial]", "value": 0.12},
    {"test": "lit", "value": 1},
]
LED = "isValid(datum.name)"
VALUED = "isValid(datum.value)"
ON_FRONT = "isValid(datum.front)"


def leader_names(trials: pd.DataFrame) -> dict[int, str]:
    """Return what a legend calls each of the best five trials, by number, best first."""
    return {trial: f"trial {trial}" for trial in stats.coloured(trials)}


def points(trials: pd.DataFrame, named: Mapping[int, str]) -> Values:
    """Return trials as points; one that never had a finite loss has no value: JSON knows none."""
    rows: Values = []
    for row in trials[["trial", "state", "value", "val_last_nats"]].to_dict("records"):
        losses = [x for x in (row["value"], row["val_last_nats"]) if math.isfinite(x)]
        value = {"value": float(losses[0])} if losses else {}
        trial = int(row["trial"])
        rows.append({"trial": trial, "state": row["state"], **value, **name(trial, named)})
    return rows


def name(trial: int, named: Mapping[int, str]) -> dict[str, str]:
    """Return the name of a trial that has one, as part of its point."""
    return {"name": named[trial]} if trial in named else {}


def trials_at(named: Mapping[int, str], x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """Draw trials as points: leaders in their colours, others grey, those without value on top."""
    tip = [alt.Tooltip("trial:Q"), alt.Tooltip("state:N"), alt.Tooltip("value:Q", format=".4f")]
    grey = alt.Chart().mark_point(size=38, color=OTHERS, strokeWidth=1.6)
    return [
        grey.transform_filter(f"!{LED} && {VALUED}").encode(
            x, y, shape(), tooltip=tip, opacity=opacity(0.8)
        ),
        grey.transform_filter(f"!{VALUED}").encode(
            x, shape(), y=alt.value(0), tooltip=tip[:2], opacity=opacity(0.8)
        ),
        alt.Chart()
        .transform_filter(LED)
        .mark_point(size=70, filled=True)
        .encode(x, y, rank_colour(named), tooltip=tip, opacity=opacity(1.0)),
    ]


def front(x: alt.X, y: alt.Y, connected: bool) -> list[alt.Chart]:
    """Draw trials as points, those with a `front` in colour and, if `connected`, on a line."""
    tip = [
        alt.Tooltip("trial:Q"),
        alt.Tooltip("value:Q", title=str(y.title), format=".5~g"),
        alt.Tooltip("x:Q", title=str(x.title), format=".5~g"),
    ]
    chosen = alt.Chart().transform_filter(ON_FRONT)
    line = chosen.mark_line(color=OTHERS, strokeWidth=1.5).encode(x, y, alt.Order("x:Q"))
    grey = alt.Chart().transform_filter(f"!{ON_FRONT}").mark_point(size=38, color=OTHERS)
    colour = alt.Color("front:N", scale=alt.Scale(domain=["on the front"]), legend=alt.Legend())
    return [
        *([line] if connected else []),
        grey.encode(x, y, tooltip=tip, opacity=opacity(0.8)),
        chosen.mark_point(size=70, filled=True).encode(
            x, y, colour, tooltip=tip, opacity=opacity(1.0)
        ),
    ]


def rank_colour(named: Mapping[int, str], legend: bool = False) -> alt.Color:
    """Return the colours of the leaders."""
    shown = alt.Legend(columns=3, symbolType="stroke", symbolStrokeWidth=3)
    scale = alt.Scale(domain=list(named.values()))
    return alt.Color("name:N", scale=scale, legend=shown if legend and named else None)


def shape() -> alt.Shape:
    """Return the shapes of the states."""
    scale = alt.Scale(domain=list(SHAPES), range=list(SHAPES.values()))
    return alt.Shape("state:N", scale=scale, legend=None)


def opacity(full: float) -> alt.OpacityValue:
    """Return the opacity of points: `full`, or less beside trials that are lit."""
    return alt.OpacityValue(full, condition=DIMMED)


def stroke(full: float) -> alt.StrokeOpacityValue:
    """Return the same for lines."""
    return alt.StrokeOpacityValue(full, condition=DIMMED)


def specification(
    chart: alt.LayerChart | alt.FacetChart | alt.Chart, data: Mapping[str, Values]
) -> Spec:
    """Return a chart of named `data` as a specification that has the parameter `lit`."""
    lit = chart.add_params(alt.param(name="lit", value=False)).properties(width=640, height=300)
    # Checking a specification takes longer than all else about it, and so does checking the data:
    # what is wrong with either is seen when it is drawn. Altair's defaults would win over ours.
    spec: Spec = lit.to_dict(validate=False)
    return {**{key: part for key, part in spec.items() if key != "config"}, "datasets": dict(data)}


def plain(frame: pd.DataFrame, *names: str) -> Values:
    """Return the columns `names` as plain values; JSON knows neither NaN nor infinity."""
    rows = frame[list(names)].astype("object").to_dict("records")
    return [{str(key): _plain(value) for key, value in row.items()} for row in rows]


def numbers(*names: str) -> list[alt.Tooltip]:
    """Return tooltips of numbers."""
    return [alt.Tooltip(f"{name}:Q", title=name.replace("_", " "), format=".4~f") for name in names]


def tall(spec: Spec, rows: int, each: int = 18) -> Spec:
    """Return a chart of rows that is as high as they need, `each` in pixels."""
    return {**spec, "height": max(1, rows) * each + 6}


def _plain(value: object) -> object:
    if isinstance(value, bool | str):
        return value
    real = number(value)
    if not math.isfinite(real):
        return None
    return int(real) if real.is_integer() and abs(real) < 1e15 else round(real, 6)
