"""Child processes that speak lines of JSON on their standard input and output."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

Message = dict[str, Any]

ENDING_SECONDS = 15.0
"""How long a child may take to leave once its input is closed; a save is made in that time."""
TICK_SECONDS = 0.1


class Child:
    """`python -m MODULE`, started by exec in the process group of its parent.

    It leaves when its standard input is closed, so it never outlives its parent for long.
    """

    def __init__(
        self, module: str, *arguments: str, gpu: int | None = None, threads: int | None = 1
    ) -> None:
        """`gpu` is the only one that the child sees, by its index among those this process sees;
        None: it sees the same ones. `threads` is how many it has until it sets its own; None:
        as many as its libraries choose."""
        # A wandb-core of a parent must not be shared, and the host's thread count must not decide:
        # a worker sets its own from the config.
        environment = {k: v for k, v in os.environ.items() if k != "WANDB_SERVICE"}
        environment |= {"PYTHONUNBUFFERED": "1"}
        if threads is not None:
            environment["OMP_NUM_THREADS"] = str(threads)
        if gpu is not None:
            environment["CUDA_VISIBLE_DEVICES"] = visible(gpu, os.environ)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed in close)
        with _without_interrupts():
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=environment,
            )
        self._buffer = b""
        self.alive = True

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_stopped(self) -> bool:
        """Whether the kernel lists the child as stopped, by SIGSTOP or a debugger; where there is
        no /proc that is not known, and false."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text(errors="replace")
        except FileNotFoundError:
            return False
        return stat.rpartition(")")[2].split()[0] in ("T", "t")

    def fileno(self) -> int:
        """What becomes readable when the child has said something or is gone."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def send(self, **message: Any) -> None:
        """Say something to the child; if it is gone, `receive` will find out."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write((json.dumps(message) + "\n").encode())
            self._process.stdin.flush()

    def receive(self) -> list[Message]:
        """What the child has said, once `fileno` is readable; `alive` becomes false if it is
        gone."""
        chunk = os.read(self.fileno(), 1 << 16)
        if not chunk:
            self.alive = False
        *lines, self._buffer = (self._buffer + chunk).split(b"\n")
        return [json.loads(line) for line in lines]

    def poll(self, seconds: float) -> list[Message]:
        """What the child says within so many seconds."""
        readable, _, _ = select.select([self], [], [], seconds)
        return self.receive() if readable else []

    def dismiss(self) -> None:
        """Close the child's input; it will save and leave."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()

    def kill(self) -> None:
        self._process.kill()

    def join(
        self, seconds: float = ENDING_SECONDS, hurry: Callable[[], bool] = lambda: False
    ) -> int:
        """Wait for a dismissed child, for at most so long and until `hurry`, and kill it if it
        stays; returns its exit code."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and not hurry():
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self._process.wait(min(left, TICK_SECONDS))
        self._process.kill()
        return self._process.wait()

    def close(self) -> None:
        """Let go of the pipes of a child that has left."""
        assert self._process.stdout is not None
        self.dismiss()
        self._process.stdout.close()
        self._errors.close()

    def last_words(self) -> str:
        """The last line that the child wrote to its standard error."""
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def worker(number: int, gpus: Sequence[int]) -> Child:
    """Start the worker of a number, on its GPU."""
    return Child("experiments.worker", gpu=gpu_of(number, gpus))


def gpu_of(number: int, gpus: Sequence[int]) -> int | None:
    """The one of the GPUs that a worker has: they are taken in turn; None if none is named."""
    return gpus[number % len(gpus)] if gpus else None


def describe(code: int) -> str:
    """An exit code in words."""
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def visible(gpu: int, environment: Mapping[str, str]) -> str:
    """What CUDA calls the GPU with an index among those that an environment leaves visible; an
    index that none has hides them all."""
    among = environment.get("CUDA_VISIBLE_DEVICES")
    if among is None:
        return str(gpu)
    names = [name.strip() for name in among.split(",") if name.strip()]
    return names[gpu] if gpu < len(names) else ""


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """What is started meanwhile never hears a Ctrl-C, not even while it imports: it reaches the
    whole group, and only the command answers it. Here one that comes meanwhile is heard after."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
