"""One run of W&B, kept level with one run directory."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments import client, fragments
from experiments.client import About, Bundle
from experiments.ledger import Ledger
from experiments.provenance import Provenance
from experiments.tail import Step, Tail
from experiments.tracked import Extremes, Source, summary, values
from experiments.wandbconfig import WandbConfig
from tinygpt import checkpoint
from tinygpt.files import read_mapping, read_rows
from tinygpt.redaction import redacted
from tinygpt.source import texts_below

NAME_LENGTH = 128
UNNAMEABLE = re.compile(r"[^\w.-]")
"""What W&B allows in no name of an artifact."""


class Target:
    """Where the runs of a mirror go, and what is known of what is there."""

    def __init__(
        self,
        home: Path,
        options: WandbConfig,
        online: bool,
        provenance: Provenance | None = None,
    ) -> None:
        self.home, self.options, self.online = home, options, online
        self.provenance = provenance if options.git else None
        self.ledger = Ledger(home / "mirror.jsonl")
        where = f"{client.server()}/{options.entity or '-'}/{options.project}"
        self.place = where if online else ""

    def open(self, about: About) -> client.Run:
        """A run that goes on behind what is there of it; offline it begins anew, and what an
        earlier mirror left is set aside.

        Raises client.UnreachableError.
        """
        while True:
            run_id = self.ledger.entry(about.id).run_id
            try:
                return self._opened(about, run_id)
            except client.DeletedError:
                self.ledger.renew(about.id)

    def _opened(self, about: About, run_id: str) -> client.Run:
        last = None
        if not self.online:
            last = fragments.last_step(fragments.set_aside(self.home, run_id))
        resume = self.online or last is not None
        run = client.Run(about, run_id, self.home, online=self.online, resume=resume)
        if self.online:
            fragments.tidy(self.home, run_id, run.directory)
        if last is not None:
            run.next_step = last + 1
        return run

    def about(self, **facts: Any) -> About:
        """A run with these facts in this project, from this commit."""
        config, source = dict(facts.pop("config")), self.provenance
        if source:
            config["git"] = source.facts()
        return About(
            project=self.options.project,
            entity=self.options.entity,
            config=config,
            commit=source.commit if source else None,
            remote=source.remote if source else None,
            **facts,
        )


class RunMirror:
    """The W&B run of one run directory."""

    def __init__(self, source: Source, target: Target) -> None:
        """Opens the run; raises client.UnreachableError."""
        self.source, self._target = source, target
        self._tail, self._extremes = Tail(source.run_dir), Extremes()
        self._saved = -1
        job = {"job_type": "train", "group": source.group, "tags": source.tags}
        self._run = target.open(
            target.about(id=source.id, name=source.name, config=source.config(), **job)
        )
        self._is_fed = False

    @property
    def directory(self) -> str:
        """The name of W&B's directory of this run."""
        return self._run.directory

    @property
    def url(self) -> str | None:
        """The run's page; None offline."""
        return self._run.url

    def catch_up(self) -> bool:
        """Log every step that has become certain; whether there was one."""
        told = self._log(ended=False)
        if self._target.options.checkpoints == "all":
            self._log_newest()
        return told

    def conclude(self, result: Mapping[str, Any]) -> None:
        """Log the rest, the samples, the worker's log and the checkpoints."""
        self._log(ended=True)
        run_dir = self.source.run_dir
        samples = [[row["step"], row["prompt"], row["text"]] for row in read_rows(run_dir.samples)]
        if samples:
            table = client.table(["step", "prompt", "text"], samples)
            self._run.summarise({"samples": table})
        self._run.summarise(summary(result))
        if run_dir.log.exists():
            self._run.save("worker.log", redacted(run_dir.log.read_text(errors="replace")).encode())
        if self.source.group is None and self._target.provenance:
            self._run.save("diff.patch", self._target.provenance.diff.encode())
        self._log_ended(result)
        self._run.tag(result["state"])

    def finish(self, result: Mapping[str, Any]) -> None:
        """End the run with its state, once the server has all of it."""
        self._run.finish(exit_code=1 if result["state"] == "failed" else 0)

    def interrupt(self) -> None:
        """Let go of a run that has not ended."""
        self._run.interrupt()

    def _log(self, ended: bool) -> bool:
        if not self._is_fed:
            self._run.input(corpus(self.source, self._target.options))
            self._is_fed = True
        told: dict[str, Any] = {}
        any_step = False
        for step in self._tail.steps(ended):
            any_step = True
            told |= self._extremes.take(step)
            self._log_step(step)
        if told:
            self._run.summarise(told)
        return any_step

    def _log_step(self, step: Step) -> None:
        if step.number >= self._run.next_step:
            self._run.log(values(step), step.number)

    def _log_newest(self) -> None:
        """The newest checkpoint of a run in training; its files may go at any moment."""
        steps = checkpoint.steps(self.source.run_dir.checkpoints)
        if not steps or steps[-1] <= self._saved:
            return
        bundle = self._checkpoint(
            steps[-1], ("latest",), {}, ttl_days=self._target.options.ttl_days
        )
        try:
            self._run.output(bundle)
        except FileNotFoundError:
            return
        self._saved = steps[-1]

    def _log_ended(self, result: Mapping[str, Any]) -> None:
        """The best and the last checkpoint of a run, as far as they are kept."""
        found = ended_checkpoints(self.source, self._target.options, result)
        for step, aliases in found.items():
            metadata = {"best_val_loss_nats": result["metrics"]["best_val_loss"]}
            self._run.output(self._checkpoint(step, aliases, metadata, ended=True))

    def _checkpoint(
        self,
        step: int,
        aliases: tuple[str, ...],
        metadata: Mapping[str, Any],
        *,
        ended: bool = False,
        ttl_days: int | None = None,
    ) -> Bundle:
        """A checkpoint with all that a run needs to go on from it elsewhere."""
        run_dir = self.source.run_dir
        directory = run_dir.checkpoints / f"step-{step:08d}"
        weights = {name: directory / name for name in ("state.pt", "manifest.json")}
        beside = [run_dir.tokenizer, run_dir.config, run_dir.metrics, run_dir.samples]
        beside += [run_dir.result] if ended else []
        files = weights | {path.name: path for path in beside if path.exists()}
        # What stays where it is need not be copied.
        stays = ended and not self.source.volatile
        return Bundle(
            name=f"{self._run.id}-checkpoint",
            type="model",
            metadata={"step": step, "run": self._run.id, **metadata},
            kept=files if stays else {},
            copied={} if stays else files,
            aliases=(f"step-{step}", *aliases),
            ttl_days=ttl_days,
        )


def ended_checkpoints(
    source: Source, options: WandbConfig, result: Mapping[str, Any]
) -> dict[int, tuple[str, ...]]:
    """The steps of the checkpoints that W&B gets of a run that has ended, and what they are called
    there."""
    there = checkpoint.steps(source.run_dir.checkpoints)
    kept = result["state"] == "complete" or not source.volatile
    if not there or not kept or options.checkpoints == "none" or result["state"] == "failed":
        return {}
    best, last = result["best_step"], there[-1]
    called = {best: ("best",), last: ("final", "latest")}
    if best == last:
        called = {best: ("best", "final", "latest")}
    return {step: aliases for step, aliases in called.items() if step in there}


def corpus(source: Source, options: WandbConfig) -> Bundle:
    """The text that a run is trained on: its name and digest, and the text itself if that is
    wanted."""
    data = read_mapping(source.run_dir.config)["data"]
    path = Path(data["corpus"])
    facts = {"name": path.stem, "sha256": data["sha256"]}
    files = texts_below(path) if path.is_dir() else [path]
    texts = {f"text/{f.relative_to(path if path.is_dir() else path.parent)}": f for f in files}
    return Bundle(
        name=f"corpus-{UNNAMEABLE.sub('-', path.stem)}"[:NAME_LENGTH],
        type="dataset",
        metadata=facts,
        kept={name: text for name, text in texts.items() if options.corpus and text.is_file()},
        written={"corpus.json": client.as_json(facts)},
    )


def fingerprint(result: Path) -> str:
    """What tells one result from another: sixteen characters of its digest."""
    return hashlib.sha256(result.read_bytes()).hexdigest()[:16]
