"""One run in its directory: every event is made durable before it is handed on.

Whoever consumes the events may stop at any of them, or be killed; the next execution of the same
directory goes on and leaves the same bytes as one that was never interrupted.
"""

import contextlib
import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from tinygpt import checkpoint, durable, hardware
from tinygpt.attempt import Attempt
from tinygpt.checkpoint import Checkpoint, Recovery
from tinygpt.config import RunConfig
from tinygpt.corpus import Corpus
from tinygpt.durable import NoRoomError
from tinygpt.events import (
    Durable,
    Evaluated,
    Event,
    Finished,
    Sampled,
    Saved,
    Snapshot,
    Started,
    Stepped,
    Stopped,
    Trained,
)
from tinygpt.files import RecordError, locked, read_rows, remove_leftovers
from tinygpt.pace import Pace, Pacer
from tinygpt.probe import seconds_per_token
from tinygpt.record import START, Record, up_to, verified
from tinygpt.rundir import RunDir, State, best_of
from tinygpt.schedule import due
from tinygpt.trainer import DivergedError, Trainer

PHASES: dict[type[Event], str] = {
    Stepped: "train",
    Trained: "train",
    Snapshot: "checkpoint",
    Evaluated: "eval",
    Sampled: "sample",
    Finished: "checkpoint",
}


class Execution:
    """The execution of a settled config in a run directory that holds it.

    `seconds` sums the time spent by phase: "setup", "train", "eval", "sample", "checkpoint". The
    time that the consumer of the events takes is in none of them.
    """

    def __init__(
        self,
        config: RunConfig,
        run_dir: RunDir,
        corpus: Corpus,
        stopping: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.perf_counter,
        *,
        measure: bool = False,
    ) -> None:
        """With `measure` the speed of the model is among the facts of a result."""
        self.config, self.run_dir, self.corpus = config, run_dir, corpus
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._stopping, self._clock, self._measure = stopping, clock, measure
        self._config_sha256 = hashlib.sha256(run_dir.config.read_bytes()).hexdigest()
        self._vocabulary_sha256 = hashlib.sha256(corpus.tokenizer.to_json()).hexdigest()
        self._logged = (0.0, 0)
        self._evaluations: list[dict[str, Any]] = []

    def events(self) -> Generator[Durable]:
        """Train to the end, or until `stopping()` is true at the end of a step.

        Raises BusyError if another process executes the run or has taken it over, RecordError if
        what was saved is unusable or computed again with another result, DivergedError after
        recording the run as failed, and NoRoomError if the disk is full.
        """
        hardware.configure(self.config.train)
        with locked(self.run_dir.lock) as lock, contextlib.ExitStack() as closing:
            began = self._clock()
            self._numerics = hardware.numerics(self.config.train)
            self._attempt = Attempt(self.run_dir.lock, lock, digest_of(self._numerics))
            remove_leftovers(self.run_dir.path)
            trainer = self._trainer()
            warnings = self._recover(trainer, closing)
            self._first = trainer.step * self.config.tokens_per_step
            self._logged = (0.0, self._first)
            self.seconds["setup"] += self._clock() - began
            yield Started(trainer.step, warning="; ".join(warnings) or None, **self._facts)
            try:
                yield from self._durably(trainer)
            except DivergedError as error:
                self.conclude("failed", f"diverged: {error}")
                raise

    def pace(self) -> Pace:
        """The pace of the training since `events` began, up to the newest row of the timings."""
        seconds, tokens = self._logged
        return self._pacer.pace(tokens - self._first, seconds)

    def facts(self) -> dict[str, float]:
        """What a result says of the model, once `events` has begun."""
        if not self._measure:
            return dict(self._facts)
        speed = seconds_per_token(self._model, self.config.train.precision)
        return {**self._facts, "seconds_per_token": speed}

    def conclude(self, state: State, reason: str | None = None) -> None:
        """End the run where it is: the record stops here, and `result.json` says how."""
        self._attempt.check()
        for record in (self._metrics, self._samples):
            record.end()
            verified(record.path, record.sync())  # nobody else has written there meanwhile
        if state == "failed":
            checkpoint.retain(self.run_dir.checkpoints, self._retained(ended=True))
        # A run that has ended is not looked through again: what was removed must stay so.
        durable.sync_directory(self.run_dir.checkpoints)
        facts = {} if state == "failed" else self.facts()
        self.run_dir.conclude(state, reason, **facts)

    def _trainer(self) -> Trainer:
        trainer = Trainer(self.config, self.corpus)
        self._model = trainer.model
        self._write_vocabulary()
        durable.make_directory(self.run_dir.checkpoints)
        self._pacer = Pacer(self.config, len(self.corpus.tokenizer))
        self._facts = {
            "parameters": trainer.model.n_parameters(),
            "flops_per_token": self._pacer.flops_per_token,
        }
        return trainer

    def _write_vocabulary(self) -> None:
        path, tokenizer = self.run_dir.tokenizer, self.corpus.tokenizer
        if not path.exists():
            tokenizer.save(path)
        elif path.read_bytes() != tokenizer.to_json():
            problem = "not the vocabulary of the corpus; remove it, and it is made again"
            raise RecordError(f"{path}: {problem}")

    def _recover(self, trainer: Trainer, closing: contextlib.ExitStack) -> list[str]:
        """Take up the newest checkpoint; what is not as it was, in words."""
        recovery = checkpoint.newest(
            self.run_dir.checkpoints, lambda found: self._check(found, trainer)
        )
        found, changes = recovery.checkpoint, self._changed(recovery.checkpoint)
        self._taken_over = found.step if found and changes else None
        self._open_records(recovery, bool(changes), closing)
        checkpoint.retain(self.run_dir.checkpoints, self._retained())
        return [*changes, *recovery.losses]

    def _check(self, found: Checkpoint, trainer: Trainer) -> None:
        """Have the trainer take a checkpoint over; raises RecordError if it is not of this run."""
        for name, there in self._identity().items():
            if found.manifest[name] != there:
                where, then = self.run_dir.checkpoints, found.manifest[name]
                raise RecordError(
                    f"{where}: step {found.step} was saved with another {name} ({then[:12]}..., "
                    f"now {there[:12]}...)"
                )
        for path in (self.run_dir.metrics, self.run_dir.samples):
            verified(path, found.manifest["records"][path.name])
        try:
            trainer.restore(found.state)
        except RecordError as error:
            directory = self.run_dir.checkpoints
            raise RecordError(f"{directory}: step {found.step}: {error}") from None

    def _identity(self) -> dict[str, str]:
        """What a checkpoint must have been saved with."""
        return {
            "config_sha256": self._config_sha256,
            "corpus_sha256": self.corpus.sha256,
            "vocabulary_sha256": self._vocabulary_sha256,
        }

    def _open_records(
        self, recovery: Recovery, changed: bool, closing: contextlib.ExitStack
    ) -> None:
        found = recovery.checkpoint
        if found is None and read_rows(self.run_dir.metrics):
            raise RecordError(
                f"{self.run_dir.checkpoints}: no checkpoint is left of a run that has begun; "
                "restore one, or remove the whole directory to train again"
            )
        marks = found.manifest["records"] if found else {}
        run_dir = self.run_dir
        # Rows behind a checkpoint that was set aside may be damaged, or the reason why it was; and
        # those of an attempt elsewhere, which came to no checkpoint, need not be ours.
        compare = not changed and not recovery.losses and self._attempt.same_hand
        self._metrics, self._samples = (
            Record(path, marks.get(path.name, START), compare=compare)
            for path in (run_dir.metrics, run_dir.samples)
        )
        self._timings = Record(run_dir.timings, up_to(run_dir.timings, found.step if found else -1))
        for record in (self._metrics, self._samples, self._timings):
            closing.callback(record.close)
        durable.sync_directory(run_dir.path)
        self._evaluations = [row for row in self._metrics.rows if row["kind"] == "eval"]

    def _changed(self, found: Checkpoint | None) -> list[str]:
        now = self._numerics
        then = found.manifest["numerics"] if found else now
        changes = [
            f"{name} was {then[name]}, is {now[name]}" for name in now if then[name] != now[name]
        ]
        what = "other bits than without the interruption"
        return [f"{what}: {', '.join(changes)}"] if changes else []

    def _durably(self, trainer: Trainer) -> Iterator[Durable]:
        for event, seconds in self._timed(trainer.events()):
            self._attempt.check()
            match event:
                case Snapshot():
                    yield self._save(event.step, event.state, seconds)
                    continue
                case Trained():
                    self._metrics.append({"kind": "train", **asdict(event)})
                    self._log_speed(event)
                case Evaluated():
                    self._evaluations.append(evaluation_row(event))
                    self._metrics.append(self._evaluations[-1])
                    self._metrics.sync()
                    self._log_time("eval", event.step, seconds)
                case Sampled():
                    self._samples.append(asdict(event))
                    self._log_time("sample", event.step, seconds)
                case Finished():
                    self.conclude("complete")
            yield event
            if isinstance(event, Stepped) and self._stopping():
                yield self._stop(trainer)
                return

    def _timed(self, events: Iterator[Event]) -> Iterator[tuple[Event, float]]:
        while True:
            began = self._clock()
            event = next(events, None)
            if event is None:
                return
            seconds = self._clock() - began
            self.seconds[PHASES[type(event)]] += seconds
            yield event, seconds

    def _stop(self, trainer: Trainer) -> Stopped:
        if trainer.step not in checkpoint.steps(self.run_dir.checkpoints):
            # A state that nobody would have looked at here is not the reason why a run fails.
            with contextlib.suppress(DivergedError):
                self._save(trainer.step, trainer.snapshot(), 0.0)
        return Stopped(trainer.step)

    def _save(self, step: int, state: bytes, seconds: float) -> Saved:
        began = self._clock()
        about = {
            **self._identity(),
            "numerics": self._numerics,
            "records": {
                record.path.name: record.sync() for record in (self._metrics, self._samples)
            },
        }
        if step != self._taken_over:  # other versions may write an equal state as other bytes
            self._write(step, state, about)
        checkpoint.retain(self.run_dir.checkpoints, self._retained())
        spent = self._clock() - began
        self.seconds["checkpoint"] += spent
        self._log_time("checkpoint", step, seconds + spent)
        return Saved(step)

    def _write(self, step: int, state: bytes, about: Mapping[str, Any]) -> None:
        directory = self.run_dir.checkpoints
        try:
            checkpoint.save(directory, step, state, about, self._attempt.check)
        except NoRoomError:
            # What was the best when it was last looked at may not be any more.
            checkpoint.retain(directory, self._retained())
            checkpoint.save(directory, step, state, about, self._attempt.check)

    def _retained(self, ended: bool = False) -> set[int]:
        """The newest `keep` that were due, the best, and, until the run has ended, the newest of
        all: one saved out of turn, by a stop, goes as soon as it is not needed."""
        config, present = self.config, checkpoint.steps(self.run_dir.checkpoints)
        scheduled = [step for step in present if self._scheduled(step)]
        kept = {*scheduled[-config.checkpoint.keep :], *([] if ended else present[-1:])}
        return kept | ({best_of(self._evaluations)["step"]} if self._evaluations else set())

    def _scheduled(self, step: int) -> bool:
        train, interval = self.config.train, self.config.checkpoint.interval
        return any(due(step, every, train.max_iters) for every in (train.eval_interval, interval))

    def _log_speed(self, event: Trained) -> None:
        then, tokens = self._logged
        self._logged = (self.seconds["train"], event.tokens)
        seconds = self.seconds["train"] - then
        pace = self._pacer.pace(event.tokens - tokens, seconds)
        row = {"kind": "train", "step": event.step, "seconds": seconds}
        self._timings.append({**row, **asdict(pace)})

    def _log_time(self, kind: str, step: int, seconds: float) -> None:
        self._timings.append({"kind": kind, "step": step, "seconds": seconds})


def digest_of(numerics: Mapping[str, str | int]) -> str:
    """Eight characters that tell one machine's numerics from another's."""
    return hashlib.sha256(json.dumps(numerics, sort_keys=True).encode()).hexdigest()[:8]


def evaluation_row(event: Evaluated) -> dict[str, Any]:
    """The record's row of an evaluation; `val_loss_subset` stands only in the last one."""
    row = {"kind": "eval", **asdict(event)}
    return (
        row
        if event.val_loss_subset is not None
        else {k: v for k, v in row.items() if k != "val_loss_subset"}
    )
