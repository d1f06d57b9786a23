"""Charts of findings about the search and its cost, each drawn from the frame of one analysis.

None where its frame is empty.
"""

import altair as alt
import pandas as pd

from analysis import marks
from analysis.marks import Spec, numbers, plain, tall
from analysis.theme import ACCENT

ENOUGH = 4
"""Different costs from which a chart shows more than a table."""


def over_cost(history: pd.DataFrame, title: str) -> Spec | None:
    """Draw the best value so far over the characters trained on."""
    known = history[history["best"].notna() & history["tokens_so_far"].notna()]
    if known["best"].nunique() < 2:
        return None
    data = {"spent": plain(known, "trial", "best", "tokens_so_far")}
    line = alt.Chart(alt.NamedData("spent")).mark_line(
        interpolate="step-after", style=ACCENT, strokeWidth=1.8
    )
    return marks.specification(
        line.encode(
            alt.X(
                "tokens_so_far:Q",
                title="characters trained on, all trials",
                axis=alt.Axis(format="~s", tickCount=5),
            ),
            alt.Y("best:Q", title=title, scale=alt.Scale(zero=False)),
            tooltip=[alt.Tooltip("trial:Q"), *numbers("best")],
        ),
        data,
    )


def expected(curve: pd.DataFrame, title: str) -> Spec | None:
    """Draw the expected best of so many random trials, dotted where it rests on few."""
    if curve.empty:
        return None
    data = {"expected": plain(curve, "budget", "expected", "low", "high", "solid")}
    x = alt.X("budget:Q", title="random trials", axis=alt.Axis(format="d", tickMinStep=1))
    y = alt.Y("expected:Q", title=title, scale=alt.Scale(zero=False))
    base = alt.Chart(alt.NamedData("expected"))
    line = base.encode(x, y, tooltip=[alt.Tooltip("budget:Q"), *numbers("expected", "low", "high")])
    layers = alt.layer(
        base.mark_area(style=ACCENT, opacity=0.15).encode(x, alt.Y("low:Q"), alt.Y2("high:Q")),
        line.mark_line(style=ACCENT, strokeDash=[2, 3]),
        line.transform_filter("datum.solid").mark_line(style=ACCENT, strokeWidth=2.2),
        data=alt.NamedData("expected"),
    )
    return marks.specification(layers, data)


def correlation(frame: pd.DataFrame) -> Spec | None:
    """Draw how well the order at a step foretells the order at the end."""
    known = frame[frame["spearman"].notna()]
    if len(known) < 2:
        return None
    data = {"orders": plain(known, "step", "spearman", "n")}
    line = alt.Chart(alt.NamedData("orders")).mark_line(point=True, style=ACCENT, strokeWidth=1.8)
    return marks.specification(
        line.encode(
            alt.X("step:Q", title="step (completed updates)"),
            alt.Y(
                "spearman:Q",
                title="rank correlation with the end",
                scale=alt.Scale(domain=[min(0.0, float(known["spearman"].min())), 1]),
            ),
            tooltip=[
                alt.Tooltip("step:Q"),
                alt.Tooltip("n:Q", title="trials"),
                *numbers("spearman"),
            ],
        ),
        data,
    )


def timeline(frame: pd.DataFrame) -> Spec | None:
    """Draw when each trial was at work, a lane for each that ran at the same time."""
    if frame.empty:
        return None
    data = {"work": plain(frame, "trial", "lane", "start_s", "end_s", "state")}
    colour = alt.Color("state:N", scale=alt.Scale(domain=list(marks.SHAPES)), legend=alt.Legend())
    bars = (
        alt.Chart(alt.NamedData("work"))
        .mark_bar(height=13, cornerRadius=2)
        .encode(
            alt.X("start_s:Q", title="seconds at work since the start"),
            alt.Y("lane:O", title="at once"),
            alt.X2("end_s:Q"),
            colour,
            tooltip=[alt.Tooltip("trial:Q"), alt.Tooltip("state:N"), *numbers("start_s", "end_s")],
            opacity=marks.opacity(1.0),
        )
    )
    return tall(marks.specification(bars, data), int(frame["lane"].nunique()), each=24)


def cost(frame: pd.DataFrame, column: str, title: str, value: str) -> Spec | None:
    """Draw the value over a cost, and in colour the trials that none is clearly better than."""
    known = frame[frame[column].notna() & (frame[column] > 0)]
    if known[column].nunique() < ENOUGH:
        return None
    chosen = known[f"on_{'time' if column == 'train_s' else column}"]
    named = pd.Series(["on the front" if one else None for one in chosen], known.index, "object")
    points = known.assign(x=known[column], front=named)
    name = f"cost:{column}"
    rows = plain(points, "trial", "x", "value", "front")
    data = {name: [{k: v for k, v in row.items() if v is not None} for row in rows]}
    wide = float(known[column].max()) >= 8 * float(known[column].min())
    x = alt.X(
        "x:Q",
        title=title,
        axis=alt.Axis(format="~s", tickCount=5),
        scale=alt.Scale(type="log" if wide else "linear", zero=False, nice=False, padding=10),
    )
    y = alt.Y("value:Q", title=value, scale=alt.Scale(zero=False))
    layers = alt.layer(*marks.front(x, y, connected=False), data=alt.NamedData(name))
    return marks.specification(layers, data)
