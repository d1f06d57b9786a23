"""The layers in a process of their own, since they fork one that has no thread."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def told(*arguments: str) -> str:
    """Run layers; what they said, their seeds and counts in it. Fails if they found something."""
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
