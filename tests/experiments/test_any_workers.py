"""Whatever proposes, pauses or repeats trials: one worker, or more that are killed, leave the same
bytes."""

import json
import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest

RATE = {"type": "float", "low": 1e-3, "high": 1e-1, "log": True}
STEPPED = {"type": "float", "low": 0.01, "high": 0.09, "step": 0.02}
SPACE: dict[str, Any] = {
    "train.optimizer": {"type": "categorical", "choices": ["adamw", "muon"]},
    "train.learning_rate": RATE,
    "train.muon_lr": {**RATE, "when": {"train.optimizer": "muon"}},
}
FINITE: dict[str, Any] = {
    "train.learning_rate": STEPPED,
    "model.n_layers": {"type": "int", "low": 1, "high": 2},
}
HALVING = {"type": "halving", "min_iters": 6, "reduction_factor": 2, "cohort": 4}
SEARCHES: dict[str, dict[str, Any]] = {
    "tpe": {"sampler": {"type": "tpe", "n_startup_trials": 3}, "space": SPACE},
    "random": {"sampler": {"type": "random"}, "space": SPACE},
    "grid": {"sampler": {"type": "grid"}, "space": FINITE},
    "brute_force": {"sampler": {"type": "brute_force"}, "space": FINITE},
    "qmc": {"sampler": {"type": "qmc"}, "space": SPACE},
    "cmaes": {"sampler": {"type": "cmaes", "popsize": 4}, "space": FINITE},
    "gp": {"sampler": {"type": "gp", "n_startup_trials": 3}, "space": SPACE},
    "nsgaii": {"sampler": {"type": "nsgaii", "population_size": 3}, "space": SPACE},
    "halving": {"sampler": {"type": "tpe", "n_startup_trials": 3}, "space": SPACE}
    | {"pruner": HALVING},
    "replicates": {"sampler": {"type": "random"}, "space": FINITE, "replicates": 2},
}
SAMPLE = "halving"
TRIALS = 8


def written(directory: Path, search: str) -> Path:
    """A sweep over trainings of milliseconds."""
    train = {"batch_size": 2, "max_iters": 24, "eval_interval": 6, "eval_iters": 1}
    model = {"block_size": 8, "d_model": 8, "d_head": 8, "n_layers": 1}
    run = {"data": {"corpus": "python_docs"}, "model": model, "train": train}
    run["sample"] = {"max_new_tokens": 2}
    sweep = {"name": search, "trials": TRIALS, "max_concurrent": 4, "run": run}
    directory.mkdir(exist_ok=True)
    file = directory / f"{search}.yaml"
    file.write_text(json.dumps(sweep | SEARCHES[search] | {"wandb": {"mode": "disabled"}}))
    return file


def killed_twice(
    file: Path, workers: int, size: int, start: Any, until: Any, draw: random.Random
) -> None:
    """Kill the command and all its processes at two moments of its record's growth."""
    path = file.parent / "runs" / file.stem
    for moment in sorted(draw.uniform(0.05, 0.9) * size for _ in range(2)):
        process = start("experiments.sweep", file, "--workers", workers, cwd=file.parent)
        until(lambda moment=moment: recorded(path) >= moment)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def recorded(path: Path) -> int:
    return sum(file.stat().st_size for file in path.glob("trials/*/metrics.jsonl"))


def same_by_any_workers(
    search: str, counts: list[int], tmp_path: Path, tools: tuple[Any, Any, Any, Any]
) -> None:
    start, command, facts, until = tools
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    draw = random.Random(seed)
    alone = written(tmp_path / "alone", search)
    outcome = command("experiments.sweep", alone, "--workers", 1, cwd=alone.parent)
    assert (outcome.code, outcome.err) == (0, "")
    whole = alone.parent / "runs" / search
    for workers in counts:
        file = written(tmp_path / f"by-{workers}", search)
        killed_twice(file, workers, recorded(whole), start, until, draw)
        outcome = command("experiments.sweep", file, "--workers", workers, cwd=file.parent)
        assert (outcome.code, outcome.err) == (0, "")
        assert facts(file.parent / "runs" / search) == facts(whole)


@pytest.fixture
def tools(start: Any, command: Any, facts: Any, until: Any) -> tuple[Any, Any, Any, Any]:
    return start, command, facts, until


def test_a_search_that_pauses_and_promotes_is_the_same_by_two_workers_killed_twice(
    tmp_path: Path, tools: tuple[Any, Any, Any, Any]
) -> None:
    same_by_any_workers(SAMPLE, [2], tmp_path, tools)


@pytest.mark.chaos
@pytest.mark.parametrize("search", SEARCHES)
def test_a_search_is_the_same_by_any_workers_killed_twice(
    search: str, tmp_path: Path, tools: tuple[Any, Any, Any, Any]
) -> None:
    same_by_any_workers(search, [1, 2, 4], tmp_path, tools)
