"""What checkpoints may take, the largest and smallest runs, and distributions of edited spaces."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution

from experiments import disk
from experiments.extremes import checkpoint_bytes, extremes
from experiments.parameter import CategoricalParameter, FloatParameter, IntParameter, Searched
from experiments.snapshot import distribution
from experiments.spec import Sweep
from experiments.spread import widest
from experiments.trial import State, Trial
from experiments.twin import take_result
from tinygpt.config import RunConfig
from tinygpt.flops import flops_per_token
from tinygpt.rundir import RunDir

Make = Callable[..., Sweep]
NAMES: dict[str, State] = {"c": "complete", "p": "pruned", "f": "failed", "r": "running"}


def trials(*told: str) -> list[Trial]:
    return [
        Trial(n, {}, NAMES[one[0]], float(one[1:]) if one[1:] else None)
        for n, one in enumerate(told)
    ]


@pytest.mark.parametrize(
    ("there", "limit", "expected"),
    [
        (trials(), 10, []),
        (trials("c1", "c2", "c3"), 30, []),
        (trials("c1", "c2", "c3"), 29, [2]),
        (trials("c3", "c2", "c1"), 29, [0]),
        (trials("c3", "c2", "c1"), 10, [0, 1]),
        (trials("c3", "c2", "c1"), 0, [0, 1]),
        (trials("p1", "c2", "f"), 20, [2]),
        (trials("p1", "c2", "f"), 10, [0, 2]),
        (trials("c1", "c1", "c1"), 20, [2]),
        (trials("r", "c2", "c1"), 10, [1]),
    ],
)
def test_the_checkpoints_of_the_worst_go_first(
    there: list[Trial], limit: float, expected: list[int]
) -> None:
    assert disk.dropped(there, {trial.number: 10.0 for trial in there}, limit) == expected


def test_what_was_dropped_once_would_be_dropped_later_too() -> None:
    there = trials("c5", "p1", "c3", "f", "c4", "c1", "c2")
    sizes = {trial.number: 10.0 + trial.number for trial in there}
    gone: set[int] = set()
    for count in range(1, 8):
        now = set(disk.dropped(there[:count], sizes, 40))
        assert gone <= now
        gone = now


def test_more_disk_is_kept_for_larger_models_and_more_trials_at_a_time(make_sweep: Make) -> None:
    def needed(**changes: Any) -> float:
        space = {"model.d_model": {"type": "categorical", "choices": [8, changes.pop("width", 16)]}}
        return disk.reserve(make_sweep(space=space, enqueue=[], **changes), 17)

    assert needed() < needed(width=64)
    assert needed(max_concurrent=2) * 2 == needed(max_concurrent=4)
    halving = {"type": "halving", "min_iters": 10, "reduction_factor": 2}
    assert needed(pruner=halving, trials=4) == needed(max_concurrent=8)


def test_removing_checkpoints_twice_is_fine(tmp_path: Path) -> None:
    (tmp_path / "checkpoints" / "step-1").mkdir(parents=True)
    for _ in range(2):
        disk.remove(tmp_path / "checkpoints")
    assert not (tmp_path / "checkpoints").exists()


def step_flops(run: RunConfig) -> float:
    """The operations of one update over a text of 17 characters."""
    return flops_per_token(run.model, 17) * run.tokens_per_step


def test_the_smallest_and_the_largest_run_are_corners_of_the_space(make_sweep: Make) -> None:
    sweep = make_sweep(constraints=["model.d_model * model.d_head <= 128"])
    for cost in (step_flops, checkpoint_bytes(17)):
        found = extremes(sweep.configurations(17), cost)
        assert found is not None
        assert [run.model.d_model for run in found] == [8, 16]
        assert found[1].model.d_head <= 8


def test_where_nothing_can_be_trained_there_are_no_extremes(make_sweep: Make) -> None:
    sweep = make_sweep(constraints=["params < 1"])
    assert extremes(sweep.configurations(17), step_flops) is None


RATE = FloatParameter(low=0.1, high=0.5, log=True)


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        ([RATE], distribution(RATE)),
        ([RATE, RATE], distribution(RATE)),
        (
            [RATE, FloatParameter(low=0.2, high=0.9, log=True)],
            distribution(FloatParameter(low=0.1, high=0.9, log=True)),
        ),
        (
            [RATE, FloatParameter(low=0.0, high=0.9)],
            distribution(FloatParameter(low=0.0, high=0.9)),
        ),
        (
            [IntParameter(low=1, high=5, step=2), IntParameter(low=2, high=9)],
            distribution(IntParameter(low=1, high=9)),
        ),
        (
            [IntParameter(low=1, high=5), FloatParameter(low=0.5, high=3.0)],
            distribution(FloatParameter(low=0.5, high=5.0)),
        ),
        (
            [CategoricalParameter(choices=("a", "b")), CategoricalParameter(choices=("c", "a"))],
            CategoricalDistribution(("a", "b", "c")),
        ),
    ],
)
def test_a_distribution_holds_what_every_version_allowed(
    make_sweep: Make, versions: list[Searched], expected: BaseDistribution
) -> None:
    class Version:
        def __init__(self, parameter: Searched) -> None:
            self.space = {"train.learning_rate": parameter}

    sweeps: Any = [Version(parameter) for parameter in versions]
    assert widest(sweeps) == {"train.learning_rate": expected}


def test_a_result_is_taken_with_the_record_and_without_checkpoints(tmp_path: Path) -> None:
    source, target = RunDir(tmp_path / "0003"), RunDir(tmp_path / "0007")
    for run_dir in (source, target):
        run_dir.write_config({"seed": 1})
    source.metrics.write_text('{"kind": "eval", "step": 5, "val_loss": 2.0}\n')
    source.conclude("pruned", "pruned at step 5")
    take_result(source, target, 3)
    assert target.metrics.read_bytes() == source.metrics.read_bytes()
    assert target.read_result() == (source.read_result() or {}) | {
        "reason": "the same run as trial 3, whose result it takes (pruned at step 5)",
        "same_as": 3,
    }
    assert not target.samples.exists()
