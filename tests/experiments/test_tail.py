"""The steps of a record are told when nothing can change them any more, and each of them once."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from experiments.tail import Cursor, Tail
from tinygpt.rundir import RunDir

Row = Mapping[str, Any]


def train(step: int) -> Row:
    return {"kind": "train", "step": step, "train_loss": 2.0}


def evaluation(step: int) -> Row:
    return {"kind": "eval", "step": step, "val_loss": 1.0, "train_loss": 1.0}


def sample(step: int) -> Row:
    return {"step": step, "prompt": "a", "text": "b"}


@pytest.fixture
def run_dir(tmp_path: Path) -> RunDir:
    """A run that writes samples and has no rows yet."""
    made = RunDir(tmp_path)
    made.config.write_text(json.dumps({"sample": {"max_new_tokens": 5}}))
    return made


def add(path: Path, *rows: Row) -> None:
    with open(path, "a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def save(run_dir: RunDir, step: int) -> None:
    (run_dir.checkpoints / f"step-{step:08d}").mkdir(parents=True)


def numbers(tail: Tail, ended: bool = False) -> list[int]:
    return [step.number for step in tail.steps(ended)]


ROWS = (evaluation(0), train(2), train(4), evaluation(4), sample(4), train(6), train(8))


@pytest.mark.parametrize(
    ("saved", "ended", "expected"),
    [
        ([], False, []),
        ([0], False, [0]),
        ([0, 4], False, [0, 2, 4]),
        ([4], True, [0, 2, 4, 6, 8]),
        ([], True, [0, 2, 4, 6, 8]),
    ],
)
def test_a_step_is_told_when_a_checkpoint_stands_behind_it_or_the_run_has_ended(
    run_dir: RunDir, saved: Sequence[int], ended: bool, expected: list[int]
) -> None:
    add(run_dir.metrics, *(row for row in ROWS if "kind" in row))
    add(run_dir.samples, sample(4))
    for step in saved:
        save(run_dir, step)
    assert numbers(Tail(run_dir), ended) == expected


def test_each_step_is_told_once(run_dir: RunDir) -> None:
    tail = Tail(run_dir)
    add(run_dir.metrics, evaluation(0), train(2))
    save(run_dir, 4)
    assert numbers(tail) == [0]
    add(run_dir.metrics, train(4), evaluation(4))
    assert numbers(tail) == [2]
    assert numbers(tail, ended=True) == [4]
    assert numbers(tail, ended=True) == []


def test_the_rows_of_one_step_are_told_together_with_its_timing_and_its_sample(
    run_dir: RunDir,
) -> None:
    tail = Tail(run_dir)
    add(run_dir.metrics, train(4), evaluation(4))
    add(run_dir.timings, {"kind": "eval", "step": 4}, {"kind": "train", "step": 4, "mfu": 0.5})
    save(run_dir, 4)
    assert numbers(tail) == [], "its sample may still come"
    add(run_dir.samples, sample(4))
    (step,) = tail.steps(ended=False)
    assert step.rows == (train(4), evaluation(4))
    assert step.timing == {"kind": "train", "step": 4, "mfu": 0.5}
    assert step.sample == sample(4)


def test_a_run_without_samples_waits_for_none(run_dir: RunDir) -> None:
    run_dir.config.write_text(json.dumps({"sample": {"max_new_tokens": 0}}))
    add(run_dir.metrics, evaluation(4))
    save(run_dir, 4)
    assert numbers(Tail(run_dir)) == [4]


def test_rows_that_an_interrupted_run_measures_anew_are_told_as_they_are_then(
    run_dir: RunDir,
) -> None:
    tail = Tail(run_dir)
    add(run_dir.metrics, evaluation(0), train(2))
    save(run_dir, 0)
    assert numbers(tail) == [0]
    before = run_dir.metrics.read_bytes().splitlines(keepends=True)[0]
    run_dir.metrics.write_bytes(before)
    add(run_dir.metrics, {**train(2), "train_loss": 9.0})
    (step,) = tail.steps(ended=True)
    assert step.rows == ({**train(2), "train_loss": 9.0},)


@pytest.mark.parametrize("tail", [b'{"kind": "train", "st', b"\xff\n", b'{"step": 4}', b"[]\n"])
def test_what_is_torn_is_not_read_and_not_passed(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "rows.jsonl"
    whole = b'{"step": 2}\n'
    path.write_bytes(whole + tail)
    cursor = Cursor(path)
    assert cursor.up_to(9) == [{"step": 2}]
    assert cursor.offset == len(whole)
    path.write_bytes(whole + b'{"step": 4}\n')
    assert cursor.up_to(9) == [{"step": 4}]
