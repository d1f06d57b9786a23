"""Tables of a report as text, the same for the page, Markdown and the terminal."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis import formats, stats
from analysis.load import Sweep
from analysis.records import Row
from analysis.verdict import BASELINE, unit

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
    """Return the best `limit` complete trials with their parameters, best first."""
    best = stats.leaders(sweep.trials).head(limit)
    fixed = ("rank", "trial", f"{sweep.metric}", "vs best", "vs baseline")
    keys = [f"p.{key}" for key in sweep.space["parameter"]]
    columns = (*fixed, *short_names(sweep), "weights", "time")
    rows = [
        (
            str(row["rank"]),
            str(row["trial"]),
            formats.loss(row["value"]),
            formats.signed(row["delta"]),
            formats.signed(row["delta_baseline"]),
            *(formats.setting(row[key]) for key in keys),
            formats.count(row["parameters"]),
            formats.duration(row["train_s"]),
        )
        for row in best.to_dict("records")
    ]
    return Table(columns, tuple(rows), _words(sweep), _numbers(best))


def without_rank(sweep: Sweep, state: str) -> Table:
    """Return the trials in a state other than complete: how far they came and why no further."""
    chosen = sweep.trials[sweep.trials["state"] == state].sort_values("trial").head(SHOWN)
    keys = [f"p.{key}" for key in sweep.space["parameter"]]
    columns = ("trial", "step", "reason", "last val_loss", *short_names(sweep))
    rows = [
        (
            str(row["trial"]),
            reached(row),
            formats.line(row["reason"]) or formats.MISSING,
            formats.loss(row["val_last_nats"]),
            *(formats.setting(row[key]) for key in keys),
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


def environment(sweep: Sweep) -> Table:
    """Return what the sweep ran on and with."""
    meta, trials = sweep.meta, sweep.trials
    corpus = _object(meta.get("corpus"))
    rows = [
        ("objective", f"{sweep.metric}, {meta['objective']['direction']}"),
        ("unit", unit(sweep.metric) or "not known"),
        ("corpus", str(corpus.get("name", formats.MISSING))),
        ("corpus sha256", str(corpus.get("sha256", formats.MISSING))),
        ("characters", formats.count(corpus.get("characters"))),
        ("vocabulary", formats.count(corpus.get("vocabulary"))),
        ("sampler", _settings(meta.get("sampler"))),
        ("pruner", _settings(meta.get("pruner"))),
        ("at once", f"{meta.get('max_concurrent', formats.MISSING)} trials"),
        ("seed", str(meta.get("seed", formats.MISSING))),
        ("versions", _settings(meta.get("versions"))),
        ("steps per trial", formats.count(trials["steps_planned"].max())),
        ("characters trained on", formats.count(trials["tokens"].sum())),
        ("time in updates, all trials", formats.duration(float(trials["train_s"].sum()))),
        ("interruptions", _interruptions(sweep)),
    ]
    return Table(("what", "value"), tuple(rows), frozenset({"what", "value"}))


def short_names(sweep: Sweep) -> list[str]:
    """Return the parameters' names without their section where that is unambiguous."""
    keys = [str(key) for key in sweep.space["parameter"]]
    last = [key.rsplit(".", 1)[-1] for key in keys]
    return [name if last.count(name) == 1 else key for key, name in zip(keys, last, strict=True)]


def leading(sweep: Sweep) -> list[int]:
    """Return the trials that are drawn in colour, best first."""
    return [int(trial) for trial in stats.leaders(sweep.trials)["trial"][: stats.LEADERS]]


def _words(sweep: Sweep) -> frozenset[str]:
    """Parameters whose values are words."""
    kinds = zip(sweep.space["parameter"], short_names(sweep), strict=True)
    return frozenset(
        name for key, name in kinds if not pd.api.types.is_numeric_dtype(sweep.trials[f"p.{key}"])
    )


def _numbers(trials: pd.DataFrame) -> tuple[int, ...]:
    return tuple(int(trial) for trial in trials["trial"])


def _object(value: object) -> Row:
    return value if isinstance(value, dict) else {}


def _settings(value: object) -> str:
    return ", ".join(f"{k} {v}" for k, v in _object(value).items()) or formats.MISSING


def _interruptions(sweep: Sweep) -> str:
    events = sweep.events["event"]
    resumed, died = int((events == "resumed").sum()), int((events == "worker_died").sum())
    return f"continued {resumed} times, {died} workers died" if resumed + died else "none"
