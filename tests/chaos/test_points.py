"""Killed at any point, or out of room there, a run and a sweep end as if nothing had been."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def tortured(*arguments: str) -> str:
    """Run layers in a process of their own, since they fork one that has no thread; what they
    said, their seeds and counts in it."""
    outcome = subprocess.run(
        [sys.executable, "-m", "chaos", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    print(outcome.stdout)
    assert outcome.returncode == 0, outcome.stdout
    return outcome.stdout


def test_a_run_killed_or_out_of_room_at_some_of_its_points_ends_as_if_it_never_was() -> None:
    told = tortured("trainer", "full", "chains", "--sample", "10", "--jobs", "1")
    assert told.count(" 0 mismatches") == 3


def test_a_sweep_one_of_whose_processes_is_killed_at_some_points_ends_as_if_none_was() -> None:
    told = tortured("driver", "worker", "--sample", "5", "--jobs", "1")
    assert told.count(" 0 mismatches") == 2


@pytest.mark.chaos
@pytest.mark.parametrize(
    "layer", ["trainer", "full", "chains", "driver", "worker", "full-driver", "full-worker"]
)
def test_every_point_of_every_process_may_be_the_last(layer: str) -> None:
    assert " 0 mismatches" in tortured(layer, "--full")
