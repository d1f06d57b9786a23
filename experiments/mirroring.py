"""Keeps the mirror to W&B running beside the driver, which never waits for it before the end."""

import dataclasses
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from experiments.driver import Driver, Listener
from experiments.process import Child, Message
from experiments.terminal import Terminal
from experiments.wandbconfig import WandbConfig
from tinygpt.exits import DONE, TEMPORARY
from tinygpt.schema import ConfigError, Problem

MAX_RESTARTS = 3
HEALTHY_SECONDS = 10.0
"""A mirror that has lived so long begins a new count of restarts."""
TICK_SECONDS = 0.2
HELLO_SECONDS = 30.0


class Mirroring:
    """The mirror process of a sweep; none if W&B is disabled.

    It is begun early, so that its client is loaded beside the workers', and sent off by `join`.
    """

    def __init__(self, path: Path, options: WandbConfig, terminal: Terminal) -> None:
        self._path, self._options, self._terminal, self._restarts = path, options, terminal, 0
        self.cpu_seconds = 0.0
        self._begun, self._heard = False, list[Message]()
        mode = os.environ.get("WANDB_MODE", "") if options.mode == "auto" else options.mode
        self.child: Child | None = self._start() if mode != "disabled" else None

    def greet(self, hurry: Callable[[], bool] = lambda: False) -> None:
        """Hear where the runs go. Raises ConfigError if they cannot go there whatever happens: no
        key, or one that is none."""
        deadline = time.monotonic() + HELLO_SECONDS
        while self.child and self.child.alive and time.monotonic() < deadline and not hurry():
            for message in self.child.poll(TICK_SECONDS):
                if message["event"] == "refused":
                    raise ConfigError([Problem((), message["text"])])
                self._heard = [message]
                return

    def dismiss(self) -> None:
        """Have the mirror leave, if it is still there. One that has not begun has nothing to do
        before."""
        if self.child is None:
            return
        if not self._begun:
            self.child.kill()
            self.child.join()
        self.child.close()

    def begin(self) -> None:
        """Have the mirror follow what is there from now on."""
        self._begun = True
        self._take(self._heard)
        self._heard = []
        if self.child is not None:
            self.child.send(event="begun")

    def join(self, driver: Driver) -> None:
        """Have the driver listen to the mirror beside its workers."""
        self.begin()
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
        deadline = time.monotonic() + seconds
        code = self._last_round(deadline, hurry)
        while code not in (DONE, TEMPORARY) and self._may_try_again(deadline) and not hurry():
            code = self._last_round(deadline, hurry)
        if code != DONE:
            self._later(f"is not level with the record ({self.child.last_words()})")
        self.child.close()

    def _last_round(self, deadline: float, hurry: Callable[[], bool]) -> int:
        """Have the mirror come to its end; its exit code."""
        assert self.child is not None
        self.child.dismiss()
        while self.child.alive and time.monotonic() < deadline and not hurry():
            self._take(self.child.poll(TICK_SECONDS))
        return self.child.join(seconds=1.0 if not self.child.alive else 0.0)

    def _may_try_again(self, deadline: float) -> bool:
        """Start another mirror in place of one that was killed, if there is time for it."""
        assert self.child is not None
        self._restarts += 1
        if self._restarts > MAX_RESTARTS or time.monotonic() > deadline:
            return False
        self.child.close()
        self.child = self._start()
        self.begin()
        return True

    def _take(self, messages: list[Message]) -> None:
        for message in messages:
            if message["event"] in ("mode", "page"):
                if not self._restarts:
                    self._terminal.say(message["text"])
            elif message["event"] in ("warning", "refused"):
                self._terminal.warn(message["text"])
            else:
                self.cpu_seconds += message["cpu_seconds"]

    def _start(self) -> Child:
        options = json.dumps(dataclasses.asdict(self._options))
        self._since = time.monotonic()
        return Child("experiments.mirror", str(self._path), options)

    def _revive(self, child: Child) -> None:
        code, words = child.join(), child.last_words()
        child.close()
        healthy = time.monotonic() - self._since > HEALTHY_SECONDS
        self._restarts = 1 if healthy else self._restarts + 1
        if self._restarts <= MAX_RESTARTS:
            self.child = self._start()
            self.begin()
        else:
            self.child = None
            self._later(f"stopped (exit code {code}: {words})")

    def _later(self, what: str) -> None:
        command = f"python -m experiments.publish {self._path}"
        self._terminal.warn(f"W&B {what}; nothing is lost, `{command}` makes it level")
