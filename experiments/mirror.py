"""A process that keeps Weights & Biases level with the record of a sweep, or of one run.

It only reads what the trainers write and repeats it there: one W&B run per trial, its rows with
their own steps, and one for the sweep. Live logging, catching up after a kill and late upload are
the same work. Nothing waits for it, and whatever goes wrong in it costs no training: it may die at
any line and be started again.
"""

import contextlib
import json
import os
import select
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from experiments import client, fragments, provenance
from experiments.client import UnreachableError
from experiments.runmirror import RunMirror, Target, fingerprint
from experiments.sweepmirror import SweepMirror
from experiments.tracked import Source, Sources, has_begun, home_of
from experiments.wandbconfig import WandbConfig
from experiments.watchdog import Watchdog
from tinygpt.exits import BAD_INPUT, DONE, TEMPORARY
from tinygpt.files import BusyError, RecordError, locked

POLL_SECONDS = 1.0
PREDECESSOR_SECONDS = 30.0
"""How long the mirror of a sweep that was killed may take to leave."""
RETRY_SECONDS = 30.0
"""How long a server that could not be had is left alone."""
TRY_AGAIN = 1
"""The exit code of a mirror that another one can go on for."""
MAX_OPEN = 16
"""How many W&B runs are followed at a time; of more, the quietest are closed until they go on."""
CLOSING = 4
"""How many runs that have ended are closed at a time."""


@dataclass(frozen=True)
class Closing:
    """A run that has ended, its result and that one's fingerprint, and its mirror, which has logged
    all of it; None if that was done before."""

    source: Source
    result: Mapping[str, Any]
    fingerprint: str
    mirror: RunMirror | None


class Mirror:
    """All runs of a sweep's or a run's directory, mirrored."""

    def __init__(self, sources: Sources, target: Target) -> None:
        self._sources, self._target, self._ledger = sources, target, target.ledger
        self._pending: dict[str, Source] = {}
        self._open: dict[str, RunMirror] = {}
        whole = sources.sweep is not None and sources.only is None
        self._sweep = SweepMirror(sources, target) if whole else None
        self._is_sweep_told: bool | None = None
        self._warned: set[str] = set()
        self.warnings: list[str] = []

    def catch_up(self) -> None:
        """Bring every run level with its record as it is now; raises UnreachableError."""
        for source in self._sources.new():
            self._pending[source.id] = source
        self._close_ended([s for s in self._pending.values() if s.run_dir.result.exists()])
        for source in list(self._pending.values()):
            with self._warning(source), Watchdog():
                self._follow(source)
        if self._sweep and self._is_sweep_told is None:
            self._is_sweep_told = self._is_told()
        if self._sweep and not self._is_sweep_told:
            with Watchdog():
                self._sweep.catch_up()

    @property
    def url(self) -> str | None:
        """The page to look at: the sweep's, else the run's; None offline, or not yet open."""
        if self._sweep:
            return self._sweep.url
        return next((mirror.url for mirror in self._open.values()), None)

    def finish(self) -> None:
        """Bring all level and let go of what has not ended; the next mirror goes on with it."""
        self.catch_up()
        for mirror in self._open.values():
            with Watchdog():
                mirror.interrupt()
        self._open.clear()
        if self._sweep:
            with Watchdog():
                self._finish_sweep(self._sweep)

    def _finish_sweep(self, sweep: SweepMirror) -> None:
        if self._is_told():
            return
        if self._pending or not self._sources.sweep_dir.is_finished():
            sweep.interrupt()
        else:
            sweep.close()
            state = self._sources.fingerprint()
            self._ledger.close(self._sources.id, state, self._target.place, sweep.directory)

    def _is_told(self) -> bool:
        """Whether the sweep's own run says all of it."""
        state = self._sources.fingerprint()
        return self._ledger.is_closed(self._sources.id, state, self._target.place)

    def _follow(self, source: Source) -> None:
        # A trial that waits for its first row can wait for W&B too.
        if source.run_dir.metrics.exists() and self._mirror(source).catch_up():
            self._open[source.id] = self._open.pop(source.id)  # the quietest stand in front

    def _close_ended(self, ended: Sequence[Source]) -> None:
        """Log the rest of the runs that have ended, one after the other, for W&B's client bears no
        more; but while some of them wait for the server, others are logged."""
        with ThreadPoolExecutor(CLOSING) as pool:
            closings: dict[Future[None], Closing] = {}
            for source in ended:
                with self._warning(source):
                    closing = self._conclude(source)
                    if closing.mirror:
                        closings[pool.submit(closing.mirror.finish, closing.result)] = closing
                    else:
                        self._note(closing)
                if len(closings) >= CLOSING:
                    self._await(closings, FIRST_COMPLETED)
            self._await(closings, ALL_COMPLETED)

    def _conclude(self, source: Source) -> Closing:
        """Log the rest of a run, unless all of it was brought before."""
        result = source.run_dir.read_result()
        assert result is not None
        state = fingerprint(source.run_dir.result)
        if self._ledger.is_closed(source.id, state, self._target.place):
            return Closing(source, result, state, None)
        mirror = self._mirror(source)
        with Watchdog():
            mirror.conclude(result)
        del self._open[source.id]
        return Closing(source, result, state, mirror)

    def _await(self, closings: dict[Future[None], Closing], until: str) -> None:
        """Wait for the first or for all of these, and remember what is closed."""
        for done in wait(closings, return_when=until).done:
            closing = closings.pop(done)
            done.result()
            self._note(closing)

    def _note(self, closing: Closing) -> None:
        """Remember that a run is closed, and tell the sweep's."""
        source, mirror = closing.source, closing.mirror
        if mirror:
            place, directory = self._target.place, mirror.directory
            self._ledger.close(source.id, closing.fingerprint, place, directory)
            self._is_sweep_told = None
            if self._target.online:
                fragments.drop(self._target.home, directory)
        del self._pending[source.id]
        if self._sweep:
            self._sweep.take(self._sources.trial(source, closing.result))

    def _mirror(self, source: Source) -> RunMirror:
        if source.id not in self._open:
            if len(self._open) >= MAX_OPEN:
                self._open.pop(next(iter(self._open))).interrupt()
            self._open[source.id] = RunMirror(source, self._target)
        return self._open[source.id]

    @contextlib.contextmanager
    def _warning(self, source: Source) -> Iterator[None]:
        """Go on without a run whose record cannot be read, and say so once."""
        try:
            yield
        except RecordError as error:
            if source.id not in self._warned:
                self._warned.add(source.id)
                self.warnings.append(str(error))


def is_online(options: WandbConfig) -> bool:
    """What the mode comes to on this machine; `auto` heeds W&B's own WANDB_MODE. Raises
    client.KeyFormatError."""
    mode = os.environ.get("WANDB_MODE", "auto") if options.mode == "auto" else options.mode
    if mode == "offline":
        return False
    return client.logged_in() or mode == "online"


@contextlib.contextmanager
def sole(home: Path) -> Iterator[None]:
    """Be the only mirror of a directory, once an orphaned one has left; raises BusyError."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    deadline = time.monotonic() + PREDECESSOR_SECONDS
    while True:
        try:
            with locked(home / "mirror.lock"):
                yield
                return
        except BusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


class Following:
    """One mirror process: it says where the runs go, waits for the sweep to begin, and follows it
    until its input is closed."""

    def __init__(self, path: Path, options: WandbConfig, answers: TextIO) -> None:
        self._path, self._options, self._answers = path, options, answers
        self._retry_at, self._reached, self._is_shown = 0.0, True, False

    def run(self) -> int:
        """Returns the exit code."""
        home = home_of(self._path)
        client.isolate(home)
        try:
            online = is_online(self._options)
        except client.KeyFormatError as error:
            self._say("refused", text=f"W&B: {error}; `wandb login` takes another")
            return BAD_INPUT
        if online and not client.logged_in():
            self._say("refused", text=NO_KEY)
            return BAD_INPUT
        self._say("mode", text=mode_line(self._options, online, self._path))
        heard = os.read(0, 4096)  # the sweep has begun, or nobody is there any more
        if not heard and not has_begun(self._path):
            return DONE
        with sole(home):
            try:
                return self._follow(home, online, live=bool(heard))
            except client.GoneError as error:
                print(error, file=sys.stderr)
                client.abandon(TRY_AGAIN)

    def _follow(self, home: Path, online: bool, live: bool) -> int:
        source = remembered(home, self._options)
        mirror = Mirror(Sources(self._path), Target(home, self._options, online, provenance=source))
        while live and not closed_within(POLL_SECONDS):
            self._try(mirror)
        level = self._finish(mirror)
        times = os.times()
        used = times.user + times.system + times.children_user + times.children_system
        self._say("left", cpu_seconds=used)
        return DONE if level else TEMPORARY

    def _try(self, mirror: Mirror) -> None:
        if time.monotonic() < self._retry_at:
            return
        try:
            mirror.catch_up()
            self._reach()
            self._show(mirror.url)
        except UnreachableError as error:
            self._retry_at = time.monotonic() + RETRY_SECONDS
            self._lose(error)
        while mirror.warnings:
            self._say("warning", text=f"W&B lacks {mirror.warnings.pop()}")

    def _finish(self, mirror: Mirror) -> bool:
        try:
            mirror.finish()
        except UnreachableError as error:
            print(error, file=sys.stderr)
            return False
        client.leave()
        return True

    def _show(self, url: str | None) -> None:
        if url and not self._is_shown:
            self._is_shown = True
            self._say("page", text=f"W&B: {url}")

    def _reach(self) -> None:
        if not self._reached:
            self._reached = True
            self._say("warning", text="W&B can be had again")

    def _lose(self, error: UnreachableError) -> None:
        if self._reached:
            self._reached = False
            self._say("warning", text=f"W&B cannot be had ({error}); training goes on without it")

    def _say(self, event: str, **facts: Any) -> None:
        """Tell the process that started this one; it may be gone."""
        with contextlib.suppress(BrokenPipeError):
            self._answers.write(json.dumps({"event": event, **facts}) + "\n")
            self._answers.flush()


NO_KEY = (
    "wandb.mode: is online and there is no key for it; `wandb login` once, or set wandb.mode to "
    "auto or offline"
)


def closed_within(seconds: float) -> bool:
    """Whether standard input is closed within so many seconds."""
    readable, _, _ = select.select([0], [], [], seconds)
    return bool(readable) and not os.read(0, 4096)


def remembered(home: Path, options: WandbConfig) -> provenance.Provenance | None:
    """The code that the sweep is run with now, kept for a later upload."""
    found = provenance.found(Path.cwd()) if options.git else None
    if found:
        provenance.write(home / "source.json", found)
    return found


def mode_line(options: WandbConfig, online: bool, path: Path) -> str:
    """One line that says where the runs go, and why."""
    if online:
        return f"W&B: online, project {options.project}"
    asked = options.mode == "offline" or os.environ.get("WANDB_MODE") == "offline"
    why = "as asked" if asked else "not logged in"
    return f"W&B: offline ({why}); upload later with `python -m experiments.publish {path}`"


def main() -> int:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    os.umask(0o077)  # what W&B writes may hold more than the record does
    # Ctrl-C reaches the whole group; only the driver answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(10)
    options: Mapping[str, Any] = json.loads(sys.argv[2])
    return Following(Path(sys.argv[1]), WandbConfig(**options), answers).run()


if __name__ == "__main__":
    raise SystemExit(main())
