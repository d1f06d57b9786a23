"""Copies the product, breaks the copy in one way after another, and looks what sees it."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chaos.mutants import MUTANTS, Edit, Mutant
from chaos.tally import Options, Tally

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("tinygpt", "experiments", "analysis", "tests", "pyproject.toml")
LIMIT_SECONDS = 900.0
TAIL_LINES = 8


@dataclass
class Verdicts(Tally):
    """Which mutants were seen, a line each."""

    rows: list[str] = field(default_factory=list)

    def line(self) -> str:
        seconds = time.monotonic() - self.began
        return f"mutants: {self.cases} made, {len(self.findings)} not seen, {seconds:.0f} s"


def copy(target: Path) -> Path:
    """A copy of the product and its tests."""
    ignored = shutil.ignore_patterns("__pycache__")
    target.mkdir(parents=True)
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target / name, ignore=ignored)
        else:
            shutil.copy2(ROOT / name, target / name)
    return target


def apply(edit: Edit, root: Path) -> None:
    """Make an edit; raises LookupError if its place is not there any more, or not the only one."""
    path = root / edit.file
    text = path.read_text()
    if text.count(edit.old) != 1:
        raise LookupError(f"{edit.file}: {text.count(edit.old)} times {edit.old!r}, must be once")
    path.write_text(text.replace(edit.old, edit.new))


def checked(check: Sequence[str], root: Path) -> tuple[bool, str]:
    """Whether a check passes in a copy, and what it said."""
    seed = ("--seed", "0") if check[0] == "chaos" else ()
    environment = os.environ | {"PYTHONPATH": f"{root}{os.pathsep}{root / 'tests'}"}
    done = subprocess.run(
        [sys.executable, "-m", *check, *seed],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
    )
    return done.returncode == 0, done.stdout + done.stderr


def seen(one: Mutant, root: Path) -> tuple[bool, str]:
    """Whether the check of a mutant finds something, and what it said; the copy is whole
    afterwards. A check that breaks down has found nothing."""
    files = {edit.file: (root / edit.file).read_bytes() for edit in one.edits}
    try:
        for edit in one.edits:
            apply(edit, root)
        passed, said = checked(one.check, root)
    finally:
        for file, data in files.items():
            (root / file).write_bytes(data)
    return not passed and ("FOUND" in said or "FAILED" in said), said


def last(said: str) -> str:
    return "\n".join(said.splitlines()[-TAIL_LINES:])


def mutated(options: Options, directory: Path) -> Verdicts:
    """Check all mutants, or the first so many, each after its check has passed without it."""
    root, tally = copy(directory / "copy"), Verdicts("mutants")
    chosen = MUTANTS[: options.sample]
    for check in dict.fromkeys(one.check for one in chosen):
        tally.findings += unbroken(check, root)
    for one in chosen:
        tally.findings += tried(one, root, tally)
    return tally


def unbroken(check: tuple[str, ...], root: Path) -> Iterator[str]:
    """What a check finds in the product as it is."""
    began = time.monotonic()
    passed, said = checked(check, root)
    print(f"{'passes' if passed else 'FAILS':8} {' '.join(check)} {since(began)}", flush=True)
    if not passed:
        yield f"{' '.join(check)}: fails without a mutant\n{last(said)}"


def tried(one: Mutant, root: Path, tally: Verdicts) -> Iterator[str]:
    """What there is to say of a mutant that was not seen."""
    began = time.monotonic()
    caught, said = seen(one, root)
    tally.cases += 1
    verdict = f"caught by {' '.join(one.check)}" if caught else "NOT SEEN"
    print(f"{one.name:66} {verdict} {since(began)}", flush=True)
    if not caught:
        yield f"{one.name}: {' '.join(one.check)} does not see it\n{last(said)}"


def since(began: float) -> str:
    return f"({time.monotonic() - began:.0f} s)"
