"""What goes wrong with a server: refusals of some or all requests, silence, slowness."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

POLL_SECONDS = 0.1
PATIENCE_SECONDS = 60.0


@dataclass
class Refusal:
    """A status that some requests get; `times` more of them, None: all."""

    status: int
    times: int | None = None


class Faults:
    """The faults of a server. A kind of request is `graphql`, `file_stream`, `files` for those of
    runs, `storage` for those and artifacts', or the name of a GraphQL operation; `*` is all."""

    def __init__(self) -> None:
        self.refusals: dict[str, Refusal] = {}
        self.seconds = 0.0
        self.hanging = False
        self.waiting = 0
        """Requests that are made to wait now."""
        self._change = threading.Condition()

    def fail(self, kind: str, status: int, times: int | None = None) -> None:
        """Refuse requests of a kind."""
        with self._change:
            self.refusals[kind] = Refusal(status, times)

    def outage(self, status: int = 503) -> None:
        """Refuse every request."""
        self.fail("*", status)

    def unauthorised(self) -> None:
        """Know nobody any more."""
        self.fail("*", 401)

    def hang(self) -> None:
        """Accept requests and answer none."""
        self.hanging = True

    def slow(self, seconds: float) -> None:
        """Take so long for each answer."""
        self.seconds = seconds

    def heal(self) -> None:
        """Be well again; requests that hang are answered, if whoever sent them is still there."""
        with self._change:
            self.refusals.clear()
            self.seconds = 0.0
            self.hanging = False
            self._change.notify_all()

    def status(self, *kinds: str, gone: Callable[[], bool]) -> int | None:
        """The status that a request of these kinds is refused with; it takes its time. Raises
        ConnectionAbortedError if meanwhile nobody waits for the answer any more."""
        with self._change:
            if self.hanging or self.seconds:
                self._wait(gone)
            for kind in ("*", *kinds):
                refusal = self.refusals.get(kind)
                if refusal is not None and refusal.times != 0:
                    if refusal.times is not None:
                        refusal.times -= 1
                    return refusal.status
        return None

    def until_waiting(self) -> None:
        """Wait for a request that is made to wait; raises TimeoutError."""
        with self._change:
            if not self._change.wait_for(lambda: self.waiting, PATIENCE_SECONDS):
                raise TimeoutError

    def _wait(self, gone: Callable[[], bool]) -> None:
        self.waiting += 1
        self._change.notify_all()
        end = time.monotonic() + self.seconds
        while not gone() and (self.hanging or (left := end - time.monotonic()) > 0):
            self._change.wait(POLL_SECONDS if self.hanging else min(left, POLL_SECONDS))
        self.waiting -= 1
        if gone():
            raise ConnectionAbortedError
