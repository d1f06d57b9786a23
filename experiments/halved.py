"""Promotion against stopping on real trainings: the same space, rungs and sampler."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from experiments.contest import ContestError
from experiments.prices import HALVING, MAX_ITERS, STOPPING, Promotion
from experiments.sweepdir import SweepDir
from experiments.trial import Trial
from tinygpt.exits import DONE, SOME_FAILED
from tinygpt.files import read_rows

TRIALS = 27
RUN: dict[str, Any] = {
    "data": {"corpus": "python_docs"},
    "model": {"block_size": 32, "d_model": 32, "d_head": 16, "n_layers": 2},
    "train": {
        "batch_size": 16,
        "max_iters": MAX_ITERS,
        "eval_interval": 20,
        "eval_iters": 4,
        "log_interval": 20,
    },
    "sample": {"max_new_tokens": 0},
}
SPACE: dict[str, Any] = {
    "train.learning_rate": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True},
    "train.weight_decay": {"type": "float", "low": 0.0, "high": 0.3},
    "train.beta2": {"type": "float", "low": 0.9, "high": 0.999},
    "model.position": {"type": "categorical", "choices": ["learned", "rope"]},
    "model.activation": {"type": "categorical", "choices": ["gelu", "relu2", "swiglu"]},
}


def promotions(out: Path, seeds: int) -> Iterator[Promotion]:
    """One comparison for each seed, at equal total steps: of the stopping sweep as many trials
    count as it takes to train at least as many steps as the promoting one did."""
    for seed in range(seeds):
        promoted = _trained(out / f"promotion-{seed}", seed, HALVING, TRIALS)
        steps = sum(map(_steps, promoted))
        stopped = _trained(out / f"stopping-{seed}", seed, STOPPING, TRIALS)
        again = _trained_again(out / f"promotion-{seed}")
        yield Promotion(seed, steps, _best(promoted), _best(_upto(stopped, steps)), again)


def _trained(path: Path, seed: int, pruner: dict[str, Any], trials: int) -> list[Trial]:
    """The trials of a sweep run to its end, its file beside its directory."""
    sweep = {"name": path.name, "seed": seed, "trials": trials, "pruner": pruner, "run": RUN}
    sweep |= {"space": SPACE, "wandb": {"mode": "disabled"}}
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.with_suffix(".yaml")
    file.write_text(json.dumps(sweep))
    command = [sys.executable, "-m", "experiments.sweep", str(file), "--out", str(path.parent)]
    ended = subprocess.run([*command, "--no-progress"], stdout=subprocess.DEVNULL)
    if ended.returncode not in (DONE, SOME_FAILED):
        raise ContestError(f"{file.name} ended with exit code {ended.returncode}")
    sweep_dir = SweepDir(path)
    return sweep_dir.history(sweep_dir.search())


def _upto(trials: Sequence[Trial], steps: int) -> list[Trial]:
    """As many of the first trials as it takes to train so many steps."""
    total, taken = 0, list[Trial]()
    for trial in trials:
        if total >= steps:
            break
        taken.append(trial)
        total += _steps(trial)
    return taken


def _steps(trial: Trial) -> int:
    return max(trial.reports, default=0)


def _best(trials: Sequence[Trial]) -> float:
    return min(t.value for t in trials if t.state == "complete" and t.value is not None)


def _trained_again(path: Path) -> int:
    """The steps that a promoted trial went back: it was taken up where it had paused, or before."""
    paused: dict[int, int] = {}
    again = 0
    for row in read_rows(SweepDir(path).events):
        if row["event"] == "trial_paused":
            paused[row["trial"]] = row["step"]
        if row["event"] == "trial_resumed":
            again += paused.get(row["trial"], row["step"]) - row["step"]
    return again
