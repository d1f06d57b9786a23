"""A small disk in memory that only the processes started in it have, and what can be done to it."""

import os
import subprocess
from pathlib import Path
from typing import Any

OWN_MOUNTS = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]
HOLD = """
mount {options} "$1" && echo ready && exec cat
"""


class NotPermittedError(Exception):
    """This machine lets nobody mount anything."""


class OwnMounts:
    """A place where something is mounted for the processes started with `inside` before their
    command, and for nobody else; gone when it is closed."""

    def __init__(self, place: Path, options: str) -> None:
        """`options` are those of `mount`. Raises NotPermittedError."""
        place.mkdir(parents=True, exist_ok=True)
        self.place = place
        script = HOLD.format(options=options)
        self._holder = subprocess.Popen(
            [*OWN_MOUNTS, "sh", "-c", script, "sh", str(place)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != "ready\n":
            _, why = self._holder.communicate()
            raise NotPermittedError(why.strip())

    @property
    def inside(self) -> list[str]:
        """What stands before a command that is to run in it."""
        user = [] if os.geteuid() == 0 else ["-U", "--preserve-credentials"]
        return ["nsenter", "-t", str(self._holder.pid), *user, "-m", f"--wd={Path.cwd()}"]

    @property
    def seen(self) -> Path:
        """The place as it can be read from outside."""
        return Path(f"/proc/{self._holder.pid}/root") / self.place.relative_to("/")

    def run(self, *command: object, **options: Any) -> "subprocess.CompletedProcess[str]":
        """Run a command in it to its end."""
        words = [*self.inside, *map(str, command)]
        return subprocess.run(words, capture_output=True, text=True, check=False, **options)

    def close(self) -> None:
        self._holder.communicate()


class SmallDisk(OwnMounts):
    """A disk of so many bytes."""

    def __init__(self, place: Path, size: int) -> None:
        super().__init__(place, f"-t tmpfs -o size={size} tmpfs")

    def resize(self, size: int) -> None:
        """Make the disk larger or smaller."""
        done = self.run("mount", "-o", f"remount,size={size}", self.place)
        assert (done.returncode, done.stderr) == (0, "")


class ReadOnly(OwnMounts):
    """A directory that nobody can write to, not even root."""

    def __init__(self, place: Path) -> None:
        bind = f"--bind '{place}' '{place}' && mount -o remount,bind,ro"
        super().__init__(place, bind)
