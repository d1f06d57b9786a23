"""Runs in their directories: however often interrupted or damaged, the same bytes in the end."""

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from itertools import count, islice
from pathlib import Path
from typing import Any

import pytest
import torch
from pairs import OPTIONS, covering, name_of

from tinygpt.checkpoint import load, save, steps
from tinygpt.config import RunConfig, to_json
from tinygpt.corpus import Corpus
from tinygpt.events import Durable, Evaluated, Finished, Sampled, Saved, Started, Stopped, Trained
from tinygpt.execute import Execution
from tinygpt.files import BusyError, RecordError, is_locked, read_json, read_rows
from tinygpt.record import DivergedRecordError
from tinygpt.rundir import RunDir, best_of
from tinygpt.trainer import DivergedError

MakeConfig = Callable[..., RunConfig]
FilesOf = Callable[[Path], dict[str, bytes]]
Execute = Callable[..., Execution]

VALUES = {"checkpoint.interval": 3, "model.dropout": 0.1}
LAST = 12


@pytest.fixture
def execute(tiny: MakeConfig, corpus: Corpus) -> Execute:
    """Make the execution of a small run in a directory, beginning the run if it has not begun."""

    def make(path: Path, values: Mapping[str, Any] | None = None, **options: Any) -> Execution:
        settled = tiny({**VALUES, **(values or {})})
        run_dir = RunDir(path)
        run_dir.write_config(settled)
        return Execution(settled, run_dir, corpus, **options)

    return make


@pytest.fixture(scope="module")
def whole(
    tiny: MakeConfig, corpus: Corpus, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[Durable]]:
    """The run that was never interrupted, and its events; only to be read."""
    path, settled = tmp_path_factory.mktemp("whole"), tiny(VALUES)
    RunDir(path).write_config(settled)
    return path, list(Execution(settled, RunDir(path), corpus).events())


def leave_after(execution: Execution, number: int) -> list[Durable]:
    """Take `number` events and leave."""
    events = execution.events()
    taken = list(islice(events, number))
    events.close()
    return taken


def leave_at(execution: Execution, last: Durable) -> None:
    """Take events until `last` and leave."""
    with contextlib.closing(execution.events()) as events:
        assert last in events


def finish(execution: Execution) -> list[Durable]:
    return list(execution.events())


def flip(path: Path, place: int = -1) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def undamaged(files: dict[str, bytes]) -> dict[str, bytes]:
    """The files but those of checkpoints that were set aside."""
    return {name: data for name, data in files.items() if ".damaged-" not in name}


def test_a_run_leaves_the_promised_files(whole: tuple[Path, list[Durable]]) -> None:
    path, _ = whole
    assert sorted(entry.name for entry in path.iterdir()) == [
        "checkpoints",
        "config.json",
        "metrics.jsonl",
        "result.json",
        "run.lock",
        "samples.jsonl",
        "timings.jsonl",
        "tokenizer.json",
    ]


def test_the_record_holds_every_evaluation_and_every_due_row_of_training(
    whole: tuple[Path, list[Durable]],
) -> None:
    rows = read_rows(whole[0] / "metrics.jsonl")
    assert [(row["kind"], row["step"]) for row in rows] == [
        ("eval", 0),
        ("train", 2),
        ("train", 4),
        ("eval", 4),
        ("train", 6),
        ("train", 8),
        ("eval", 8),
        ("train", 10),
        ("train", 12),
        ("eval", 12),
    ]
    trains = [row for row in rows if row["kind"] == "train"]
    names = {"kind", "step", "train_loss", "learning_rate", "grad_norm", "tokens"}
    assert all(set(row) == names for row in trains)
    *evals, last = [row for row in rows if row["kind"] == "eval"]
    names = {"kind", "step", "val_loss", "train_loss", "tokens"}
    assert all(set(row) == names for row in evals)
    assert set(last) == {*names, "val_loss_subset"}


def test_the_result_is_the_last_loss_of_the_record(whole: tuple[Path, list[Durable]]) -> None:
    path, _ = whole
    last = RunDir(path).evaluations()[-1]
    result = read_json(path / "result.json")
    assert (result["state"], result["value"]) == ("complete", last["val_loss"])
    assert result["metrics"]["steps"] == LAST
    started = whole[1][0]
    assert isinstance(started, Started)
    assert result["metrics"]["parameters"] == started.parameters > 0
    assert result["metrics"]["flops_per_token"] == started.flops_per_token > 0
    assert result["reason"] is None


def test_times_are_kept_apart_and_joined_by_kind_and_step(
    whole: tuple[Path, list[Durable]],
) -> None:
    path, _ = whole
    rows = read_rows(path / "timings.jsonl")
    timed = {(row["kind"], row["step"]) for row in rows}
    assert {(row["kind"], row["step"]) for row in read_rows(path / "metrics.jsonl")} <= timed
    assert {("sample", row["step"]) for row in read_rows(path / "samples.jsonl")} <= timed
    assert all(row["seconds"] > 0 for row in rows)
    trains = [row for row in rows if row["kind"] == "train"]
    assert all(row["tokens_per_second"] > 0 for row in trains)
    assert all(row["mfu"] > 0 and row["peak_memory"] > 1 << 20 for row in trains)


def test_seconds_are_those_of_the_clock_without_the_consumer(
    execute: Execute, tmp_path: Path
) -> None:
    """A clock that moves by a second whenever it is read, and by a million for the consumer."""
    ticks, consumed = count(), 0.0
    execution = execute(tmp_path, clock=lambda: next(ticks) + consumed)
    for _ in execution.events():
        consumed += 1e6
    assert set(execution.seconds) == {"setup", "train", "eval", "sample", "checkpoint"}
    assert 0 < sum(execution.seconds.values()) <= next(ticks) < 1e6
    assert min(execution.seconds.values()) >= 1


def test_the_pace_is_that_of_the_updates_since_the_run_went_on(
    execute: Execute, tmp_path: Path
) -> None:
    """By a clock that moves by a second whenever it is read."""
    leave_at(execute(tmp_path), Saved(6))
    ticks = count()
    execution = execute(tmp_path, clock=lambda: float(next(ticks)))
    finish(execution)
    rows = [row for row in read_rows(tmp_path / "timings.jsonl") if row["kind"] == "train"]
    seconds = sum(row["seconds"] for row in rows if row["step"] > 6)
    assert execution.pace().tokens_per_second == (LAST - 6) * 4 * 8 / seconds


def test_an_event_is_handed_on_after_it_is_on_disk(execute: Execute, tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    for event in execute(tmp_path).events():
        match event:
            case Trained() | Evaluated():
                row = read_rows(run_dir.metrics)[-1]
                assert (row["step"], row["train_loss"]) == (event.step, event.train_loss)
            case Sampled():
                assert read_rows(run_dir.samples)[-1]["text"] == event.text
            case Saved():
                assert load(run_dir.checkpoints, event.step).manifest["step"] == event.step
            case Finished():
                assert run_dir.read_result() is not None


@pytest.mark.parametrize("taken", range(1, 41))
def test_a_run_left_at_any_event_ends_as_if_it_never_was(
    execute: Execute,
    whole: tuple[Path, list[Durable]],
    files_of: FilesOf,
    tmp_path: Path,
    taken: int,
) -> None:
    path, events = whole
    assert len(events) <= 40, "every event must be tried"
    assert leave_after(execute(tmp_path), taken) == events[:taken]
    assert finish(execute(tmp_path))[-1] == Finished(LAST)
    assert files_of(tmp_path) == files_of(path)


@pytest.mark.parametrize("taken", [2, 3, 5])
def test_a_run_left_again_and_again_ends_as_if_it_never_was(
    execute: Execute,
    whole: tuple[Path, list[Durable]],
    files_of: FilesOf,
    tmp_path: Path,
    taken: int,
) -> None:
    """Left after ever more events, so that it gets past each of its checkpoints."""
    for attempt in range(30):
        if Finished(LAST) in leave_after(execute(tmp_path), taken + attempt):
            break
    assert attempt > 5
    assert files_of(tmp_path) == files_of(whole[0])


@pytest.mark.parametrize("step", range(1, LAST + 1))
def test_a_run_asked_to_stop_saves_its_step_and_goes_on_from_there(
    execute: Execute,
    whole: tuple[Path, list[Durable]],
    files_of: FilesOf,
    tmp_path: Path,
    step: int,
) -> None:
    asked = iter(range(1, LAST + 1))
    stopping = execute(tmp_path, stopping=lambda: next(asked) == step)
    assert finish(stopping)[-1] == Stopped(step)
    assert steps(tmp_path / "checkpoints")[-1] == step
    assert not (tmp_path / "result.json").exists()
    rest = finish(execute(tmp_path))
    assert isinstance(rest[0], Started)
    assert (rest[0].step, rest[0].warning) == (step, None)
    assert files_of(tmp_path) == files_of(whole[0])


def test_a_run_stopped_at_every_step_ends_as_if_it_never_was(
    execute: Execute, whole: tuple[Path, list[Durable]], files_of: FilesOf, tmp_path: Path
) -> None:
    for step in range(1, LAST + 1):
        assert finish(execute(tmp_path, stopping=lambda: True))[-1] == Stopped(step)
    assert finish(execute(tmp_path))[-1] == Finished(LAST)
    assert files_of(tmp_path) == files_of(whole[0])


@pytest.mark.parametrize("options", covering(OPTIONS), ids=name_of)
def test_a_run_of_any_two_options_left_and_gone_on_with_ends_as_if_it_never_was(
    execute: Execute, files_of: FilesOf, tmp_path: Path, options: dict[str, Any]
) -> None:
    finish(execute(tmp_path / "whole", options))
    for taken in (7, 16):
        assert Finished(LAST) not in leave_after(execute(tmp_path / "left", options), taken)
    assert finish(execute(tmp_path / "left", options))[-1] == Finished(LAST)
    assert files_of(tmp_path / "left") == files_of(tmp_path / "whole")


def test_a_complete_run_executed_again_leaves_the_same_bytes(
    execute: Execute, whole: tuple[Path, list[Durable]], files_of: FilesOf, tmp_path: Path
) -> None:
    for _ in range(2):
        finish(execute(tmp_path))
    assert files_of(tmp_path) == files_of(whole[0])


def test_a_run_keeps_the_last_two_due_checkpoints_and_the_best(
    execute: Execute, tmp_path: Path
) -> None:
    """The rate grows until the loss rises, so that the best is neither the first nor the last."""
    values = {
        "train.schedule": "constant",
        "train.warmup_iters": LAST,
        "train.learning_rate": 0.1,
        "train.eval_interval": 1,
        "checkpoint.interval": 0,
    }
    run_dir, execution = RunDir(tmp_path), execute(tmp_path, values)
    evaluated: list[dict[str, Any]] = []
    for event in execution.events():
        if isinstance(event, Saved):
            kept = {event.step, max(0, event.step - 1)}
            kept |= {best_of(evaluated)["step"]} if evaluated else set()
            assert steps(run_dir.checkpoints) == sorted(kept)
        evaluated = run_dir.evaluations()
    best = read_json(run_dir.result)["best_step"]
    assert 0 < best < LAST - 2
    assert steps(run_dir.checkpoints) == [best, LAST - 1, LAST]


def test_more_checkpoints_are_kept_where_that_is_asked_for(
    execute: Execute, tmp_path: Path
) -> None:
    finish(execute(tmp_path, {"checkpoint.keep": 4, "checkpoint.interval": 1}))
    assert {LAST - 3, LAST - 2, LAST - 1, LAST} <= set(steps(tmp_path / "checkpoints"))
    assert len(steps(tmp_path / "checkpoints")) <= 5


@pytest.mark.parametrize("torn", [b'{"kind": "train", "st', b"\x00" * 512, b'{"step": 9}\n{'])
@pytest.mark.parametrize("name", ["metrics.jsonl", "samples.jsonl", "timings.jsonl"])
def test_what_a_kill_or_a_power_cut_left_at_the_end_of_a_record_is_cut_off(
    execute: Execute,
    whole: tuple[Path, list[Durable]],
    files_of: FilesOf,
    tmp_path: Path,
    name: str,
    torn: bytes,
) -> None:
    leave_after(execute(tmp_path), 20)
    with (tmp_path / name).open("ab") as file:
        file.write(torn)
    finish(execute(tmp_path))
    assert files_of(tmp_path) == files_of(whole[0])
    kinds = [(row["kind"], row["step"]) for row in read_rows(tmp_path / "timings.jsonl")]
    assert kinds.count(("eval", LAST)) == 1


def test_a_damaged_line_of_the_timings_does_not_cost_the_run(
    execute: Execute, whole: tuple[Path, list[Durable]], files_of: FilesOf, tmp_path: Path
) -> None:
    """Nothing waits for the disk to have them, so a power cut may leave zeros in their midst."""
    leave_after(execute(tmp_path), 20)
    lines = (tmp_path / "timings.jsonl").read_bytes().splitlines(keepends=True)
    lines[1] = b"\x00" * (len(lines[1]) - 1) + b"\n"
    (tmp_path / "timings.jsonl").write_bytes(b"".join(lines))
    finish(execute(tmp_path))
    assert files_of(tmp_path) == files_of(whole[0])


def flipped_state(path: Path) -> None:
    flip(path / "state.pt", 1000)


def truncated_state(path: Path) -> None:
    (path / "state.pt").write_bytes((path / "state.pt").read_bytes()[:1000])


def emptied_manifest(path: Path) -> None:
    (path / "manifest.json").write_bytes(b"")


DAMAGES = [flipped_state, truncated_state, emptied_manifest]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_is_taken(
    execute: Execute,
    whole: tuple[Path, list[Durable]],
    files_of: FilesOf,
    tmp_path: Path,
    damage: Callable[[Path], None],
) -> None:
    leave_at(execute(tmp_path), Saved(9))
    damage(tmp_path / "checkpoints" / "step-00000009")
    rest = finish(execute(tmp_path))
    assert isinstance(rest[0], Started)
    assert rest[0].step == 8
    assert "step-00000009" in str(rest[0].warning)
    assert str(rest[0].warning).endswith("checkpoint 9 was set aside")
    assert (tmp_path / "checkpoints" / "step-00000009.damaged-0").is_dir()
    assert undamaged(files_of(tmp_path)) == files_of(whole[0])


@pytest.mark.parametrize("name", ["metrics.jsonl", "samples.jsonl"])
def test_a_checkpoint_whose_record_was_damaged_is_not_taken(
    execute: Execute,
    whole: tuple[Path, list[Durable]],
    files_of: FilesOf,
    tmp_path: Path,
    name: str,
) -> None:
    """The record is written again from the last checkpoint that saw it whole."""
    leave_at(execute(tmp_path), Saved(9))
    marks = [
        load(tmp_path / "checkpoints", step).manifest["records"][name]["bytes"]
        for step in steps(tmp_path / "checkpoints")[-2:]
    ]
    assert marks[0] < marks[1]
    flip(tmp_path / name, marks[1] - 3)
    finish(execute(tmp_path))
    assert undamaged(files_of(tmp_path)) == files_of(whole[0])


def test_a_row_behind_the_checkpoint_that_is_computed_again_with_another_value_is_loud(
    execute: Execute, files_of: FilesOf, tmp_path: Path
) -> None:
    with contextlib.closing(execute(tmp_path).events()) as events:
        next(event for event in events if isinstance(event, Evaluated) and event.step == 8)
    flip(tmp_path / "metrics.jsonl", -10)  # a digit of the row of that evaluation
    before = files_of(tmp_path)
    for _ in range(2):
        with pytest.raises(DivergedRecordError, match=r"metrics\.jsonl:7: computed again"):
            finish(execute(tmp_path))
        assert files_of(tmp_path) == before


def test_rows_that_are_there_already_are_proven_and_not_written_again(
    execute: Execute, whole: tuple[Path, list[Durable]], files_of: FilesOf, tmp_path: Path
) -> None:
    leave_at(execute(tmp_path), Saved(8))
    kept = tmp_path.with_name("kept")
    shutil.copytree(tmp_path, kept)
    with contextlib.closing(execute(tmp_path).events()) as events:
        next(event for event in events if isinstance(event, Trained) and event.step == 12)
    # A kill does not take back what was written, but the checkpoints since are lost.
    shutil.rmtree(tmp_path / "checkpoints")
    shutil.copytree(kept / "checkpoints", tmp_path / "checkpoints")
    finish(execute(tmp_path))
    assert files_of(tmp_path) == files_of(whole[0])


def test_on_another_machine_rows_are_not_compared_with_those_of_the_first(
    execute: Execute, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.closing(execute(tmp_path).events()) as events:
        next(event for event in events if isinstance(event, Evaluated) and event.step == 8)
    flip(tmp_path / "metrics.jsonl", -10)
    monkeypatch.setenv("MKL_CBWR", "AVX2")
    first, *_, last = finish(execute(tmp_path))
    assert isinstance(first, Started)
    assert "MKL_CBWR=AVX2" in str(first.warning)
    assert last == Finished(LAST)


def test_rows_that_another_machine_wrote_before_its_first_checkpoint_are_not_compared(
    execute: Execute, files_of: FilesOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that went on elsewhere, was killed there soon and has come back."""
    leave_at(execute(tmp_path), Saved(8))
    monkeypatch.setenv("MKL_CBWR", "AVX2")
    with contextlib.closing(execute(tmp_path).events()) as events:
        next(event for event in events if isinstance(event, Evaluated) and event.step == 8)
    flip(tmp_path / "metrics.jsonl", -10)
    monkeypatch.delenv("MKL_CBWR")
    assert finish(execute(tmp_path))[-1] == Finished(LAST)


def test_a_run_that_another_attempt_has_taken_over_saves_nothing_more(
    execute: Execute, whole: tuple[Path, list[Durable]], files_of: FilesOf, tmp_path: Path
) -> None:
    """As where somebody removed the lock file, or a file system forgets who holds it."""
    with contextlib.closing(execute(tmp_path).events()) as first:
        assert Saved(3) in first
        (tmp_path / "run.lock").unlink()
        with contextlib.closing(execute(tmp_path).events()) as second:
            assert Saved(8) in second
            with pytest.raises(BusyError, match=r"run\.lock: was removed while this process held"):
                list(first)
            assert steps(tmp_path / "checkpoints")[-1] == 8
    finish(execute(tmp_path))
    assert files_of(tmp_path) == files_of(whole[0])


def test_checkpoints_that_an_interrupted_removal_left_go_at_the_next_start(
    execute: Execute, tmp_path: Path
) -> None:
    leave_at(execute(tmp_path), Saved(8))
    directory = tmp_path / "checkpoints"
    expected = steps(directory)
    shutil.copytree(directory / "step-00000008", directory / "step-00000007.tmp")
    found = load(directory, 8)
    about = {name: found.manifest[name] for name in found.manifest if name not in SAVED}
    save(directory, 1, found.state, {**about, "numerics": found.manifest["numerics"]})
    leave_after(execute(tmp_path), 1)
    assert steps(directory) == expected
    assert not list(directory.glob("*.tmp"))


def test_checkpoints_that_are_removed_under_a_run_are_missed_loudly(
    execute: Execute, tmp_path: Path
) -> None:
    with contextlib.closing(execute(tmp_path).events()) as events:
        assert Saved(8) in events
        shutil.rmtree(tmp_path / "checkpoints")
        with pytest.raises(FileNotFoundError, match="checkpoints"):
            list(events)
    with pytest.raises(RecordError, match="no checkpoint is left of a run that has begun"):
        finish(execute(tmp_path))


def test_a_vocabulary_that_is_not_the_one_of_the_corpus_is_refused(
    execute: Execute, tmp_path: Path
) -> None:
    leave_at(execute(tmp_path), Saved(8))
    flip(tmp_path / "tokenizer.json", 20)
    with pytest.raises(RecordError, match=r"tokenizer\.json: not the vocabulary of the corpus"):
        finish(execute(tmp_path))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_run_without_a_sound_checkpoint_is_not_begun_anew(
    execute: Execute, files_of: FilesOf, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    leave_at(execute(tmp_path), Saved(9))
    for step in steps(tmp_path / "checkpoints"):
        damage(tmp_path / "checkpoints" / f"step-{step:08d}")
    before = files_of(tmp_path)
    with pytest.raises(RecordError, match="no older checkpoint is left"):
        finish(execute(tmp_path))
    assert files_of(tmp_path) == before
    assert not is_locked(tmp_path / "run.lock")


@pytest.mark.parametrize("name", ["metrics.jsonl", "samples.jsonl"])
def test_a_run_whose_record_is_gone_is_not_begun_anew(
    execute: Execute, tmp_path: Path, name: str
) -> None:
    finish(execute(tmp_path))
    (tmp_path / name).unlink()
    with pytest.raises(RecordError, match=name):
        finish(execute(tmp_path))


def test_a_checkpoint_of_another_config_is_refused(
    execute: Execute, tiny: MakeConfig, tmp_path: Path
) -> None:
    leave_at(execute(tmp_path), Saved(9))
    RunDir(tmp_path).config.write_bytes(to_json(tiny({**VALUES, "train.learning_rate": 0.5})))
    with pytest.raises(RecordError, match="was saved with another config_sha256"):
        finish(execute(tmp_path, {"train.learning_rate": 0.5}))


def test_a_run_that_another_process_executes_is_left_alone(
    execute: Execute, files_of: FilesOf, tmp_path: Path
) -> None:
    leave_after(execute(tmp_path), 10)
    before = files_of(tmp_path)
    hold = (
        "import fcntl, sys; file = open(sys.argv[1]); fcntl.flock(file, fcntl.LOCK_EX);"
        "print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path / "run.lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as owner:
        assert owner.stdout is not None
        owner.stdout.readline()
        with pytest.raises(BusyError, match="another process holds this lock"):
            finish(execute(tmp_path))
        owner.kill()
    assert files_of(tmp_path) == before


def test_the_lock_is_held_while_the_run_is_executed_and_freed_when_it_is_left(
    execute: Execute, tmp_path: Path
) -> None:
    events = execute(tmp_path).events()
    next(events)
    assert is_locked(tmp_path / "run.lock")
    events.close()
    assert not is_locked(tmp_path / "run.lock")


@pytest.mark.parametrize("taken", [0, 1, 3])
def test_a_diverged_run_is_recorded_as_failed_with_the_reason(
    execute: Execute, files_of: FilesOf, tmp_path: Path, taken: int
) -> None:
    values = {"train.learning_rate": 1e30, "train.eval_interval": 100, "train.log_interval": 1}
    leave_after(execute(tmp_path / "one", values), taken)
    for path in (tmp_path / "one", tmp_path / "two"):
        with pytest.raises(DivergedError):
            finish(execute(path, values))
    result = read_json(tmp_path / "one" / "result.json")
    assert (result["state"], result["value"]) == ("failed", None)
    assert result["reason"].startswith("diverged: the loss or the gradient of update")
    assert not is_locked(tmp_path / "one" / "run.lock")
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


@pytest.mark.parametrize("rate", [1e30, 1e38])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_diverging_run_that_was_stopped_leaves_the_same_files(
    execute: Execute, files_of: FilesOf, tmp_path: Path, step: int, rate: float
) -> None:
    """Also where the state at which it stops is not finite and nobody would have looked at it."""
    values = {"train.learning_rate": rate, "train.warmup_iters": 0}
    values |= {"train.eval_interval": 100, "checkpoint.interval": 100}
    for path in (tmp_path / "whole", tmp_path / "stopped"):
        if path.name == "stopped":
            asked = iter(range(1, LAST))
            stopping = execute(path, values, stopping=lambda asked=asked: next(asked) == step)
            with contextlib.suppress(DivergedError):
                assert finish(stopping)[-1] == Stopped(step)
        if not (path / "result.json").exists():
            with pytest.raises(DivergedError):
                finish(execute(path, values))
    assert files_of(tmp_path / "stopped") == files_of(tmp_path / "whole")


SAVED = ("schema", "step", "bytes", "sha256", "numerics")


def test_a_checkpoint_that_names_its_bytes_as_another_torch_would_is_gone_on_from(
    execute: Execute, whole: tuple[Path, list[Durable]], tmp_path: Path
) -> None:
    """Equal states need not have equal bytes in another version of torch: its user is warned, and
    the run goes on."""
    leave_at(execute(tmp_path), Saved(9))
    directory = tmp_path / "checkpoints"
    found = load(directory, 9)
    buffer = io.BytesIO()
    state = torch.load(io.BytesIO(found.state), weights_only=True)
    torch.save(state, buffer, _use_new_zipfile_serialization=False)
    about = {name: found.manifest[name] for name in found.manifest if name not in SAVED}
    numerics = {**found.manifest["numerics"], "torch": "2.10.0"}
    shutil.rmtree(directory / "step-00000009")
    save(directory, 9, buffer.getvalue(), about | {"numerics": numerics})
    first, *_, last = finish(execute(tmp_path))
    assert isinstance(first, Started)
    assert first.step == 9
    assert "torch was 2.10.0, is" in str(first.warning)
    assert last == Finished(LAST)
    result = (tmp_path / "result.json").read_bytes()
    assert result == (whole[0] / "result.json").read_bytes()


def test_a_name_is_on_disk_before_a_checkpoint_is_called_saved(
    execute: Execute, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory whose new name was not synced is gone after a power cut, with all it holds."""
    durable: set[str] = set()
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        fsync(descriptor)
        if os.path.samestat(os.fstat(descriptor), tmp_path.stat()):
            durable.update(os.listdir(tmp_path))

    monkeypatch.setattr(os, "fsync", watched)
    leave_at(execute(tmp_path), Saved(0))
    assert {"config.json", "checkpoints", "metrics.jsonl", "samples.jsonl"} <= durable


def test_the_manifest_says_what_decides_the_bits(whole: tuple[Path, list[Durable]]) -> None:
    manifest = load(whole[0] / "checkpoints", LAST).manifest
    assert manifest["numerics"]["torch"] == torch.__version__
    assert manifest["numerics"]["threads"] == 1
    assert set(manifest["records"]) == {"metrics.jsonl", "samples.jsonl"}
    assert json.loads(json.dumps(dict(manifest))) == manifest
