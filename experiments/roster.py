"""The trials of a sweep as they stand, and which of them is trained next.

The trial directories are the record. Everything here is in memory or can be made again from them,
so whoever holds a roster may be killed between any two lines.
"""

import time
from collections.abc import Collection
from dataclasses import replace

from experiments import disk, proof, spending
from experiments.search import Search
from experiments.store import Store
from experiments.sweepdir import SweepDir
from experiments.terminal import Terminal
from experiments.trial import Trial, finished
from experiments.twin import take_result
from experiments.verdict import Verdict
from tinygpt import config
from tinygpt.config import RunConfig
from tinygpt.flops import flops_per_token
from tinygpt.size import checkpoint_bytes, parameters


class Roster:
    """All trials that have begun, in order."""

    def __init__(
        self,
        sweep_dir: SweepDir,
        search: Search,
        store: Store,
        trials: list[Trial],
        terminal: Terminal,
        *,
        deadline: float | None = None,
        doubtful: Collection[int] = (),
    ) -> None:
        """After `deadline` (monotonic clock) no trial begins. The trials that are `doubtful` are
        compared with what the sweep proposes for them as soon as it can say that."""
        self.trials, self.search, self.sweep = trials, search, search.sweep
        self._sweep_dir, self._store, self._terminal = sweep_dir, store, terminal
        self._deadline, self._doubtful = deadline, set(doubtful)
        self.ended: str | None = None
        """Why no further trial begins, though fewer have begun than were planned."""
        self._sizes: dict[int, float] = {}
        self._reserve = disk.reserve(search.sweep, search.vocabulary) if search.sweep.disk() else 0
        self._configs: dict[int, RunConfig] = {}
        for number, step in store.doubted.items():
            self.forget(number, step)
        self._resume()

    def left(self) -> int:
        """How many trials are not finished."""
        return len(self.unfinished()) + self._unstarted()

    def unfinished(self) -> list[Trial]:
        return [trial for trial in self.trials if trial.state == "running"]

    def next(self, taken: Collection[int]) -> Trial | None:
        """The trial that is to be trained next, one that was promoted before those that wait for
        their first rung; a new one if none waits. None if there is nothing to train now. Raises
        RecordError if a trial turns out not to be of this sweep."""
        self._prove()
        while True:
            waiting = [trial for trial in self._ready() if trial.number not in taken]
            if waiting:
                return min(waiting, key=lambda trial: (-self._until(trial), trial.number))
            if not self._begin(len(self.trials)):
                return None

    def report(self, number: int, step: int, loss: float) -> None:
        """Note a trial's loss at a step."""
        trial = self.trials[number]
        self.trials[number] = replace(trial, reports={**trial.reports, step: loss})
        self._store.report(number, step, loss)

    def forget(self, number: int, step: int) -> None:
        """Drop a trial's losses from a step on: they are to be computed again."""
        trial = self.trials[number]
        before = {at: loss for at, loss in trial.reports.items() if at < step}
        self.trials[number] = replace(trial, reports=before)

    def verdict(self, number: int, step: int) -> Verdict:
        """What becomes of a trial at a step that it has reported."""
        if not 0 < step < self.config_of(number).train.max_iters:
            return Verdict("go on")
        return self.search.verdict(self.trials[number], step, self.trials)

    def conclude(self, number: int) -> None:
        """Take a trial's result from its directory into the study, and into those of the trials
        that would have trained the same."""
        result = self._sweep_dir.trial(number).read_result()
        assert result is not None, f"trial {number} ended without a result"
        self.trials[number] = trial = finished(self.trials[number], result)
        self._account_for(trial)
        self._make_room()
        self._store.tell(trial)
        self._sweep_dir.log("trial_finished", trial=number, state=trial.state)
        self._terminal.finished(trial)
        for twin in [one for one in self.unfinished() if one.same_as == number]:
            self._take(twin)

    def settle(self, number: int, taken: Collection[int]) -> None:
        """End the trials of a cohort that were not promoted, but those that a worker is at."""
        for other, standing in self.search.standings(number, self.trials).items():
            idle = self.trials[other].state == "running" and other not in taken
            if standing.state == "out" and idle:
                self._sweep_dir.trial(other).conclude(
                    "pruned", standing.reason, **self._facts(other)
                )
                self.conclude(other)

    def config_of(self, number: int) -> RunConfig:
        """The run that a trial trains."""
        if number not in self._configs:
            self._configs[number] = config.run_config(self.search.run_of(self.trials[number]))
        return self._configs[number]

    def _prove(self) -> None:
        for number in sorted(self._doubtful):
            if self.search.may_start(number, self.trials):
                proof.refuse_other(self.search, self.trials[number], self.trials, self._sweep_dir)
                self._doubtful.discard(number)

    def _resume(self) -> None:
        """What a driver that was killed had left undone."""
        for trial in self.trials:
            if trial.state != "running":
                self._account_for(trial)
        self._make_room()
        for trial in self.unfinished():
            if trial.same_as is not None and self.trials[trial.same_as].state != "running":
                self._take(trial)
        for trial in self.unfinished():
            self.settle(trial.number, ())

    def _unstarted(self) -> int:
        begun = len(self.trials)
        planned = self.sweep.planned()
        if begun and (cohort := self.search.cohort(begun - 1)) is not None:
            planned = max(planned, cohort.end)  # one that has begun is needed whole
        return 0 if self.ended else max(0, planned - begun)

    def _ready(self) -> list[Trial]:
        """The begun trials that a worker may go on with."""
        paused = {
            n
            for number in {self._cohort_start(trial) for trial in self.unfinished()}
            for n, standing in self.search.standings(number, self.trials).items()
            if standing.state != "training"
        }
        return [t for t in self.unfinished() if t.same_as is None and t.number not in paused]

    def _cohort_start(self, trial: Trial) -> int:
        cohort = self.search.cohort(trial.number)
        return cohort.first if cohort else trial.number

    def _until(self, trial: Trial) -> int:
        standing = self.search.standings(trial.number, self.trials).get(trial.number)
        return standing.until if standing else 0

    def _begin(self, number: int) -> bool:
        """Propose a trial and write it down: first in its directory, then in the study. False if
        none may begin now."""
        if self._unstarted() == 0 or not self.search.may_start(number, self.trials):
            return False
        trial = self._proposed(number)
        if trial is None:
            return False
        self._sweep_dir.trial(number).write_config(self.search.run_of(trial))
        self.trials.append(trial)
        self._store.add(trial)
        self._sweep_dir.log("trial_started", trial=number)
        if trial.same_as is not None and self.trials[trial.same_as].state != "running":
            self._take(trial)
        return True

    def _proposed(self, number: int) -> Trial | None:
        """The next trial; None, and the reason noted, if the sweep ends before it."""
        cohort = self.search.cohort(number)
        whole = cohort is None or number == cohort.first
        if whole and self._deadline is not None and time.monotonic() > self._deadline:
            self.ended = f"budget.time is used up after {number} trials"
            return None
        trial = self.search.propose(number, self.trials)
        if trial is None:
            self.ended = f"sampler {self.sweep.sampler.type} has proposed all there is"
        elif not spending.affordable(self.search, trial, self.trials):
            self.ended = f"the budget has no room for more than {number} trials"
            return None
        return trial

    def _take(self, twin: Trial) -> None:
        assert twin.same_as is not None
        source, target = self._sweep_dir.trial(twin.same_as), self._sweep_dir.trial(twin.number)
        if target.read_result() is None:
            take_result(source, target, twin.same_as)
        for step, loss in self.trials[twin.same_as].reports.items():
            self.report(twin.number, step, loss)
        self.conclude(twin.number)

    def _facts(self, number: int) -> dict[str, int]:
        """What a worker says of a trial's model."""
        model, vocabulary = self.config_of(number).model, self.search.vocabulary
        return {
            "parameters": parameters(model, vocabulary),
            "flops_per_token": flops_per_token(model, vocabulary),
        }

    def _account_for(self, trial: Trial) -> None:
        """Note what the checkpoints of a finished trial take, or remove them if it was not
        promoted: nobody will go on from it."""
        if trial.same_as is not None:
            return
        if trial.state == "pruned" and self.search.cohort(trial.number) is not None:
            disk.remove(self._sweep_dir.trial(trial.number).checkpoints)
        elif self.sweep.disk() is not None:
            # Estimated and not measured: what stays does not depend on when this is asked.
            saved = checkpoint_bytes(self.config_of(trial.number), self.search.vocabulary)
            self._sizes[trial.number] = disk.kept(self.sweep, saved)

    def _make_room(self) -> None:
        """Remove the checkpoints of the worst finished trials where max_disk leaves no room."""
        limit = self.sweep.disk()
        if limit is None:
            return
        for number in disk.dropped(self.trials, self._sizes, limit - self._reserve):
            disk.remove(self._sweep_dir.trial(number).checkpoints)
