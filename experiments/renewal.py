"""The report renewed while its sweep goes on, as long as that costs next to nothing."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

SHARE = 0.01
"""How much of the sweep's time renewals may take, all together."""
FIRST_SECONDS = 4.0
"""What the first renewal is expected to take, in seconds of processor time."""


def affordable(spent: float, expected: float, elapsed: float) -> bool:
    """Whether one more renewal keeps all of them within SHARE of the time of the command.

    Seconds of processor time that were `spent`, that the next is `expected` to take, and seconds
    of wall clock that have `elapsed`.
    """
    return spent + expected <= SHARE * elapsed


class Renewal:
    """Renews the page of the sweep in a directory, in a process of its own that nothing waits for
    and whose end nobody depends on."""

    def __init__(self, path: Path, began: float) -> None:
        self._command = [sys.executable, "-m", "analysis", str(path), "--renew"]
        self._began, self.spent, self._last = began, 0.0, FIRST_SECONDS
        self.process: subprocess.Popen[bytes] | None = None

    def trial_ended(self) -> None:
        """Begin a renewal, if none is at work and one can be afforded."""
        self._reap()
        elapsed = time.monotonic() - self._began
        if self.process is None and affordable(self.spent, self._last, elapsed):
            self.process = subprocess.Popen(
                ["nice", "-n", "19", *self._command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )

    def dismiss(self) -> None:
        """End a renewal that is at work: the final report is about to be written."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def _reap(self) -> None:
        """Take account of a renewal that has ended."""
        if self.process is None:
            return
        pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
        if pid:
            self.process.returncode = os.waitstatus_to_exitcode(status)
            self._last = usage.ru_utime + usage.ru_stime
            self.spent += self._last
            self.process = None
