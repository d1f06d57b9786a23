"""The real command with two workers, killed at moments that a clock or its record chooses: it finds
the points that nobody has named."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chaos import forks, golden
from chaos.tally import Options, Tally
from tinygpt.exits import SOME_FAILED
from tinygpt.files import read_rows

ROOT = Path(__file__).resolve().parents[2]
WORKERS = 2
SWEEP_SECONDS = 180.0
"""How long a command may take that takes ten, on a machine that does other things too."""
LEAVING_SECONDS = 10.0
"""How long what a dead driver left behind may take to leave."""
LOADING_SECONDS = 20.0
"""How long a worker may take to load torch on a machine that does other things too."""
POLL_SECONDS = 0.005
SIZE = {"iterations": 36, "trials": 7}
MOST_KILLS = 8

VICTIMS = {"group": 10, "driver": 3, "worker": 2}
"""Who is killed, and how often beside the others; a mirror where there is one."""
MIRRORED = VICTIMS | {"mirror": 3}
NOWHERE = {"WANDB_BASE_URL": "http://127.0.0.1:9"}
"""The environment of a command that has no account."""
MODULES = {"worker": "experiments.worker", "mirror": "experiments.mirror"}


@dataclass(frozen=True)
class Kill:
    """Who is killed when: at a share of the seconds or of the record that the whole sweep takes."""

    victim: str
    clock: str
    share: float

    def __str__(self) -> str:
        return f"{self.victim} at {self.share:.0%} of the {self.clock}"


@dataclass(frozen=True)
class Whole:
    """A sweep that nobody disturbed: its file, its directory, how long the command took if that is
    known, and the size of its record."""

    file: Path
    path: Path
    seconds: float | None
    size: int


@dataclass(frozen=True)
class Case:
    """Kills that happen to a sweep one after the other, in its own directory."""

    whole: Whole
    kills: tuple[Kill, ...]
    place: Path

    def __str__(self) -> str:
        return f"{self.whole.file.stem}: {', '.join(map(str, self.kills))}"

    @property
    def path(self) -> Path:
        return self.place / "runs" / self.whole.path.name


def timed(options: Options, directory: Path) -> Tally:
    """About a hundred kills, or as many as the sample has."""
    tally, text = Tally("timed kills"), golden.text_file(directory)
    seen = Counter[str]()
    modes = (
        ["disabled"] if options.sample and options.sample < MOST_KILLS else ["disabled", "offline"]
    )
    wholes = [undisturbed(directory, text, mode) for mode in modes]
    cases = drawn(wholes, options.sample or 100, options.draw, directory)
    for case, answers in forks.each(cases, judged, options.jobs):
        tally.cases += 1
        findings = [line for line in answers if not line.startswith("phase ")]
        phases = [line for line in answers if line.startswith("phase ")]
        tally.faults += len(phases)
        seen.update(line.removeprefix("phase ") for line in phases)
        tally.findings += findings
        golden.report(f"{case} [{case.place.name}]", findings)
    for phase, count in seen.most_common():
        print(f"killed while {phase}: {count}")
    return tally


def undisturbed(directory: Path, text: Path, mode: str) -> Whole:
    """Run the sweep to its end, its mirror in a mode."""
    place = directory / f"golden {mode}"
    place.mkdir()
    file = golden.sweep_file(place, text, "median", **SIZE, wandb={"mode": mode})
    began = time.monotonic()
    process = Command(file, place).process
    assert process.wait(SWEEP_SECONDS) == SOME_FAILED, last_line(place)
    path = place / "runs" / "median"
    return Whole(file, path, time.monotonic() - began, record_size(path))


def drawn(wholes: Sequence[Whole], wanted: int, draw: random.Random, directory: Path) -> list[Case]:
    """Sweeps with so many kills in all, five to eight in each; every third one has a mirror."""
    cases: list[Case] = []
    left = wanted
    while left > 0:
        number = len(cases)
        mirrored = number % 3 == 1
        whole, victims = wholes[mirrored], MIRRORED if mirrored else VICTIMS
        count = min(left, draw.randint(5, MOST_KILLS))
        left -= count
        shares = sorted(draw.uniform(0, 1.0) for _ in range(count))
        chosen = draw.choices(list(victims), list(victims.values()), k=count)
        clocks = draw.choices(["record", "time"], [3, 0 if whole.seconds is None else 1], k=count)
        kills = tuple(Kill(*one) for one in zip(chosen, clocks, shares, strict=True))
        cases.append(Case(whole, kills, directory / f"kills {number}"))
    return cases


def judged(case: Case) -> list[str]:
    """The phases in which a sweep was killed, and what is wrong once it is done in spite of it."""
    case.place.mkdir()
    answers, command = list[str](), None
    befores: list[dict[str, golden.Standing]] = []
    for kill in case.kills:
        command = command or Command(case.whole.file, case.place)
        if not command.comes_to(kill, case.whole):
            break
        befores.append(golden.standings(case.path))
        # Who is still being loaded hears of nothing before that is done.
        limit = LEAVING_SECONDS + (LOADING_SECONDS if command.loads() else 0.0)
        answers += command.strike(kill.victim)
        if kill.victim in ("group", "driver"):
            command = None
            if not forks.alone(limit):
                answers.append(f"{kill}: processes are left after {limit:.0f} s")
    command = command or Command(case.whole.file, case.place)
    return [*answers, *finished(case, command, befores, len(answers))]


def finished(
    case: Case,
    command: "Command",
    befores: Sequence[dict[str, golden.Standing]],
    kills: int,
) -> list[str]:
    """Let the sweep end; what is wrong with it."""
    try:
        code = command.process.wait(SWEEP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(command.process.pid, signal.SIGKILL)
        return [f"repeated, it does not end: {last_line(case.place)}"]
    if code != SOME_FAILED:
        return [f"repeated, it ends with {code}: {last_line(case.place)}"]
    findings = [] if forks.alone(LEAVING_SECONDS) else ["repeated, it leaves processes behind"]
    findings += golden.sweep_differences(case.path, case.whole.path)
    for before in befores:
        for name, standing in before.items():
            findings += golden.lost(case.path / "trials" / name, standing)
    for trial in sorted((case.whole.path / "trials").iterdir()):
        there = case.path / "trials" / trial.name
        findings += golden.too_many_attempts(there, trial, kills)
    if not findings:
        shutil.rmtree(case.place)
    return findings


class Command:
    """The command on a sweep, in a process group of its own."""

    def __init__(self, file: Path, place: Path, environment: Mapping[str, str] = NOWHERE) -> None:
        self._path = place / "runs" / "median"
        self._began, self._known = time.monotonic(), begins(self._path)
        # No account, key or setting of a person counts.
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB_", "TINYGPT_"))}
        home = {"HOME": str(place), "NETRC": str(place / "netrc"), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "experiments.sweep", str(file), "--workers", str(WORKERS)]
        with open(place / "log", "ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=place,
                env={**kept, **home, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def comes_to(self, kill: Kill, whole: Whole) -> bool:
        """Wait for the moment of a kill; false if the command ends before it."""
        due = self._began + kill.share * (whole.seconds or 0.0)
        while self.process.poll() is None:
            late = time.monotonic() >= due
            there = record_size(self._path) >= kill.share * whole.size
            if late if kill.clock == "time" else there:
                return True
            time.sleep(POLL_SECONDS)
        return False

    def strike(self, victim: str) -> list[str]:
        """Kill someone; in what phase of the command, nothing if there is no such process."""
        phase = f"phase {self._phase()} ({victim})"
        if victim == "group":
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        elif victim == "driver":
            self.process.kill()
            self.process.wait()
        elif pids := self._victims(victim):
            os.kill(pids[0], signal.SIGKILL)
        else:
            return []
        return [phase]

    def _victims(self, victim: str) -> list[int]:
        if victim == "wandb-core":
            mirrors = children(self.process.pid, MODULES["mirror"])
            return [core for mirror in mirrors for core in children(mirror, victim)]
        return children(self.process.pid, MODULES[victim])

    def loads(self) -> bool:
        """Whether no worker has said yet that it is ready."""
        return begins(self._path) == self._known

    def _phase(self) -> str:
        if self.loads():
            return "loading"
        if read_rows(self._path / "events.jsonl")[-1]["event"] == "finished":
            return "reporting"
        if any(self._path.glob("trials/*/checkpoints/*.tmp")):
            return "saving"
        return "training" if self._trains() else "starting"

    def _trains(self) -> bool:
        """Whether a worker has begun an attempt since the command did."""
        now = time.time() - (time.monotonic() - self._began)
        return any(lock.stat().st_mtime > now for lock in self._path.glob("trials/*/run.lock"))


def children(parent: int, name: str) -> list[int]:
    """The children of a process in whose command line a module or a program of a name stands."""
    found = []
    with contextlib.suppress(OSError):
        for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            if any(Path(word).name == name for word in words if word):
                found.append(int(pid))
    return found


def begins(path: Path) -> int:
    """How many commands have opened a sweep."""
    rows = read_rows(path / "events.jsonl")
    return sum(row["event"] in ("started", "resumed") for row in rows)


def record_size(path: Path) -> int:
    """How far the trials of a sweep have come, in bytes."""
    size = 0
    for file in path.glob("trials/*/metrics.jsonl"):
        with contextlib.suppress(FileNotFoundError):
            size += file.stat().st_size
    return size


def last_line(place: Path) -> str:
    """What was told last."""
    return (place / "log").read_text(errors="replace").strip().splitlines()[-1]
