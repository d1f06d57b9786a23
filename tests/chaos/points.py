"""Every point of a process in turn: the run or the sweep is killed there, or finds the disk full
there, goes on, and must end as the golden one."""

import random
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chaos import forks, golden, subjects
from chaos.faults import NEEDS_ROOM, Fault, How, counted
from chaos.subjects import COMMAND_SECONDS, Run, Subject, Sweep
from chaos.tally import Options, Tally, chosen
from tinygpt import checkpoint
from tinygpt.exits import TEMPORARY
from tinygpt.files import RecordError

LEAVING_SECONDS = 10.0
"""How long the workers of a driver that is gone may take to leave."""
RECOVERIES = (("write metrics.jsonl", 9), ("write manifest.json", 5), ("remove tree step", 2))
"""Points at which a run is killed, to be killed again at every point of its recovery: there are
torn rows, half a checkpoint, half of one removed."""


@dataclass(frozen=True)
class Whole:
    """A subject that nobody disturbed: where its files lie, and the points that it passed."""

    subject: Subject
    place: Path
    points: list[str]
    workers: list[list[str]]
    """The points of its first and second worker."""


@dataclass(frozen=True)
class Case:
    """Faults that happen to a subject one after the other, in its own directory."""

    whole: Whole
    faults: tuple[Fault, ...]
    place: Path

    def __str__(self) -> str:
        points = ", ".join(map(self._named, self.faults))
        return f"{self.whole.subject.name}: {points}"

    def _named(self, fault: Fault) -> str:
        workers, process = self.whole.workers, fault.process
        points = self.whole.points if process is None else workers[process]
        name = points[fault.hit - 1] if fault.hit <= len(points) else "beyond the end"
        return f"{fault} ({name})"


def undisturbed(subject: Subject, directory: Path) -> Whole:
    """Run a subject to its end, counting its points."""
    place = directory / f"golden {subject.name}"
    place.mkdir()
    subject.prepare(place)
    code = forks.ended(subjects.counting(subject, place), COMMAND_SECONDS)
    assert code == subject.code, f"{subject.name} ends with {code}: {log_of(place)}"
    files = place / "points", place / "points-0", place / "points-1"
    points, *workers = (f.read_text().splitlines() if f.exists() else [] for f in files)
    print(f"{subject.name}: {len(points)} points: {counted(points)}")
    for number, passed in enumerate(workers):
        if passed:
            print(f"{subject.name}, worker {number}: {len(passed)} points: {counted(passed)}")
    return Whole(subject, place, points, workers)


def judged(case: Case) -> list[str]:
    """What is wrong with a subject once it is done in spite of its faults."""
    subject, place = case.whole.subject, case.place
    place.mkdir()
    subject.prepare(place)
    findings, command = list[str](), subject.command
    for fault in case.faults:
        findings += suffered(case, fault, command)
        command = subject.again
    try:
        code = forks.ended(subjects.armed(command, place, subject, None), COMMAND_SECONDS)
    except forks.LateError:
        forks.end_all()
        return [*findings, f"repeated, it does not end: {log_of(place)}"]
    if code != subject.code:
        return [*findings, f"repeated, it ends with {code}: {log_of(place)}"]
    if not forks.alone(LEAVING_SECONDS):
        findings.append("repeated, it leaves processes behind")
    findings += [*subject.differences(place, case.whole.place), *repeated_work(case)]
    if not findings:
        shutil.rmtree(place)
    return findings


def suffered(case: Case, fault: Fault, command: subjects.Command) -> list[str]:
    """Let a fault happen; what is wrong right after it."""
    subject, place = case.whole.subject, case.place
    before = len(subjects.epitaphs(place))
    log = place / "log"
    told = log.stat().st_size if log.exists() else 0
    try:
        code = forks.ended(subjects.armed(command, place, subject, fault), COMMAND_SECONDS)
    except forks.LateError:
        forks.end_all()
        return [f"{fault}: the command does not end"]
    findings = list[str]()
    if not forks.alone(LEAVING_SECONDS):
        findings.append(f"{fault}: processes are left after {LEAVING_SECONDS:.0f} s")
    happened = len(subjects.epitaphs(place)) > before
    if code not in expected(subject, fault, happened):
        findings.append(f"{fault}: it ends with {code}: {log_of(place)}")
    if happened and fault.how != "kill":
        findings += clumsy(log.read_bytes()[told:].decode(), code)
        findings += broken(case)
    return findings


def expected(subject: Subject, fault: Fault, happened: bool) -> set[int]:
    """The exit codes that a command may end with."""
    if not happened:
        return {subject.code}
    if fault.how == "full once":
        return {TEMPORARY, subject.code}
    if fault.how == "full":
        return {TEMPORARY}
    return {-signal.SIGKILL} if fault.process is None else {subject.code}


def clumsy(told: str, code: int) -> list[str]:
    """What is wrong with the words of a command that found the disk full."""
    if "Traceback" in told:
        return [f"a traceback: {told.splitlines()[-1]}"]
    if code == TEMPORARY and "no room left" not in told:
        return [f"it does not say that there is no room: {told.splitlines()[-1:]}"]
    return []


def broken(case: Case) -> list[str]:
    """What of the state before the last fault is not there any more, or not sound."""
    place, findings = case.place, list[str]()
    path = case.whole.subject.path(place)
    for name, standing in subjects.epitaphs(place)[-1].standings.items():
        directory = path / name / "checkpoints"
        if (path / name / "result.json").exists():
            continue  # it went on in spite of the fault, and may need none any more
        there = checkpoint.steps(directory)
        if standing.saved >= 0 and max(there, default=-1) < standing.saved:
            findings.append(f"{name}: the checkpoint of step {standing.saved} is gone")
        for step in there:
            try:
                checkpoint.load(directory, step)
            except RecordError as error:
                findings.append(str(error))
    return findings


def repeated_work(case: Case) -> list[str]:
    """Whether more was done than the faults explain."""
    path, expected = (case.whole.subject.path(place) for place in (case.place, case.whole.place))
    happened = subjects.epitaphs(case.place)
    findings = [
        finding
        for epitaph in happened
        for name, standing in epitaph.standings.items()
        for finding in golden.lost(path / name, standing)
    ]
    for lock in sorted(expected.rglob("run.lock")):
        run = lock.parent.relative_to(expected)
        findings += golden.too_many_attempts(path / run, expected / run, len(happened))
    return findings


def log_of(place: Path) -> str:
    """The last line that was told."""
    return (place / "log").read_text(errors="replace").strip().splitlines()[-1]


def single(whole: Whole, how: How = "kill", process: int | None = None) -> list[tuple[Fault, ...]]:
    """A fault at every point of a process, one that may run out of room if that is the fault."""
    points = whole.points if process is None else whole.workers[process]
    return [
        (Fault(hit, how, process),)
        for hit, name in enumerate(points, start=1)
        if how == "kill" or name.startswith(NEEDS_ROOM)
    ]


def chains(whole: Whole, count: int, draw: random.Random) -> list[tuple[Fault, ...]]:
    """So many chains of two to four kills at random points of a command."""
    most = len(whole.points) // 2
    lengths = [draw.randint(2, 4) for _ in range(count)]
    return [tuple(Fault(draw.randint(1, most)) for _ in range(n)) for n in lengths]


class Layer:
    """A number of cases, judged one after the other."""

    def __init__(self, title: str, options: Options, directory: Path) -> None:
        self.tally, self._options, self._directory = Tally(title), options, directory

    def judge(self, whole: Whole, faults: Sequence[tuple[Fault, ...]], share: float = 1.0) -> None:
        """Judge a sample of some cases, so large a share of the sample of the layer."""
        self.tally.points += len(faults)
        sample = self._options.sample and max(1, round(self._options.sample * share))
        first = self.tally.cases
        cases = [
            Case(whole, one, self._directory / f"{self.tally.title} {first + number}")
            for number, one in enumerate(chosen(faults, sample, self._options.draw))
        ]
        for case, findings in forks.each(cases, judged, self._options.jobs):
            self.tally.cases += 1
            self.tally.faults += len(case.faults)
            self.tally.findings += findings
            golden.report(f"{case} [{case.place.name}]", findings)


def trainer(options: Options, directory: Path) -> Tally:
    """A kill at every point of a run, of one that was stopped, and of recoveries."""
    layer, text = Layer("trainer points", options, directory), golden.text_file(directory)
    subjects.warm_run(text, directory)
    run = undisturbed(Run(text), directory)
    layer.judge(run, single(run), 0.4)
    others = [subjects.StoppedRun(text), *(recovering(run, text, *one) for one in RECOVERIES)]
    for subject in others:
        whole = undisturbed(subject, directory)
        layer.tally.findings += subject.differences(whole.place, run.place)
        layer.judge(whole, single(whole), 0.15)
    return layer.tally


def recovering(run: Whole, text: Path, point: str, occurrence: int) -> Subject:
    """The run that goes on after a kill at the so-manieth point of a name."""
    hits = [hit for hit, name in enumerate(run.points, start=1) if name == point]
    return subjects.RecoveringRun(text, Fault(hits[occurrence - 1]), point)


def full(options: Options, directory: Path) -> Tally:
    """A disk that is full at every point of a run, for a moment or for good."""
    layer, text = Layer("full disk points", options, directory), golden.text_file(directory)
    subjects.warm_run(text, directory)
    run = undisturbed(Run(text), directory)
    for how in ("full once", "full"):
        layer.judge(run, single(run, how), 0.5)
    return layer.tally


def chained(options: Options, directory: Path) -> Tally:
    """Two to four kills in a row at random points."""
    layer, text = Layer("chains", options, directory), golden.text_file(directory)
    subjects.warm_run(text, directory)
    run = undisturbed(Run(text), directory)
    layer.judge(run, chains(run, options.sample or 200, options.draw))
    return layer.tally


def driver(options: Options, directory: Path) -> Tally:
    """A kill at every point of the driver."""
    return swept("driver points", None, ("kill",), options, directory)


def worker(options: Options, directory: Path) -> Tally:
    """A kill at every point of its first worker."""
    return swept("worker points", 0, ("kill",), options, directory)


def full_driver(options: Options, directory: Path) -> Tally:
    """A disk that the driver finds full at every point that needs room."""
    return swept("full disk of the driver", None, ("full once", "full"), options, directory)


def full_worker(options: Options, directory: Path) -> Tally:
    """A disk that its first worker finds full at every point that needs room."""
    return swept("full disk of the worker", 0, ("full once", "full"), options, directory)


def swept(
    title: str, process: int | None, hows: Sequence[How], options: Options, directory: Path
) -> Tally:
    """Faults at every point of one process of both sweeps with one worker, and at some with two."""
    layer, text = Layer(title, options, directory), golden.text_file(directory)
    subjects.warm_sweep(text, directory)
    for kind in golden.KINDS:
        file = golden.sweep_file(directory, text, kind)
        alone = undisturbed(Sweep(file), directory)
        both = Whole(Sweep(file, 2), alone.place, alone.points, alone.workers)
        for how in hows:
            faults = single(alone, how, process)
            layer.judge(alone, faults, 0.4 / len(hows))
            layer.judge(both, chosen(faults, 40, options.draw), 0.1 / len(hows))
    return layer.tally
