"""A sweep's directory may be copied, moved and renamed; what is mixed up in it is refused."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Write = Callable[..., Path]


@pytest.fixture(scope="module")
def interrupted(
    golden: Any,
    start: Any,
    until: Any,
    write_sweep: Write,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A sweep, and its file beside `runs`, that was killed when about half of it was trained; only
    to be read."""
    directory = tmp_path_factory.mktemp("interrupted")
    file, path = write_sweep(directory), directory / "runs" / "tiny"
    process = start("experiments.sweep", file, "--workers", 2, cwd=directory)
    until(lambda: len(list(path.glob("trials/*/result.json"))) >= 4)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return directory


def copied(interrupted: Path, target: Path) -> Path:
    """The sweep's directory under another path, as `cp -r` copies it."""
    target.parent.mkdir(parents=True)
    source = interrupted / "runs" / "tiny"
    subprocess.run(["cp", "-r", source, target], check=True)
    return target


def assert_same(path: Path, golden: Any, facts: Any, place: Path) -> None:
    """A sweep, put where Optuna can read its study, has the bytes of the golden one."""
    assert facts(path.rename(place / "tiny")) == facts(golden.path)


MOVES: dict[str, tuple[str, list[str]]] = {
    "another parent": ("else/where/tiny", ["tiny.yaml", "--out", "else/where"]),
    "another name": ("runs/newname", ["runs/newname"]),
    "a path of odd characters": ("a {0} b?c=d#e%20/tiny", ["a {0} b?c=d#e%20/tiny"]),
}


LONGER = [
    pytest.param(*MOVES["another parent"], id="another parent", marks=pytest.mark.chaos),
    pytest.param(*MOVES["another name"], id="another name", marks=pytest.mark.chaos),
    pytest.param(*MOVES["a path of odd characters"], id="a path of odd characters"),
]


@pytest.mark.parametrize(("place", "words"), LONGER)
def test_a_sweep_goes_on_wherever_it_was_copied_and_leaves_the_same_bytes(
    golden: Any,
    interrupted: Path,
    command: Any,
    facts: Any,
    tmp_path: Path,
    place: str,
    words: list[str],
) -> None:
    shutil.copy(interrupted / "tiny.yaml", tmp_path)
    path = copied(interrupted, tmp_path / place)
    outcome = command("experiments.sweep", *words, "--workers", 2, cwd=tmp_path)
    assert (outcome.code, outcome.err) == (5, "")
    assert f"{place}: 9 trials, " in outcome.out
    assert f"{place}/report/report.html" in outcome.out
    assert_same(path, golden, facts, tmp_path)


def test_a_sweep_whose_text_has_moved_is_refused_with_the_path_it_had(
    interrupted: Path, command: Any, listing: Any, text_file: Path, tmp_path: Path
) -> None:
    path = copied(interrupted, tmp_path / "runs" / "tiny")
    before = listing(path)
    moved = text_file.rename(text_file.with_name("moved.txt"))
    try:
        outcome = command("experiments.sweep", "runs/tiny", cwd=tmp_path)
    finally:
        moved.rename(text_file)
    (line,) = outcome.errors
    assert outcome.code == 2
    assert f"{text_file}: cannot be read" in line
    assert listing(path) == before


def copy_trial(path: Path, source: str, target: str) -> None:
    shutil.rmtree(path / "trials" / target, ignore_errors=True)
    shutil.copytree(path / "trials" / source, path / "trials" / target)


def copy_checkpoints(path: Path, source: str, target: str) -> None:
    shutil.rmtree(path / "trials" / target / "checkpoints")
    there = path / "trials" / target
    shutil.copytree(path / "trials" / source / "checkpoints", there / "checkpoints")
    (there / "result.json").unlink(missing_ok=True)


MIXED: dict[str, tuple[Callable[[Path], None], str]] = {
    "a trial under the number of another": (
        lambda path: copy_trial(path, "0000", "0003"),
        "trials/0003",
    ),
    "two trials changed places": (
        lambda path: (
            copy_trial(path, "0000", "x"),
            copy_trial(path, "0002", "0000"),
            copy_trial(path, "x", "0002"),
            shutil.rmtree(path / "trials" / "x"),
        )[-1],
        "trials/000",
    ),
    "a trial under a number far off": (
        lambda path: copy_trial(path, "0000", "0042"),
        ": missing; restore it from a copy",
    ),
    "a trial removed": (lambda path: shutil.rmtree(path / "trials" / "0001"), "trials/0001"),
    # What trial 3 was proposed on is only known again once trial 0 has been finished.
    "a trial that cannot be proven yet": (
        lambda path: (
            (path / "trials" / "0000" / "result.json").unlink(),
            copy_trial(path, "0002", "0003"),
        )[-1],
        "trials/0003/",
    ),
    "the checkpoints of another trial": (
        lambda path: copy_checkpoints(path, "0002", "0000"),
        "trials/0000/checkpoints",
    ),
}


@pytest.mark.parametrize(("mix", "named"), MIXED.values(), ids=MIXED)
def test_what_is_mixed_up_in_a_sweep_is_refused_and_named(
    interrupted: Path,
    command: Any,
    facts: Any,
    tmp_path: Path,
    mix: Callable[[Path], None],
    named: str,
) -> None:
    path = copied(interrupted, tmp_path / "runs" / "tiny")
    mix(path)
    before = facts(path)
    outcome = command("experiments.sweep", "runs/tiny", "--workers", 1, cwd=tmp_path)
    assert outcome.code == 3, outcome.out + outcome.err
    assert named in outcome.errors[-1], outcome.err
    after = facts(path)
    assert {name: after[name] for name in before if name.startswith("trials")} == {
        name: before[name] for name in before if name.startswith("trials")
    }
