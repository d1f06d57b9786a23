"""The tiny run and the tiny sweep, brought to their ends inside this process: all that the commands
do but for starting processes, so that whoever takes the events may leave at any of them."""

import contextlib
import os
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from chaos import golden
from experiments import sweep as command
from experiments.opening import begin, checked_corpus, counted, refuse_changes, refuse_edits
from experiments.opening import requested as requested_sweep
from experiments.roster import Roster
from experiments.store import opened, set_aside
from experiments.sweepdir import SweepDir
from experiments.terminal import Terminal
from tinygpt import config, hardware, train
from tinygpt.corpus import Corpus
from tinygpt.events import Durable, Evaluated, Started
from tinygpt.execute import Execution
from tinygpt.files import RecordError
from tinygpt.rundir import RunDir
from tinygpt.trainer import DivergedError

Happening = tuple[str, Durable | None]
"""The path of a run below the root, and what happened in it; None: its result was written."""


class Subject(Protocol):
    """What is done in a directory, and can be done again until it is finished."""

    def events(self, root: Path) -> Generator[Happening]:
        """Go on to the end, unless it is reached."""

    def differences(self, root: Path, untouched: Path) -> list[str]:
        """How what lies in a root is not what lies in another one, a line each that begins with a
        path."""


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """What is said to a user goes nowhere; the terminal below a command finds its own way out."""
    with (
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield


class TinyRun:
    """The tiny run in `ROOT/run`."""

    def __init__(self, text: Path, values: Mapping[str, Any] | None = None) -> None:
        settings = {"data.corpus": str(text), **golden.RUN, **(values or {})}
        self._request = config.with_values({}, settings)

    def events(self, root: Path) -> Generator[Happening]:
        """Go on to the end, unless it is reached."""
        run_dir = RunDir(root / "run")
        with silence():
            settled, text = train.begin(self._request, run_dir)
        if run_dir.read_result() is None:
            with contextlib.closing(Execution(settled, run_dir, text).events()) as events:
                for event in events:
                    yield "run", event
        yield "run", None

    def differences(self, root: Path, untouched: Path) -> list[str]:
        """How what lies in a root is not what lies in another one."""
        return golden.run_differences(root / "run", untouched / "run")


class TinySweep:
    """The tiny sweep of a kind in `ROOT/KIND`, with one worker, which is this process."""

    def __init__(self, text: Path, kind: str, **changes: Any) -> None:
        self.kind = kind
        self.file = golden.sweep_file(text.parent, text, kind, **changes)

    def events(self, root: Path) -> Generator[Happening]:
        """Go on to the end, unless it is reached. Raises RecordError and ConfigError as the command
        does."""
        arguments = ["--out", str(root), "--no-progress", str(self.file)]
        with contextlib.ExitStack() as stack:
            with silence():
                roster, sweep_dir, text = _opened(arguments, stack)
            while roster.left():
                with silence():
                    trial = roster.next(())
                if trial is not None:  # else a trial has taken the result of another
                    yield from _trained(roster, sweep_dir, trial.number, text)
            sweep_dir.log("finished")

    def differences(self, root: Path, untouched: Path) -> list[str]:
        """How what lies in a root is not what lies in another one."""
        there, expected = (_facts(one / self.kind) for one in (root, untouched))
        return golden.differences(there, expected)


def _facts(path: Path) -> dict[str, Any]:
    """What must be equal of a sweep, each name that is there by itself; but for locks, which nobody
    waits for."""
    facts = golden.sweep_facts(path)
    names = [name for name in facts.pop("names") if not name.endswith("run.lock")]
    return {**{f"name {name}": None for name in names}, **facts}


def _opened(arguments: list[str], stack: contextlib.ExitStack) -> tuple[Roster, SweepDir, Corpus]:
    request = requested_sweep(command.parser().parse_args(arguments))
    text = checked_corpus(request, print)
    request = counted(request, text)
    refuse_changes(request, text)
    sweep_dir = request.sweep_dir
    stack.enter_context(command.begun(sweep_dir))
    stack.enter_context(sweep_dir.owned())
    begun = begin(request, text, {"offer": hardware.offer(), "versions": hardware.versions()})
    trials = sweep_dir.history(begun.search)
    doubtful: set[int] = set()
    if not begun.warnings:
        doubtful = refuse_edits(begun.search, trials, sweep_dir)
    sweep_dir.worked()
    sweep_dir.repair()
    sweep_dir.log("resumed" if trials else "started", trials=request.sweep.planned())
    if begun.edits:
        set_aside(sweep_dir.study, "edited")
    store = stack.enter_context(opened(sweep_dir.study, begun.search, trials))
    terminal = Terminal(request.sweep.name, request.sweep.planned(), 1, progress=False)
    roster = Roster(sweep_dir, begun.search, store, trials, terminal, doubtful=doubtful)
    return roster, sweep_dir, text


def _trained(roster: Roster, sweep_dir: SweepDir, number: int, text: Corpus) -> Iterator[Happening]:
    run_dir = sweep_dir.trial(number)
    name = str(run_dir.path.relative_to(sweep_dir.path.parent))
    execution = Execution(run_dir.read_config(), run_dir, text)
    with contextlib.suppress(DivergedError), contextlib.closing(execution.events()) as events:
        for event in events:
            yield name, event
            if not _goes_on(roster, sweep_dir, execution, number, event):
                break
    with silence():
        if run_dir.read_result() is not None:
            yield name, None
            roster.conclude(number)
        roster.settle(number, ())


def _goes_on(
    roster: Roster, sweep_dir: SweepDir, execution: Execution, number: int, event: Durable
) -> bool:
    """What the driver answers to an event, and what the worker does then."""
    if isinstance(event, Started) and event.warning:
        roster.forget(number, event.step)
        sweep_dir.log("warning", trial=number, warning=event.warning)
    if not isinstance(event, Evaluated):
        return True
    loss = event.comparable_loss
    if roster.trials[number].reports.get(event.step, loss) != loss:
        raise RecordError(f"{execution.run_dir.metrics}: step {event.step} has another loss")
    if event.step > 0:
        roster.report(number, event.step, loss)
    verdict = roster.verdict(number, event.step)
    if verdict.word == "prune":
        execution.conclude("pruned", verdict.reason)
    return verdict.word == "go on"
