"""What a sweep would do and take, as it is shown before it does: `--dry-run`, and the first line of
a run."""

import contextlib
import shutil
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from experiments import draws, extremes, foresight, opening, outlook, preflight, probe, process
from experiments import space as spaces
from experiments.configuration import Configurations
from experiments.opening import Request
from experiments.outlook import Outlook
from experiments.preflight import Estimate, Room
from experiments.probe import Crew
from experiments.search import Search
from experiments.sweepdir import SweepDir, search_of
from experiments.terminal import clock, shown
from experiments.trial import Trial
from tinygpt import size
from tinygpt.corpus import Corpus
from tinygpt.exits import DONE

WIDTH = 80
SHOWN = 40
"""Configurations that are listed at most."""
START_SECONDS = 60.0
"""How long a worker may take to say that it is there."""
FULL = 0.9
"""A share of the memory that workers had better not pass."""


def preview(request: Request, text: Corpus, workers: int, began: float) -> int:
    """Print what the sweep would do and what it would take; trains no trial and writes nothing."""
    sweep, sweep_dir = request.sweep, request.sweep_dir
    print(f"{sweep.name}: {sweep.planned()} trials in {sweep_dir.path}, nothing was written")
    print(f"corpus {text.name}, {len(text):,} characters")
    with crew(workers, sweep.devices) as there:
        search, trials = _search(request, text, there)
        if sweep_dir.begun():
            print(f"there already: {standing(trials)}")
        for line in opening.edits_of(request):
            print(f"changed  {line}")
        count = foresight.exact(search, trials)
        ahead = foresight.foreseen(search, trials, min(count, len(trials) + SHOWN))
        whole = count >= sweep.planned()
        if len(ahead) < min(SHOWN, count - len(trials)):  # the sampler has no more
            count = len(trials) + len(ahead)
        for line in told(ahead, count - len(trials), whole):
            print(line)
        estimate = None
        if sweep.planned() > sum(trial.state != "running" for trial in trials):
            left = outlook.outlook_of(search, trials, len(text))
            estimate = foretold(left, sweep_dir, trials, there, began=began, always=True)
    facts = [*of_space(search), *(figures(estimate, sweep_dir.path) if estimate else ())]
    for line in aligned(facts):
        print(line)
    return DONE


def _search(request: Request, text: Corpus, there: Crew) -> tuple[Search, list[Trial]]:
    """The decisions of the sweep as its file has it, and the trials that there are."""
    sweep_dir = request.sweep_dir
    if sweep_dir.begun():
        search = search_of(*opening.renewed(request, *sweep_dir.read_sweep()))
        return search, sweep_dir.history(search)
    hello = there.hello(START_SECONDS)
    sweep = opening.settled(request, text, hello) if hello else request.sweep
    return Search(sweep, len(text.tokenizer)), []


@contextlib.contextmanager
def crew(workers: int, devices: Sequence[int]) -> Iterator[Crew]:
    """Workers that train nothing, for as long as the context lives."""
    children = [process.worker(number, devices) for number in range(workers)]
    try:
        yield Crew(children)
    finally:
        for child in children:
            child.dismiss()
        for child in children:
            child.join()
            child.close()


def foretold(
    left: Outlook,
    sweep_dir: SweepDir,
    trials: Sequence[Trial],
    there: Crew,
    *,
    began: float,
    always: bool = False,
    interrupted: Callable[[], bool] = lambda: False,
) -> Estimate | None:
    """What is left takes, by the times of finished trials, else by what the workers measure; None
    if nobody knows. Only where no trial has begun, or `always`, is measured."""
    workers, room = len(there.children), None
    if not left.numbers or not workers:
        return None
    points = probe.remembered(sweep_dir, left.search, trials, left.characters)
    if not points and (always or not trials):
        runs = probe.spread(outlook.ends(left), [*left.runs, *left.drawn], workers, left.cost)
        points = there.measure(runs, interrupted)
        answer = next(iter(there.probed.values()), None)
        room = Room(answer["resident"], answer["memory"]) if answer else None
    if not points:
        return None
    elapsed = time.monotonic() - began
    return preflight.estimate(left, points, workers, elapsed, room)


def in_a_line(estimate: Estimate, path: Path) -> str:
    """`about 1:30 with 2 workers, at most 2:10; disk 40 MB of 310 GB free`."""
    line = f"{_time(estimate)}; disk {_disk(estimate, path)}"
    return f"{line}; memory {_memory(estimate)}" if too_much(estimate) else line


def too_much(estimate: Estimate) -> bool:
    """Whether the workers need more memory than there is, or nearly all of it."""
    if estimate.memory is None or estimate.machine is None:
        return False
    return estimate.memory > FULL * estimate.machine


def figures(estimate: Estimate, path: Path) -> Iterator[tuple[str, str]]:
    """What the sweep takes, each with its name."""
    time = estimate.time
    yield "time", _time(estimate)
    yield "one trial", f"{clock(time.cheapest)} to {clock(time.dearest)}, if it is not pruned"
    if estimate.memory is not None:
        yield "memory", _memory(estimate)
    little = ", too little" if estimate.disk > free_bytes(path) else ""
    yield "disk", f"{_disk(estimate, path)}{little}"


def _time(estimate: Estimate) -> str:
    time, workers = estimate.time, plural(estimate.workers, "worker")
    about, most = clock(time.expected), clock(time.at_most)
    return f"about {about} with {workers}" + (f", at most {most}" if most != about else "")


def _disk(estimate: Estimate, path: Path) -> str:
    return f"{amount(estimate.disk)} of {amount(free_bytes(path))} free"


def free_bytes(path: Path) -> int:
    """What the disk has free at a path, or where the path will be made."""
    there = next(parent for parent in (path, *path.absolute().parents) if parent.exists())
    return shutil.disk_usage(there).free


def shortage(needed: float, free: float, path: Path) -> str | None:
    """A warning in one line if a sweep in `path` needs more bytes than its disk has free."""
    if needed <= free:
        return None
    takes = f"what is left of the sweep takes about {amount(needed)}, its disk has {amount(free)}"
    return f"{path}: {takes} free; make room, set a smaller max_disk, or choose another --out"


def _memory(estimate: Estimate) -> str:
    assert estimate.worker_memory is not None
    assert estimate.memory is not None
    assert estimate.machine is not None
    sharing = round(estimate.memory / estimate.worker_memory)
    warning = ", too much: take fewer --workers" if too_much(estimate) else ""
    each = f"{sharing} x {amount(estimate.worker_memory)}"
    return f"{each} of {amount(estimate.machine)}{warning}"


def standing(trials: Sequence[Trial]) -> str:
    """How many trials have finished or begun, and the best."""
    running = sum(trial.state == "running" for trial in trials)
    line = f"{plural(len(trials) - running, 'trial')} finished"
    line += f", {running} begun" if running else ""
    complete = [
        (t.value, t.number) for t in trials if t.state == "complete" and t.value is not None
    ]
    if not complete:
        return line
    value, number = min(complete)
    return f"{line}, best {value:.4f} (trial {number})"


def told(ahead: Sequence[Trial], count: int, whole: bool) -> Iterator[str]:
    """The configurations of the first of the `count` next trials that are certain, in columns;
    `whole` if they are all."""
    if not ahead:
        return
    next_one = "next" if ahead[0].number else "first"
    which = f"all {count:,}" if whole else f"the {next_one} {count:,}"
    yield f"{which}, exactly{'' if whole else ' (later ones depend on results)'}:"
    cells = columns([shown_by_key(trial.params) for trial in ahead])
    for trial, row in zip(ahead, cells, strict=True):
        again = [f"same as trial {trial.same_as}"] if trial.same_as is not None else []
        again += [f"replicate {trial.replicate}"] if trial.replicate else []
        yield from wrapped(f"  trial {trial.number:>3}", [*row, *again])
    if count > len(ahead):
        yield f"  and {count - len(ahead):,} more"


def shown_by_key(params: Mapping[str, object]) -> dict[str, str]:
    """Each parameter as it is shown."""
    return {key: shown({key: value}) for key, value in params.items()}


def columns(rows: Sequence[Mapping[str, str]]) -> list[list[str]]:
    """The cells of rows, as wide as the widest of their key; what a row lacks is left blank."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    widths = {key: max(len(row.get(key, "")) for row in rows) for key in keys}
    return [[row.get(key, "").ljust(widths[key]) for key in keys] for row in rows]


def wrapped(head: str, cells: Sequence[str]) -> Iterator[str]:
    """A head and its cells in lines that are not too wide, broken between cells."""
    line = head
    for cell in cells:
        if len(line) + 2 + len(cell) > WIDTH and line != head:
            yield line.rstrip()
            line = " " * len(head)
        line = f"{line}  {cell}"
    yield line.rstrip()


def of_space(search: Search) -> Iterator[tuple[str, str]]:
    """How large the space is, what of it cannot be trained, and how large its models are."""
    runs = search.version(search.sweep.planned()).runs
    count = points(runs)
    yield "space", "continuous" if count is None else plural(count, "point")
    share, whole = draws.infeasible(runs, search.sweep.seed)
    if share:
        basis = "all points" if whole else f"{draws.COUNTED:,} draws"
        yield "infeasible", f"{share:.1%} of {basis}"
    found = extremes.extremes(runs, lambda run: size.parameters(run.model, search.vocabulary))
    if found is not None:
        least, most = (size.parameters(run.model, search.vocabulary) for run in found)
        several = f"{least:,} to {most:,}" if least != most else f"{least:,}"
        yield "parameters", several


def points(runs: Configurations) -> int | None:
    """How many points a space has; None if it is continuous."""
    searched = spaces.searched(runs.space)
    lists = {key: parameter.values() for key, parameter in searched.items()}

    def count(keys: list[str], chosen: spaces.Values) -> int | None:
        if not keys:
            return 1
        key, rest = keys[0], keys[1:]
        if not spaces.applies(searched[key], chosen):
            return count(rest, chosen)
        values = lists[key]
        if values is None:
            return None
        if any(key in other.when for other in searched.values()):
            parts = [count(rest, {**chosen, key: value}) for value in values]
            return None if None in parts else sum(part for part in parts if part is not None)
        inner = count(rest, {**chosen, key: values[0]})
        return None if inner is None else len(values) * inner

    return count(list(searched), {})


def aligned(facts: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Names and what is said of them, in two columns."""
    width = max((len(name) for name, _ in facts), default=0)
    for name, text in facts:
        indent = " " * (width + 2)
        head = f"{name:<{width}}  "
        yield from textwrap.wrap(text, WIDTH, initial_indent=head, subsequent_indent=indent)


def amount(number: float) -> str:
    """Bytes in the unit that suits them."""
    for unit, length in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if number >= length:
            return f"{number / length:.{0 if number >= 100 * length else 1}f} {unit}"
    return f"{number / 1e3:.0f} kB"


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
