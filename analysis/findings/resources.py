"""Where did the time go?"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from analysis import formats
from analysis.finding import Check, Finding, unknown
from analysis.frames import Column, Schema, frame, number
from analysis.load import Sweep
from analysis.noise import Noise

SCHEMA: Schema = {
    "trial": Column("int64", "number of the trial"),
    "state": Column("str", "one of STATES"),
    "tokens": Column("Int64", "characters trained on"),
    "flops": Column("float64", "operations of the whole training; complete trials alone know them"),
    "train_s": Column("float64", "time in updates"),
    "eval_s": Column("float64", "time in evaluations"),
    "sample_s": Column("float64", "time in writing text"),
    "checkpoint_s": Column("float64", "time in saving"),
    "other_s": Column("float64", "the rest of its time at work: loading, waiting for verdicts"),
    "work_s": Column("float64", "time at work, from its events"),
    "tokens_per_s": Column("float64", "median speed of its updates"),
    "memory": Column("float64", "bytes that its worker used at most"),
}
ID, TITLE = "resources", "Where did the time go?"
HOW = (
    "Times are wall clock as the workers measured them; a trial is at work from where it starts "
    "or goes on to where it pauses or ends, by the sweep's events. Utilisation is the time at "
    "work over that of as many workers as there were. Times depend on what else the machine did."
)
KINDS = ("train", "eval", "sample", "checkpoint")
BEGINS, ENDS = ("trial_started", "trial_resumed"), ("trial_paused", "trial_finished")
CONTENTION = 1.5


def find(sweep: Sweep, measured: Noise) -> Finding:
    """Return what each trial took."""
    work = timeline(sweep)
    table = costs(sweep.trials, sweep.timings, work)
    if table.empty or not table[["train_s", "work_s"]].sum(axis=None) > 0:
        return unknown(ID, TITLE, "No times are on record.", SCHEMA, HOW)
    facts = {
        "work_s": float(work["end_s"].sub(work["start_s"]).sum()),
        "span_s": float(work["end_s"].max()) if len(work) else math.nan,
        "workers": number(sweep.events["workers"].max()),
    }
    check = _contention(sweep.trials)
    answer = " ".join(_answer(table, facts))
    return Finding(ID, TITLE, answer, table, SCHEMA, HOW, (check,), facts=facts)


def costs(trials: pd.DataFrame, timings: pd.DataFrame, work: pd.DataFrame) -> pd.DataFrame:
    """Return SCHEMA, one row per trial that was trained."""
    own = trials[trials["state"] != "duplicate"]
    spent = timings.pivot_table(index="trial", columns="kind", values="seconds", aggfunc="sum")
    peak = timings.groupby("trial")["peak_memory"].max()
    at_work = work["end_s"].sub(work["start_s"]).groupby(work["trial"]).sum()
    rows = []
    kept = ["trial", "state", "tokens", "flops", "tokens_per_s", "train_s"]
    for row in own[kept].to_dict("records"):
        trial = int(row["trial"])
        parts: dict[Any, Any] = {f"{kind}_s": _cell(spent, trial, kind) for kind in KINDS}
        parts["train_s"] = row["train_s"]
        known = float(np.nansum([number(part) for part in parts.values()]))
        whole = float(at_work.get(trial, math.nan))
        other = whole - known if whole >= known else math.nan
        memory = number(peak.get(trial, math.nan))
        rows.append({**row, **parts, "work_s": whole, "other_s": other, "memory": memory})
    return frame(rows, SCHEMA)


def timeline(sweep: Sweep) -> pd.DataFrame:
    """Return `trial`, `lane`, `start_s`, `end_s` and `state`: when each trial was at work.

    In seconds since the sweep started, the times when it did not run cut out; trials that ran at
    the same time have different lanes, from 0.
    """
    states = dict(zip(sweep.trials["trial"], sweep.trials["state"], strict=True))
    rows = sorted(_stretches(sweep.events), key=lambda row: (row["start_s"], row["trial"]))
    free: list[float] = []
    for row in rows:
        lane = next((n for n, end in enumerate(free) if end <= row["start_s"] + 1e-6), len(free))
        free[lane : lane + 1] = [row["end_s"]]
        row["lane"], row["state"] = lane, states.get(row["trial"], "unfinished")
    return pd.DataFrame(rows, columns=["trial", "lane", "start_s", "end_s", "state"])


def _stretches(events: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """When each trial was at work, in seconds of the sweep's own time."""
    open_at: dict[int, float] = {}
    now, last = 0.0, None
    for row in events[events["time"].notna()].to_dict("records"):
        resumed = row["event"] in ("started", "resumed")
        if last is not None and not resumed:
            now += max(0.0, (row["time"] - last).total_seconds())
        last = row["time"]
        if resumed or row["event"] == "stopped":
            yield from _closed(open_at, now)
        if pd.isna(row["trial"]):
            continue
        trial = int(row["trial"])
        if row["event"] in BEGINS:
            open_at.setdefault(trial, now)
        elif row["event"] in ENDS and trial in open_at:
            yield {"trial": trial, "start_s": open_at.pop(trial), "end_s": now}
    yield from _closed(open_at, now)


def _closed(open_at: dict[int, float], now: float) -> Iterator[dict[str, Any]]:
    for trial, start in sorted(open_at.items()):
        yield {"trial": trial, "start_s": start, "end_s": now}
    open_at.clear()


def _cell(spent: pd.DataFrame, trial: int, kind: str) -> float:
    if kind not in spent or trial not in spent.index:
        return math.nan
    return number(spent.at[trial, kind])


def _answer(table: pd.DataFrame, facts: dict[str, float]) -> Iterator[str]:
    whole = facts["work_s"] or float(table["train_s"].sum())
    parts = {kind: float(table[f"{kind}_s"].sum()) for kind in KINDS}
    names = {"train": "updates", "eval": "evaluation", "sample": "text", "checkpoint": "saving"}
    shares = [
        f"{formats.percent(part / whole)} {names[kind]}" for kind, part in parts.items() if part
    ]
    yield f"{formats.duration(whole)} of work: {formats.listed(shares)}, the rest around them."
    if facts["workers"] >= 1 and facts["span_s"] > 0:
        used = min(1.0, facts["work_s"] / (facts["workers"] * facts["span_s"]))
        count = int(facts["workers"])
        who = f"{count} workers were" if count > 1 else "The worker was"
        yield f"{who} at work for {formats.percent(used)} of {formats.duration(facts['span_s'])}."
    by_state = table.groupby("state")["train_s"].sum()
    lost = by_state.drop("complete", errors="ignore")
    if len(lost) and by_state.sum():
        said = [f"{formats.percent(s / by_state.sum())} {name}" for name, s in lost.items() if s]
        if said:
            yield f"Of the updates {formats.listed(said)} trials."


def _contention(trials: pd.DataFrame) -> Check:
    known = trials[trials["tokens_per_s"].notna() & trials["parameters"].notna()]
    ratios = known.groupby("parameters")["tokens_per_s"].agg(["max", "min", "count"])
    ratios = ratios[ratios["count"] > 1]
    worst = float((ratios["max"] / ratios["min"]).max()) if len(ratios) else math.nan
    if not worst > CONTENTION:
        return Check("contention", "ok", "Trials of the same size ran at about the same speed.")
    evidence = f"Of two trials of the same size one ran {worst:.1f} times as fast as the other."
    why = "They differ in more than their size, or something else ran beside one of them."
    return Check("contention", "info", f"{evidence} {why}")
