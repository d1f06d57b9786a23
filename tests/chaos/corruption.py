"""Damage to every kind of file: the product refuses it, mends it, or does not need the file; it
never goes on to another result without a word."""

import itertools
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from chaos import damage, golden
from chaos.drive import TinySweep
from chaos.filesystem import Tree, read_tree, write_tree
from chaos.power import DAMAGED, matters
from chaos.sites import CHECKPOINT, Site, TheCommand, finish, sites
from chaos.tally import Options, Tally
from tinygpt import checkpoint
from tinygpt.files import RecordError
from tinygpt.record import DivergedRecordError
from tinygpt.schema import ConfigError
from tinygpt.source import CorpusError

PROCESSES = ("run.lock", "sweep.lock", "worker.log", "timings.jsonl", "events.jsonl", "study.db")
"""What changes though a command refuses to go on, or is of no consequence."""
COMMANDED = ("sweep.json", "config.json", "metrics.jsonl", "result.json", "state.pt, all")
CASES = 1000
FLIPS = 1000

Changes = Mapping[str, bytes | None]
"""Files by their paths as they are from now on; None: gone."""


@dataclass(frozen=True)
class Case:
    """Some files of a site damaged in a way."""

    site: Site
    target: str
    how: str
    changes: Changes

    def title(self) -> str:
        return f"{self.site.name}, {', '.join(self.changes)}: {self.how}"

    def tree(self) -> Tree:
        there = {**dict(self.site.tree), **self.changes}
        return tuple((p, d) for p, d in there.items() if p not in self.changes or d is not None)


@dataclass
class Damages(Tally):
    """What was damaged, and what became of it, by the kind of file."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)

    def line(self) -> str:
        seconds = time.monotonic() - self.began
        return f"{self.title}: {self.cases} damaged, {len(self.findings)} silent, {seconds:.0f} s"

    def table(self) -> Iterator[str]:
        """A line for each kind of file: how often what became of it."""
        kinds = sorted({kind for kind, _ in self.outcomes})
        columns = sorted({outcome for _, outcome in self.outcomes})
        yield " ".join([f"{'':24}", *(f"{column:>14}" for column in columns)])
        for kind in kinds:
            counts = (f"{self.outcomes[kind, column]:>14}" for column in columns)
            yield " ".join([f"{kind:24}", *counts])


def cases(site: Site, target: str, draw: random.Random) -> Iterator[Case]:
    """Damage of a kind of file, for ever; each changes something."""
    there, groups = dict(site.tree), site.targets()[target]
    while True:
        paths = draw.choice(groups)
        how = draw.choice(ways(paths[0], groups))
        changes = {path: how(there, path, draw) for path in paths}
        if any(there[path] != data for path, data in changes.items()):
            yield Case(site, target, how.__name__, changes)


Way = Callable[[Mapping[str, bytes | None], str, random.Random], bytes | None]


def ways(path: str, groups: list[list[str]]) -> list[Way]:
    """How a file may be damaged."""
    kinds = damage.OF_ANY + (damage.OF_LINES if path.endswith(".jsonl") else ())
    others = [other[0] for other in groups if other[0] != path]

    def of(kind: damage.Damage) -> Way:
        def way(there: Mapping[str, bytes | None], path: str, draw: random.Random) -> bytes | None:
            return kind(there[path] or b"", draw)

        way.__name__ = kind.__name__
        return way

    def replaced(there: Mapping[str, bytes | None], path: str, draw: random.Random) -> bytes | None:
        return there[draw.choice(others)]

    def removed(there: Mapping[str, bytes | None], path: str, draw: random.Random) -> None:
        return None

    return [*map(of, kinds), removed, *([replaced] if others else [])]


def outcome(case: Case, root: Path) -> str:
    """What becomes of a damaged directory; begins with SILENT if that is not allowed."""
    write_tree(root, case.tree())
    try:
        warnings = finish(case.site.subject, root)
    except (RecordError, ConfigError, CorpusError) as error:
        return refused(case, root, error)
    except Exception as error:  # whatever it is, a user would see a traceback
        return f"SILENT {type(error).__name__}: {error}"
    differences = case.site.subject.differences(root, case.site.untouched)
    aside = any(DAMAGED in line for line in differences)
    if others := [line for line in differences if matters(line)]:
        return unread(case, root, others)
    if aside or warnings:
        return "set aside"
    return "no matter" if case.target in PROCESSES else "made again"


def refused(case: Case, root: Path, error: Exception) -> str:
    """Whether nothing was changed by who refused to go on."""
    if isinstance(error, DivergedRecordError):
        return "refused later"
    before = {path: data for path, data in case.tree() if is_steady(path)}
    after = {path: data for path, data in read_tree(root) if is_steady(path)}
    changed = [path for path in before if after.get(path) != before[path]]
    return f"SILENT {changed[0]}: changed, then refused" if changed else "refused"


def is_steady(path: str) -> bool:
    return PurePosixPath(path).name not in PROCESSES


def unread(case: Case, root: Path, differences: list[str]) -> str:
    """Whether all that differs is a damaged checkpoint: one that was set aside, or one that nobody
    has read yet and whoever does will find out."""
    paths = [PurePosixPath(path).parent for path in case.changes if "checkpoints/" in path]
    whole = [path for path in paths if (root / path).exists() and not is_refused(root / path)]
    # A difference tells the path below the run, or below the trials of a sweep.
    own = [path.as_posix().rpartition("trials/")[2].removeprefix("run/") for path in paths]
    others = [line for line in differences if not any(path in line for path in own)]
    if others or whole:
        return f"SILENT {(others or whole)[0]}"
    return "not read" if all((root / path).exists() for path in paths) else "set aside"


def damaged(options: Options, directory: Path) -> Damages:
    """Damage files of all kinds in turn; prints a table of what became of them."""
    tally, draw = Damages("corruption"), options.draw
    run, sweep, _ = there = sites(directory)
    sources = [cases(site, target, draw) for site in there for target in site.targets()]
    draw.shuffle(sources)
    total = CASES if options.sample is None else options.sample
    for source in itertools.islice(itertools.cycle(sources), total):
        judge(next(source), directory / "case", tally)
    if options.sample is None:
        by_the_command(sweep, draw, directory / "case", tally)
    flips = FLIPS if options.sample is None else FLIPS // 10
    flipped(run, draw, directory / "flips", tally, flips)
    print("\n".join(tally.table()), flush=True)
    return tally


def by_the_command(site: Site, draw: random.Random, directory: Path, tally: Damages) -> None:
    """The same for some files by the real command, which starts processes."""
    sweep = site.subject
    assert isinstance(sweep, TinySweep)
    real = replace(site, name=f"{site.name}, command", subject=TheCommand.like(sweep))
    for target in COMMANDED:
        judge(next(cases(real, target, draw)), directory, tally)


def flipped(site: Site, draw: random.Random, root: Path, tally: Damages, flips: int) -> None:
    """Flip so many bits of each of a checkpoint's files, and load it each time."""
    write_tree(root, site.tree)
    place = max((root / "run/checkpoints").glob("step-*"))
    for name in CHECKPOINT:
        whole = (place / name).read_bytes()
        for _ in range(flips):
            (place / name).write_bytes(damage.bit(whole, draw))
            found = "refused" if is_refused(place) else "SILENT"
            tally.outcomes[f"{name}, flip and load", found] += 1
            if found == "SILENT":
                tally.findings.append(f"{name}: a flipped bit was loaded")
        (place / name).write_bytes(whole)
    golden.report("flipped bits", sorted(set(tally.findings)))
    assert not is_refused(place), "it is sound but for the flips"


def is_refused(path: Path) -> bool:
    """Whether a checkpoint is found to be damaged."""
    try:
        checkpoint.load(path.parent, int(path.name.removeprefix("step-")))
    except RecordError:
        return True
    return False


def judge(case: Case, root: Path, tally: Damages) -> None:
    """Count what becomes of a case."""
    found = outcome(case, root)
    shutil.rmtree(root, ignore_errors=True)
    tally.cases += 1
    tally.outcomes[case.target, found.partition(" ")[0] if "SILENT" in found else found] += 1
    if found.startswith("SILENT"):
        tally.findings.append(f"{case.title()}: {found}")
        golden.report(case.title(), [found])
