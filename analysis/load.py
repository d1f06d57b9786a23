"""A sweep read from its files."""

import contextlib
import gc
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from analysis import frames, objectives, space, stats
from analysis.block import Block, joined
from analysis.objectives import Objective
from analysis.records import Row, UnreadableError, read_object, read_rows
from analysis.runs import CURVE, KINDS, NO_VALUE, TIMED, TIMES, Run, read_run

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
NAME_LINE = re.compile(r"""^name:[ \t]+(['"]?)(?P<name>[^'"#\n]*?)\1[ \t]*(?:#.*)?$""", re.M)


class LoadError(Exception):
    """A sweep cannot be loaded; the message is one line for the user."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True)
class Sweep:
    """One sweep, finished or not, as frames. Columns: analysis/frames.py.

    `meta` is sweep.json; `unreadable` names the files of trials that hold something else
    than they should, and that were left out; `confirmed` are the runs of the sweep's confirmation,
    a sweep of its own in confirm/.
    """

    directory: Path
    meta: Row
    trials: pd.DataFrame
    curves: pd.DataFrame
    samples: pd.DataFrame
    events: pd.DataFrame
    space: pd.DataFrame
    unreadable: tuple[str, ...]
    timings: pd.DataFrame
    confirmed: pd.DataFrame

    @classmethod
    def load(cls, path: str | Path, out: str | Path = "runs") -> Self:
        """Read the sweep in directory `path`, or the one that SWEEP.yaml `path` named in `out`.

        Only reads. Raises LoadError: exit code 2 when there is no such sweep, 3 when its
        sweep.json cannot be used.
        """
        directory = locate(Path(path), Path(out))
        with _collecting_later():
            return cls._read(directory)

    @classmethod
    def _read(cls, directory: Path) -> Self:
        meta = _read_meta(directory)
        found = [_run(folder, meta) for folder in _trial_folders(directory)]
        unreadable = [name for run in found for name in run.unreadable]
        events = _read_events(directory, unreadable)
        trials = _trials(found, meta)
        confirmed = _confirmed(directory, trials, found, unreadable)
        return cls(
            directory=directory,
            meta=meta,
            trials=trials,
            curves=_curves(found),
            samples=frames.frame([row for run in found for row in run.samples], frames.SAMPLES),
            events=frames.frame(events, frames.EVENTS),
            space=frames.frame(space.rows(meta["space"]), frames.SPACE),
            unreadable=tuple(unreadable),
            timings=_timings(found),
            confirmed=confirmed,
        )

    @property
    def name(self) -> str:
        """The sweep's name."""
        return str(self.meta["name"])

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What the sweep looks for; several are traded off."""
        return objectives.objectives(self.meta)

    @property
    def ranking(self) -> Objective:
        """The objective that trials are ranked by."""
        return objectives.ranking(self.objectives)

    @property
    def metric(self) -> str:
        """The name of the objective that trials are ranked by."""
        return self.ranking.metric

    @property
    def minimize(self) -> bool:
        """Whether less of the objective that trials are ranked by is better."""
        return self.ranking.minimize

    @property
    def replicates(self) -> int:
        """How many seeds each configuration is to be trained with."""
        return _replicates(self.meta)

    @property
    def configurations(self) -> pd.DataFrame:
        """The configurations with a complete trial, best first; see stats.configurations."""
        return stats.configurations(self.trials, self.minimize, self.replicates)

    @property
    def front(self) -> pd.DataFrame:
        """The trials that no other is better than in every objective; see stats.pareto."""
        return stats.pareto(self.trials, self.objectives)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the verdict and the best trials."""
        from analysis import notebook  # it needs this class

        return notebook.html(self)

    def trial(self, number: int) -> "pd.Series[Any]":
        """Return the row of trial `number`. Raises KeyError when it has not started."""
        row = self.trials[self.trials["trial"] == number]
        if row.empty:
            raise KeyError(f"trial {number} has not started")
        return row.iloc[0]


@contextlib.contextmanager
def _collecting_later() -> Iterator[None]:
    """Spare the search for garbage among hundreds of thousands of rows that are all in use."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def locate(path: Path, out: Path) -> Path:
    """Return the directory of the sweep that `path`, a directory or a SWEEP.yaml, stands for."""
    if path.is_dir():
        return path
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        hint = "give a sweep's directory or its YAML file"
        raise LoadError(f"{path}: {error.strerror or error}; {hint}", 2) from error
    except UnicodeDecodeError as error:
        raise LoadError(f"{path}: not a UTF-8 text file; give a SWEEP.yaml", 2) from error
    line = NAME_LINE.search(text)
    name = line["name"].strip() if line else path.stem
    if not NAME.fullmatch(name):
        rule = "letters, digits, '.', '_' and '-', at most 64"
        raise LoadError(f"{path}: name: {name!r} must be {rule}; change that line", 2)
    return out / name


def _read_meta(directory: Path) -> Row:
    path = directory / "sweep.json"
    try:
        meta = read_object(path)
    except UnreadableError as error:
        raise LoadError(f"{error}; restore the file from a backup", 3) from error
    if meta is None:
        start = "start it with python -m experiments.sweep SWEEP.yaml, or give --out"
        raise LoadError(f"{path}: no such file, so there is no sweep here; {start}", 2)
    problem = _problem(meta)
    if problem:
        raise LoadError(f"{path}: {problem}; restore the file from a backup", 3)
    return meta


def _problem(meta: Row) -> str | None:
    if meta.get("schema") != 1:
        return f"schema: must be 1, got {meta.get('schema')!r}"
    for key, kind in {"name": str, "trials": int, "space": dict}.items():
        if not isinstance(meta.get(key), kind):
            return f"{key}: must be of type {kind.__name__}, got {meta.get(key)!r}"
    for key, spec in meta["space"].items():
        needed = space.lacks(spec)
        if needed:
            return f"space.{key}: needs {needed}, got {spec!r}"
    return objectives.problem(meta.get("objective"))


def _run(folder: Path, meta: Row) -> Run:
    return read_run(folder, space.of_trial(meta, int(folder.name)))


def _curves(runs: list[Run]) -> pd.DataFrame:
    whole = joined([run.curve for run in runs], len(CURVE))
    return _rows([(run, run.curve) for run in runs], whole, KINDS, CURVE, frames.CURVES)


def _timings(runs: list[Run]) -> pd.DataFrame:
    whole = joined([run.timings for run in runs], len(TIMES))
    return _rows([(run, run.timings) for run in runs], whole, TIMED, TIMES, frames.TIMINGS)


def _rows(
    parts: list[tuple[Run, Block]],
    whole: Block,
    kinds: Sequence[str],
    names: Sequence[str],
    schema: frames.Schema,
) -> pd.DataFrame:
    numbers = [run.trial["trial"] for run, _ in parts]
    lengths = [len(part.steps) for _, part in parts]
    columns: dict[str, Any] = {
        "trial": pd.Series(np.repeat(np.array(numbers, dtype="int64"), lengths)),
        "kind": pd.Series(np.array(kinds, dtype="object")[whole.kinds], dtype="str"),
        "step": pd.Series(whole.steps),
    }
    for place, name in enumerate(names):
        values = pd.Series(whole.values[:, place])
        columns[name] = frames.whole(values) if schema[name].dtype == "Int64" else values
    return pd.DataFrame({name: columns[name] for name in schema})


def _confirmed(
    directory: Path, trials: pd.DataFrame, runs: list[Run], unreadable: list[str]
) -> pd.DataFrame:
    """Return the runs of the sweep in confirm/ beside the trials whose configurations they have."""
    if not (directory / "confirm" / "sweep.json").is_file():
        return frames.frame([], frames.CONFIRMED)
    try:
        meta = _read_meta(directory / "confirm")
    except LoadError:
        unreadable.append("confirm/sweep.json")
        return frames.frame([], frames.CONFIRMED)
    again = [_run(folder, meta) for folder in _trial_folders(directory / "confirm")]
    unreadable += [f"confirm/{name}" for run in again for name in run.unreadable]
    numbers = _first_of(trials, runs)
    rows = [
        {**row, "trial": numbers[run.identity]}
        for run, row in zip(again, _trials(again, meta).to_dict("records"), strict=True)
        if run.identity in numbers
    ]
    return frames.frame(rows, frames.CONFIRMED)


def _first_of(trials: pd.DataFrame, runs: list[Run]) -> dict[str, int]:
    """The trial that stands for a configuration: the best ranked one, else the first."""
    order = trials.sort_values(["rank", "trial"], na_position="last")["trial"]
    identities = {int(run.trial["trial"]): run.identity for run in runs}
    found: dict[str, int] = {}
    for trial in order:
        found.setdefault(identities[int(trial)], int(trial))
    return found


def _replicates(meta: Row) -> int:
    given = meta.get("replicates")
    return given if isinstance(given, int) and given > 1 else 1


def _trial_folders(directory: Path) -> list[Path]:
    folders = [path for path in (directory / "trials").glob("[0-9]*") if path.name.isdecimal()]
    return sorted((path for path in folders if path.is_dir()), key=lambda path: int(path.name))


def _read_events(directory: Path, unreadable: list[str]) -> list[Row]:
    try:
        return read_rows(directory / "events.jsonl")
    except UnreadableError:
        unreadable.append("events.jsonl")
        return []


def _trials(runs: list[Run], meta: Row) -> pd.DataFrame:
    schema = {**frames.TRIALS, **frames.parameters(space.all_specs(meta))}
    rows = [{**run.trial, "configuration": one} for run, one in _grouped(runs, meta)]
    ranking = objectives.ranking(objectives.objectives(meta))
    trials = frames.frame(rows, schema)
    if ranking.column != "value":
        trials = _measured_by(trials, ranking.column)
    trials["rank"] = stats.ranks(trials, ranking.minimize, _replicates(meta))
    trials["delta"] = _difference(trials, trials["rank"] == 1)
    trials["delta_baseline"] = _difference(trials, trials["trial"] == 0)
    return trials


def _measured_by(trials: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the trials with `column` of the complete ones as their value; see frames.TRIALS."""
    complete = trials["state"] == "complete"
    values = trials[column].astype("float64").where(complete)
    lost = complete & values.isna()
    return trials.assign(
        value=values,
        state=trials["state"].mask(lost, "failed"),
        reason=trials["reason"].mask(lost, NO_VALUE),
    )


def _grouped(runs: list[Run], meta: Row) -> list[tuple[Run, int]]:
    """Runs beside the first of the same configuration; without replicates each is its own."""
    first: dict[str, int] = {}
    alone = _replicates(meta) == 1
    return [
        (run, number if alone else first.setdefault(run.identity, number))
        for run in runs
        for number in [int(run.trial["trial"])]
    ]


def _difference(trials: pd.DataFrame, reference: "pd.Series[bool]") -> "pd.Series[float]":
    complete = trials["state"] == "complete"
    values = trials.loc[complete & reference.fillna(False), "value"]
    value = float(values.iloc[0]) if len(values) else math.nan
    return (trials["value"] - value).where(complete)
