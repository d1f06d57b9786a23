"""Ctrl-C and SIGTERM: the first asks to stop at the next step, the second stops at once."""

import contextlib
import os
import select
import signal
import threading
import time
from types import FrameType

PATIENCE_SECONDS = 8.0
"""How long a process that was asked to stop waits for others."""
LIMIT_SECONDS = 9.0
"""How long it may take to leave."""


class Interrupt:
    """A context in which the two signals set `signal` instead of raising.

    With a `limit` a process that is asked and has not left the context after so many seconds
    leaves at once, with the signal's exit code and these last words on standard error: what it is
    at may take very long. Handlers are restored at the end. Only the main thread may use it.
    """

    def __init__(self, limit: float | None = None, last_words: str = "") -> None:
        self.signal: int | None = None
        self._limit, self._last_words = limit, last_words
        self._asked_at = 0.0
        self._alarm: int | None = None

    def __enter__(self) -> "Interrupt":
        if self._limit is not None:
            # A pipe, because a handler may not wait for the lock of an Event or of a new thread.
            heard, self._alarm = os.pipe()
            leaving = threading.Thread(target=self._leave, args=(heard, self._limit), daemon=True)
            leaving.start()
        signals = (signal.SIGINT, signal.SIGTERM)
        self._before = {number: signal.signal(number, self._handle) for number in signals}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self.lift()

    def __bool__(self) -> bool:
        """Whether a signal came."""
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """130 after Ctrl-C, 143 after SIGTERM."""
        return 128 + (self.signal or 0)

    def is_late(self) -> bool:
        """Whether a signal came so long ago that nobody is to be waited for any more."""
        return bool(self) and time.monotonic() - self._asked_at > PATIENCE_SECONDS

    def lift(self) -> None:
        """Have no limit any more, whether or not a signal came."""
        alarm, self._alarm = self._alarm, None
        if alarm is not None:
            os.close(alarm)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            _say("\nstopped at once; what was saved stands, the same command goes on")
            os._exit(128 + number)
        self.signal, self._asked_at = number, time.monotonic()
        if self._alarm is not None:
            os.write(self._alarm, b"!")

    def _leave(self, heard: int, limit: float) -> None:
        """Wait for a signal, then for the limit; the pipe ends when it is lifted."""
        asked, lifted = os.read(heard, 1), select.poll()
        lifted.register(heard, select.POLLIN)
        if asked and not lifted.poll(1000 * limit):
            _say(self._last_words)
            os._exit(self.exit_code)
        os.close(heard)


def _say(line: str) -> None:
    """Say something last; nobody may be reading, and the process must leave all the same."""
    with contextlib.suppress(OSError):
        os.write(2, f"{line}\n".encode())
