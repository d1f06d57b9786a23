"""Power cuts: what the real writers do to files is recorded, every state that a cut may leave is
made, and the product goes on from it as if nothing had been."""

import contextlib
import itertools
import math
import random
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from chaos import golden
from chaos.drive import Happening, Subject, TinyRun, TinySweep
from chaos.filesystem import Disk, Operation, Tree, read_tree, states, write_tree
from chaos.tally import Options, Tally, chosen
from tinygpt import durable
from tinygpt.events import Evaluated, Saved, Started, Stopped
from tinygpt.files import RecordError
from tinygpt.schema import ConfigError

KEPT, SAVED = "kept", "saved"
"""What a log says beside the operations: a file of which so much must last, a run whose checkpoint
after so many updates must."""
LASTING = ("sweep.json", "config.json", "tokenizer.json", "result.json", "events.jsonl")
"""Files that last from the moment on at which the writer comes back from them."""
RECORDS = ("metrics.jsonl", "samples.jsonl")
"""Files that last up to where they were when an evaluation or a checkpoint was told of."""
DAMAGED = ".damaged-"
"""In the names of what was set aside."""


@dataclass(frozen=True)
class Promises:
    """What was acknowledged: how files begin, and the steps of the newest checkpoints of runs."""

    files: Mapping[str, bytes] = field(default_factory=dict)
    steps: Mapping[str, int] = field(default_factory=dict)

    def after(self, operation: Operation) -> "Promises":
        """What is acknowledged then."""
        path, data = operation.path, operation.data
        if operation.name == KEPT:
            return replace(self, files={**self.files, path: data})
        if operation.name == SAVED:
            return replace(self, steps={**self.steps, path: int(data)})
        return self


@dataclass
class Recorder:
    """Writes down what is done below a root, for as long as it is the fail point."""

    root: Path
    log: list[Operation] = field(default_factory=list)
    start: Tree = ()

    def __post_init__(self) -> None:
        self._disk = Disk(self.start)

    def __call__(self, name: str, path: Path, data: bytes) -> None:
        if path == self.root or not path.is_relative_to(self.root) or name == "commit":
            if (name, path) == ("sync directory", self.root):
                self._add(Operation(name, "."))
            return
        inside = path.relative_to(self.root).as_posix()
        if name == "rename":
            data = Path(data.decode()).relative_to(self.root).as_posix().encode()
        self._found(PurePosixPath(inside).parent)
        self._add(Operation(name, inside, data))

    def _found(self, path: PurePosixPath) -> None:
        """A directory that was made without a word is one that nothing waited for."""
        for above in [*reversed(path.parents), path]:
            if above != PurePosixPath(".") and not self._disk.has(str(above)):
                self._add(Operation("make directory", str(above)))

    def _add(self, operation: Operation) -> None:
        self._disk.do(operation)
        self.log.append(operation)


@contextlib.contextmanager
def recorded(recorder: Recorder) -> Iterator[None]:
    """The time in which operations are written down."""
    durable.failpoint = recorder
    try:
        yield
    finally:
        durable.failpoint = None


def promised(root: Path, happening: Happening) -> Iterator[Operation]:
    """What must last once something has happened in a run."""
    where, event = happening
    files = [path for name in LASTING for path in root.rglob(name)]
    if isinstance(event, Saved | Stopped | Started):
        yield Operation(SAVED, where, b"%d" % event.step)
    if isinstance(event, Saved | Stopped | Evaluated):
        files += [root / where / name for name in RECORDS]
    elif isinstance(event, Started):  # what lies behind its checkpoint is made again
        yield from (Operation(KEPT, f"{where}/{name}") for name in RECORDS)
    for path in files:
        yield Operation(KEPT, path.relative_to(root).as_posix(), path.read_bytes())


def record(
    subject: Subject, root: Path, takes: Sequence[int | None], start: Tree = ()
) -> list[Operation]:
    """The log of a subject that is left after so many events, then gone on with and left again;
    None: to its end. `start` is what lies in the root already."""
    recorder = Recorder(root, start=start)
    with recorded(recorder):
        for take in takes:
            with contextlib.closing(subject.events(root)) as events:
                for happening in itertools.islice(events, take):
                    recorder.log += promised(root, happening)
    return recorder.log


def cuts(log: Sequence[Operation], draw: random.Random, start: Tree = ()) -> dict[Tree, Promises]:
    """Every state that a power cut may leave at some place of a log, with what was acknowledged by
    then at the latest. States that differ only in what tells of times are one, drawn at random."""
    disk, promises = Disk(start), Promises()
    found: dict[Tree, tuple[Tree, Promises]] = {}
    for operation in log:
        promises = promises.after(operation)
        disk.do(operation)
        possible = list(states(disk))
        draw.shuffle(possible)
        for tree in possible:
            key = tuple((path, data) for path, data in tree if not is_unequal(path))
            known = found.get(key, (tree, promises))[0]
            found[key] = known, promises
    return dict(found.values())


def is_unequal(path: str) -> bool:
    """Whether a file tells of times and processes only."""
    return path.rpartition("/")[2] in golden.UNEQUAL


@dataclass
class Scenario:
    """Something that writes, how it is done without a power cut, and what was recorded of it."""

    name: str
    subject: Subject
    untouched: Path
    log: list[Operation]
    start: Tree = ()
    price: int = 1
    """A state takes so many times as long as one of the cheapest."""

    def finding(self, tree: Tree, promises: Promises, root: Path) -> str | None:
        """What is wrong once the subject has gone on from a state; None if nothing is."""
        write_tree(root, tree)
        try:
            backwards = self._to_the_end(root, promises)
        except (RecordError, ConfigError) as error:
            return f"refused: {error}"
        except Exception as error:  # whatever it is, a user would see a traceback
            return f"{type(error).__name__}: {error}"
        differences = self.subject.differences(root, self.untouched)
        return backwards or next((line for line in differences if matters(line)), None)

    def _to_the_end(self, root: Path, promises: Promises) -> str | None:
        """Go on to the end; how a run went further back than to what was acknowledged."""
        findings, begun = list[str](), set[str]()
        for where, event in self.subject.events(root):
            if isinstance(event, Started) and where not in begun:
                begun.add(where)
                saved = promises.steps.get(where, 0)
                if event.step < saved:
                    findings.append(f"{where}: goes on from {event.step}, {saved} was saved")
        return next(iter(findings), None)


def broken(tree: Tree, promises: Promises) -> str | None:
    """A file that does not begin with what was acknowledged of it."""
    there = dict(tree)
    for path, data in promises.files.items():
        if not (there.get(path) or b"").startswith(data):
            return f"{path}: lost, or not what was acknowledged"
    return None


def matters(difference: str) -> bool:
    """Whether a difference is one: damage is set aside, and nobody waits for locks."""
    path = difference.partition(":")[0]
    return DAMAGED not in path and not is_unequal(path)


class Cuts(Tally):
    """The states that were gone on from; a point is an operation."""

    def line(self) -> str:
        seconds = time.monotonic() - self.began
        return (
            f"{self.title}: {self.points} operations, {self.cases} states, "
            f"{len(self.findings)} bad, {seconds:.0f} s"
        )


def scenarios(directory: Path) -> Iterator[Scenario]:
    """A run to its end, one that is left twice and gone on with, one that has lost a checkpoint to
    damage, and a sweep."""
    text = golden.text_file(directory)
    run = TinyRun(text, {"train.max_iters": 9})
    (directory / "untouched").mkdir()
    list(run.events(directory / "untouched"))

    def of(name: str, takes: Sequence[int | None], start: Tree = ()) -> Scenario:
        root = directory / name
        write_tree(root, start)
        log = record(run, root, takes, start)
        return Scenario(name, run, directory / "untouched", log, start)

    yield of("whole run", [None])
    yield of("resumed run", [9, 14, None])
    yield of("damaged run", [None], damaged(run, directory / "left"))
    yield sweep_scenario(directory, text)


def damaged(run: TinyRun, root: Path) -> Tree:
    """A run that was left, and whose newest checkpoint was flipped a bit."""
    root.mkdir()
    with contextlib.closing(run.events(root)) as events:
        for _ in itertools.takewhile(lambda one: one[1] != Saved(6), events):
            pass
    tree = dict(read_tree(root))
    state = bytearray(tree["run/checkpoints/step-00000006/state.pt"] or b"")
    state[len(state) // 2] ^= 1
    tree["run/checkpoints/step-00000006/state.pt"] = bytes(state)
    return tuple(sorted(tree.items()))


def sweep_scenario(directory: Path, text: Path) -> Scenario:
    """A sweep of a few trials, with one that takes another's result, left once."""
    queue = [golden.BASELINE, golden.WORST, golden.BASELINE]
    sweep = TinySweep(text, "median", trials=3, max_concurrent=1, enqueue=queue)
    untouched, root = directory / "untouched sweep", directory / "sweep"
    untouched.mkdir()
    root.mkdir()
    list(sweep.events(untouched))
    return Scenario("sweep", sweep, untouched, record(sweep, root, [12, None]), price=8)


def tortured(options: Options, directory: Path) -> Cuts:
    """Go on from every state of all scenarios, or from some of each drawn at random."""
    total = Cuts("power")
    for scenario in scenarios(directory):
        tally = gone_on(scenario, options, directory / "state")
        print(tally.line(), flush=True)
        total.points += tally.points
        total.cases += tally.cases
        total.findings += tally.findings
    return total


def gone_on(scenario: Scenario, options: Options, place: Path) -> Cuts:
    """Go on from the states of a scenario, each in the same place; what is lost of a file is looked
    for in all of them."""
    found = cuts(scenario.log, options.draw, scenario.start)
    operations = sum(one.name not in (KEPT, SAVED) for one in scenario.log)
    sample = None if options.sample is None else math.ceil(options.sample / scenario.price)
    tally = Cuts(f"power, {scenario.name}", operations)
    findings = [broken(tree, promises) for tree, promises in found.items()]
    for tree, promises in chosen(list(found.items()), sample, options.draw):
        findings.append(scenario.finding(tree, promises, place))
        shutil.rmtree(place, ignore_errors=True)
        tally.cases += 1
    tally.findings += [f"{scenario.name}: {finding}" for finding in findings if finding]
    golden.report("power", tally.findings)
    return tally
