"""Where a disk is full or may not be written, a sweep stops with a line, and then goes on."""

import contextlib
import hashlib
import json
import resource
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from smalldisk import NotPermittedError, OwnMounts, ReadOnly, SmallDisk

Write = Callable[..., Path]
Rows = Callable[[Path], Sequence[dict[str, Any]]]

NEXT_MOVES = ("run the same command again", "run it again", "tries again")


@contextlib.contextmanager
def mounted(kind: Callable[..., OwnMounts], *arguments: Any) -> Iterator[Any]:
    """A disk of its own, gone at the end; the test is skipped where there can be none."""
    try:
        disk = kind(*arguments)
    except (NotPermittedError, FileNotFoundError) as error:
        pytest.skip(f"nothing can be mounted here: {error}")
    try:
        yield disk
    finally:
        disk.close()


def assert_whole(path: Path, rows: Rows) -> None:
    """Every file of a sweep that is there holds what its name promises."""
    names = ("sweep.json", "config.json", "result.json", "manifest.json", "tokenizer.json")
    for file in path.rglob("*.json"):
        if file.name in names:
            json.loads(file.read_bytes())
    for file in path.rglob("*.jsonl"):
        rows(file)
    for file in path.glob("trials/*/checkpoints/step-????????/manifest.json"):
        state = file.with_name("state.pt").read_bytes()
        assert json.loads(file.read_bytes())["sha256"] == hashlib.sha256(state).hexdigest()


@pytest.mark.chaos
def test_a_disk_that_is_full_anywhere_stops_the_sweep_and_with_more_room_it_leaves_the_same_bytes(
    golden: Any,
    write_sweep: Write,
    environment: dict[str, str],
    facts: Any,
    rows: Rows,
    tmp_path: Path,
) -> None:
    file, out = write_sweep(tmp_path), tmp_path / "out"
    command = (sys.executable, "-m", "experiments.sweep", file, "--out", out, "--workers", 2)
    reached = []
    with mounted(SmallDisk, out, 500_000) as disk:
        # Full with the checkpoints and records of some trials, and with the report.
        for size in (500_000, 1_600_000):
            disk.resize(size)
            done = disk.run(*command, env=environment, cwd=tmp_path)
            errors = done.stderr.splitlines()
            assert done.returncode == 75, done.stderr
            assert errors[0].startswith(f"warning: {out}/tiny: what is left of the sweep takes ")
            assert any(f"{out}/tiny" in line for line in errors[1:])
            assert any(line.endswith(NEXT_MOVES) for line in errors[1:])
            assert "Traceback" not in done.stderr
            assert_whole(disk.seen / "tiny", rows)
            reached.append(len(list(disk.seen.glob("tiny/trials/*/result.json"))))
        disk.resize(8_000_000)
        done = disk.run(*command, env=environment, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (5, "")
        shutil.copytree(disk.seen / "tiny", tmp_path / "tiny")  # SQLite wants a path of this side
    assert 0 < reached[0] < reached[1] == 9
    assert facts(tmp_path / "tiny") == facts(golden.path)
    assert (tmp_path / "tiny" / "report" / "report.html").exists()


def test_a_checkpoint_that_may_not_grow_so_large_stops_the_sweep_with_its_path_and_the_bytes(
    write_sweep: Write, command: Any, rows: Rows, tmp_path: Path
) -> None:
    def limited() -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))

    # The study has 120 kB, a checkpoint of this model 600 kB.
    space = {"model.dropout": {"type": "float", "low": 0.0, "high": 0.5}}
    run = {"model.d_model": 128, "model.d_head": 16, "train.max_iters": 4}
    file = write_sweep(tmp_path, run, space=space, enqueue=[], trials=1)
    outcome = command("experiments.sweep", file, cwd=tmp_path, preexec_fn=limited)
    assert outcome.code == 75
    (line,) = outcome.errors
    assert line.startswith("error: runs/tiny/trials/0000/checkpoints/step-00000000.")
    assert "state.pt: no room left for " in line
    assert line.endswith(" bytes; make some and run the same command again")
    assert_whole(tmp_path / "runs" / "tiny", rows)
    assert command("experiments.sweep", file, cwd=tmp_path).code == 0


def test_a_full_disk_leaves_the_report_that_is_there(
    golden: Any, environment: dict[str, str], listing: Any, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with mounted(SmallDisk, out, 5_000_000) as disk:
        ignored = shutil.ignore_patterns("wandb", "checkpoints")
        shutil.copytree(golden.path, disk.seen / "tiny", ignore=ignored)
        before = listing(disk.seen / "tiny" / "report")
        used = sum(len(content) for content in listing(disk.seen).values())
        disk.resize(used + 400_000)  # less than the page takes, more than files need for their ends
        done = disk.run(sys.executable, "-m", "analysis", out / "tiny", env=environment)
        (line,) = done.stderr.splitlines()
        assert done.returncode == 75
        assert line.startswith(f"{out}/tiny/report/report.html: No space left on device; ")
        assert listing(disk.seen / "tiny" / "report") == before
        disk.resize(8_000_000)
        done = disk.run(sys.executable, "-m", "analysis", out / "tiny", env=environment)
        assert (done.returncode, done.stderr) == (0, "")


def test_a_full_disk_of_the_mirror_costs_the_training_nothing(
    write_sweep: Write, environment: dict[str, str], facts: Any, tmp_path: Path
) -> None:
    file, out = write_sweep(tmp_path, trials=1, wandb={"mode": "offline"}), tmp_path / "out"
    command = (sys.executable, "-m", "experiments.sweep", file, "--out", out)
    with mounted(SmallDisk, out / "tiny" / "wandb", 16_000) as disk:
        done = disk.run(*command, env=environment, cwd=tmp_path)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 0
    assert line.startswith("warning: W&B ")
    assert line.endswith(f"`python -m experiments.publish {out}/tiny` makes it level")


@pytest.mark.parametrize("begun", [False, True], ids=["a new sweep", "a begun sweep"])
def test_a_directory_that_nobody_may_write_is_bad_input_and_nothing_is_made(
    golden: Any,
    write_sweep: Write,
    environment: dict[str, str],
    listing: Any,
    tmp_path: Path,
    begun: bool,
) -> None:
    file, out = write_sweep(tmp_path, trials=10), tmp_path / "out"
    out.mkdir()
    if begun:
        shutil.copytree(golden.path, out / "tiny", ignore=shutil.ignore_patterns("wandb"))
    before = listing(out)
    with mounted(ReadOnly, out) as disk:
        command = (sys.executable, "-m", "experiments.sweep", file, "--out", out)
        done = disk.run(*command, env=environment, cwd=tmp_path)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2
    assert line.startswith(f"error: {out}/tiny")
    assert line.endswith("no permission to write here; choose another --out")
    assert (listing(out), done.stdout) == (before, "")
