"""What is tortured: commands that are repeated until they are done, each with its files."""

import contextlib
import os
import pickle
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from chaos import forks, golden
from chaos.faults import Count, Fault, hook
from tinygpt import durable
from tinygpt.exits import DONE, SOME_FAILED

Command = Callable[[Path], int]

COMMAND_SECONDS = 60.0
"""How long a command may take that takes one."""


class Subject:
    """What is tortured: a command that is repeated until it is done, and the golden result."""

    name: str
    code: int
    """The exit code in the end."""

    def path(self, place: Path) -> Path:
        """Where the command leaves its files."""
        raise NotImplementedError

    def prepare(self, place: Path) -> None:
        """Make what is there before the command is tortured."""

    def command(self, place: Path) -> int:
        """Run the command in this process as it is run for the first time."""
        raise NotImplementedError

    def again(self, place: Path) -> int:
        """Run it in this process as it is repeated."""
        return self.command(place)

    def standings(self, place: Path) -> dict[str, golden.Standing]:
        """How far its unfinished runs have come, by their places below its path."""
        raise NotImplementedError

    def differences(self, place: Path, golden_place: Path) -> list[str]:
        raise NotImplementedError


class Run(Subject):
    """The tiny run, from nothing to its end."""

    name, code = "run", DONE

    def __init__(self, text: Path) -> None:
        self.text = text

    def path(self, place: Path) -> Path:
        return place / "run"

    def command(self, place: Path) -> int:
        return golden.train_run(self.text, self.path(place))

    def standings(self, place: Path) -> dict[str, golden.Standing]:
        path = self.path(place)
        return {} if (path / "result.json").exists() else {".": golden.standing(path)}

    def differences(self, place: Path, golden_place: Path) -> list[str]:
        return golden.run_differences(self.path(place), self.path(golden_place))


class StoppedRun(Run):
    """The tiny run stopped by a signal, which saves out of turn, and gone on with."""

    name = "stopped run"

    def command(self, place: Path) -> int:
        inner = durable.failpoint

        def stop(operation: str, path: Path, data: bytes) -> None:
            if path.name == "metrics.jsonl" and b'"train", "step": 10' in data:
                signal.raise_signal(signal.SIGTERM)
            if inner is not None:
                inner(operation, path, data)

        durable.failpoint = stop
        code = super().command(place)
        assert code == 128 + signal.SIGTERM, f"stopped with {code}"
        durable.failpoint = inner
        return super().command(place)

    def again(self, place: Path) -> int:
        return super().command(place)


class RecoveringRun(Run):
    """The tiny run going on after a kill that left a bit of everything behind."""

    def __init__(self, text: Path, fault: Fault, point: str) -> None:
        """`point` says where the fault kills it first."""
        super().__init__(text)
        self.name, self._fault = f"run after a kill at {point}", fault

    def prepare(self, place: Path) -> None:
        code = forks.ended(armed(self.command, place, self, self._fault), COMMAND_SECONDS)
        assert code == -signal.SIGKILL, f"prepared with {code}"


class Sweep(Subject):
    """The tiny sweep of a kind, by the real driver and workers that are forked."""

    code = SOME_FAILED

    def __init__(self, file: Path, workers: int = 1) -> None:
        self.file, self.workers = file, workers
        self.name = f"{file.stem} sweep, {workers} workers"
        if file.stem == "halving":
            self.code = DONE

    def path(self, place: Path) -> Path:
        return place / "runs" / self.file.stem

    def command(self, place: Path) -> int:
        from experiments import process, sweep

        real = {"PIPE": subprocess.PIPE, "TimeoutExpired": subprocess.TimeoutExpired}
        process.subprocess = SimpleNamespace(**real, Popen=forks.ForkedWorker)  # type: ignore
        # The report and the estimate take seconds and change nothing.
        sweep.SweepRun._report = lambda self: True  # type: ignore
        sweep.SweepRun._foretell = lambda self, *facts: None  # type: ignore
        out = ["--workers", str(self.workers), "--out", str(place / "runs"), "--no-progress"]
        return sweep.main([str(self.file), *out])

    def standings(self, place: Path) -> dict[str, golden.Standing]:
        found = golden.standings(self.path(place))
        return {f"trials/{name}": standing for name, standing in found.items()}

    def differences(self, place: Path, golden_place: Path) -> list[str]:
        return golden.sweep_differences(self.path(place), self.path(golden_place))


def warm_run(text: Path, directory: Path) -> None:
    """Load what a run needs, so that no child has to."""
    import torch

    torch.set_num_threads(1)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        golden.train_run(text, directory / "warm")


def warm_sweep(text: Path, directory: Path) -> None:
    """Load what a sweep and its workers need."""
    import optuna

    import experiments.sweep  # noqa: F401

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = optuna.storages.RDBStorage(f"sqlite:///{directory / 'warm.db'}")
    study = optuna.create_study(storage=storage)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    storage.remove_session()
    storage.engine.dispose()
    warm_run(text, directory)


def armed(
    command: Callable[[Path], int], place: Path, subject: Subject, fault: Fault | None
) -> int:
    """Run a command in a child, in which a fault happens; returns its id."""

    def work() -> int:
        def epitaph(point: str) -> None:
            write_epitaph(place, point, subject.standings(place))

        made = hook(fault, epitaph) if fault else None
        if fault is None or fault.process is None:
            durable.failpoint = made
        elif made is not None:
            forks.ForkedWorker.hooks = {fault.process: made}
        return command(place)

    return forks.forked(work, place / "log")


def counting(subject: Subject, place: Path) -> int:
    """Run a subject's command in a child, which notes its points and those of its workers."""

    def work() -> int:
        workers = {number: Count(place / f"points-{number}") for number in range(2)}
        forks.ForkedWorker.hooks = workers
        durable.failpoint = Count(place / "points")
        return subject.command(place)

    return forks.forked(work, place / "log")


@dataclass(frozen=True)
class Epitaph:
    """Where a fault happened, and how far the unfinished runs had come by then."""

    point: str
    standings: dict[str, golden.Standing]


def write_epitaph(place: Path, point: str, standings: dict[str, golden.Standing]) -> None:
    """Note a fault that happens."""
    path = place / f"epitaph-{len(epitaphs(place))}"
    path.write_bytes(pickle.dumps(Epitaph(point, standings)))


def epitaphs(place: Path) -> list[Epitaph]:
    """The faults that happened, in order."""
    return [pickle.loads(path.read_bytes()) for path in sorted(place.glob("epitaph-*"))]
