"""What a sweep ran on and with, as the rows of a table."""

from analysis import formats
from analysis.formats import MISSING, settings
from analysis.load import Sweep
from analysis.records import at
from analysis.tables import Table

OPTIONAL = ("replicates", "budget", "max_disk", "constraints")


def environment(sweep: Sweep) -> Table:
    """Return what the sweep was asked for, what it ran on and with, and what it took."""
    rows = [*_asked(sweep), *_took(sweep)]
    return Table(("what", "value"), tuple(rows), frozenset({"what", "value"}))


def _asked(sweep: Sweep) -> list[tuple[str, str]]:
    meta = sweep.meta
    return [
        ("objective", "; ".join(_objective(o.metric, o.minimize) for o in sweep.objectives)),
        ("unit", sweep.ranking.unit or "not known"),
        ("corpus", str(at(meta, "corpus.name") or MISSING)),
        ("corpus sha256", str(at(meta, "corpus.sha256") or MISSING)),
        ("characters", formats.count(at(meta, "corpus.characters"))),
        ("vocabulary", formats.count(at(meta, "corpus.vocabulary"))),
        ("sampler", settings(meta.get("sampler"))),
        ("pruner", settings(meta.get("pruner"))),
        *((key.replace("_", " "), text) for key in OPTIONAL if (text := _given(meta.get(key)))),
        ("at once", f"{meta.get('max_concurrent', MISSING)} trials"),
        ("seed", str(meta.get("seed", MISSING))),
        ("versions", settings(meta.get("versions"))),
    ]


def _took(sweep: Sweep) -> list[tuple[str, str]]:
    trials = sweep.trials
    return [
        ("steps per trial", _steps(sweep)),
        ("characters trained on", formats.count(trials["tokens"].sum())),
        ("time in updates, all trials", formats.duration(float(trials["train_s"].sum()))),
        ("interruptions", _interruptions(sweep)),
    ]


def _objective(metric: str, minimize: bool) -> str:
    return f"{metric}, {'minimize' if minimize else 'maximize'}"


def _given(value: object) -> str:
    """What an optional key of a sweep says, "" where it asks for nothing."""
    if isinstance(value, dict):
        text = settings(value)
        return "" if text == MISSING else text
    if isinstance(value, list):
        return "; ".join(str(part) for part in value)
    return "" if value in (None, 1) else str(value)


def _steps(sweep: Sweep) -> str:
    planned = sweep.trials["steps_planned"]
    least, most = formats.count(planned.min()), formats.count(planned.max())
    return most if least == most else f"{least} to {most}"


def _interruptions(sweep: Sweep) -> str:
    events = sweep.events["event"]
    resumed, died = int((events == "resumed").sum()), int((events == "worker_died").sum())
    return f"continued {resumed} times, {died} workers died" if resumed + died else "none"
