"""The one process that owns a sweep: it decides, workers train.

The roster (experiments/roster.py) says what is trained next and what stops; here workers are
started, heard and buried.
"""

import math
import selectors
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from experiments import process
from experiments.account import Account
from experiments.process import Child, Message, describe
from experiments.roster import Roster
from experiments.sweepdir import SweepDir
from experiments.terminal import Terminal
from experiments.trial import Trial
from experiments.watch import SILENT_SECONDS, Watch, Worker
from experiments.worklog import last_line, tail
from tinygpt import checkpoint, config
from tinygpt.exits import BAD_INPUT, BUSY, TEMPORARY, UNUSABLE_RECORD
from tinygpt.schema import ConfigError

TICK_SECONDS = 0.2
STOPPING_SECONDS = 60.0
"""How long a worker may take to its next step where nobody is waiting for the command to end."""


@dataclass
class Halt:
    """Why the sweep stops before its end: an exit code and the line that explains it."""

    code: int
    reason: str


@dataclass(eq=False)
class Listener:
    """A child that is no worker, and what to call when it says something; the call returns the
    child to listen to from then on."""

    child: Child
    hear: Callable[[], Child | None]


class Driver:
    """Runs the trials of a sweep to their end, or until it is told to stop."""

    def __init__(
        self,
        sweep_dir: SweepDir,
        roster: Roster,
        children: list[Child],
        terminal: Terminal,
        account: Account,
        *,
        silent_seconds: float = SILENT_SECONDS,
        ended: Callable[[], None] = lambda: None,
        stopping_seconds: float = STOPPING_SECONDS,
    ) -> None:
        """A worker that says nothing for `silent_seconds` is told of; one that is to stop and takes
        longer than `stopping_seconds` to its next step is killed."""
        self.sweep_dir, self.roster = sweep_dir, roster
        self.terminal, self.account = terminal, account
        # The first worker has said that it is ready before there was a driver.
        self.workers = [Worker(i, child, ready=i == 0) for i, child in enumerate(children)]
        self.halt: Halt | None = None
        timeout = roster.sweep.worker_timeout
        self._watch = Watch(sweep_dir, terminal, timeout, silent_seconds)
        self._stopping = False
        self._stops_by, self._stopping_seconds = math.inf, stopping_seconds
        self._attempts: Counter[tuple[int, int]] = Counter()
        self._ended = ended
        """Called after every trial that has ended."""
        self._unborn = 0
        """How many workers ended before they were ready."""
        self._selector = selectors.DefaultSelector()
        for worker in self.workers:
            self._selector.register(worker.child, selectors.EVENT_READ, worker)

    def listen(self, listener: Listener) -> None:
        """Hear a child that is no worker."""
        self._selector.register(listener.child, selectors.EVENT_READ, listener)

    def run(
        self, should_stop: Callable[[], bool], is_late: Callable[[], bool] = lambda: False
    ) -> None:
        """Return when all trials are finished, or, once `should_stop` or a halt, when every worker
        has saved its trial; those that have not when it `is_late` are killed."""
        while True:
            if (should_stop() or self.halt) and not self._stopping:
                self._stop()
            if not self._stopping:
                self._assign()
            if not self._at_work() and self._idle():
                return
            self._listen()
            if self._stopping and (is_late() or time.monotonic() > self._stops_by):
                for worker in self._at_work():
                    self._watch.end(worker)

    def _at_work(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.trial is not None]

    def _listen(self) -> None:
        began = time.monotonic()
        heard = self._selector.select(TICK_SECONDS)
        # More would be a time in which this process itself was stopped.
        listened = min(TICK_SECONDS, time.monotonic() - began)
        for key, _ in heard:
            if isinstance(key.data, Worker):
                self._hear(key.data)
            else:
                self._overhear(key.data)
        for worker in self._at_work():
            self._watch.look(worker, listened)

    def _overhear(self, listener: Listener) -> None:
        successor = listener.hear()
        if successor is not listener.child:
            self._selector.unregister(listener.child)
            if successor is not None:
                self.listen(replace(listener, child=successor))

    def _idle(self) -> bool:
        return self._stopping or self.roster.left() == 0

    def _stop(self) -> None:
        self._stopping, self._stops_by = True, time.monotonic() + self._stopping_seconds
        for worker in self.workers:
            if worker.child.alive:
                worker.child.send(verdict="stop")

    def _assign(self) -> None:
        for worker in self.workers:
            if worker.ready and worker.trial is None and (trial := self._next()) is not None:
                worker.begin(trial.number)
                self.account.starts(worker.number, time.monotonic())
                path, measure = self.sweep_dir.trial(trial.number).path, self._measures()
                worker.child.send(run=str(path), measure=measure)

    def _next(self) -> Trial | None:
        try:
            return self.roster.next(self._taken())
        except ConfigError as error:  # no configuration that a sampler proposes can be trained
            self.halt = self.halt or Halt(BAD_INPUT, "; ".join(map(str, error.problems)))
            return None

    def _taken(self) -> set[int]:
        return {worker.trial for worker in self.workers if worker.trial is not None}

    def _measures(self) -> bool:
        return any(one.metric == "seconds_per_token" for one in self.roster.sweep.objective)

    def _hear(self, worker: Worker) -> None:
        worker.speaks()
        for message in worker.child.receive():
            worker.step = message.get("step", worker.step)
            self._answer(worker, message)
        if not worker.child.alive:
            self._bury(worker)

    def _answer(self, worker: Worker, message: Message) -> None:
        match message["event"]:
            case "ready":
                self.welcome(worker, message["offer"])
            case "started":
                self._started(self._trial_of(worker), message["step"], message["warning"])
            case "trained":
                step, loss, mfu = message["step"], message["train_loss"], message["mfu"]
                self.terminal.trained(self._trial_of(worker).number, step, loss, mfu)
            case "evaluated":
                self._judge(worker, message["step"], message["val_loss"])
            case "ended":
                number = self._release(worker, message)
                self._conclude(number)
            case "stopped":
                self.roster.settle(self._release(worker, message), self._taken())
            case "unusable":
                self._release(worker, message)
                code = BUSY if message["busy"] else UNUSABLE_RECORD
                self.halt = self.halt or Halt(code, message["reason"])
            case "storage":
                self._release(worker, message)
                self.halt = self.halt or Halt(message["code"], message["reason"])

    def _started(self, trial: Trial, step: int, warning: str | None) -> None:
        if step:
            self.sweep_dir.log("trial_resumed", trial=trial.number, step=step)
        if warning:
            # What was computed by then may come out otherwise from here on.
            self.roster.forget(trial.number, step)
            self.sweep_dir.log("warning", trial=trial.number, warning=warning)
            self.terminal.warn(f"trial {trial.number}: {warning}")
        self.terminal.started(trial, step, self.roster.config_of(trial.number))

    def _judge(self, worker: Worker, step: int, val_loss: float) -> None:
        trial = self._trial_of(worker)
        known = trial.reports.get(step, val_loss)
        if step > 0:
            self.roster.report(trial.number, step, val_loss)
        self.terminal.evaluated(trial.number, step, val_loss)
        if known != val_loss:
            reason = (
                f"{self.sweep_dir.trial(trial.number).metrics}: step {step}, computed again, has "
                f"the loss {val_loss}, had {known}; the machine or a library has changed"
            )
            self.halt = self.halt or Halt(UNUSABLE_RECORD, reason)
        if self._stopping:
            return
        verdict = self.roster.verdict(trial.number, step)
        if verdict.word == "pause":
            self.sweep_dir.log("trial_paused", trial=trial.number, step=step)
        worker.child.send(verdict=verdict.word, reason=verdict.reason)
        self.roster.settle(trial.number, self._taken())

    def welcome(self, worker: Worker, offer: Message) -> None:
        """Let a worker begin, or stop the sweep if it lacks the GPU that the trials need."""
        try:
            config.refuse_absent(self.roster.sweep.run.train.device, gpu=offer["gpu"])
        except ConfigError as error:
            self.halt = Halt(BAD_INPUT, f"worker {worker.number}: {error}; or mend devices")
        else:
            worker.ready = True

    def _release(self, worker: Worker, message: Message) -> int:
        number = self._trial_of(worker).number
        self.account.ends(worker.number, time.monotonic(), message.get("seconds", {}))
        self.terminal.left(number)
        worker.trial = None
        return number

    def _bury(self, worker: Worker) -> None:
        """A worker is gone: start another, and let its trial go on there."""
        self._selector.unregister(worker.child)
        code, words = worker.child.join(), worker.child.last_words()
        worker.child.close()
        how, worker.killed = worker.killed or describe(code), None
        number, worker.trial = worker.trial, None
        if self._stopping:
            return
        self.sweep_dir.log("worker_died", worker=worker.number, trial=number, code=code)
        if not worker.ready:
            self._unborn += 1
            if code >= 0 or self._unborn > self.roster.sweep.max_retries:
                self.halt = Halt(TEMPORARY, f"a worker does not start: {words}")
                return
        if number is not None:
            self._retry(number, f"its worker died ({how})")
            self.account.ends(worker.number, time.monotonic(), {})
        worker.child = process.worker(worker.number, self.roster.sweep.devices)
        worker.ready = False
        self._selector.register(worker.child, selectors.EVENT_READ, worker)

    def _retry(self, number: int, reason: str) -> None:
        run_dir = self.sweep_dir.trial(number)
        self.terminal.left(number)
        step = max(checkpoint.steps(run_dir.checkpoints), default=0)
        self._attempts[number, step] += 1
        attempts = self._attempts[number, step]
        if run_dir.read_result() is not None:
            self._conclude(number)
        elif attempts > self.roster.sweep.max_retries:
            reason = f"{reason} {attempts} times at step {step}: {last_line(run_dir.log)}"
            run_dir.conclude("failed", reason, tail(run_dir.log))
            self._conclude(number)
        else:
            self.terminal.warn(f"trial {number}: {reason}; going on from step {step}")

    def _conclude(self, number: int) -> None:
        self.roster.conclude(number)
        self.roster.settle(number, self._taken())
        self._ended()

    def _trial_of(self, worker: Worker) -> Trial:
        assert worker.trial is not None, "a worker without a trial spoke of one"
        return self.roster.trials[worker.trial]

    def close(self, is_late: Callable[[], bool] = lambda: False) -> None:
        """Let every worker save and leave; those that stay are killed, sooner if it `is_late`."""
        for worker in self.workers:
            worker.child.dismiss()
        for worker in self.workers:
            if worker.child.alive:
                worker.child.join(hurry=is_late)
                worker.child.close()
        self._selector.close()
