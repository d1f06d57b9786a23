"""A client that hangs ends its process with a line that says so, and one that answers does not."""

import subprocess
import sys

import pytest

SCRIPT = """
import threading
from experiments.watchdog import Watchdog
with Watchdog({seconds}):
    threading.Event().wait({wait})
print("answered")
"""


@pytest.mark.parametrize(
    ("seconds", "wait", "code", "out", "err"),
    [
        (60, 0.01, 0, "answered\n", ""),
        (0.1, 60, 75, "", "error: W&B: its client does not answer; run the same command again\n"),
    ],
)
def test_what_takes_too_long_ends(
    seconds: float, wait: float, code: int, out: str, err: str
) -> None:
    script = SCRIPT.format(seconds=seconds, wait=wait)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (code, out, err)
