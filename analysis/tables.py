"""Tables of a report as text, the same for the page, Markdown and the terminal."""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis import formats, stats
from analysis.load import Sweep
from analysis.verdict import BASELINE

UNRANKED = ("failed", "pruned", "unfinished", "duplicate")
SHOWN = 100
"""Rows of a table at most; leaderboard.csv has all."""


@dataclass(frozen=True)
class Table:
    """Cells as text. `left` names the columns that are not numbers; `trials` is each row's trial.

    `trials` is empty for a table that is not about trials.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: frozenset[str] = frozenset()
    trials: tuple[int, ...] = ()


def leaderboard(sweep: Sweep, limit: int = SHOWN) -> Table:
    """Return the best `limit` complete trials with their parameters, best first.

    With replicates, a row is a configuration: the mean over its complete trials.
    """
    if sweep.replicates > 1:
        return _of_configurations(sweep, limit)
    return of_trials(sweep, stats.leaders(sweep.trials).head(limit))


def top(sweep: Sweep, ties: Collection[int], chances: Mapping[int, float]) -> Table:
    """Return the best few trials: their values, which are tied, and how likely each is the best."""
    best, kept = leaderboard(sweep, stats.LEADERS), 6 if sweep.replicates > 1 else 4
    rows = tuple(
        (
            *row[:kept],
            "tied" if trial in ties else "",
            formats.percent(chances.get(trial, math.nan)),
        )
        for row, trial in zip(best.rows, best.trials, strict=True)
    )
    columns = (*best.columns[:kept], "ties", "P(best)")
    return Table(columns, rows, best.left | {"ties"}, best.trials)


def about_leaderboard(sweep: Sweep, rows: int) -> str:
    """Return what the leaderboard of so many rows shows, and in which order."""
    several = sweep.replicates > 1
    ranked = len(sweep.configurations if several else stats.leaders(sweep.trials))
    if not ranked:
        return "No trial is complete. leaderboard.csv has every column."
    shown = f"The best {rows} of {ranked}" if rows < ranked else f"All {ranked}"
    if not several:
        text = f"{shown} complete trials; the baseline is trial {BASELINE}."
        return f"{text} leaderboard.csv has every column."
    return (
        f"{shown} configurations with a complete trial, by the mean over their seeds; those with "
        f"all {sweep.replicates} complete rank above the others, and the baseline is that of trial "
        f"{BASELINE}. leaderboard.csv has every trial, configurations.csv these rows."
    )


def about_front(sweep: Sweep) -> str:
    """Return what the trade-offs show."""
    names = formats.listed([objective.metric for objective in sweep.objectives])
    complete = int((sweep.trials["state"] == "complete").sum())
    return (
        f"{len(sweep.front)} of {complete} complete trials are on the front: no other trial is "
        f"as good in {names} and better in one of them. pareto.csv has every column."
    )


def of_trials(sweep: Sweep, best: pd.DataFrame) -> Table:
    """Return rows of the frame of trials with their parameters, in their order."""
    fixed = ("rank", "trial", f"{sweep.metric}", "vs best", "vs baseline")
    again = stats.duplicates(sweep.trials)
    rows = [
        (
            str(row["rank"]),
            str(row["trial"]),
            formats.measure(row["value"], sweep.ranking.loss),
            formats.difference(row["delta"], sweep.ranking.loss),
            formats.difference(row["delta_baseline"], sweep.ranking.loss),
            *_settings_of(sweep, row),
            formats.count(row["parameters"]),
            formats.duration(row["train_s"]),
            *_note(again, [row["trial"]]),
        )
        for row in best.to_dict("records")
    ]
    columns = (*fixed, *short_names(sweep), "weights", "time", *(("note",) if again else ()))
    return Table(columns, tuple(rows), _words(sweep) | {"note"}, _numbers(best))


def _of_configurations(sweep: Sweep, limit: int) -> Table:
    best = sweep.configurations.head(limit)
    fixed = ("rank", "trials", f"mean {sweep.metric}", "sd", "n", "vs best", "vs baseline")
    again = stats.duplicates(sweep.trials)
    rows = [
        (
            str(row["rank"]),
            ", ".join(str(trial) for trial in row["trials"]),
            formats.measure(row["mean"], sweep.ranking.loss),
            formats.measure(row["sd"], sweep.ranking.loss),
            str(row["n"]),
            formats.difference(row["delta"], sweep.ranking.loss),
            formats.difference(row["delta_baseline"], sweep.ranking.loss),
            *_settings_of(sweep, sweep.trial(row["trials"][0])),
            formats.count(sweep.trial(row["trials"][0])["parameters"]),
            *_note(again, row["trials"]),
        )
        for row in best.to_dict("records")
    ]
    columns = (*fixed, *short_names(sweep), "weights", *(("note",) if again else ()))
    numbers = set(stats.leaders(sweep.trials).drop_duplicates("configuration")["trial"])
    lit = tuple(next(int(trial) for trial in of if trial in numbers) for of in best["trials"])
    return Table(columns, tuple(rows), _words(sweep) | {"trials", "note"}, lit)


def front(sweep: Sweep) -> Table:
    """Return the trials that no other is better than in every objective, with their parameters."""
    best = sweep.front.head(SHOWN)
    columns = ("trial", *(objective.metric for objective in sweep.objectives), *short_names(sweep))
    rows = [
        (
            str(row["trial"]),
            *(formats.measure(row[o.column], o.loss) for o in sweep.objectives),
            *_settings_of(sweep, row),
        )
        for row in best.to_dict("records")
    ]
    return Table(columns, tuple(rows), _words(sweep), _numbers(best))


def with_parameters(sweep: Sweep) -> pd.DataFrame:
    """Return the configurations with their parameters and the trials' numbers as text."""
    table = sweep.configurations
    keys = [f"p.{key}" for key in sweep.space["parameter"]]
    numbers = [" ".join(str(trial) for trial in of) for of in table["trials"]]
    known = sweep.trials[["trial", *keys]].rename(columns={"trial": "configuration"})
    return table.assign(trials=numbers).merge(known, on="configuration", how="left")


def _settings_of(sweep: Sweep, row: Any) -> list[str]:
    return [formats.setting(row[f"p.{key}"]) for key in sweep.space["parameter"]]


def _note(again: Mapping[int, list[int]], trials: Iterable[int]) -> list[str]:
    """The cell that says which other trials had the same configuration; no cell without any."""
    if not again:
        return []
    same = sorted(number for trial in trials for number in again.get(trial, []))
    return [f"the same again: trial {formats.listed(same)}" if same else ""]


def without_rank(sweep: Sweep, state: str) -> Table:
    """Return the trials in a state other than complete: how far they came and why no further."""
    chosen = sweep.trials[sweep.trials["state"] == state].sort_values("trial").head(SHOWN)
    columns = ("trial", "step", "reason", "last val_loss", *short_names(sweep))
    rows = [
        (
            str(row["trial"]),
            reached(row),
            formats.line(row["reason"]) or formats.MISSING,
            formats.loss(row["val_last_nats"]),
            *_settings_of(sweep, row),
        )
        for row in chosen.to_dict("records")
    ]
    return Table(columns, tuple(rows), _words(sweep) | {"step", "reason"}, _numbers(chosen))


def reached(row: Any) -> str:
    """Return the step a trial reached, of those planned."""
    step, planned = (
        formats.MISSING if pd.isna(row[k]) else str(row[k]) for k in ("step", "steps_planned")
    )
    return f"{step} of {planned}"


def configuration(sweep: Sweep, trial: int) -> Table:
    """Return a trial's parameters beside the baseline's."""
    names = list(sweep.space["parameter"])
    of = sweep.trial(trial)
    known = set(sweep.trials["trial"])
    if trial == BASELINE or BASELINE not in known:
        cells = [(name, formats.setting(of[f"p.{name}"])) for name in names]
        return Table(("parameter", f"trial {trial}"), tuple(cells), frozenset({"parameter"}))
    base = sweep.trial(BASELINE)
    rows = [
        (name, formats.setting(base[f"p.{name}"]), formats.setting(of[f"p.{name}"]))
        for name in names
    ]
    columns = ("parameter", f"baseline (trial {BASELINE})", f"trial {trial}")
    return Table(columns, tuple(rows), frozenset({"parameter"}))


def short_names(sweep: Sweep) -> list[str]:
    """Return the parameters' names without their section where that is unambiguous."""
    keys = [str(key) for key in sweep.space["parameter"]]
    last = [key.rsplit(".", 1)[-1] for key in keys]
    return [name if last.count(name) == 1 else key for key, name in zip(keys, last, strict=True)]


def leading(sweep: Sweep) -> list[int]:
    """Return the trials that are drawn in colour, best first."""
    return stats.coloured(sweep.trials)


def _words(sweep: Sweep) -> frozenset[str]:
    """Parameters whose values are words."""
    kinds = zip(sweep.space["parameter"], short_names(sweep), strict=True)
    return frozenset(
        name for key, name in kinds if not pd.api.types.is_numeric_dtype(sweep.trials[f"p.{key}"])
    )


def _numbers(trials: pd.DataFrame) -> tuple[int, ...]:
    return tuple(int(trial) for trial in trials["trial"])
