"""The directory of a sweep: its files, and the trials as its record tells them."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from experiments import spec
from experiments.search import Trial, finished
from experiments.spec import Sweep
from tinygpt import config
from tinygpt.files import (
    BusyError,
    RecordError,
    is_locked,
    json_line,
    locked,
    read_mapping,
    read_rows,
    remove_leftovers,
    write_atomically,
)
from tinygpt.rundir import RunDir, comparable_loss
from tinygpt.schema import ConfigError, Problem

SCHEMA = 1


class SweepDir:
    """The files of one sweep. The trial directories are the record; all else can be made again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sweep = path / "sweep.json"
        self.lock = path / "sweep.lock"
        self.study = path / "study.db"
        self.events = path / "events.jsonl"
        self.trials = path / "trials"
        self.wandb = path / "wandb"
        self.report = path / "report"

    def begun(self) -> bool:
        return self.sweep.exists()

    def write_sweep(self, sweep: Sweep, facts: Mapping[str, Any]) -> None:
        """Write `sweep.json`, once: the settled sweep and the facts it rests on."""
        data = {"schema": SCHEMA, **spec.as_dict(sweep), **facts}
        write_atomically(self.sweep, config.to_json(data))

    def read_sweep(self) -> tuple[Sweep, dict[str, Any]]:
        """The settled sweep and the facts beside it.

        Raises ConfigError if there is none, RecordError if it is damaged.
        """
        if not self.sweep.exists():
            problem = "no sweep was begun here; `python -m experiments.sweep SWEEP.yaml` begins one"
            raise ConfigError([Problem((), f"{self.path}: {problem}")])
        facts = read_mapping(self.sweep)
        names = {name: facts.pop(name) for name in spec.field_names() if name in facts}
        if facts.get("schema") != SCHEMA:
            raise RecordError(
                f"{self.sweep}: of schema {facts.get('schema')}, not {SCHEMA}; update"
            )
        try:
            return spec.build(names), facts
        except ConfigError as error:
            first = error.problems[0]
            raise RecordError(f"{self.sweep}: {first}; restore it from a copy") from None

    def planned(self, sweep: Sweep) -> int:
        """How many trials the last command wanted; `--trials` may have asked for another number
        than the file."""
        asked = [row["trials"] for row in self._events() if "trials" in row]
        return asked[-1] if asked else sweep.trials

    def _events(self) -> list[dict[str, Any]]:
        return read_rows(self.events)

    def owned(self) -> AbstractContextManager[None]:
        """Own the sweep for as long as the context lives; raises BusyError if another does."""
        return _owned(self.lock, self.path)

    def is_owned(self) -> bool:
        return is_locked(self.lock)

    def trial(self, number: int) -> RunDir:
        return RunDir(self.trials / f"{number:04d}")

    def history(self, sweep: Sweep) -> list[Trial]:
        """Every trial that has begun, in order. Raises RecordError if one is missing."""
        entries = self.trials.glob("[0-9][0-9][0-9][0-9]*/config.json")
        numbers = sorted(int(p.parent.name) for p in entries if p.parent.name.isdecimal())
        if numbers != list(range(len(numbers))):
            missing = next(n for n, number in enumerate(numbers) if n != number)
            raise RecordError(f"{self.trial(missing).path}: missing; restore it from a copy")
        return [self._trial(sweep, number) for number in numbers]

    def _trial(self, sweep: Sweep, number: int) -> Trial:
        run_dir = self.trial(number)
        values = config.flat(read_mapping(run_dir.config))
        if missing := sweep.space.keys() - values.keys():
            raise RecordError(
                f"{run_dir.config}: {min(missing)} is missing; restore it from a copy"
            )
        params = {key: values[key] for key in sorted(sweep.space)}
        trial = Trial(number, params, reports=reports(run_dir.evaluations()))
        result = run_dir.read_result()
        return trial if result is None else finished(trial, result)

    def log(self, event: str, **facts: Any) -> None:
        """Add a row to `events.jsonl`, with the time (UTC)."""
        row = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "event": event,
            **facts,
        }
        with open(self.events, "ab") as file:
            file.write(json_line(row))


def reports(evaluations: list[dict[str, Any]]) -> dict[int, float]:
    """The validation losses by step that the search sees: all but the untrained model's."""
    return {row["step"]: comparable_loss(row) for row in evaluations if row["step"] > 0}


def find(path: Path, out: Path, overrides: list[str] | None = None) -> SweepDir:
    """The directory of a sweep named by its YAML file or by the directory itself."""
    if path.is_dir():
        return SweepDir(path)
    sweep, _ = spec.read(path, overrides or [])
    return SweepDir(out / sweep.name)


@contextlib.contextmanager
def _owned(lock: Path, path: Path) -> Iterator[None]:
    try:
        with locked(lock):
            remove_leftovers(path)
            lock.write_text(f"{os.getpid()}\n")
            yield
    except BusyError:
        owner = lock.read_text().strip() or "?"
        raise BusyError(f"{path}: another sweep command drives it (process {owner})") from None
