"""Keeps the mirror to W&B running beside the driver, which never waits for it before the end."""

import dataclasses
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from experiments.driver import Driver, Listener
from experiments.process import Child, Message
from experiments.spec import WandbConfig
from experiments.terminal import Terminal

MAX_RESTARTS = 3
TICK_SECONDS = 0.2
FINISH_SECONDS = 60.0
"""How long the end of a sweep waits for W&B."""


class Mirroring:
    """The mirror process of a sweep; none if W&B is disabled."""

    def __init__(self, path: Path, options: WandbConfig, terminal: Terminal) -> None:
        self._path, self._options, self._terminal, self._restarts = path, options, terminal, 0
        self.cpu_seconds = 0.0
        mode = os.environ.get("WANDB_MODE", "") if options.mode == "auto" else options.mode
        self.child: Child | None = self._start() if mode != "disabled" else None

    def join(self, driver: Driver) -> None:
        """Have the driver listen to the mirror beside its workers."""
        if self.child is not None:
            driver.listen(Listener(self.child, self.hear))

    def hear(self) -> Child | None:
        """Print what the mirror has to say; if it died, start another and return that."""
        assert self.child is not None
        self._take(self.child.receive())
        if not self.child.alive:
            self._revive(self.child)
        return self.child

    def finish(self, seconds: float, hurry: Callable[[], bool] = lambda: False) -> None:
        """Let the mirror catch up with the record, for at most so long and until `hurry`."""
        if self.child is None:
            return
        self.child.dismiss()
        deadline = time.monotonic() + seconds
        while self.child.alive and time.monotonic() < deadline and not hurry():
            self._take(self.child.poll(TICK_SECONDS))
        code = self.child.join(seconds=1.0 if not self.child.alive else 0.0)
        if code != 0:
            self._later(f"is not level with the record ({self.child.last_words()})")
        self.child.close()

    def _take(self, messages: list[Message]) -> None:
        for message in messages:
            if message["event"] == "mode":
                self._terminal.say(message["text"])
            else:
                self.cpu_seconds += message["cpu_seconds"]

    def _start(self) -> Child:
        options = json.dumps(dataclasses.asdict(self._options))
        return Child("experiments.mirror", str(self._path), options)

    def _revive(self, child: Child) -> None:
        code, words = child.join(), child.last_words()
        child.close()
        self._restarts += 1
        if self._restarts <= MAX_RESTARTS:
            self.child = self._start()
        else:
            self.child = None
            self._later(f"stopped (exit code {code}: {words})")

    def _later(self, what: str) -> None:
        command = f"python -m experiments.publish {self._path}"
        self._terminal.warn(f"W&B {what}; nothing is lost, `{command}` makes it level")
