"""The real command, killed at moments that nobody has named, ends as if it never was."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def killed(*arguments: str) -> str:
    """Run the timed kills in a process of their own; what it said, its seed and counts in it."""
    outcome = subprocess.run(
        [sys.executable, "-m", "chaos", "kills", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    print(outcome.stdout)
    assert outcome.returncode == 0, outcome.stdout
    return outcome.stdout


@pytest.mark.chaos
def test_a_sweep_that_is_killed_at_three_moments_ends_as_if_it_never_was() -> None:
    assert " 3 faults, 0 mismatches" in killed("--sample", "3", "--jobs", "1")


@pytest.mark.chaos
def test_a_sweep_that_is_killed_at_a_hundred_moments_ends_as_if_it_never_was() -> None:
    assert " 0 mismatches" in killed("--full")
