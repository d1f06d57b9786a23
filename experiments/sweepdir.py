"""The directory of a sweep: its files, and the trials as its record tells them."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from experiments import space, spec
from experiments.replication import seed_of
from experiments.search import Search
from experiments.spec import Sweep
from experiments.trial import Trial, finished
from experiments.version import Earlier
from tinygpt import config, durable
from tinygpt.files import (
    BusyError,
    RecordError,
    is_locked,
    json_line,
    locked,
    note,
    read_mapping,
    remove_leftovers,
    row_of,
    rows_in,
    whole_lines,
    write_atomically,
)
from tinygpt.redaction import without_secrets
from tinygpt.rundir import RunDir, comparable_loss
from tinygpt.schema import ConfigError, Problem
from tinygpt.seal import sealed, unsealed

SCHEMA = 1
OWNER_ONLY = 0o600
COMMANDS = ("started", "resumed", "stopped", "finished")
"""Events of the command, not of a trial or a worker."""
FACTS = ("schema", "versions", "corpus", "earlier", "outside")
"""The keys of `sweep.json` that are not keys of the sweep's file."""


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
        """Write `sweep.json`: the settled sweep and the facts it rests on, `earlier` versions of it
        among them. Written once, and once more for every edit of the file."""
        data = {"schema": SCHEMA, **spec.as_dict(sweep), **facts}
        write_atomically(self.sweep, sealed(data))

    def read_sweep(self) -> tuple[Sweep, dict[str, Any]]:
        """The settled sweep and the facts beside it.

        Raises ConfigError if there is none, RecordError if it is damaged.
        """
        if not self.sweep.exists():
            problem = "no sweep was begun here; `python -m experiments.sweep SWEEP.yaml` begins one"
            raise ConfigError([Problem((), f"{self.path}: {problem}")])
        facts = unsealed(self.sweep, {*spec.field_names(), *FACTS})
        names = {name: facts.pop(name) for name in spec.field_names() if name in facts}
        if facts.get("schema") != SCHEMA:
            raise RecordError(
                f"{self.sweep}: of schema {facts.get('schema')}, not {SCHEMA}; take the version "
                "that wrote it"
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
        return asked[-1] if asked else sweep.planned()

    def search(self) -> Search:
        """The decisions of the sweep, by its record."""
        return search_of(*self.read_sweep())

    def ended(self) -> int:
        """How many trials have ended."""
        return sum(1 for _ in self.trials.glob("*/result.json"))

    def is_finished(self) -> bool:
        """Whether the last command that drove the sweep came to its end."""
        told = [row["event"] for row in self._events() if row.get("event") in COMMANDS]
        return told[-1:] == ["finished"]

    def worked(self) -> float:
        """The seconds in which a command has driven the sweep, by the times of its events."""
        total, began, last = 0.0, None, None
        for row in self._events():
            at = self._time_of(row)
            if row.get("event") in ("started", "resumed"):
                total += last - began if began is not None and last is not None else 0.0
                began = at
            last = at
        return total + (last - began if began is not None and last is not None else 0.0)

    def _time_of(self, row: Mapping[str, Any]) -> float:
        try:
            return datetime.fromisoformat(row["time"]).timestamp()
        except (KeyError, TypeError, ValueError):
            problem = f"{row.get('time')!r} is not a time; remove that line"
            raise RecordError(f"{self.events}: {problem}") from None

    def _events(self) -> list[dict[str, Any]]:
        return rows_in(self._whole_events(), self.events)

    def _whole_events(self) -> bytes:
        """`events.jsonl` without a last line that a kill or a power cut has spoilt."""
        lines = whole_lines(self.events.read_bytes() if self.events.exists() else b"")
        spoilt = bool(lines) and row_of(lines[-1]) is None
        return b"".join(lines[:-1] if spoilt else lines)

    def owned(self) -> AbstractContextManager[None]:
        """Own the sweep for as long as the context lives; raises BusyError if another does."""
        return _owned(self.lock, self.path)

    def is_owned(self) -> bool:
        return is_locked(self.lock)

    def trial(self, number: int) -> RunDir:
        return RunDir(self.trials / f"{number:04d}")

    def count(self) -> int:
        """How many trials have begun."""
        return len(self._numbers())

    def history(self, search: Search) -> list[Trial]:
        """Every trial that has begun, in order. Raises RecordError if one is missing."""
        numbers = self._numbers()
        if numbers != list(range(len(numbers))):
            missing = next(n for n, number in enumerate(numbers) if n != number)
            raise RecordError(f"{self.trial(missing).path}: missing; restore it from a copy")
        self._refuse_headless()
        trials = [self._trial(search, number) for number in numbers]
        for trial in trials:
            if trial.state != "running" and trial.same_as != search.twin(trial, trials):
                path = self.trial(trial.number).result
                raise RecordError(f"{path}: of another trial; restore it from a copy")
        return [search.with_twin(trial, trials) for trial in trials]

    def _refuse_headless(self) -> None:
        """Raise RecordError if a trial has begun and lacks its config: it would begin anew."""
        for path in sorted(self.trials.glob("[0-9]*")):
            run_dir = RunDir(path)
            begun = (run_dir.metrics, run_dir.checkpoints, run_dir.result)
            headless = not run_dir.config.exists() and any(one.exists() for one in begun)
            if headless and is_number(path.name):
                raise RecordError(f"{run_dir.config}: missing; restore it from a copy")

    def _numbers(self) -> list[int]:
        names = [path.parent.name for path in self.trials.glob("[0-9]*/config.json")]
        return sorted(int(name) for name in names if is_number(name))

    def _trial(self, search: Search, number: int) -> Trial:
        run_dir, sweep = self.trial(number), search.version(number).sweep
        values = config.flat(read_mapping(run_dir.config))
        params = space.active(sweep.space, values)
        replicate = replicate_of(sweep, values.get("seed"))
        if params is None or replicate is None:
            raise RecordError(f"{run_dir.config}: {misfit(sweep, values)}; restore it from a copy")
        losses = reports(run_dir.evaluations())
        trial = Trial(number, params, reports=losses, replicate=replicate)
        result = run_dir.read_result()
        return trial if result is None else finished(trial, result)

    def repair(self) -> None:
        """Cut a spoilt last line off `events.jsonl`."""
        if self.events.exists():
            descriptor = durable.opened(self.events, OWNER_ONLY)
            durable.truncate(descriptor, self.events, len(self._whole_events()))
            os.close(descriptor)

    def log(self, event: str, **facts: Any) -> None:
        """Add a row to `events.jsonl`, with the time (UTC)."""
        row = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "event": event,
            **without_secrets(facts),
        }
        new = not self.events.exists()
        descriptor = durable.opened(self.events, OWNER_ONLY)
        try:
            durable.append(descriptor, self.events, json_line(row))
            durable.sync(descriptor, self.events)
        finally:
            os.close(descriptor)
        if new:
            durable.sync_directory(self.path)


def is_number(name: str) -> bool:
    """Whether a directory with this name is a trial's."""
    return name.isdecimal() and len(name) >= 4


def search_of(sweep: Sweep, facts: Mapping[str, Any]) -> Search:
    """The decisions of a settled sweep, given what stands beside it in `sweep.json`."""
    earlier = [Earlier(one["until"], spec.build(one["sweep"])) for one in facts.get("earlier", [])]
    return Search(sweep, facts["corpus"]["vocabulary"], earlier)


def replicate_of(sweep: Sweep, seed: Any) -> int | None:
    """Which replicate has a seed; None if none has."""
    if "seed" in sweep.space:
        return 0
    seeds = [seed_of(sweep.run.seed, replicate) for replicate in range(sweep.replicates)]
    return seeds.index(seed) if seed in seeds else None


def misfit(sweep: Sweep, values: Mapping[str, Any]) -> str:
    """What is wrong with the config of a trial that the sweep could not have made."""
    missing = [key for key in space.searched(sweep.space) if key not in values]
    return f"{missing[0]} is missing" if missing else "not of this sweep's space or seeds"


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
        with locked(lock) as descriptor:
            remove_leftovers(path)
            note(descriptor, lock, str(os.getpid()))
            for directory in (path, path / "trials"):
                if directory.exists():  # whoever made what is in it may have been killed too soon
                    durable.sync_directory(directory)
            yield
    except BusyError:
        owner = lock.read_text().strip() or "?"
        raise BusyError(f"{path}: another sweep command drives it (process {owner})") from None
