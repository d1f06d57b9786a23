"""What goes wrong with a server: refusals of some or all requests, silence, slowness."""

import threading
import time
from dataclasses import dataclass, field


@dataclass
class Refusal:
    """A status that some requests get; `times` more of them, None: all."""

    status: int
    times: int | None = None


@dataclass
class Faults:
    """The faults of a server. A kind of request is `graphql`, `file_stream`, `files`, `storage`, or
    the name of a GraphQL operation; `*` is all."""

    refusals: dict[str, Refusal] = field(default_factory=dict)
    seconds: float = 0.0
    _answering: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._answering.set()

    def fail(self, kind: str, status: int, times: int | None = None) -> None:
        """Refuse requests of a kind."""
        self.refusals[kind] = Refusal(status, times)

    def outage(self, status: int = 503) -> None:
        """Refuse every request."""
        self.fail("*", status)

    def unauthorised(self) -> None:
        """Know nobody any more."""
        self.fail("*", 401)

    def hang(self) -> None:
        """Accept requests and answer none."""
        self._answering.clear()

    def slow(self, seconds: float) -> None:
        """Take so long for each answer."""
        self.seconds = seconds

    def heal(self) -> None:
        """Be well again; requests that hang are answered."""
        self.refusals.clear()
        self.seconds = 0.0
        self._answering.set()

    def status(self, *kinds: str) -> int | None:
        """The status that a request of these kinds is refused with; it takes its time."""
        self._answering.wait()
        time.sleep(self.seconds)
        for kind in ("*", *kinds):
            refusal = self.refusals.get(kind)
            if refusal is not None and refusal.times != 0:
                if refusal.times is not None:
                    refusal.times -= 1
                return refusal.status
        return None
