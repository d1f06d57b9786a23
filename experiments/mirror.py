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
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, TextIO

from experiments import client, provenance
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
        """Close the runs that have ended, some at a time: each waits for the server."""
        with ThreadPoolExecutor(CLOSING) as pool:
            closings = {pool.submit(self._close, source): source for source in ended}
            try:
                for closing in as_completed(closings):
                    with self._warning(closings[closing]):
                        self._note(closings[closing], closing.result())
            finally:
                pool.shutdown(cancel_futures=True)

    def _close(self, source: Source) -> RunMirror | None:
        """The mirror of a run that it has closed; None if that was done before."""
        result = source.run_dir.read_result()
        assert result is not None
        state = fingerprint(source.run_dir.result)
        if self._ledger.is_closed(source.id, state, self._target.place):
            return None
        if source.id not in self._open:
            self._open[source.id] = RunMirror(source, self._target)
        mirror = self._open[source.id]
        with Watchdog():
            mirror.close(result)
        return mirror

    def _note(self, source: Source, closed: RunMirror | None) -> None:
        """Remember that a run is closed."""
        if closed:
            state = fingerprint(source.run_dir.result)
            self._ledger.close(source.id, state, self._target.place, closed.directory)
            self._is_sweep_told = None
        self._open.pop(source.id, None)
        del self._pending[source.id]
        result = source.run_dir.read_result()
        if self._sweep and result:
            self._sweep.take(self._sources.trial(source, result))

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
