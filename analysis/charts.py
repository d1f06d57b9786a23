"""Charts of a sweep as Vega-Lite specifications, drawn from its frames and from nothing else.

Every chart has the parameter `lit`, the number of the trial to light up, -1 for none: the
page sets it in all of them at once. Colours are those of the configuration in theme.py.
"""

import math
from collections.abc import Mapping
from typing import Any

import altair as alt
import pandas as pd

from analysis import axes, stats
from analysis.theme import OTHERS

Spec = dict[str, Any]
Values = list[dict[str, Any]]

POINTS = 80
"""Points of a curve at most, about."""
BACKGROUND = 300
"""Trials drawn behind the leaders at most: more are one grey area anyway."""
SHAPES = {
    "complete": "circle",
    "pruned": "M-.8,-.8L.8,.8M-.8,.8L.8,-.8",
    "failed": "triangle-down",
    "unfinished": "diamond",
}
DIMMED: list[Any] = [
    {"test": "lit >= 0 && datum.trial !== lit", "value": 0.12},
    {"test": "lit >= 0", "value": 1},
]
LED = "isValid(datum.name)"
VALUED = "isValid(datum.value)"


def learning_curves(trials: pd.DataFrame, curves: pd.DataFrame, touch: bool = True) -> Spec | None:
    """Draw validation loss over steps: the best five in colour, the others one grey layer.

    The winner's training loss is dashed; a trial that was not completed ends in a mark.
    `touch` adds what carries the tooltips. None without any evaluation.
    """
    evals = curves[(curves["kind"] == "eval") & (curves["val_loss_nats"].abs() < math.inf)]
    if evals.empty:
        return None
    named = leader_names(trials)
    best = list(named)[:1]
    shown = axes.loss_range(evals, best)
    x, y = axes.step_axis(evals), axes.loss_axis(shown)
    layers = [
        *_lines(named, len(trials), x, y),
        alt.Chart(alt.NamedData("ends"))
        .mark_point(size=34, color=OTHERS, strokeWidth=1.6)
        .encode(x, y, _shape(), opacity=_opacity(0.9)),
        *([_touch(x, y)] if touch else []),
    ]
    data = {
        "curves": _curve(evals, _drawn(trials, named), "val_loss_nats", named, shown[1]),
        "trained": _curve(evals, best, "train_loss_nats", named, shown[1]),
        "ends": _ends(evals, trials),
    }
    return _spec(alt.layer(*layers, data=alt.NamedData("curves")), data)


def history(trials: pd.DataFrame, minimize: bool, title: str) -> Spec | None:
    """Draw every trial's value in order, by state, and the best so far; None without trials.

    A trial without a value is drawn at its last validation loss, or at the upper edge.
    """
    if trials.empty:
        return None
    named = leader_names(trials)
    x, y = axes.trial_axis(trials), axes.value_axis(trials, minimize, title)
    line = (
        alt.Chart(alt.NamedData("best"))
        .mark_line(interpolate="step-after", color=OTHERS, strokeWidth=1.5)
        .encode(x, y)
    )
    best = stats.best_so_far(trials, minimize)
    data = {
        "points": _points(trials, named),
        "best": [
            {"trial": int(trial), "value": float(value)}
            for trial, value in zip(best["trial"], best["value"], strict=True)
        ],
    }
    layers = alt.layer(line, *_marks(named, x, y), data=alt.NamedData("points"))
    return _spec(layers, data)


def slices(
    trials: pd.DataFrame, space: pd.DataFrame, minimize: bool, title: str
) -> dict[str, Spec]:
    """Draw the value over each parameter, by dotted key; one without any value is left out."""
    named = leader_names(trials)
    y = axes.value_axis(trials, minimize, title)
    drawn = {}
    for row in space.to_dict("records"):
        column = f"p.{row['parameter']}"
        words = row["type"] == "categorical"
        known = trials[trials[column].notna() if words else trials[column].abs() < math.inf]
        if known.empty:
            continue
        places = [axes.level(x) if words else float(x) for x in known[column]]
        points = zip(_points(known, named), places, strict=True)
        name = f"points:{row['parameter']}"
        layers = _marks(named, axes.parameter_axis(row), y)
        drawn[str(row["parameter"])] = _spec(
            alt.layer(*layers, data=alt.NamedData(name)),
            {name: [{**point, "x": x} for point, x in points]},
        )
    return drawn


def leader_names(trials: pd.DataFrame) -> dict[int, str]:
    """Return what a legend calls each of the best five trials, by number, best first."""
    return {
        int(trial): f"trial {trial}" for trial in stats.leaders(trials)["trial"][: stats.LEADERS]
    }


def _drawn(trials: pd.DataFrame, named: Mapping[int, str]) -> list[int]:
    """Leaders last: what is drawn last lies on top."""
    rest = trials[~trials["trial"].isin(list(named))].sort_values(["rank", "trial"])
    return [int(trial) for trial in rest["trial"][:BACKGROUND]] + list(named)


def _curve(
    evals: pd.DataFrame, chosen: list[int], column: str, named: Mapping[int, str], high: float
) -> Values:
    finite = evals[evals[column].abs() < math.inf]
    by_trial = dict(list(finite[["step", column]].groupby(finite["trial"])))
    rows: Values = []
    for trial in (trial for trial in chosen if trial in by_trial):
        thinned = stats.thin(stats.settled(by_trial[trial], column, high), column, POINTS)
        rows += [
            {"trial": trial, "step": round(float(step), 2), "value": round(float(value), 5)}
            | _name(trial, named)
            for step, value in thinned.itertuples(index=False)
        ]
    return rows


def _ends(evals: pd.DataFrame, trials: pd.DataFrame) -> Values:
    last = evals.groupby("trial").tail(1).merge(trials[["trial", "state"]], on="trial")
    return [
        {
            "trial": int(row["trial"]),
            "state": row["state"],
            "step": int(row["step"]),
            "value": float(row["val_loss_nats"]),
        }
        for row in last[last["state"] != "complete"].to_dict("records")
    ]


def _points(trials: pd.DataFrame, named: Mapping[int, str]) -> Values:
    """Trials as points; one that never had a finite loss has no value, for want of one in JSON."""
    rows: Values = []
    for row in trials[["trial", "state", "value", "val_last_nats"]].to_dict("records"):
        losses = [x for x in (row["value"], row["val_last_nats"]) if math.isfinite(x)]
        value = {"value": float(losses[0])} if losses else {}
        trial = int(row["trial"])
        rows.append({"trial": trial, "state": row["state"], **value, **_name(trial, named)})
    return rows


def _name(trial: int, named: Mapping[int, str]) -> dict[str, str]:
    return {"name": named[trial]} if trial in named else {}


def _lines(named: Mapping[int, str], count: int, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    # Stroke opacity: each element with plain opacity is a layer of its own to paint as PNG.
    line = alt.Chart().encode(x, y, alt.Detail("trial:N"))
    return [
        line.transform_filter(f"!{LED}")
        .mark_line(color=OTHERS, strokeWidth=1)
        .encode(strokeOpacity=_stroke(min(0.45, max(0.15, 20 / count)))),
        line.transform_filter(LED)
        .mark_line(strokeWidth=2)
        .encode(_rank_colour(named, legend=True), strokeOpacity=_stroke(1.0)),
        line.properties(data=alt.NamedData("trained"))
        .mark_line(strokeWidth=1.5, strokeDash=[4, 3])
        .encode(_rank_colour(named), strokeOpacity=_stroke(0.9)),
    ]


def _marks(named: Mapping[int, str], x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """Draw trials as points: leaders in their colours, others grey, those without value on top."""
    tip = [alt.Tooltip("trial:Q"), alt.Tooltip("state:N"), alt.Tooltip("value:Q", format=".4f")]
    grey = alt.Chart().mark_point(size=38, color=OTHERS, strokeWidth=1.6)
    return [
        grey.transform_filter(f"!{LED} && {VALUED}").encode(
            x, y, _shape(), tooltip=tip, opacity=_opacity(0.8)
        ),
        grey.transform_filter(f"!{VALUED}").encode(
            x, _shape(), y=alt.value(0), tooltip=tip[:2], opacity=_opacity(0.8)
        ),
        alt.Chart()
        .transform_filter(LED)
        .mark_point(size=70, filled=True)
        .encode(x, y, _rank_colour(named), tooltip=tip, opacity=_opacity(1.0)),
    ]


def _touch(x: alt.X, y: alt.Y) -> alt.Chart:
    """Draw points nobody sees: they carry the tooltip, and a line alone is hard to hit."""
    tip = [alt.Tooltip("trial:Q"), alt.Tooltip("step:Q"), alt.Tooltip("value:Q", format=".4f")]
    # Where a line enters the range lies between two steps, and was never measured.
    measured = alt.Chart().transform_filter("datum.step === floor(datum.step)")
    marks = measured.mark_point(size=60, opacity=0, filled=True)
    encoded: alt.Chart = marks.encode(x, y, tooltip=tip)
    return encoded


def _rank_colour(named: Mapping[int, str], legend: bool = False) -> alt.Color:
    shown = alt.Legend(columns=3, symbolType="stroke", symbolStrokeWidth=3)
    scale = alt.Scale(domain=list(named.values()))
    return alt.Color("name:N", scale=scale, legend=shown if legend and named else None)


def _shape() -> alt.Shape:
    scale = alt.Scale(domain=list(SHAPES), range=list(SHAPES.values()))
    return alt.Shape("state:N", scale=scale, legend=None)


def _opacity(full: float) -> alt.OpacityValue:
    return alt.OpacityValue(full, condition=DIMMED)


def _stroke(full: float) -> alt.StrokeOpacityValue:
    return alt.StrokeOpacityValue(full, condition=DIMMED)


def _spec(chart: alt.LayerChart | alt.FacetChart, data: Mapping[str, Values]) -> Spec:
    lit = chart.add_params(alt.param(name="lit", value=-1)).properties(width=640, height=300)
    spec: Spec = lit.to_dict()
    # Altair's own defaults would win over the theme's, and data given to Altair is checked
    # value by value, which takes seconds for a large sweep.
    return {**{key: part for key, part in spec.items() if key != "config"}, "datasets": dict(data)}
