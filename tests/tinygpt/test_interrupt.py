"""The first signal asks, the second stops at once."""

import contextlib
import signal
import subprocess
import sys

import pytest

from tinygpt.interrupt import Interrupt

TWICE = """
import os, signal, sys
from tinygpt.interrupt import Interrupt
with Interrupt() as interrupt:
    os.kill(os.getpid(), signal.SIGTERM)
    print("asked", bool(interrupt), flush=True)
    os.kill(os.getpid(), int(sys.argv[1]))
    print("not reached", flush=True)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_noted_and_has_its_exit_code(number: signal.Signals, code: int) -> None:
    with Interrupt() as interrupt:
        assert not interrupt
        signal.raise_signal(number)
        assert interrupt
        assert interrupt.exit_code == code


def test_handlers_are_as_before_afterwards_whatever_happened() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with contextlib.suppress(KeyError), Interrupt():
        assert signal.getsignal(signal.SIGINT) != before[0]
        raise KeyError
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal_stops_at_once(number: signal.Signals, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TWICE, str(int(number))], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, "asked True\n", "")
