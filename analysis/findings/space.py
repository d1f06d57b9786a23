"""Is the search space right? Which ranges should be wider, and which could be narrower."""

import math
from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from analysis import chances, formats, noise, ranges, stats
from analysis.chances import OUTER
from analysis.finding import Check, Finding, unknown
from analysis.frames import Column, Schema, frame
from analysis.load import Sweep
from analysis.noise import Noise
from analysis.promotion import promoted
from analysis.ranges import End
from analysis.records import at
from analysis.unit import comparable, is_ordered, positions

SCHEMA: Schema = {
    "parameter": Column("str", "dotted key"),
    "advice": Column("str", "keep, edge, widen, cliff or narrow"),
    "end": Column("str", "low or high, of the range; '' for neither"),
    "position": Column("float64", "place of the winner in the range, 0 to 1"),
    "top": Column("Int64", "how many of the best trials lie in the outer fifth there"),
    "of": Column("Int64", "how many best trials there are"),
    "p": Column("float64", "probability by chance of so many, so strong a trend or so near ties"),
    "low": Column("float64", "range that was searched"),
    "high": Column("float64", "range that was searched"),
    "new_low": Column("float64", "range to search next; missing if it stays"),
    "new_high": Column("float64", "range to search next; missing if it stays"),
    "new_choices": Column("object", "choices to search next, a tuple; missing if they stay"),
    "evidence": Column("str", "why, in words"),
}
ID, TITLE = "space", "Is the search space right?"
HOW = (
    "Widen: of the best trials (5, or a tenth if that is more) at least three lie in the same "
    "outer fifth of a range and so many have a probability below 2.5 % (binomial), or the winner "
    "lies in the outer tenth and the ranks in that half of the range fall outwards (one-sided p "
    "below 0.05). The winner alone in the outer tenth is only an edge: one junk parameter in five "
    "is there. Cliff: the winner lies beside a region where all trials failed. Narrow: the trials "
    "that are tied with the best, a tenth of the range added on both sides, lie within two fifths "
    "of it, and so near to each other by chance with a probability below 2.5 %; that needs the "
    "noise between seeds. A configuration counts once, however many seeds it has. A sampler that "
    "has moved away from a region has few trials there, so that the rules see less than in a "
    "random search. A range is widened by half of itself, on its scale, within its hard bounds."
)
NEEDED = 10
"""Complete configurations from which more is said than where the winner lies."""
EDGE = 0.1
CHANCE, TREND = 0.025, 0.05
TIGHT = 0.4
LEAST = 3


def find(sweep: Sweep, measured: Noise) -> Finding:
    """Return advice for every parameter with an order."""
    sweep, note = promoted(sweep)
    measured = Noise() if note else measured
    n, winner = len(_once(sweep.trials)), stats.winner(sweep.trials)
    ordered = [row for row in sweep.space.to_dict("records") if is_ordered(row)]
    if winner is None or not ordered:
        lacking = "There is no winner yet." if winner is None else "No parameter has an order."
        level: Any = "unknown" if winner is None else "ok"
        check = Check("space", level, lacking, "", "space", "no range to judge")
        return unknown(ID, TITLE, lacking, SCHEMA, HOW, check)
    table = advice(sweep.trials, sweep.space, measured, sweep.minimize, _named(sweep.meta))
    check = _check(table, n, winner)
    answer = f"{_answer(table, n, winner)}{note}"
    return Finding(ID, TITLE, answer, table, SCHEMA, HOW, (check,))


def advice(
    trials: pd.DataFrame,
    space: pd.DataFrame,
    measured: Noise,
    minimize: bool,
    held: Collection[str] = (),
) -> pd.DataFrame:
    """Return SCHEMA, one row per parameter with an order; `trials` has a winner, rank 1.

    Parameters that are `held` are never narrowed.
    """
    placed, known = positions(trials, space), _once(trials)
    rows = []
    for row in space.to_dict("records"):
        if is_ordered(row):
            places = placed[row["parameter"]]
            spread = Noise() if row["parameter"] in held else measured
            rows.append(_with_range(row, _judged(row, places, trials, known, spread, minimize)))
    return frame(rows, SCHEMA)


def _once(trials: pd.DataFrame) -> pd.DataFrame:
    """The configurations, best first, each with the mean of its seeds: these are no more places."""
    known = comparable(trials)
    means = known.groupby("configuration")["value"].transform("mean")
    return known.assign(value=means).sort_values("rank").drop_duplicates("configuration")


def _named(meta: Mapping[str, Any]) -> set[str]:
    """The parameters whose values the file names elsewhere, so that they have to stay."""
    hung = [spec.get("when") for spec in meta["space"].values()]
    lists = [at(meta, "sampler.search_space"), at(meta, "sampler.x0"), *hung]
    return {key for one in lists if isinstance(one, Mapping) for key in one}


def _judged(
    row: Any,
    places: "pd.Series[float]",
    trials: pd.DataFrame,
    known: pd.DataFrame,
    measured: Noise,
    minimize: bool,
) -> dict[str, Any]:
    """What is to be said of one parameter: the first rule that applies."""
    seen = known.assign(u=places[known.index])
    inside = seen[seen["u"].between(0, 1)]
    where = places[trials["rank"] == 1]
    base = {"parameter": row["parameter"], "position": float(where.iloc[0]), "end": ""}
    if inside.empty or math.isnan(base["position"]):
        return base | {"advice": "keep", "evidence": "The winner has no place in the range."}
    failed = places[trials["state"] == "failed"].dropna()
    sides: tuple[End, End] = ("low", "high")
    for end in sides:
        beside = _cliff(base["position"], inside["u"], failed, end)
        if beside:
            return base | {"advice": "cliff", "end": end, "evidence": beside}
    for end in sides:
        enough = len(inside) >= NEEDED
        found = (
            _outward(inside, base["position"], end, chances.outer_share(row, end)) if enough else {}
        )
        if found:
            return base | {"advice": "widen", "end": end, **found}
    for end in sides:
        if _from(base["position"], end) <= EDGE:
            said = _edge(row, base["position"], end)
            return base | {"advice": "edge", "end": end, "evidence": said}
    return base | _tight(inside, measured, minimize, chances.count(row))


def _from(place: float, end: End) -> float:
    """How far a place is from an end of the range."""
    return place if end == "low" else 1 - place


def _cliff(
    winner: float, complete: "pd.Series[float]", failed: "pd.Series[float]", end: End
) -> str:
    """What is said where all trials beyond the winner's neighbourhood failed, "" where not."""
    away = complete if end == "low" else 1 - complete
    border, width = float(away.min()), float(away.max() - away.min())
    gone = int(((failed if end == "low" else 1 - failed) < border).sum())
    if gone < LEAST or _from(winner, end) > border + OUTER * width:
        return ""
    return (
        f"All {gone} trials {'below' if end == 'low' else 'above'} failed: read why, and make "
        "training work there (warmup, clipping) before widening."
    )


def _edge(row: Any, winner: float, end: End) -> str:
    if _from(winner, end) < 0:
        return f"The winner lies beyond the {end} end of the range as it is now."
    count = chances.count(row)
    few = f"has the {end}est of {count} values"
    place = few if 0 < count <= 1 / EDGE else f"lies in the {end}est tenth of the range"
    return f"The winner {place}; that may be chance."


def _outward(inside: pd.DataFrame, winner: float, end: End, chance: float) -> dict[str, Any]:
    """The evidence for better values beyond an end; empty if there is none."""
    k = min(len(inside), max(5, math.ceil(0.1 * len(inside))))
    away = inside["u"] if end == "low" else 1 - inside["u"]
    top = int((away.head(k) <= OUTER).sum())
    tail = chances.binomial_tail(top, k, chance)
    counted = {"top": top, "of": k}
    if top >= LEAST and tail < CHANCE:
        said = f"{top} of the best {k} lie in the {end}est fifth of the range"
        return {**counted, "p": tail, "evidence": f"{said} (by chance: {formats.percent(tail)})."}
    half = away <= 0.5
    p = chances.trend(away[half], inside["rank"][half])
    if _from(winner, end) <= EDGE and p < TREND:
        said = f"The winner lies in the {end}est tenth, and results improve towards it"
        return {**counted, "p": p, "evidence": f"{said} (by chance: {formats.percent(p)})."}
    return {}


def _tight(inside: pd.DataFrame, measured: Noise, minimize: bool, count: int) -> dict[str, Any]:
    """Whether all trials that are tied with the best lie close together; `count` is of values."""
    plain = {"advice": "keep", "evidence": "The best trials do not lie at an end."}
    if not measured.known or len(inside) < NEEDED:
        return plain
    same = noise.tied(inside["value"], float(inside["value"].iloc[0]), measured, minimize)
    near = inside["u"][same]
    low, high = max(0.0, near.min() - EDGE), min(1.0, near.max() + EDGE)
    p = chances.closeness(len(near), near.max() - near.min(), count)
    if len(near) < LEAST or high - low >= TIGHT or p >= CHANCE:
        return plain
    said = f"All {len(near)} trials that are tied lie within {formats.percent(high - low)} of"
    said += f" the range (by chance: {formats.percent(p)})."
    return {"advice": "narrow", "evidence": said, "between": (low, high), "p": p}


def _with_range(row: Any, judged: dict[str, Any]) -> dict[str, Any]:
    """The advice with the range that it comes to; none of it where there is no room."""
    whole = {**judged, "low": row["low"], "high": row["high"]}
    if judged["advice"] == "narrow":
        new = ranges.inner(row, *judged["between"])
        return whole | new if new else whole | {"advice": "keep"}
    if judged["advice"] not in ("widen", "edge"):
        return whole
    new = ranges.outer(row, judged["end"])
    if not new:
        said = f"{judged['evidence']} The range cannot be widened there."
        return whole | {"advice": "keep", "evidence": said}
    return whole | (new if judged["advice"] == "widen" else {})


def _answer(table: pd.DataFrame, n: int, winner: int) -> str:
    parts = [
        f"{row['parameter']}: {_words(row)}"
        for row in table.to_dict("records")
        if row["advice"] != "keep"
    ]
    few = f" {n} complete configurations are too few to say more; it takes {NEEDED}."
    few = few if n < NEEDED else ""
    if not parts:
        if n < NEEDED:
            return f"Trial {winner} does not lie at the end of a range.{few}"
        return f"Trial {winner} and the other good ones lie inside: no range needs to be wider."
    return f"{'; '.join(parts)}.{few}"


def _words(row: Any) -> str:
    if row["advice"] == "narrow":
        return "could be narrowed to where all tied trials lie"
    if row["advice"] == "edge":
        return f"the winner is at the {row['end']} edge, which may be chance"
    if row["advice"] == "cliff":
        return f"the winner lies beside trials that failed at the {row['end']} end"
    return f"widen it at the {row['end']} end"


def _check(table: pd.DataFrame, n: int, winner: int) -> Check:
    wide = table[table["advice"].isin(["widen", "cliff"])]
    if len(wide):
        evidence = " ".join(f"{r['parameter']}: {r['evidence']}" for r in wide.to_dict("records"))
        move = "Search the next space below." if (wide["advice"] == "widen").any() else ""
        return Check("space", "warn", evidence, move, "space", f"{len(wide)} to change")
    edge = table[table["advice"] == "edge"]
    if len(edge):
        names = formats.listed(edge["parameter"].tolist())
        evidence = f"Trial {winner} lies at the edge of {names}, which may be chance."
        return Check("space", "info", evidence, "", "space", f"{len(edge)} at an edge")
    if n < NEEDED:
        few = f"{n} complete configurations are too few to judge the ranges; it takes {NEEDED}."
        return Check("space", "unknown", few, "", "space", f"{n} of {NEEDED} trials")
    return Check("space", "ok", "No range needs to be wider.", "", "space", "ranges hold")
