"""Directories in which something was left or finished, to be damaged."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from chaos import golden
from chaos.drive import Happening, Subject, TinyRun, TinySweep
from chaos.filesystem import Tree, read_tree
from tinygpt.events import Saved, Started
from tinygpt.exits import BAD_INPUT, DONE, SOME_FAILED, UNUSABLE_RECORD
from tinygpt.files import RecordError

RUN = ("config.json", "tokenizer.json", "metrics.jsonl", "samples.jsonl", "timings.jsonl")
OTHERS = ("result.json", "run.lock", "worker.log")
SWEEP = ("sweep.json", "sweep.lock", "study.db", "events.jsonl")
CHECKPOINT = ("state.pt", "manifest.json")


@dataclass(frozen=True)
class Site:
    """A directory in which something was left, or finished."""

    name: str
    subject: Subject
    tree: Tree
    untouched: Path

    def targets(self) -> dict[str, list[list[str]]]:
        """What may be damaged, by the kind of file; several paths are damaged together."""
        found: dict[str, list[list[str]]] = {}
        for path, data in self.tree:
            name = PurePosixPath(path).name
            if data is not None and name in (*RUN, *OTHERS, *SWEEP):
                found.setdefault(name, []).append([path])
        for run in sorted({path.partition("checkpoints/")[0] for path in self._checkpoints()}):
            for name in CHECKPOINT:
                paths = [p for p in self._checkpoints() if p.startswith(run) and p.endswith(name)]
                found.setdefault(f"{name}, newest", []).append(paths[-1:])
                found.setdefault(f"{name}, older", []).append(paths[:1])
                found.setdefault(f"{name}, all", []).append(paths)
        return found

    def _checkpoints(self) -> list[str]:
        return [p for p, data in self.tree if "checkpoints/" in p and data is not None]


class TheCommand(TinySweep):
    """The tiny sweep by the real command and a worker of its own."""

    @classmethod
    def like(cls, sweep: TinySweep) -> "TheCommand":
        """The same sweep."""
        other = cls.__new__(cls)
        other.kind, other.file = sweep.kind, sweep.file
        return other

    def events(self, root: Path) -> Generator[Happening]:
        """Go on to the end; raises what the command's exit code says."""
        words = ["experiments.sweep", str(self.file), "--out", str(root), "--workers", "1"]
        command = [sys.executable, "-m", *words, "--no-progress"]
        done = subprocess.run(command, capture_output=True, text=True, env=surroundings())
        if done.returncode in (UNUSABLE_RECORD, BAD_INPUT) and "Traceback" not in done.stderr:
            raise RecordError(done.stderr.strip())
        assert done.returncode in (DONE, SOME_FAILED), done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        shutil.rmtree(root / self.kind / "report", ignore_errors=True)
        yield from ()


def surroundings() -> dict[str, str]:
    """An environment in which the product is found where this process has found it."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def sites(directory: Path) -> list[Site]:
    """A run that was left, a sweep that was left in its last trial, and one that is finished."""
    text = golden.text_file(directory)
    run = TinyRun(text, {"train.max_iters": 9})
    fast = {"train.learning_rate": 3e-2, "model.d_model": 16, "train.weight_decay": 0.0}
    queue = [golden.BASELINE, golden.WORST, golden.BASELINE, fast]
    sweep = TinySweep(text, "median", trials=4, max_concurrent=1, enqueue=queue)
    for subject, name in ((run, "whole run"), (sweep, "whole sweep")):
        (directory / name).mkdir()
        finish(subject, directory / name)
    one, all_of_them = directory / "whole run", directory / "whole sweep"
    begun = left(run, directory / "left run", ("run", Saved(6)))
    half = left(sweep, directory / "left sweep", (f"{sweep.kind}/trials/0003", Saved(6)))
    return [
        Site("left run", run, begun, one),
        Site("left sweep", sweep, half, all_of_them),
        Site("finished sweep", sweep, logged(read_tree(all_of_them)), all_of_them),
    ]


def finish(subject: Subject, root: Path) -> list[str]:
    """Go on to the end; the warnings that there were."""
    told = (event.warning for _, event in subject.events(root) if isinstance(event, Started))
    return [warning for warning in told if warning]


def left(subject: Subject, root: Path, last: Happening) -> Tree:
    """What lies there when the subject was left after something had happened."""
    root.mkdir()
    with contextlib.closing(subject.events(root)) as events:
        assert last in events, f"{last} never happened"
        next(events)
        next(events)
    return logged(read_tree(root))


def logged(tree: Tree) -> Tree:
    """The same with the logs that workers would have left."""
    vocabularies = (path for path, _ in tree if path.endswith("tokenizer.json"))
    runs = [path.removesuffix("tokenizer.json") for path in vocabularies]
    return (*tree, *((f"{run}worker.log", b"a warning\nand another one\n") for run in runs))
