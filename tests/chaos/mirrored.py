"""The real command and its mirror, killed at random while W&B's server comes and goes: in the end
W&B has what the record says, every row once."""

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fakewandb import FakeWandb
from told import logged, recorded

from chaos import forks, golden, kills
from chaos.kills import Command, Kill, Whole
from chaos.tally import Options, Tally
from tinygpt.exits import DONE, SOME_FAILED

FULL = 60
MOST_KILLS = 5
VICTIMS = {"mirror": 3, "wandb-core": 3, "worker": 2, "driver": 2, "group": 4}
"""Who is killed, and how often beside the others."""
HASTY = {"WANDB_INIT_TIMEOUT": "3", "WANDB_FINISH_TIMEOUT": "10"}
OUTAGES: dict[str, Callable[[FakeWandb], object]] = {
    "is gone": lambda server: server.stop(),
    "refuses": lambda server: server.faults.outage(),
    "hangs": lambda server: server.faults.hang(),
    "is slow": lambda server: server.faults.slow(0.2),
}
OUTAGE_SECONDS = 3.0


@dataclass(frozen=True)
class Case:
    """Kills that happen to a sweep one after the other, and what its server does in between; of an
    offline one the server hears later."""

    whole: Whole
    kills: tuple[Kill, ...]
    outages: tuple[str | None, ...]
    place: Path
    online: bool

    def __str__(self) -> str:
        pairs = zip(self.kills, self.outages, strict=True)
        told = [f"{kill}{f', W&B {outage}' if outage else ''}" for kill, outage in pairs]
        return f"{'online' if self.online else 'offline'}: {'; '.join(told)}"

    @property
    def path(self) -> Path:
        return self.place / "runs" / self.whole.path.name


def mirrored(options: Options, directory: Path) -> Tally:
    """Sixty kills, or as many as the sample has; half of the sweeps are online."""
    tally, text = Tally("W&B"), golden.text_file(directory)
    seen = Counter[str]()
    wholes = [kills.undisturbed(directory, text, mode) for mode in ("offline", "auto")]
    cases = drawn(wholes, options.sample or FULL, options.draw, directory)
    for case, answers in forks.each(cases, judged, options.jobs):
        tally.cases += 1
        findings = [line for line in answers if not line.startswith("phase ")]
        phases = [line for line in answers if line.startswith("phase ")]
        tally.faults += len(phases)
        seen.update(phases)
        tally.findings += findings
        golden.report(f"{case} [{case.place.name}]", findings)
    for phase, count in seen.most_common():
        print(f"killed in {phase}: {count}")
    return tally


def drawn(wholes: Sequence[Whole], wanted: int, draw: random.Random, directory: Path) -> list[Case]:
    """Sweeps with so many kills in all, offline and online in turn."""
    cases: list[Case] = []
    left = wanted
    while left > 0:
        count = min(left, draw.randint(2, MOST_KILLS))
        left -= count
        online = len(cases) % 2 == 1
        shares = sorted(draw.uniform(0, 1.0) for _ in range(count))
        victims = draw.choices(list(VICTIMS), list(VICTIMS.values()), k=count)
        chosen = tuple(Kill(*one) for one in zip(victims, ["record"] * count, shares, strict=True))
        troubles = [*OUTAGES, None] if online else [None]
        outages = tuple(draw.choice(troubles) for _ in range(count))
        place = directory / f"case {len(cases)}"
        cases.append(Case(wholes[online], chosen, outages, place, online))
    return cases


def judged(case: Case) -> list[str]:
    """The phases in which a sweep was killed, and what W&B has not as the record has it."""
    case.place.mkdir()
    with FakeWandb() as server:
        environment = {**server.environment(case.place / "home"), **HASTY}
        known = environment if case.online else kills.NOWHERE
        answers = list(killed(case, server, known))
        answers += finished(case, known)
        if not case.online:
            answers += [f"offline: {line}" for line in offline_differences(case)]
        server.start()
        server.faults.heal()
        answers += published(case, server, environment)
        answers += [f"asked for the unknown: {name}" for name in server.unknown]
    if all(line.startswith("phase ") for line in answers):
        shutil.rmtree(case.place)
    return answers


def killed(case: Case, server: FakeWandb, known: Mapping[str, str]) -> Iterator[str]:
    """Kill one after the other; the phases in which that was."""
    command = None
    for kill, outage in zip(case.kills, case.outages, strict=True):
        command = command or Command(case.whole.file, case.place, known)
        if not command.comes_to(kill, case.whole):
            return
        with troubled(server, outage):
            yield from command.strike(kill.victim)
            if kill.victim in ("group", "driver"):
                command = None
                forks.alone(kills.LEAVING_SECONDS + kills.LOADING_SECONDS)


@contextlib.contextmanager
def troubled(server: FakeWandb, outage: str | None) -> Iterator[None]:
    """Let the server have its trouble from now on and for some seconds."""
    if outage is None:
        yield
        return
    OUTAGES[outage](server)

    def end() -> None:
        server.start()
        server.faults.heal()

    timer = threading.Timer(OUTAGE_SECONDS, end)
    timer.start()
    yield
    timer.join()


def finished(case: Case, known: Mapping[str, str]) -> list[str]:
    """Repeat the command until it is done; what is wrong with the sweep then."""
    for _ in range(2):  # the second finds nothing to train, and has the mirror see to the rest
        command = Command(case.whole.file, case.place, known)
        try:
            code = command.process.wait(kills.SWEEP_SECONDS)
        except subprocess.TimeoutExpired:
            command.strike("group")
            return [f"repeated, it does not end: {kills.last_line(case.place)}"]
        forks.alone(kills.LEAVING_SECONDS)
    if code != SOME_FAILED:
        return [f"repeated, it ends with {code}: {kills.last_line(case.place)}"]
    return golden.sweep_differences(case.path, case.whole.path)


def offline_differences(case: Case) -> Iterator[str]:
    """How W&B's own files are not the record."""
    for trial in sorted((case.path / "trials").iterdir()):
        runs = list((case.path / "wandb").glob(f"offline-run-*-t{trial.name}"))
        if len(runs) != 1:
            yield f"{trial.name}: {len(runs)} directories"
            continue
        command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(runs[0])]
        shown = subprocess.run(command, capture_output=True, text=True, check=True)
        records = [json.loads(line) for line in shown.stdout.splitlines()]
        items = [one["history"]["item"] for one in records if one["type"] == "history"]
        if logged(items) != recorded(trial):
            yield f"{trial.name}: {len(items)} rows on disk, not those of the record"
        if records[-1]["type"] != "exit":
            yield f"{trial.name}: not ended"


def published(case: Case, server: FakeWandb, environment: Mapping[str, str]) -> Iterator[str]:
    """Publish twice; how the server is not level with the record, and what the second changed."""
    before: Any = None
    for _ in range(2):
        kept = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
        done = subprocess.run(
            [sys.executable, "-m", "experiments.publish", str(case.path)],
            env={**kept, **environment, "PYTHONPATH": str(kills.ROOT)},
            capture_output=True,
            text=True,
            timeout=kills.SWEEP_SECONDS,
        )
        if done.returncode != DONE:
            yield f"published with {done.returncode}: {done.stderr}"
        now = held(server)
        if before not in (None, now):
            yield "published again, it changed"
        before = now
    yield from server_differences(case, server)


def held(server: FakeWandb) -> Any:
    """What a server has, of what must not change."""
    runs = {run.id: (run.history_lines[:], run.state, run.tags) for run in server.runs.values()}
    versions = [(v.collection, v.index, sorted(v.aliases)) for v in server.artifacts.versions]
    return runs, versions


def server_differences(case: Case, server: FakeWandb) -> Iterator[str]:
    """How what a server has is not the record."""
    runs = {run.id.rpartition("-t")[2]: run for run in server.runs.values()}
    for trial in sorted((case.path / "trials").iterdir()):
        run = runs.get(trial.name)
        if run is None:
            yield f"{trial.name}: not on the server"
        elif logged(run.history) != recorded(trial):
            yield f"{trial.name}: {len(run.history)} rows on the server, not those of the record"
        elif run.state not in ("finished", "failed"):
            yield f"{trial.name}: {run.state} on the server"
    waiting = [v.collection for v in server.artifacts.versions if v.state != "COMMITTED"]
    yield from (f"{name}: an artifact is not whole" for name in waiting)
