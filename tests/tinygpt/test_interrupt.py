"""The first signal asks, the second stops at once."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tinygpt import interrupt as interrupt_module
from tinygpt.interrupt import Interrupt
from tinygpt.rundir import RunDir

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
    assert (done.returncode, done.stdout) == (code, "asked True\n")
    assert done.stderr.strip() == (
        "stopped at once; what was saved stands, the same command goes on"
    )


def python(code: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


SLOW = """
import os, signal, sys, threading
from tinygpt.interrupt import Interrupt
with Interrupt(0.1, "what was saved stands") as interrupt:
    os.kill(os.getpid(), int(sys.argv[1]))
    threading.Event().wait(60)
    print("not reached", flush=True)
"""
IN_TIME = """
import os, signal, threading
from tinygpt.interrupt import Interrupt
def rest():
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join()
opened = len(os.listdir("/proc/self/fd"))
with Interrupt(0.1, "not said") as interrupt:
    pass
rest()
with Interrupt(0.1, "not said") as interrupt:
    os.kill(os.getpid(), signal.SIGTERM)
rest()
with Interrupt(0.1, "not said") as interrupt:
    os.kill(os.getpid(), signal.SIGTERM)
    interrupt.lift()
    rest()
    print(interrupt.exit_code)
with Interrupt(0.1, "not said") as interrupt:
    interrupt.lift()
    os.kill(os.getpid(), signal.SIGTERM)
    rest()
    print(interrupt.exit_code)
print(len(os.listdir("/proc/self/fd")) - opened)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_process_that_is_asked_and_does_not_leave_in_time_leaves_at_once(
    number: signal.Signals, code: int
) -> None:
    done = python(SLOW, int(number))
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "what was saved stands\n")


def test_a_process_that_leaves_in_time_or_has_no_limit_any_more_is_left_alone() -> None:
    done = python(IN_TIME)
    assert (done.returncode, done.stdout, done.stderr) == (0, "143\n143\n0\n", "")


def test_nobody_is_waited_for_long_after_a_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    with Interrupt() as interrupt:
        assert not interrupt.is_late()
        signal.raise_signal(signal.SIGTERM)
        assert not interrupt.is_late()
        monkeypatch.setattr(interrupt_module, "PATIENCE_SECONDS", 0.0)
        assert interrupt.is_late()


HASTY_TRAIN = """
import sys
from tinygpt import train
train.LIMIT_SECONDS = 0.2
sys.exit(train.main(sys.argv[1:]))
"""


def test_a_training_in_a_very_long_evaluation_leaves_in_time_with_its_checkpoint(
    tiny_settings: list[str], text_file: Path, tmp_path: Path
) -> None:
    long, run_dir = tmp_path / "long.txt", RunDir(tmp_path / "run")
    long.write_bytes(text_file.read_bytes() * 1000)
    # The first evaluation goes through all of a text that takes minutes.
    settings = [*tiny_settings, f"data.corpus={long}", "train.eval_iters=0"]
    command = [sys.executable, "-c", HASTY_TRAIN, *settings, "--out", str(run_dir.path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not (run_dir.checkpoints / "step-00000000").exists():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143
    assert errors.startswith("stopped: no step ended within ")
    assert errors.count("\n") == 1
    assert os.listdir(run_dir.checkpoints) == ["step-00000000"]


def test_a_second_signal_stops_at_once_though_nobody_reads_what_it_says() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", TWICE, str(int(signal.SIGTERM))],
        stdout=subprocess.PIPE,
        stderr=writing,
        check=False,
    )
    os.close(writing)
    assert done.returncode == 143
