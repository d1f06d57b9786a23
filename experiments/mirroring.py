"""Keeps the mirror to W&B running beside the driver, which never waits for it before the end."""

import dataclasses
import json
import os
from pathlib import Path

from experiments.driver import Driver, Listener
from experiments.process import Child
from experiments.spec import WandbConfig
from experiments.terminal import Terminal

MAX_RESTARTS = 3
FINISH_SECONDS = 60.0
"""How long the end of a sweep waits for W&B."""


class Mirroring:
    """The mirror process of a sweep; none if W&B is disabled."""

    def __init__(self, path: Path, options: WandbConfig, terminal: Terminal) -> None:
        self._path, self._options, self._terminal, self._restarts = path, options, terminal, 0
        mode = os.environ.get("WANDB_MODE", "") if options.mode == "auto" else options.mode
        self.child: Child | None = self._start() if mode != "disabled" else None

    def join(self, driver: Driver) -> None:
        """Have the driver listen to the mirror beside its workers."""
        if self.child is not None:
            driver.listen(Listener(self.child, self.hear))

    def hear(self) -> Child | None:
        """Print what the mirror has to say; if it died, start another and return that."""
        assert self.child is not None
        for message in self.child.receive():
            if message["event"] == "warning":
                self._terminal.warn(message["text"])
            else:
                self._terminal.say(message["text"])
        if not self.child.alive:
            self._revive(self.child)
        return self.child

    def finish(self, seconds: float) -> None:
        """Let the mirror catch up with the record, for at most so long."""
        if self.child is None:
            return
        self.child.dismiss()
        code = self.child.join(seconds)
        for message in self.child.poll(0):
            self._terminal.say(message["text"])
        self.child.close()
        if code != 0:
            self._later("is not level with the record")

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
