"""Charts of a sweep as Vega-Lite specifications, drawn from its frames and from nothing else.

Every chart has the parameter `lit`: the trials to light up, as an object with their numbers as
keys, or false for none. The page sets it in all of them at once. Colours are those of the
configuration in theme.py.
"""

import math
from collections.abc import Mapping, Sequence

import altair as alt
import pandas as pd

from analysis import axes, marks, stats
from analysis.marks import LED, Spec, Values
from analysis.objectives import Objective
from analysis.theme import OTHERS

POINTS = 80
"""Points of a curve at most, about."""
BACKGROUND = 300
"""Trials drawn behind the leaders at most: more are one grey area anyway."""


def learning_curves(trials: pd.DataFrame, curves: pd.DataFrame) -> Spec | None:
    """Draw validation loss over steps: the best five in colour, the others one grey layer.

    The winner's training loss is dashed; a trial that was not completed ends in a mark.
    The last layer carries the tooltips and is not seen. None without any evaluation.
    """
    evals = curves[(curves["kind"] == "eval") & (curves["val_loss_nats"].abs() < math.inf)]
    if evals.empty:
        return None
    named = marks.leader_names(trials)
    best = list(named)[:1]
    shown = axes.loss_range(evals, best)
    x, y = axes.step_axis(evals), axes.loss_axis(shown)
    layers = [
        *_lines(named, len(trials), x, y),
        alt.Chart(alt.NamedData("ends"))
        .mark_point(size=34, color=OTHERS, strokeWidth=1.6)
        .encode(x, y, marks.shape(), opacity=marks.opacity(0.9)),
        _touch(x, y),
    ]
    data = {
        "curves": _curve(evals, _drawn(trials, named), "val_loss_nats", named, shown[1]),
        "trained": _curve(evals, best, "train_loss_nats", named, shown[1]),
        "ends": _ends(evals, trials),
    }
    return marks.specification(alt.layer(*layers, data=alt.NamedData("curves")), data)


def history(trials: pd.DataFrame, minimize: bool, title: str) -> Spec | None:
    """Draw every trial's value in order, by state, and the best so far; None without trials.

    A trial without a value is drawn at its last validation loss, or at the upper edge.
    """
    if trials.empty:
        return None
    named = marks.leader_names(trials)
    x, y = axes.trial_axis(trials), axes.value_axis(trials, minimize, title)
    line = (
        alt.Chart(alt.NamedData("best"))
        .mark_line(interpolate="step-after", color=OTHERS, strokeWidth=1.5)
        .encode(x, y)
    )
    best = stats.best_so_far(trials, minimize)
    data = {
        "points": marks.points(trials, named),
        "best": [
            {"trial": int(trial), "value": float(value)}
            for trial, value in zip(best["trial"], best["value"], strict=True)
        ],
    }
    layers = alt.layer(line, *marks.trials_at(named, x, y), data=alt.NamedData("points"))
    return marks.specification(layers, data)


def slices(
    trials: pd.DataFrame, space: pd.DataFrame, minimize: bool, title: str
) -> dict[str, Spec]:
    """Draw the value over each parameter, by dotted key; one without any value is left out."""
    named = marks.leader_names(trials)
    y = axes.value_axis(trials, minimize, title)
    drawn = {}
    for row in space.to_dict("records"):
        places = axes.places(row, trials[f"p.{row['parameter']}"])
        if not places:
            continue
        points = marks.points(trials.loc[list(places)], named)
        name = f"points:{row['parameter']}"
        layers = marks.trials_at(named, axes.parameter_axis(row, list(places.values())), y)
        drawn[str(row["parameter"])] = marks.specification(
            alt.layer(*layers, data=alt.NamedData(name)),
            {name: [{**p, "x": x} for p, x in zip(points, places.values(), strict=True)]},
        )
    return drawn


def tradeoffs(
    trials: pd.DataFrame, front: pd.DataFrame, objectives: Sequence[Objective]
) -> Spec | None:
    """Draw the first objective of complete trials over the second, and mark the front.

    The front of two objectives is a line, too; that of more is only seen from one side.
    None without a trial that has both.
    """
    first, second = objectives[:2]
    place = {"x": second.column, "value": first.column}
    known = trials.loc[trials["state"] == "complete", ["trial", "state", *place.values()]].dropna()
    if known.empty:
        return None
    x = axes.objective_axis(alt.X, "x:Q", second, known)
    y = axes.objective_axis(alt.Y, "value:Q", first, known)
    on_front = set(front["trial"])
    data = [
        {"trial": int(row["trial"]), "state": row["state"]}
        | {name: float(row[column]) for name, column in place.items()}
        | ({"front": "on the front"} if row["trial"] in on_front else {})
        for row in known.to_dict("records")
    ]
    layers = marks.front(x, y, connected=len(objectives) == 2)
    layered = alt.layer(*layers, data=alt.NamedData("tradeoffs"))
    return marks.specification(layered, {"tradeoffs": data})


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
            | marks.name(trial, named)
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


def _lines(named: Mapping[int, str], count: int, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    # Stroke opacity: each element with plain opacity is a layer of its own to paint as PNG.
    line = alt.Chart().encode(x, y, alt.Detail("trial:N"))
    return [
        line.transform_filter(f"!{LED}")
        .mark_line(color=OTHERS, strokeWidth=1)
        .encode(strokeOpacity=marks.stroke(min(0.45, max(0.15, 20 / count)))),
        line.transform_filter(LED)
        .mark_line(strokeWidth=2)
        .encode(marks.rank_colour(named, legend=True), strokeOpacity=marks.stroke(1.0)),
        line.properties(data=alt.NamedData("trained"))
        .mark_line(strokeWidth=1.5, strokeDash=[4, 3])
        .encode(marks.rank_colour(named), strokeOpacity=marks.stroke(0.9)),
    ]


def _touch(x: alt.X, y: alt.Y) -> alt.Chart:
    """Draw points nobody sees: they carry the tooltip, and a line alone is hard to hit."""
    tip = [alt.Tooltip("trial:Q"), alt.Tooltip("step:Q"), alt.Tooltip("value:Q", format=".4f")]
    # Where a line enters the range lies between two steps, and was never measured.
    measured = alt.Chart().transform_filter("datum.step === floor(datum.step)")
    unseen = measured.mark_point(size=60, opacity=0, filled=True)
    encoded: alt.Chart = unseen.encode(x, y, tooltip=tip)
    return encoded
