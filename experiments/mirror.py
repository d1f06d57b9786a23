"""A process that keeps Weights & Biases level with the record of a sweep, or of one run.

It only reads what the trainers write and repeats it there: one W&B run per trial, its rows with
their own steps. Live logging, catching up after a kill and late upload are the same work. Nothing
waits for it, and whatever goes wrong in it costs no training: it may die at any line and be started
again.
"""

import contextlib
import json
import os
import select
import shutil
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, TextIO

import wandb

from experiments.spec import WandbConfig
from experiments.tracked import Source, Sources, named, summary
from tinygpt import checkpoint
from tinygpt.files import BusyError, locked, read_json, read_rows, write_atomically

POLL_SECONDS = 1.0
PREDECESSOR_SECONDS = 30.0
"""How long the mirror of a sweep that was killed may take to leave."""

SETTINGS: dict[str, Any] = {
    "console": "off",
    "disable_code": True,
    "disable_git": True,
    "silent": True,
    "init_timeout": 30,
    "x_disable_stats": True,
    "x_disable_meta": True,
    "x_disable_machine_info": True,
    "x_save_requirements": False,
    "x_transaction_log_flush_interval": 2,
}
"""Those with x_ are W&B's own affair and are passed only where the installed version has them."""


class RunMirror:
    """One W&B run, kept level with one run directory."""

    def __init__(self, source: Source, home: Path, options: WandbConfig, online: bool) -> None:
        """Opens the W&B run. Online it goes on behind the last step that the server has; offline it
        begins anew, and what an earlier mirror left unfinished is set aside."""
        self.source = source
        if not online:
            set_aside_fragments(home, source.id)
        known = wandb.Settings.model_fields
        self._run = wandb.init(
            project=options.project,
            entity=options.entity,
            id=source.id,
            name=source.name,
            group=source.group,
            job_type="train",
            tags=source.tags,
            config=read_json(source.run_dir.config),
            dir=str(home.parent),
            mode="online" if online else "offline",
            resume="allow" if online else None,
            reinit="create_new",
            settings=wandb.Settings(**{k: v for k, v in SETTINGS.items() if k in known}),
        )
        self._next_step = self._run.starting_step if online else 0
        self._offset = 0
        self._held: list[dict[str, Any]] = []

    @property
    def directory(self) -> str:
        """W&B's directory of this run, by its name."""
        return Path(self._run.dir).parent.name

    def catch_up(self) -> None:
        """Log every step that is complete in the record: all but the last, which may still grow."""
        rows = [*self._held, *self._new_rows()]
        steps = [list(group) for _, group in groupby(rows, key=lambda row: row["step"])]
        for step in steps[:-1]:
            self._log(step)
        self._held = steps[-1] if steps else []

    def close(self, result: Mapping[str, Any]) -> None:
        """Log the last step, the samples and the best checkpoint; end the run with its state."""
        self.catch_up()
        if self._held:
            self._log(self._held, {"samples": self._samples()})
        self._run.summary.update(summary(result))
        self._log_checkpoint(result)
        self._run.tags = (*self.source.tags, result["state"])
        self._run.finish(exit_code=1 if result["state"] == "failed" else 0)

    def _new_rows(self) -> list[dict[str, Any]]:
        """Rows that were not there last time.

        A resumed trainer cuts its record back and then writes the same bytes again, so a place in
        the file means the same before and after.
        """
        path = self.source.run_dir.metrics
        if not path.exists() or path.stat().st_size <= self._offset:
            return []
        with open(path, "rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [json.loads(line) for line in whole.splitlines()]

    def _log(self, rows: list[dict[str, Any]], more: Mapping[str, Any] | None = None) -> None:
        step = rows[0]["step"]
        if step >= self._next_step:
            values = {name: value for row in rows for name, value in named(row)}
            # Without commit W&B would hold the row back until a larger step arrives.
            self._run.log({**values, **(more or {})}, step=step, commit=True)

    def _samples(self) -> wandb.Table:
        rows = read_rows(self.source.run_dir.samples)
        data: list[Iterable[Any]] = [[row["step"], row["prompt"], row["text"]] for row in rows]
        return wandb.Table(columns=["step", "prompt", "text"], data=data)

    def _log_checkpoint(self, result: Mapping[str, Any]) -> None:
        run_dir, step = self.source.run_dir, result["best_step"]
        steps = checkpoint.steps(run_dir.checkpoints)
        kept = result["state"] == "complete" or not self.source.volatile
        if step not in steps or result["state"] == "failed" or not kept:
            return
        metadata = {"step": step, "val_loss": result["metrics"]["best_val_loss"]}
        artifact = wandb.Artifact(f"{self.source.id}-checkpoint", type="model", metadata=metadata)
        state = run_dir.checkpoints / f"step-{step:08d}" / "state.pt"
        for path in (state, run_dir.tokenizer, run_dir.config):
            # One that stays where it is need not be copied.
            policy: Literal["mutable", "immutable"] = (
                "mutable" if self.source.volatile else "immutable"
            )
            artifact.add_file(str(path), policy=policy, skip_cache=True)
        aliases = ["best", f"step-{step}", *(["final"] if step == steps[-1] else [])]
        self._run.log_artifact(artifact, aliases=aliases)


def set_aside_fragments(home: Path, run_id: str) -> None:
    """Move what an earlier, killed mirror wrote of a run out of the way: the whole record follows,
    and W&B must not upload both."""
    for fragment in home.glob(f"offline-run-*-{run_id}"):
        (home / "superseded").mkdir(exist_ok=True)
        shutil.rmtree(home / "superseded" / fragment.name, ignore_errors=True)
        os.rename(fragment, home / "superseded" / fragment.name)


class Mirror:
    """All runs of a sweep directory or a run directory, mirrored.

    `wandb/mirror.json` remembers which are closed, and where.
    """

    def __init__(self, path: Path, options: WandbConfig, online: bool) -> None:
        self.options, self.online, self._sources = options, online, Sources(path)
        self.home = path / "wandb"
        self._closed_file = self.home / "mirror.json"
        self._closed: dict[str, Any] = (
            read_json(self._closed_file) if self._closed_file.exists() else {}
        )
        self._open: dict[str, RunMirror] = {}

    def catch_up(self) -> None:
        """Bring every run level with its record as it is now."""
        for source in self._sources:
            done = self._closed.get(source.id, {"online": False})
            if source.id in self._closed and (done["online"] or not self.online):
                continue
            # A trial that waits for its first row can wait for W&B too.
            if not source.run_dir.metrics.exists() and not source.run_dir.result.exists():
                continue
            if source.id not in self._open:
                self._open[source.id] = RunMirror(source, self.home, self.options, self.online)
            self._follow(source, self._open[source.id])

    def leave(self) -> None:
        """Let go of the runs that have not ended; the next mirror goes on with them."""
        for mirror in self._open.values():
            mirror.catch_up()
        self._open.clear()
        wandb.teardown()

    def _follow(self, source: Source, mirror: RunMirror) -> None:
        result = source.run_dir.read_result()
        if result is None:
            mirror.catch_up()
            return
        mirror.close(result)
        del self._open[source.id]
        self._closed[source.id] = {"online": self.online, "directory": mirror.directory}
        write_atomically(self._closed_file, (json.dumps(self._closed, indent=2) + "\n").encode())


def isolate(home: Path) -> None:
    """Keep W&B's files below the sweep and for its owner, and W&B from printing or asking."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.environ.pop("WANDB_SERVICE", None)
    if not os.environ.get("WANDB_MODE"):
        os.environ.pop("WANDB_MODE", None)  # W&B takes an empty one for a mode
    os.environ |= {
        "WANDB_DATA_DIR": str(home / "data"),
        "WANDB_CACHE_DIR": str(home / "cache"),
        "WANDB_SILENT": "true",
        "WANDB_ERROR_REPORTING": "false",
    }


def logged_in() -> bool:
    """Whether there is a key; never asks for one. Raises wandb's AuthenticationError if it is
    malformed."""
    with contextlib.redirect_stdout(sys.stderr):
        return bool(wandb.login(prompt=False, verify=False))


def is_online(options: WandbConfig) -> bool:
    """What the mode comes to on this machine; `auto` heeds W&B's own WANDB_MODE."""
    mode = os.environ.get("WANDB_MODE", "auto") if options.mode == "auto" else options.mode
    return mode == "online" or (mode != "offline" and logged_in())


@contextlib.contextmanager
def sole(home: Path) -> Iterator[None]:
    """Be the only mirror of a directory, once an orphaned one has left; raises BusyError."""
    deadline = time.monotonic() + PREDECESSOR_SECONDS
    while True:
        try:
            with locked(home / "mirror.lock"):
                yield
                return
        except BusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def follow(path: Path, options: WandbConfig, answers: TextIO) -> None:
    """Mirror until standard input is closed, then once more to the end of the record."""
    isolate(path / "wandb")
    with sole(path / "wandb"):
        online = is_online(options)
        say(answers, "mode", text=mode_line(options, online, path))
        mirror = Mirror(path, options, online)
        while not select.select([0], [], [], POLL_SECONDS)[0]:
            mirror.catch_up()
        mirror.catch_up()
        mirror.leave()
        times = os.times()
        used = times.user + times.system + times.children_user + times.children_system
        say(answers, "left", cpu_seconds=used)


def say(answers: TextIO, event: str, **facts: Any) -> None:
    """Tell the process that started this one; it may be gone."""
    with contextlib.suppress(BrokenPipeError):
        answers.write(json.dumps({"event": event, **facts}) + "\n")
        answers.flush()


def mode_line(options: WandbConfig, online: bool, path: Path) -> str:
    """One line that says where the runs go, and why."""
    if online:
        return f"W&B: online, project {options.project}"
    asked = options.mode == "offline" or os.environ.get("WANDB_MODE") == "offline"
    why = "as asked" if asked else "not logged in"
    return f"W&B: offline ({why}); upload later with `python -m experiments.publish {path}`"


def main() -> int:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    os.umask(0o077)  # what W&B writes may hold more than the record does
    # Ctrl-C reaches the whole group; only the driver answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(10)
    path = Path(sys.argv[1])
    options = WandbConfig(**json.loads(sys.argv[2]))
    follow(path, options, answers)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
