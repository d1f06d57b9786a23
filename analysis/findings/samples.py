"""What do they write?"""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from analysis import stats
from analysis.finding import Finding, unknown
from analysis.frames import Column, Schema, frame
from analysis.load import Sweep
from analysis.noise import Noise

SCHEMA: Schema = {
    "trial": Column("int64", "number of the trial"),
    "role": Column("str", "why it is shown"),
    "value": Column("float64", "its objective"),
    "step": Column("int64", "completed updates when it wrote"),
    "different_share": Column("float64", "share of the text's runs of four characters that differ"),
    "prompt": Column("str", "what it was given"),
    "text": Column("str", "what it wrote, without the prompt"),
}
ID, TITLE = "samples", "What do they write?"
HOW = (
    "The last text of each, with the same prompt and the same seed of the text. The share of "
    "different runs of four characters falls where a model repeats itself. Whether a text is "
    "copied from the corpus is not looked at: the record does not hold the corpus."
)
RUN = 4


def find(sweep: Sweep, measured: Noise) -> Finding:
    """Return a text each of the winner, the next two, the median and the worst complete trial."""
    rows = [row for role, trial in roles(sweep.trials) for row in _sample(sweep, role, trial)]
    if not rows:
        return unknown(ID, TITLE, "No complete trial has written a text.", SCHEMA, HOW)
    table = frame(rows, SCHEMA)
    return Finding(ID, TITLE, _answer(table), table, SCHEMA, HOW)


def roles(trials: pd.DataFrame) -> list[tuple[str, int]]:
    """Return which trials to read, each once, and why."""
    order = [int(trial) for trial in stats.leaders(trials)["trial"]]
    if not order:
        return []
    chosen = [("the winner", order[0])]
    chosen += [(f"ranked {place}", trial) for place, trial in enumerate(order[1:3], 2)]
    middle = stats.middle(trials)
    chosen += [("the median", middle)] if middle is not None else []
    chosen.append(("the worst complete", order[-1]))
    seen: dict[int, str] = {}
    for role, trial in chosen:
        seen.setdefault(trial, role)
    return [(role, trial) for trial, role in seen.items()]


def different(text: str) -> float:
    """Return the share of the runs of four characters of a text that are different; NaN for a
    shorter text."""
    runs = [text[start : start + RUN] for start in range(len(text) - RUN + 1)]
    return len(set(runs)) / len(runs) if runs else float("nan")


def _sample(sweep: Sweep, role: str, trial: int) -> Iterator[dict[str, Any]]:
    texts = sweep.samples[sweep.samples["trial"] == trial]
    if texts.empty:
        return
    last = texts.sort_values("step", kind="stable").iloc[-1]
    shown = {name: last[name] for name in ("step", "prompt", "text")}
    value = float(sweep.trial(trial)["value"])
    share = different(str(last["text"]))
    yield {"trial": trial, "role": role, "value": value, "different_share": share, **shown}


def _answer(table: pd.DataFrame) -> str:
    low = table[table["different_share"] < 0.5]
    said = "the winner's beside others of the same prompt and seed"
    if low.empty:
        return f"Read {said}."
    who = f"Trial {low['trial'].iloc[0]} repeats itself"
    return f"Read {said}. {who}: half of its runs of four characters occur twice."
