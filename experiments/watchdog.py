"""Ends a process whose W&B client hangs: nothing else would."""

import os
import sys
import threading

from tinygpt.exits import TEMPORARY

HANG_SECONDS = 300.0


class Watchdog:
    """Ends the process if what is done in its context takes longer than anything should: W&B's own
    process may hang, and with it whoever talks to it."""

    def __init__(self, seconds: float = HANG_SECONDS) -> None:
        self._timer = threading.Timer(seconds, self._bite)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *exception: object) -> None:
        self._timer.cancel()

    def _bite(self) -> None:
        message = "W&B: its client does not answer; run the same command again"
        print(f"error: {message}", file=sys.stderr, flush=True)
        os._exit(TEMPORARY)
