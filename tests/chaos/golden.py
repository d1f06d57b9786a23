"""The tiny run and the tiny sweeps that are tortured, and the oracle: what must be equal in the end
to the same that nobody disturbed."""

import contextlib
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinygpt import checkpoint, train
from tinygpt.attempt import number_in
from tinygpt.files import is_locked, whole_lines

UNEQUAL = ("timings.jsonl", "run.lock", "worker.log")
"""What of a run tells of wall-clock time and of processes."""
SWEEP_FILES = {"events.jsonl", "study.db", "sweep.json", "sweep.lock", "trials"}
"""What lies in the directory of a sweep without a mirror and without a report."""

RUN: dict[str, Any] = {
    "model.block_size": 8,
    "model.d_model": 8,
    "model.d_head": 4,
    "model.n_layers": 1,
    "model.dropout": 0.1,
    "train.batch_size": 4,
    "train.max_iters": 15,
    "train.learning_rate": 0.3,
    "train.warmup_iters": 2,
    "train.eval_interval": 4,
    "train.eval_iters": 1,
    "train.log_interval": 2,
    "train.precision": "fp32",
    "train.device": "cpu",
    "checkpoint.interval": 3,
    "sample.max_new_tokens": 4,
}
"""Learns so fast that the best checkpoint is not the newest."""
INTERVAL = 4
"""Updates between two checkpoints, at most."""

BASELINE = {
    "train.learning_rate": 1e-2,
    "model.d_model": 16,
    "model.dropout": 0.1,
    "train.weight_decay": 0.1,
}
DIVERGING = BASELINE | {"train.weight_decay": 1e38}
WORST = BASELINE | {"train.learning_rate": 1e-4, "model.d_model": 8}
SPACE: dict[str, Any] = {
    "train.learning_rate": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True},
    "model.d_model": {"type": "categorical", "choices": [8, 16]},
    "model.dropout": {"type": "float", "low": 0.0, "high": 0.5, "step": 0.0001},
    "train.weight_decay": {"type": "categorical", "choices": [0.0, 0.1, 1e38]},
}
SWEEP: dict[str, Any] = {
    "max_concurrent": 2,
    "sampler": {"type": "tpe", "n_startup_trials": 2},
    "space": SPACE,
    "wandb": {"mode": "disabled"},
}
KINDS: dict[str, dict[str, Any]] = {
    # The second trial diverges, the third is pruned, the fourth is the twin of the first.
    "median": {
        "trials": 5,
        "pruner": {"type": "median", "n_startup_trials": 1, "n_warmup_steps": 4},
        "enqueue": [BASELINE, DIVERGING, WORST, BASELINE],
    },
    # Three wait at the first rung, and the best of them goes on.
    "halving": {
        "trials": 3,
        "pruner": {"type": "halving", "min_iters": 4, "reduction_factor": 3},
        "enqueue": [BASELINE],
    },
}


def text_file(directory: Path) -> Path:
    """A corpus of about 2,400 characters in a file."""
    draw = random.Random(0)
    words = ["the", "sea", "a", "stone", "and", "then", "rain", "old", "no", "wind", "so"]
    lines = (" ".join(draw.choice(words) for _ in range(6)) for _ in range(96))
    path = directory / "text.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


def run_arguments(text: Path, path: Path) -> list[str]:
    """The command line of the tiny run, without the command."""
    settings = {"data.corpus": str(text), **RUN}
    return [*(f"{key}={value}" for key, value in settings.items()), "--out", str(path)]


def train_run(text: Path, path: Path) -> int:
    """Train what is left of the tiny run in this process; returns the exit code."""
    return train.main(run_arguments(text, path))


def sweep_file(
    directory: Path, text: Path, kind: str, iterations: int = 12, **changes: Any
) -> Path:
    """Write the tiny sweep of a kind into a file; JSON is YAML. It lies in `runs/KIND`."""
    run = {key: value for key, value in RUN.items() if key not in SPACE}
    nested: dict[str, dict[str, Any]] = {"data": {"corpus": str(text)}}
    for key, value in {**run, "train.max_iters": iterations}.items():
        section, _, name = key.rpartition(".")
        nested.setdefault(section, {})[name] = value
    data = {"name": kind, **SWEEP, **KINDS[kind], "run": nested, **changes}
    path = directory / f"{kind}.yaml"
    path.write_text(json.dumps(data, indent=1))
    return path


@dataclass(frozen=True)
class Standing:
    """How far a run had come: the step of its newest checkpoint, the last step it knew of, and the
    times up to that checkpoint, which nobody who goes on from there could make again."""

    saved: int
    reached: int
    times: bytes


def files_of(path: Path) -> dict[str, bytes]:
    """Every file of a run, or of the trials of a sweep, that must be equal, by its name."""
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in sorted(path.rglob("*"))
        if file.is_file() and file.name not in UNEQUAL
    }


def names_in(path: Path) -> set[str]:
    """Every file and directory below a directory."""
    return {str(entry.relative_to(path)) for entry in path.rglob("*")}


def differences(there: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """What is missing, too much or other than expected, a line each."""
    missing = [f"{name}: missing" for name in sorted(expected.keys() - there.keys())]
    added = [f"{name}: too much" for name in sorted(there.keys() - expected.keys())]
    both = sorted(expected.keys() & there.keys())
    return [
        *missing,
        *added,
        *(f"{name}: differs" for name in both if there[name] != expected[name]),
    ]


def run_differences(path: Path, golden: Path) -> list[str]:
    """How a finished run is not the golden one."""
    names = dict.fromkeys(names_in(path), "there"), dict.fromkeys(names_in(golden), "there")
    return [*differences(*names), *differences(files_of(path), files_of(golden))]


def sweep_differences(path: Path, golden: Path) -> list[str]:
    """How a finished sweep is not the golden one. The names of what lies in the trials but for
    logs, whose trial may have had no worker, all bytes of the trials and of `sweep.json`, and all
    that the study knows."""
    return [
        *differences(sweep_facts(path), sweep_facts(golden)),
        *(f"{path.name}: still locked" for _ in [0] if is_locked(path / "sweep.lock")),
    ]


def sweep_facts(path: Path) -> dict[str, Any]:
    """All that must be equal however a sweep was run."""
    names = {name for name in names_in(path / "trials") if not name.endswith("worker.log")}
    top = {entry.name for entry in path.iterdir()} | SWEEP_FILES
    return {
        **{f"trials/{name}": data for name, data in files_of(path / "trials").items()},
        "sweep.json": (path / "sweep.json").read_bytes(),
        "names": sorted(names | top),
        **{f"study {row[0]}": row for row in study_rows(path)},
    }


def study_rows(path: Path) -> list[tuple[Any, ...]]:
    """Number, parameters, state, values, losses by step and notes of each trial in `study.db`."""
    import optuna  # takes a second to load, and whoever tortures one run needs none

    storage = optuna.storages.RDBStorage(f"sqlite:///{path / 'study.db'}")
    try:
        trials = optuna.load_study(study_name=path.name, storage=storage).trials
    finally:
        storage.remove_session()
        storage.engine.dispose()
    return [
        (t.number, t.params, t.state.name, t.values, t.intermediate_values, t.user_attrs)
        for t in trials
    ]


def standing(path: Path) -> Standing:
    """How far a run has come by now."""
    # In this order, since it may train meanwhile.
    lines = list(_lines(path / "timings.jsonl"))
    saved = max(checkpoint.steps(path / "checkpoints"), default=-1)
    reached = max((step for step, _ in lines), default=0)
    return Standing(saved, reached, b"".join(line for step, line in lines if step <= saved))


def standings(path: Path) -> dict[str, Standing]:
    """How far the unfinished trials of a sweep have come by now."""
    trials = sorted((path / "trials").glob("[0-9]*"))
    return {t.name: standing(t) for t in trials if not (t / "result.json").exists()}


def lost(path: Path, before: Standing, interval: int = INTERVAL) -> list[str]:
    """How a run that went on from a standing did more than it had to."""
    if before.reached - max(before.saved, 0) > interval:
        return [f"{path.name}: {before.reached} steps made, but the last saved is {before.saved}"]
    timings = path / "timings.jsonl"
    now = timings.read_bytes() if timings.exists() else b""
    if not now.startswith(before.times):
        return [f"{path.name}: steps before {before.saved}, which was saved, were made again"]
    return []


def attempts(path: Path) -> int:
    """How many attempts at a run there have been."""
    lock = path / "run.lock"
    return number_in(lock.read_bytes()) if lock.exists() else 0


def too_many_attempts(path: Path, golden: Path, kills: int) -> list[str]:
    """Whether a run was attempted more often than the kills explain."""
    there, expected = attempts(path), attempts(golden)
    if there <= expected + kills:
        return []
    return [f"{path.name}: {there} attempts, {expected} without the {kills} kills"]


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    data = path.read_bytes() if path.exists() else b""
    for line in whole_lines(data):
        with contextlib.suppress(ValueError):
            yield json.loads(line)["step"], line


def report(title: str, findings: Sequence[str]) -> None:
    """Print what was found of one case, a line each."""
    for finding in findings:
        print(f"FOUND {title}: {finding}", flush=True)
