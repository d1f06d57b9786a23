"""Run or continue a sweep: `python -m experiments.sweep sweeps/small.yaml`."""

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from experiments import budget, outlook, preflight, preview, process
from experiments.account import Account
from experiments.arguments import duration, positive
from experiments.database import Patience, StorageError
from experiments.driver import Driver
from experiments.mirroring import Mirroring
from experiments.opening import (
    Begun,
    Request,
    begin,
    checked_corpus,
    counted,
    refuse_changes,
    refuse_edits,
    requested,
)
from experiments.probe import Crew
from experiments.process import Child, Message
from experiments.renewal import Renewal
from experiments.roster import Roster
from experiments.search import Search
from experiments.spec import Sweep
from experiments.store import opened, set_aside
from experiments.sweepdir import SweepDir
from experiments.terminal import Terminal, clock
from experiments.trial import Trial
from tinygpt import durable
from tinygpt.corpus import Corpus
from tinygpt.exits import DONE, SOME_FAILED, TEMPORARY, complain, run_command
from tinygpt.interrupt import LIMIT_SECONDS, Interrupt
from tinygpt.links import refuse_links
from tinygpt.schema import ConfigError

HALTED_SECONDS = 8.0
"""How long a sweep that stops before its end waits for the mirror."""
LEFT_LATE = (
    f"stopped: not at rest after {LIMIT_SECONDS:.0f} s; the last checkpoint of every trial stands, "
    "the same command goes on"
)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    return run_command(lambda: sweep(arguments))


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.sweep",
        description="Run a sweep to its report. Interrupted, the same command goes on.",
        epilog="exit codes: 0 done; 2 bad input; 3 the record is unusable; 4 another process owns "
        "the sweep; 5 done, but some trials failed; 75 temporary (disk full, --timeout), run it "
        "again; 130, 143 stopped by a signal",
    )
    add = parser.add_argument
    add("sweep", type=Path, metavar="SWEEP", help="a YAML file, or the directory of a begun sweep")
    add("--workers", type=positive, metavar="N", help="default: one per core up to max_concurrent")
    add("--trials", type=positive, metavar="N", help="how many, instead of the file's number")
    add("--timeout", type=duration, metavar="30m", help="save and stop after this time (s, m, h)")
    add("--out", type=Path, default=Path("runs"), metavar="DIR", help="the sweep is in DIR/NAME")
    add("--set", action="append", default=[], metavar="key=value", help="as train.max_iters=100")
    add("--dry-run", action="store_true", help="check all, show the first trials, train none")
    add("--no-progress", action="store_true", help="plain lines instead of the live view")
    return parser


def sweep(arguments: argparse.Namespace) -> int:
    """Check, then drive; returns the exit code."""
    began = time.monotonic()
    request = requested(arguments)
    refuse_links(request.sweep_dir.path)
    for note in request.document.notes if request.document else ():
        print(note)
    return train(request, arguments, began, reported=request.sweep_dir)


def train(request: Request, arguments: argparse.Namespace, began: float, reported: SweepDir) -> int:
    """Check the rest and drive to the report of the sweep `reported`; returns the exit code."""
    text = checked_corpus(request, print)
    request = counted(request, text)
    refuse_changes(request, text)
    if arguments.dry_run:
        return preview.preview(request, text, workers_for(arguments, request), began)
    text.encode()  # once, before every worker would
    with (
        begun(request.sweep_dir),
        request.sweep_dir.owned(),
        Interrupt(LIMIT_SECONDS, LEFT_LATE) as interrupt,
    ):
        run = SweepRun(arguments, request, text, interrupt, began, reported)
        return run.to_its_end()


@contextlib.contextmanager
def begun(sweep_dir: SweepDir) -> Iterator[None]:
    """Make a sweep's directory; bad input that is only found in it, such as a missing GPU, leaves
    nothing of it behind."""
    made = [path for path in (sweep_dir.path, *sweep_dir.path.parents) if not path.exists()]
    durable.make_directory(sweep_dir.path)
    try:
        yield
    except ConfigError:
        if made and not sweep_dir.begun():
            shutil.rmtree(sweep_dir.path)
            for parent in made[1:]:
                with contextlib.suppress(OSError):  # another sweep has begun there meanwhile
                    parent.rmdir()
        raise


class SweepRun:
    """One run of the command on a sweep that this process owns."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        request: Request,
        text: Corpus,
        interrupt: Interrupt,
        began: float,
        reported: SweepDir,
    ) -> None:
        self.request, self.text, self.interrupt, self.began = request, text, interrupt, began
        self.reported = reported
        self.sweep_dir = request.sweep_dir
        self.deadline = began + arguments.timeout if arguments.timeout else None
        sweep, self.workers = request.sweep, workers_for(arguments, request)
        self._measures = arguments.timeout is None  # else the time is better spent on trials
        progress = not arguments.no_progress
        self.terminal = Terminal(sweep.name, sweep.planned(), self.workers, progress)
        self.account = Account(began, self.workers)

    def to_its_end(self) -> int:
        """Train what is left, report, and return the exit code."""
        with contextlib.ExitStack() as stack:
            hello: Message | None = None
            devices = self.request.sweep.devices
            children = [process.worker(number, devices) for number in range(self.workers)]
            stack.callback(dismiss, children)
            mirroring = Mirroring(self.sweep_dir.path, self.request.sweep.wandb, self.terminal)
            stack.callback(mirroring.dismiss)
            mirroring.greet(lambda: bool(self.interrupt))
            try:
                if children and (hello := self._hello(children)) is None:
                    return self._farewell()
            except WorkerError as error:
                return complain(str(error), TEMPORARY)
            begun = begin(self.request, self.text, hello)
            trials, crew = self._opened(begun), Crew(children, {0: hello} if hello else {})
            # By a search of its own: what it foresees is not remembered as what was.
            self._foretell(self.sweep_dir.search(), trials, crew)
            try:
                search = begun.search
                store = stack.enter_context(
                    opened(self.sweep_dir.study, search, trials, self._patience())
                )
                roster = Roster(
                    self.sweep_dir,
                    search,
                    store,
                    trials,
                    self.terminal,
                    deadline=self._last_beginning(search),
                    doubtful=self._doubtful,
                )
                renewal = Renewal(self.reported.path, self.began)
                stack.callback(renewal.dismiss)
                driver = Driver(
                    self.sweep_dir,
                    roster,
                    children,
                    self.terminal,
                    self.account,
                    ended=renewal.trial_ended,
                )
                for number in crew.hellos.keys() - {0}:  # heard while they measured
                    driver.welcome(driver.workers[number], crew.hellos[number]["offer"])
                return self._drive(driver, mirroring, renewal)
            except StorageError as error:
                if self.interrupt:
                    return self._farewell()
                return complain(str(error), TEMPORARY)

    def _patience(self) -> Patience:
        return Patience(self.terminal.say, lambda: bool(self.interrupt))

    def _hello(self, children: list[Child]) -> Message | None:
        """What the first worker says of the machine; None if a signal came first. One that is
        killed meanwhile is replaced."""
        left = self.request.sweep.max_retries
        while not self.interrupt:
            for message in children[0].poll(0.2):
                return message
            if not children[0].alive:
                code = children[0].join()
                if code >= 0 or left == 0:
                    raise WorkerError(f"a worker does not start: {children[0].last_words()}")
                children[0].close()
                children[0], left = process.worker(0, self.request.sweep.devices), left - 1
        return None

    def _last_beginning(self, search: Search) -> float | None:
        """When, on the monotonic clock, budget.time is used up."""
        if search.sweep.budget.time is None:
            return None
        seconds = budget.seconds(search.sweep.budget.time) or 0.0
        return self.began + seconds - self._worked

    def _opened(self, begun: Begun) -> list[Trial]:
        """The trials there are, after telling the user and the events what is about to happen."""
        search, planned = begun.search, begun.search.sweep.planned()
        trials = self.sweep_dir.history(search)
        self._doubtful: set[int] = set()
        if not begun.warnings:  # another version may propose otherwise
            self._doubtful = refuse_edits(search, trials, self.sweep_dir)
        self._worked = self.sweep_dir.worked()
        finished = [trial for trial in trials if trial.state != "running"]
        self.sweep_dir.repair()
        begins = "resumed" if trials else "started"
        self.sweep_dir.log(begins, workers=self.workers, trials=planned)
        if begun.edits:  # a study in a database cannot change its distributions
            set_aside(self.sweep_dir.study, "edited")
        for line in begun.edits:
            self.sweep_dir.log("edited", change=line)
            self.terminal.say(f"changed  {line}")
        self.terminal.resume(finished)
        done = f", {len(finished)} done" if finished else ""
        who = f", {self.workers} workers" if self.workers else ""
        corpus = f"corpus {self.text.name} ({len(self.text):,} characters)"
        self.terminal.say(f"{self.sweep_dir.path}: {planned} trials{done}{who}, {corpus}")
        for warning in begun.warnings:
            self.terminal.warn(warning)
            self.sweep_dir.log("warning", warning=warning)
        return trials

    def _foretell(self, search: Search, trials: list[Trial], crew: Crew) -> None:
        """Say what the sweep will take, if that is known or soon measured, and warn where the disk
        has not got it."""
        if not crew.children:
            return
        left, path = outlook.outlook_of(search, trials, len(self.text)), self.sweep_dir.path
        short = preview.shortage(preflight.disk_bytes(left), preview.free_bytes(path), path)
        if short:
            self.terminal.warn(short)
        if not trials and (not self._measures or outlook.is_trivial(left, self.workers)):
            return
        estimate = preview.foretold(
            left,
            self.sweep_dir,
            trials,
            crew,
            began=self.began,
            interrupted=lambda: bool(self.interrupt),
        )
        if estimate is not None:
            self.terminal.say(preview.in_a_line(estimate, path))

    def _drive(self, driver: Driver, mirroring: Mirroring, renewal: Renewal) -> int:
        mirroring.join(driver)
        with self.terminal:
            driver.run(self._should_stop, self.interrupt.is_late)
        worked_until = time.monotonic()
        driver.close(self.interrupt.is_late)
        if driver.halt is not None:
            mirroring.finish(HALTED_SECONDS, self.interrupt.is_late)
            return complain(driver.halt.reason, driver.halt.code)
        if self._should_stop() and driver.roster.left():
            mirroring.finish(HALTED_SECONDS, self.interrupt.is_late)
            return self._farewell()
        self.interrupt.lift()  # all is trained: what is left is done to its end
        self.sweep_dir.log("finished")
        renewal.dismiss()
        if driver.roster.ended:
            self.terminal.say(f"the sweep ends early: {driver.roster.ended}")
        reported, reported_at = self._report(), time.monotonic()
        mirroring.finish(self.request.sweep.wandb.patience(), lambda: bool(self.interrupt))
        self._summarise(worked_until, reported_at, mirroring.cpu_seconds)
        if self.interrupt:
            return self.interrupt.exit_code
        failed = any(trial.state == "failed" for trial in driver.roster.trials)
        return (SOME_FAILED if failed else DONE) if reported else TEMPORARY

    def _should_stop(self) -> bool:
        late = self.deadline is not None and time.monotonic() > self.deadline
        return bool(self.interrupt) or late

    def _farewell(self) -> int:
        self.sweep_dir.log("stopped", signal=self.interrupt.signal)
        why = "stopped" if self.interrupt else "time is up"
        done = f"{len(self.terminal.done)} of {self.terminal.total} trials are done"
        self.terminal.say(f"{why}: {done}, the state is saved; the same command goes on")
        return self.interrupt.exit_code if self.interrupt else TEMPORARY

    def _report(self) -> bool:
        """Write the report and print its verdict, in a process of its own that a Ctrl-C does not
        reach; returns whether it was written."""
        sys.stdout.flush()
        command = [sys.executable, "-m", "analysis", str(self.reported.path)]
        if subprocess.run(command, start_new_session=True).returncode == DONE:
            return True
        self.terminal.warn(f"no report; `python -m analysis {self.reported.path}` tries again")
        return False

    def _summarise(self, worked_until: float, reported_at: float, mirror_cpu: float) -> None:
        now = time.monotonic()
        self.account.closes(worked_until, reported_at, now)
        if self.workers:
            took = f"time: {clock(now - self.began)}, {self.account.summary()}"
            self.terminal.say(f"{took}; W&B's mirror used {mirror_cpu:.1f} s of CPU beside them")


class WorkerError(RuntimeError):
    """The first worker ends before it can be given a trial."""


def dismiss(children: Sequence[Child]) -> None:
    """Have the children leave that there are by then."""
    for child in children:
        child.dismiss()


def left(request: Request) -> int:
    """How many trials are not finished."""
    if not request.sweep_dir.begun():
        return request.sweep.planned()
    begun = request.sweep_dir.count()
    return max(begun, request.sweep.planned()) - request.sweep_dir.ended()


def workers_for(arguments: argparse.Namespace, request: Request) -> int:
    """How many workers there are to be."""
    sweep = request.sweep
    asked = arguments.workers or default_workers(sweep)
    return min(asked, sweep.max_concurrent, left(request))


def default_workers(sweep: Sweep) -> int:
    """One per core that this process may use, or per as many cores as a trial has threads."""
    affinity = getattr(os, "sched_getaffinity", None)  # macOS has none
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, cores // sweep.run.train.threads)


if __name__ == "__main__":
    raise SystemExit(main())
