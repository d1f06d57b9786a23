"""Killed anywhere and begun again, or run by more workers, a sweep leaves the same bytes."""

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from pairs import OPTIONS, covering

from tinygpt.files import is_locked, locked

Rows = Callable[[Path], Sequence[dict[str, Any]]]
Write = Callable[..., Path]

LEAVING_SECONDS = 10
"""How long what a dead driver left behind may take to save and leave."""


def metrics_bytes(path: Path) -> int:
    """How far the trials of a sweep have come."""
    return sum(file.stat().st_size for file in path.glob("trials/*/metrics.jsonl"))


def trains(trial: Path, rows: Rows) -> bool:
    """Whether a trial has made a step."""
    return any(row["kind"] == "train" for row in rows(trial / "metrics.jsonl"))


@pytest.mark.chaos
def test_two_workers_leave_the_same_bytes_as_one(
    golden: Any, command: Any, write_sweep: Write, facts: Any, tmp_path: Path
) -> None:
    file = write_sweep(tmp_path)
    outcome = command("experiments.sweep", file, "--workers", 2, cwd=tmp_path)
    assert (outcome.code, outcome.err) == (5, "")
    assert facts(tmp_path / "runs" / "tiny") == facts(golden.path)


def test_a_sweep_that_is_killed_at_any_moment_and_repeated_leaves_the_same_bytes(
    golden: Any,
    start: Any,
    command: Any,
    write_sweep: Write,
    facts: Any,
    until: Any,
    is_level: Callable[[Path], None],
    rows: Rows,
    tmp_path: Path,
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    draw = random.Random(seed)
    path, whole = tmp_path / "runs" / "tiny", metrics_bytes(golden.path)
    file = write_sweep(tmp_path, wandb={"mode": "offline"})
    moments = sorted(draw.uniform(0, 0.95) * whole for _ in range(2))
    for moment in moments:
        process = start("experiments.sweep", file, "--workers", 2, cwd=tmp_path)
        until(lambda moment=moment: metrics_bytes(path) >= moment)
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    events = [row["event"] for row in rows(path / "events.jsonl")]
    assert events.count("finished") == 0
    # Once more when all trials are done and the report and W&B's files are being written.
    process = start("experiments.sweep", file, "--workers", 2, cwd=tmp_path)
    until(lambda: rows(path / "events.jsonl")[-1]["event"] == "finished")
    os.killpg(process.pid, signal.SIGKILL)
    outcome = command("experiments.sweep", file, "--workers", 2, cwd=tmp_path)
    assert (outcome.code, outcome.err) == (5, "")
    assert facts(path) == facts(golden.path)
    assert {entry.name for entry in path.iterdir()} == {e.name for e in golden.path.iterdir()}
    is_level(path)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_stops_a_sweep_with_its_state_saved(
    start: Any,
    ended: Any,
    write_sweep: Write,
    until: Any,
    group_of: Any,
    rows: Rows,
    tmp_path: Path,
    number: int,
    code: int,
) -> None:
    run = {"train.max_iters": 10**6, "train.eval_interval": 10**6}
    file = write_sweep(tmp_path, run, trials=2, enqueue=[], wandb={"mode": "offline"})
    path = tmp_path / "runs" / "tiny"
    process = start("experiments.sweep", file, "--workers", 2, cwd=tmp_path)
    until(lambda: all(trains(path / "trials" / name, rows) for name in ("0000", "0001")))
    # Ctrl-C reaches the whole group, `kill` the command alone.
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    outcome = ended(process, LEAVING_SECONDS)
    assert outcome.code == code
    assert outcome.err == ""
    assert outcome.out.splitlines()[-1] == (
        "stopped: 0 of 2 trials are done, the state is saved; the same command goes on"
    )
    assert group_of(process.pid) == []
    for trial in (path / "trials").iterdir():
        newest = max((trial / "checkpoints").iterdir())
        assert int(newest.name.removeprefix("step-")) > 0


def test_two_signals_stop_a_sweep_at_once(
    start: Any, ended: Any, write_sweep: Write, until: Any, group_of: Any, tmp_path: Path
) -> None:
    run = {"train.max_iters": 10**6, "train.eval_interval": 10**6}
    file = write_sweep(tmp_path, run, trials=1, enqueue=[])
    process = start("experiments.sweep", file, cwd=tmp_path)
    until(lambda: list(tmp_path.glob("runs/tiny/trials/*/metrics.jsonl")))
    (worker,) = group_of(process.pid, "experiments.worker")
    os.kill(worker.pid, signal.SIGSTOP)
    process.send_signal(signal.SIGTERM)
    until(lambda: not signal_pending(process.pid))
    process.send_signal(signal.SIGTERM)
    outcome = ended(process, LEAVING_SECONDS)
    assert outcome.code == 143
    os.kill(worker.pid, signal.SIGKILL)


def signal_pending(pid: int) -> bool:
    """Whether a process has a signal that it has not taken yet."""
    status = Path(f"/proc/{pid}/status").read_text()
    masks = [line.split()[1] for line in status.splitlines() if line.startswith(("SigP", "ShdP"))]
    return any(int(mask, 16) for mask in masks)


@pytest.mark.chaos
def test_what_a_killed_driver_leaves_behind_saves_and_goes_and_the_next_waits_for_it(
    golden: Any,
    start: Any,
    command: Any,
    write_sweep: Write,
    facts: Any,
    until: Any,
    group_of: Any,
    tmp_path: Path,
) -> None:
    path, whole = tmp_path / "runs" / "tiny", metrics_bytes(golden.path)
    file = write_sweep(tmp_path, wandb={"mode": "offline"})
    first = start("experiments.sweep", file, "--workers", 2, cwd=tmp_path)
    until(lambda: metrics_bytes(path) >= whole / 4)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    # The workers of the first are still at their trials when the second begins.
    second = start("experiments.sweep", file, "--workers", 2, cwd=tmp_path)
    until(lambda: metrics_bytes(path) >= whole / 2 and group_of(second.pid, "experiments.mirror"))
    assert len(group_of(second.pid, "experiments.worker")) == 2
    os.kill(second.pid, signal.SIGKILL)
    second.wait()
    until(lambda: not group_of(first.pid) + group_of(second.pid), LEAVING_SECONDS)
    outcome = command("experiments.sweep", file, "--workers", 2, cwd=tmp_path)
    assert (outcome.code, outcome.err) == (5, "")
    assert facts(path) == facts(golden.path)


def test_a_second_command_on_a_sweep_is_refused_and_disturbs_nothing(
    start: Any,
    command: Any,
    ended: Any,
    write_sweep: Write,
    until: Any,
    group_of: Any,
    tmp_path: Path,
) -> None:
    file = write_sweep(tmp_path, {"train.max_iters": 10**6}, trials=1, enqueue=[])
    process = start("experiments.sweep", file, cwd=tmp_path)
    until(lambda: list(tmp_path.glob("runs/tiny/trials/*/metrics.jsonl")))
    outcome = command("experiments.sweep", file, cwd=tmp_path)
    assert outcome.code == 4
    assert outcome.errors == [
        f"error: runs/tiny: another sweep command drives it (process {process.pid}); wait for it "
        "or stop it"
    ]
    assert process.poll() is None
    assert (tmp_path / "runs" / "tiny" / "sweep.lock").read_text() == f"{process.pid}\n"
    status = command("experiments.status", file, cwd=tmp_path)
    assert status.code == 0
    assert "a sweep command is driving it" in status.out
    assert "running, at step" in status.out
    process.send_signal(signal.SIGTERM)
    assert ended(process, LEAVING_SECONDS).code == 143
    assert group_of(process.pid) == []


ENDLESS = {"train.max_iters": 10**6, "train.eval_interval": 10**6}


def test_a_sweep_whose_worker_is_stopped_ends_within_ten_seconds_of_a_signal(
    start: Any,
    ended: Any,
    write_sweep: Write,
    until: Any,
    group_of: Any,
    rows: Rows,
    tmp_path: Path,
) -> None:
    file = write_sweep(tmp_path, ENDLESS, trials=1, enqueue=[])
    trial = tmp_path / "runs" / "tiny" / "trials" / "0000"
    process = start("experiments.sweep", file, cwd=tmp_path)
    until(lambda: trains(trial, rows))
    (worker,) = group_of(process.pid, "experiments.worker")
    os.kill(worker.pid, signal.SIGSTOP)
    process.send_signal(signal.SIGTERM)
    outcome = ended(process, LEAVING_SECONDS)
    assert outcome.code == 143
    assert group_of(process.pid) == []
    assert (trial / "checkpoints" / "step-00000000").exists()
    assert not (trial / "result.json").exists()


def test_a_worker_in_a_long_evaluation_is_gone_within_ten_seconds_of_its_driver(
    start: Any, write_sweep: Write, until: Any, group_of: Any, text_file: Path, tmp_path: Path
) -> None:
    long = tmp_path / "long.txt"
    long.write_bytes(text_file.read_bytes() * 1000)
    run = {"data.corpus": str(long), "train.eval_iters": 0}  # minutes
    file = write_sweep(tmp_path, run, trials=1, enqueue=[], space=FEW)
    process = start("experiments.sweep", file, "--timeout", "10m", cwd=tmp_path)
    until(lambda: list(tmp_path.glob("runs/tiny/trials/0000/checkpoints/step-00000000")))
    process.kill()
    process.wait()
    until(lambda: group_of(process.pid) == [], LEAVING_SECONDS)


FEW = {"train.learning_rate": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True}}


def test_of_six_commands_at_once_one_does_the_work_and_five_are_refused(
    start: Any, ended: Any, write_sweep: Write, until: Any, rows: Rows, tmp_path: Path
) -> None:
    file = write_sweep(tmp_path, ENDLESS, trials=1, enqueue=[])
    commands = [start("experiments.sweep", file, cwd=tmp_path) for _ in range(6)]
    until(lambda: sum(one.poll() is None for one in commands) <= 1, 120)
    (owner,) = [one for one in commands if one.poll() is None]
    refused = [ended(one) for one in commands if one is not owner]
    assert [one.code for one in refused] == [4] * 5, [one.err for one in refused]
    assert all("another sweep command drives it" in one.err for one in refused)
    until(lambda: trains(tmp_path / "runs" / "tiny" / "trials" / "0000", rows))
    owner.send_signal(signal.SIGTERM)
    assert ended(owner, LEAVING_SECONDS).code == 143
    events = [row["event"] for row in rows(tmp_path / "runs" / "tiny" / "events.jsonl")]
    assert events == ["started", "trial_started", "stopped"]


def test_whose_number_stands_in_the_lock_file_does_not_matter(
    golden: Any, command: Any, tmp_path: Path
) -> None:
    path = tmp_path / "tiny"
    shutil.copytree(golden.path, path)
    (path / "sweep.lock").write_text(f"{os.getpid()}\n")  # this process lives and owns nothing
    assert command("experiments.sweep", path, cwd=tmp_path).code == 5


GRANDPARENT = """
import os, signal, subprocess, sys
from pathlib import Path
from tinygpt.files import locked
with locked(Path(sys.argv[1])):
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    child = subprocess.Popen(["sleep", "60"], **quiet)
    print(child.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_lock_is_free_when_its_owner_is_killed_though_a_child_of_it_lives(
    tmp_path: Path,
) -> None:
    lock = tmp_path / "run.lock"
    command = [sys.executable, "-c", GRANDPARENT, str(lock)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    pid = int(done.stdout)
    try:
        assert done.returncode == -signal.SIGKILL
        assert Path(f"/proc/{pid}").exists()
        assert not is_locked(lock)
        with locked(lock):
            pass
    finally:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.chaos
def test_every_two_options_leave_the_same_bytes_however_often_their_sweep_is_killed(
    start: Any, command: Any, write_sweep: Write, facts: Any, until: Any, tmp_path: Path
) -> None:
    settings = covering(OPTIONS)
    searched: dict[str, Any] = {
        "trials": len(settings),
        "sampler": {"type": "random"},
        "pruner": {"type": "none"},
        "space": {key: {"type": "categorical", "choices": list(OPTIONS[key])} for key in OPTIONS},
        "enqueue": settings,
    }
    once, often = tmp_path / "once", tmp_path / "often"
    for place in (once, often):
        place.mkdir()
    file = write_sweep(once, **searched)
    assert command("experiments.sweep", file, "--workers", 1, cwd=once).code == 0
    whole, path = metrics_bytes(once / "runs" / "tiny"), often / "runs" / "tiny"
    file = write_sweep(often, **searched)
    for share in (0.1, 0.3, 0.5, 0.7, 0.9):
        process = start("experiments.sweep", file, "--workers", 2, cwd=often)
        until(lambda share=share: metrics_bytes(path) >= share * whole)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert command("experiments.sweep", file, "--workers", 2, cwd=often).code == 0
    assert facts(path) == facts(once / "runs" / "tiny")


def test_a_worker_that_is_killed_before_it_is_ready_is_replaced(
    start: Any, ended: Any, write_sweep: Write, until: Any, group_of: Any, tmp_path: Path
) -> None:
    file = write_sweep(tmp_path, trials=1, enqueue=[])
    process = start("experiments.sweep", file, "--workers", 1, cwd=tmp_path)
    until(lambda: group_of(process.pid, "experiments.worker"))
    (first,) = group_of(process.pid, "experiments.worker")
    os.kill(first.pid, signal.SIGKILL)
    outcome = ended(process)
    assert (outcome.code, outcome.err) == (0, "")
