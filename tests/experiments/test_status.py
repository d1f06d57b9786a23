"""What is done, running and left, without touching anything."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments import status

Listing = Callable[[Path], dict[str, bytes]]
Write = Callable[..., Path]


def shown(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, list[str], str]:
    code = status.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out.splitlines(), captured.err


@pytest.fixture
def copy(golden: Any, tmp_path: Path) -> Path:
    """A copy of the finished sweep, for one test to change."""
    path = tmp_path / "runs" / "tiny"
    shutil.copytree(golden.path, path, ignore=shutil.ignore_patterns("wandb"))
    return path


@pytest.mark.parametrize("by_file", [True, False], ids=["file", "directory"])
def test_a_finished_sweep_shows_every_trial_and_its_report(
    golden: Any, listing: Listing, capsys: pytest.CaptureFixture[str], by_file: bool
) -> None:
    before = listing(golden.path)
    named = [golden.file, "--out", golden.path.parent] if by_file else [golden.path]
    code, lines, err = shown(capsys, *named)
    assert (code, err) == (0, "")
    assert lines[0].startswith(f"{golden.path}: 9 trials: ")
    assert " failed; best " in lines[0]
    assert [line.split()[:2] for line in lines[1:10]] == [["trial", str(n)] for n in range(9)]
    assert "failed: diverged: the loss or the gradient of update " in lines[2], lines[2]
    assert "pruned at 10 " in lines[5]
    assert lines[10:] == [f"done; the report: {golden.path}/report/report.html"]
    assert listing(golden.path) == before


def test_an_interrupted_sweep_shows_how_far_it_came_and_how_it_goes_on(
    copy: Path, listing: Listing, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (6, 7, 8):
        shutil.rmtree(copy / f"trials/{number:04d}")
    (copy / "trials/0005/result.json").unlink()
    saved = max(int(p.name[5:]) for p in (copy / "trials/0005/checkpoints").iterdir())
    before = listing(copy)
    code, lines, err = shown(capsys, copy)
    assert (code, err) == (0, "")
    assert "1 begun, 3 left" in lines[0]
    assert f"interrupted, saved at {saved}" in lines[6]
    assert lines[-1] == (f"nobody is driving it; `python -m experiments.sweep {copy}` goes on")
    assert listing(copy) == before


def test_a_sweep_without_a_trial_shows_what_is_left(
    copy: Path, listing: Listing, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(copy / "trials")
    before = listing(copy)
    code, lines, _ = shown(capsys, copy)
    assert code == 0
    assert lines[0] == f"{copy}: 9 trials: 9 left"
    assert listing(copy) == before


def test_a_sweep_that_was_never_begun_is_one_line_and_makes_no_directory(
    write_sweep: Write, tmp_path: Path, listing: Listing, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_sweep(tmp_path)
    before = listing(tmp_path)
    code, lines, err = shown(capsys, file, "--out", tmp_path / "runs")
    assert (code, lines) == (2, [])
    assert err.startswith(f"error: {tmp_path}/runs/tiny: no sweep was begun here; `python -m ")
    assert listing(tmp_path) == before


def test_a_missing_trial_is_an_unusable_record(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(copy / "trials/0003")
    code, _, err = shown(capsys, copy)
    assert code == 3
    assert err == f"error: {copy}/trials/0003: missing; restore it from a copy\n"


def test_a_mangled_record_is_an_unusable_record(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open(copy / "trials/0003/metrics.jsonl", "r+b") as file:
        file.write(b"~")
    code, _, err = shown(capsys, copy)
    assert code == 3
    assert err == (
        f"error: {copy}/trials/0003/metrics.jsonl:1: not a row of JSON; restore it from a copy\n"
    )
