"""Charts of findings about the space and the verdict, each drawn from the frame of one analysis.

None where its frame is empty. What they have in common with the charts of trials: charts.py.
"""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from analysis import marks
from analysis.marks import Spec, numbers, plain, tall
from analysis.theme import ACCENT, OTHERS

LINES = 300
"""Lines of parallel coordinates at most; the best are kept."""


def importance(frame: pd.DataFrame) -> Spec | None:
    """Draw each parameter's score with its interval, and the line that chance stays below."""
    if frame.empty:
        return None
    data = {"scores": plain(frame, "parameter", "score", "low", "high", "clear", "null")}
    y = alt.Y("parameter:N", sort=None, title=None, axis=alt.Axis(labelLimit=260))
    x = alt.X("score:Q", title="share of the ranks that it explains", axis=alt.Axis(tickCount=8))
    base = alt.Chart(alt.NamedData("scores"))
    tip = [alt.Tooltip("parameter:N"), *numbers("score", "low", "high", "null")]
    layers = alt.layer(
        base.transform_filter("datum.clear")
        .mark_bar(style=ACCENT, height=11)
        .encode(x, y, tooltip=tip),
        base.transform_filter("!datum.clear")
        .mark_bar(color=OTHERS, height=11)
        .encode(x, y, tooltip=tip),
        base.mark_rule(strokeWidth=1.5, style="ink").encode(alt.X("low:Q"), y, alt.X2("high:Q")),
        base.mark_rule(strokeDash=[4, 3], color=OTHERS).encode(alt.X("max(null):Q")),
        data=alt.NamedData("scores"),
    )
    return tall(marks.specification(layers, data), len(frame))


def isolation(frame: pd.DataFrame, title: str) -> dict[str, Spec]:
    """Draw what each parameter gives with all else tuned: the expected best by bucket."""
    drawn = {}
    for parameter, rows in frame.groupby("parameter", sort=False):
        name = f"buckets:{parameter}"
        values = plain(rows, "bucket", "expected", "low", "high", "trials", "trial")
        x = alt.X(
            "bucket:N",
            sort=None,
            title=str(parameter),
            axis=alt.Axis(labelAngle=0, labelOverlap=True),
        )
        y = alt.Y(
            "expected:Q", title=title, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=5)
        )
        base = alt.Chart(alt.NamedData(name))
        tip = [
            alt.Tooltip("bucket:N"),
            alt.Tooltip("trials:Q"),
            *numbers("expected", "low", "high"),
        ]
        layers = alt.layer(
            base.mark_rule(strokeWidth=1.5, color=OTHERS).encode(
                x, alt.Y("low:Q"), alt.Y2("high:Q")
            ),
            base.mark_point(size=60, style=ACCENT, strokeWidth=1.8).encode(
                x, y, tooltip=tip, opacity=marks.opacity(1.0)
            ),
            data=alt.NamedData(name),
        )
        drawn[str(parameter)] = marks.specification(layers, {name: values})
    return drawn


def parallel(trials: pd.DataFrame, places: pd.DataFrame) -> Spec | None:
    """Draw each complete trial as a line through its `places`, one column per parameter, 0 to 1.

    The better its rank, the stronger the line. None below two parameters.
    """
    ranked = trials[trials["rank"].notna()].sort_values("rank").head(LINES)
    if places.shape[1] < 2 or ranked.empty:
        return None
    order = [str(name) for name in places.columns]
    wide = places.loc[ranked.index].assign(
        trial=ranked["trial"],
        strength=(1 - (ranked["rank"] - 1) / max(1, len(ranked) - 1)).astype("float64").round(3),
    )
    # The best last, on top of the others.
    long = wide[::-1].melt(["trial", "strength"], var_name="parameter", value_name="place")
    rows = plain(long.round({"place": 4}), "trial", "strength", "parameter", "place")
    x = alt.X(
        "parameter:N",
        sort=order,
        title=None,
        scale=alt.Scale(domain=order),
        axis=alt.Axis(labelAngle=0, grid=True, labelLimit=150),
    )
    y = alt.Y(
        "place:Q",
        title="place in the range searched",
        axis=alt.Axis(tickCount=3, format="%"),
        scale=alt.Scale(domain=[0, 1]),
    )
    tip = [alt.Tooltip("trial:Q"), alt.Tooltip("parameter:N"), *numbers("place")]
    base = alt.Chart(alt.NamedData("lines"))
    width = alt.StrokeWidth(
        "strength:Q",
        scale=alt.Scale(range=[0.6, 2.4], exponent=3, type="pow", domain=[0, 1]),
        legend=None,
    )
    lines = base.mark_line(style=ACCENT).encode(
        x, y, alt.Detail("trial:N"), width, strokeOpacity=marks.stroke(0.55)
    )
    points = base.mark_point(size=26, filled=True, opacity=0).encode(x, y, tooltip=tip)
    return marks.specification(
        alt.layer(lines, points, data=alt.NamedData("lines")), {"lines": rows}
    )


def confirmation(frame: pd.DataFrame, title: str) -> Spec | None:
    """Draw the means over fresh seeds with their intervals, and the value of the search beside."""
    if frame.empty:
        return None
    named = frame.assign(name=[f"trial {trial}" for trial in frame["trial"]])
    data = {"means": plain(named, "name", "trial", "mean", "low", "high", "search_value", "n")}
    y = alt.Y("name:N", sort=None, title=None)
    scale = alt.Scale(zero=False)
    x = alt.X("mean:Q", title=title, scale=scale, axis=alt.Axis(tickCount=8))
    base = alt.Chart(alt.NamedData("means"))
    tip = [
        alt.Tooltip("trial:Q"),
        alt.Tooltip("n:Q", title="seeds"),
        *numbers("mean", "low", "high", "search_value"),
    ]
    layers = alt.layer(
        base.mark_rule(strokeWidth=2, style=ACCENT).encode(
            alt.X("low:Q"), y, alt.X2("high:Q"), opacity=marks.opacity(1.0)
        ),
        base.mark_point(size=70, filled=True, style=ACCENT).encode(
            x, y, tooltip=tip, opacity=marks.opacity(1.0)
        ),
        base.mark_point(size=50, shape="diamond", color=OTHERS, strokeWidth=1.8).encode(
            alt.X("search_value:Q", scale=scale), y, tooltip=tip
        ),
        data=alt.NamedData("means"),
    )
    return tall(marks.specification(layers, data), len(frame), each=30)


def probabilities(frame: pd.DataFrame) -> Spec | None:
    """Draw the probability of each trial to be the best one."""
    if frame.empty:
        return None
    named = frame.assign(name=[f"trial {trial}" for trial in frame["trial"]])
    data = {"chances": plain(named, "name", "trial", "p_best")}
    base = alt.Chart(alt.NamedData("chances"))
    bars = base.mark_bar(style=ACCENT, height=11).encode(
        alt.X(
            "p_best:Q",
            title="probability of being the best",
            axis=alt.Axis(format="%", tickCount=5),
            scale=alt.Scale(domain=[0, 1]),
        ),
        alt.Y("name:N", sort=None, title=None),
        tooltip=[alt.Tooltip("trial:Q"), alt.Tooltip("p_best:Q", format=".1%")],
        opacity=marks.opacity(1.0),
    )
    return tall(marks.specification(bars, data), len(frame))


def surface(frame: pd.DataFrame, points: pd.DataFrame, names: Sequence[str]) -> Spec:
    """Draw two parameters over each other: trials by rank, and behind them the fitted ranks."""
    data = {
        "fit": plain(frame, "x", "y", "predicted"),
        "at": plain(points, "trial", "x", "y", "rank"),
    }
    colour = alt.Scale(scheme="viridis", domain=[0, 1])
    place = alt.Scale(domain=[0, 1])
    x, y = (
        alt.X("x:Q", title=names[0], scale=place, axis=alt.Axis(format="%", tickCount=4)),
        alt.Y("y:Q", title=names[1], scale=place, axis=alt.Axis(format="%", tickCount=4)),
    )
    fit = (
        alt.Chart(alt.NamedData("fit"))
        .mark_square(size=64, opacity=0.45)
        .encode(x, y, alt.Color("predicted:Q", scale=colour, legend=None))
    )
    at = (
        alt.Chart(alt.NamedData("at"))
        .mark_point(size=46, filled=True, strokeWidth=0.8, style="edged")
        .encode(
            x,
            y,
            alt.Color("rank:Q", scale=colour, legend=None),
            tooltip=[alt.Tooltip("trial:Q")],
            opacity=marks.opacity(1.0),
        )
    )
    return marks.specification(alt.layer(fit, at, data=alt.NamedData("at")), data)
