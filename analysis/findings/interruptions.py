"""What interrupted it?"""

import signal
from typing import Any

import pandas as pd

from analysis import formats
from analysis.finding import Finding
from analysis.frames import Column, Schema, frame
from analysis.load import Sweep
from analysis.noise import Noise

SCHEMA: Schema = {
    "time": Column("datetime64[us, UTC]", "wall clock"),
    "what": Column("str", "stopped, killed, resumed, worker died, worker silent, trial resumed"),
    "trial": Column("Int64", "number of the trial, if it concerns one"),
    "step": Column("Int64", "step that the trial went on from"),
    "outcome": Column("str", "how that trial ended"),
    "away_s": Column("float64", "time until the sweep went on"),
}
ID, TITLE = "interruptions", "What interrupted it?"
HOW = (
    "The sweep's events. It was killed where a run of the command has no end on record; the time "
    "away then counts from its last event. A trial goes on from its last checkpoint, and nothing "
    "on record changes by it."
)
TOLD = {
    "stopped": "stopped",
    "worker_died": "worker died",
    "worker_silent": "worker silent",
}


def find(sweep: Sweep, measured: Noise) -> Finding:
    """Return what interrupted the sweep, in order; an empty frame says that nothing did."""
    table = log(sweep.events, sweep.trials)
    return Finding(ID, TITLE, _answer(table), table, SCHEMA, HOW)


def log(events: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    """Return SCHEMA from the events of a sweep."""
    states = dict(zip(trials["trial"], trials["state"], strict=True))
    rows: list[dict[str, Any]] = []
    running, before, paused = False, pd.NaT, set()
    for event in events.to_dict("records"):
        kind = event["event"]
        if kind in ("started", "resumed"):
            if running:
                rows.append({"time": before, "what": "killed"})
            if rows and rows[-1]["what"] in ("killed", "stopped"):
                rows[-1]["away_s"] = (event["time"] - rows[-1]["time"]).total_seconds()
            running = True
        elif kind == "stopped":
            rows.append({"time": event["time"], "what": _stopped(event["signal"])})
            running = False
        elif kind == "finished":
            running = False
        elif kind in TOLD:
            rows.append(_of_trial(event, TOLD[kind], states))
        elif kind == "trial_paused":
            paused.add(event["trial"])
        elif kind == "trial_resumed" and event["trial"] not in paused:
            rows.append(_of_trial(event, "trial resumed", states))
        elif kind == "trial_resumed":
            paused.discard(event["trial"])
        before = event["time"]
    return frame([{**row, "time": _iso(row["time"])} for row in rows], SCHEMA)


def _stopped(number: Any) -> str:
    if pd.isna(number):
        return "stopped"
    try:
        return f"stopped by {signal.Signals(int(number)).name}"
    except ValueError:
        return f"stopped by signal {int(number)}"


def _of_trial(event: Any, what: str, states: dict[Any, str]) -> dict[str, Any]:
    row = {key: event[key] for key in ("time", "trial", "step")}
    known = None if pd.isna(event["trial"]) else states.get(event["trial"])
    return {**row, "what": what, "outcome": known}


def _iso(time: Any) -> str | None:
    return None if pd.isna(time) else time.isoformat()


def _answer(table: pd.DataFrame) -> str:
    if table.empty:
        return "Nothing: it was never interrupted."
    stops = int(table["what"].str.startswith(("stopped", "killed")).sum())
    died = int((table["what"] == "worker died").sum())
    parts = []
    if stops:
        away = formats.duration(float(table["away_s"].sum()))
        parts.append(f"it was stopped or killed {stops} time{'s' * (stops > 1)}, away for {away}")
    if died:
        parts.append(f"{died} worker{'s' * (died > 1)} died")
    if not parts:
        parts.append("some trials went on from a checkpoint")
    said = formats.listed(parts)
    return f"{said[0].upper()}{said[1:]}; the results are the same as without."
