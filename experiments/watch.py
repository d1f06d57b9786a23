"""Watches over the workers that are at a trial: a long silence is told, and who tries the user's
patience is killed."""

from dataclasses import dataclass

from experiments import budget
from experiments.process import Child
from experiments.sweepdir import SweepDir
from experiments.terminal import Terminal

SILENT_SECONDS = 60.0
"""After so long a silence is told; a worker says something at every step."""


@dataclass(eq=False)
class Worker:
    """A worker process, the trial it is at and the step it last spoke of."""

    number: int
    child: Child
    ready: bool = False
    trial: int | None = None
    step: int = 0
    silent: float = 0.0
    """For how long the driver has listened to it in vain, in seconds."""
    told: bool = False
    killed: str | None = None
    """Why the driver has killed it."""

    def begin(self, trial: int) -> None:
        """Be at a trial from now on."""
        self.trial, self.step = trial, 0
        self.speaks()

    def speaks(self) -> None:
        """Whatever it says ends a silence."""
        self.silent, self.told = 0.0, False


class Watch:
    """How patient a sweep is with its workers. Only the time in which it listened counts: while it
    was busy or stopped itself, or when a clock was set, nobody was silent."""

    def __init__(
        self,
        sweep_dir: SweepDir,
        terminal: Terminal,
        timeout: str | None,
        silent_seconds: float = SILENT_SECONDS,
    ) -> None:
        """A silence is told after `silent_seconds`, and ended by force after `timeout`, a duration
        such as 10m; None: never."""
        self._sweep_dir, self._terminal = sweep_dir, terminal
        self._timeout, self._silent_seconds = timeout, silent_seconds
        self._limit = None if timeout is None else budget.seconds(timeout)

    def look(self, worker: Worker, listened: float) -> None:
        """Take note that a worker has said nothing for so much longer."""
        worker.silent += listened
        if worker.silent >= self._silent_seconds and not worker.told:
            worker.told = True
            self._tell(worker, round(worker.silent))
        # It may be slow, and only the user knows how slow.
        if self._limit is not None and worker.silent > self._limit:
            self._kill(worker, f"silent for {self._timeout} and killed")

    def end(self, worker: Worker) -> None:
        """Kill a worker that was to stop and has not."""
        if worker.killed is None:
            self._terminal.warn(
                f"trial {worker.trial}: its worker does not stop and is killed; its last "
                "checkpoint stands"
            )
            self._kill(worker, "told to stop and killed")

    def _kill(self, worker: Worker, why: str) -> None:
        worker.killed = why
        worker.child.kill()

    def _tell(self, worker: Worker, seconds: int) -> None:
        pid, stopped = worker.child.pid, worker.child.is_stopped()
        facts = {"trial": worker.trial, "step": worker.step, "pid": pid, "seconds": seconds}
        self._sweep_dir.log("worker_silent", worker=worker.number, stopped=stopped, **facts)
        state = (
            f"it is stopped, `kill -CONT {pid}` lets it go on"
            if stopped
            else "it is at something long, or it hangs; worker_timeout replaces one that hangs"
        )
        self._terminal.warn(
            f"trial {worker.trial}: its worker (process {pid}) has said nothing for {seconds} s "
            f"since step {worker.step}; {state}"
        )
