"""A warmed process whose children run the product's commands without loading anything again.

Its children are forked, so it has no thread of its own that could hold a lock at that moment. What
a killed child leaves behind becomes a child of the process that judges, which waits for it.
"""

import contextlib
import ctypes
import gc
import os
import select
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO, NoReturn, TypeVar

from tinygpt import durable

SET_CHILD_SUBREAPER = 36
"""From linux/prctl.h."""
MOST_DESCRIPTORS = 4096

Case = TypeVar("Case")


class LateError(Exception):
    """Something has not ended in its time."""


def scratch() -> str:
    """A new directory for what is tortured, in memory if that can be: no power is cut here."""
    memory = Path("/dev/shm")
    return tempfile.mkdtemp(prefix="chaos-", dir=memory if os.access(memory, os.W_OK) else None)


def each(
    cases: Iterable[Case], judge: Callable[[Case], Sequence[str]], jobs: int
) -> Iterator[tuple[Case, list[str]]]:
    """Judge every case in a process of its own, so many at a time; what was found of each, as they
    come to their end."""
    running: dict[int, tuple[Case, BinaryIO]] = {}
    for case in cases:
        if len(running) == jobs:
            yield _next(running)
        pid, answer = _judging(case, judge)
        running[pid] = case, answer
    while running:
        yield _next(running)


def _judging(case: Case, judge: Callable[[Case], Sequence[str]]) -> tuple[int, BinaryIO]:
    answer = tempfile.TemporaryFile()  # noqa: SIM115 (closed in _next)

    def work() -> int:
        ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1)
        answer.write("\n".join(judge(case)).encode())
        answer.flush()
        return 0

    return forked(work), answer


def _next(running: dict[int, tuple[Case, BinaryIO]]) -> tuple[Case, list[str]]:
    pid, status = os.wait()
    case, answer = running.pop(pid)
    with answer:
        answer.seek(0)
        findings = answer.read().decode().splitlines()
    code = os.waitstatus_to_exitcode(status)
    return case, [*findings, *([f"its judge ended with {code}"] if code else [])]


def forked(work: Callable[[], int], log: Path | None = None) -> int:
    """Have a child do some work, its output in a file; returns its id. It ends with the code that
    the work returns."""
    sys.stdout.flush()
    if pid := os.fork():
        return pid
    if log is not None:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
    leave(work)


def leave(work: Callable[[], int | None]) -> NoReturn:
    """Do some work in a child, and end there without what its parent would do at its end."""
    # What belongs to the parent is not to be collected here, and its descriptors closed.
    gc.freeze()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    code = 1
    try:
        code = work() or 0
    except SystemExit as leaving:
        code = int(leaving.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def ended(pid: int, seconds: float) -> int:
    """Wait for a child; its exit code, negative for a signal. Raises LateError."""
    with within(seconds):
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def alone(seconds: float) -> bool:
    """Wait until no process is left below this one; false, and they are killed, if some stay."""
    with contextlib.suppress(ChildProcessError):
        try:
            with within(seconds):
                while True:
                    os.waitpid(-1, 0)
        except LateError:
            end_all()
            return False
    return True


def end_all() -> None:
    """Kill whatever is left below this process."""
    with contextlib.suppress(ChildProcessError):
        while True:
            for pid in _children():
                os.kill(pid, signal.SIGKILL)
            os.waitpid(-1, 0)


def _children() -> list[int]:
    here = os.getpid()
    return [int(pid) for pid in Path(f"/proc/{here}/task/{here}/children").read_text().split()]


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise LateError if what is done in it takes longer."""

    def late(number: int, frame: FrameType | None) -> None:
        raise LateError

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class ForkedWorker:
    """A worker of a driver: what `experiments.process` wants of subprocess.Popen, but a fork of the
    driver that becomes `experiments.worker`, since loading torch takes a second."""

    hooks: Mapping[int, Callable[[str, Path, bytes], None]] = {}
    """What happens at the points of the worker that is started as the first, second, ..."""
    started = 0

    def __init__(
        self, command: Sequence[str], stdin: int, stdout: int, stderr: BinaryIO, env: dict[str, str]
    ) -> None:
        assert command[2] == "experiments.worker", "no other child is forked"
        hook = self.hooks.get(ForkedWorker.started)
        ForkedWorker.started += 1
        orders, ours = os.pipe()
        theirs, answers = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if not self.pid:
            leave(lambda: become_worker(orders, answers, stderr.fileno(), env, hook))
        os.close(orders)
        os.close(answers)
        self.stdin, self.stdout = os.fdopen(ours, "wb"), os.fdopen(theirs, "rb")
        self._code: int | None = None

    def kill(self) -> None:
        if self._code is None:
            os.kill(self.pid, signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        if self._code is None:
            life = os.pidfd_open(self.pid)
            try:
                if not select.select([life], [], [], timeout)[0]:
                    raise subprocess.TimeoutExpired("worker", timeout or 0)
            finally:
                os.close(life)
            self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._code


def become_worker(
    orders: int, answers: int, errors: int, env: dict[str, str], hook: Any
) -> int | None:
    """Be a worker as one that was started by exec: its three descriptors, its environment and the
    signals that nobody handles."""
    from experiments.worker import Channel, Worker

    for number, descriptor in enumerate((orders, answers, errors)):
        os.dup2(descriptor, number)
    os.closerange(3, MOST_DESCRIPTORS)
    os.environ.clear()
    os.environ.update(env)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    durable.failpoint = hook
    Worker(Channel()).work()
    return None
