"""The driver and its workers, real processes: what dies goes on, what fails is told."""

import itertools
import os
import re
import resource
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from experiments.account import Account
from experiments.driver import Driver
from experiments.process import Child
from experiments.roster import Roster
from experiments.search import Search
from experiments.spec import Sweep
from experiments.store import opened
from experiments.sweepdir import SweepDir
from experiments.terminal import Terminal
from tinygpt import checkpoint
from tinygpt.corpus import load
from tinygpt.exits import BAD_INPUT
from tinygpt.files import is_locked, locked
from tinygpt.rundir import RunDir
from tinygpt.seal import sealed, unsealed

Rows = Callable[[Path], Sequence[dict[str, Any]]]
StudyRows = Callable[[Path], list[tuple[Any, ...]]]
VOCABULARY = 17
FOUR = [
    {
        "train.learning_rate": 1e-2,
        "model.d_model": 16,
        "model.d_head": 8,
        "model.dropout": 0.1,
        "train.weight_decay": 0.1,
        "seed": seed,
    }
    for seed in (1, 2, 3, 4)
]


class Drive:
    """A sweep that is driven in this process, with one worker process unless told otherwise."""

    def __init__(self, path: Path, sweep: Sweep) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.dir, self.sweep = SweepDir(path), sweep
        self.driver: Driver | None = None
        if not self.dir.begun():
            self.dir.write_sweep(sweep, {"versions": {}, "corpus": {"vocabulary": VOCABULARY}})

    def run(
        self,
        should_stop: Callable[[], bool] = lambda: False,
        workers: int = 1,
        is_late: Callable[[], bool] = lambda: False,
        **options: float,
    ) -> Driver:
        with ExitStack() as stack:
            children = [Child("experiments.worker") for _ in range(workers)]
            for child in children:
                stack.callback(child.dismiss)
            while not children[0].poll(60):
                assert children[0].alive, children[0].last_words()
            search = Search(self.sweep, VOCABULARY)
            trials = self.dir.history(search)
            store = stack.enter_context(opened(self.dir.study, search, trials))
            terminal = Terminal("tiny", self.sweep.planned(), workers, progress=False)
            account = Account(time.monotonic(), workers)
            roster = Roster(self.dir, search, store, trials, terminal)
            driver = Driver(self.dir, roster, children, terminal, account, **options)
            self.driver = driver
            driver.run(should_stop, is_late)
            driver.close()
            return driver

    def trial(self, number: int) -> RunDir:
        return self.dir.trial(number)


@pytest.fixture(scope="module")
def long(make_sweep: Callable[..., Sweep], text_file: Path) -> Sweep:
    """A sweep of trials that take long enough to be disturbed; they differ in their seeds."""
    run = {
        "data.sha256": load(str(text_file)).sha256,
        "train.max_iters": 240,
        "train.eval_interval": 40,
    }
    return make_sweep(run, trials=1, enqueue=FOUR)


@pytest.fixture(scope="module")
def whole(long: Sweep, tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A trial of the long sweep that nothing has disturbed."""
    swept = Drive(tmp_path_factory.mktemp("whole") / "tiny", long)
    swept.run()
    return swept.trial(0)


@pytest.fixture
def drive(
    tmp_path: Path, make_sweep: Callable[..., Sweep], text_file: Path
) -> Callable[..., Drive]:
    """Prepare the small sweep, with some keys changed."""

    def prepare(run: dict[str, Any] | None = None, **changes: Any) -> Drive:
        settled = {"data.sha256": load(str(text_file)).sha256, **(run or {})}
        return Drive(tmp_path / "tiny", make_sweep(settled, **changes))

    return prepare


def worker_pids() -> list[int]:
    """The living workers that this process has started."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                state, parent, _ = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
                words = (entry / "cmdline").read_text().split("\0")
            except OSError:
                continue
            if parent == str(os.getpid()) and state != "Z" and "experiments.worker" in words:
                found.append(int(entry.name))
    return found


class Kill:
    """Kills the worker each time a condition comes true; asked as often as the driver looks."""

    def __init__(self, *conditions: Callable[[], bool]) -> None:
        self.conditions = list(conditions)
        self.killed: set[int] = set()

    def __call__(self) -> bool:
        if self.conditions and self.conditions[0]():
            # One that was killed already must not count for two.
            for pid in set(worker_pids()) - self.killed:
                os.kill(pid, signal.SIGKILL)
                self.killed.add(pid)
                del self.conditions[0]
        return False


def reached(drive: Drive, rows: Rows, number: int, step: int) -> Callable[[], bool]:
    return lambda: any(row["step"] >= step for row in rows(drive.trial(number).metrics))


SAME = ("config.json", "metrics.jsonl", "samples.jsonl", "result.json", "tokenizer.json")


def same_bytes(one: RunDir, other: RunDir) -> bool:
    return all((one.path / name).read_bytes() == (other.path / name).read_bytes() for name in SAME)


def test_a_trial_whose_worker_is_killed_goes_on_from_its_last_checkpoint(
    long: Sweep, whole: RunDir, rows: Rows, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    swept = Drive(tmp_path / "tiny", long)
    driver = swept.run(Kill(reached(swept, rows, 0, 90), reached(swept, rows, 0, 170)))
    assert (driver.halt, driver.roster.left()) == (None, 0)
    assert same_bytes(swept.trial(0), whole)
    events = rows(swept.dir.events)
    assert [row["event"] for row in events] == [
        "trial_started",
        "worker_died",
        "trial_resumed",
        "worker_died",
        "trial_resumed",
        "trial_finished",
    ]
    assert [(row["trial"], row["code"]) for row in events[1:4:2]] == [(0, -9), (0, -9)]
    assert events[2]["step"] >= 80
    assert events[4]["step"] >= 160
    warnings = capsys.readouterr().err.splitlines()
    assert [line.split(";")[0] for line in warnings] == [
        "warning: trial 0: its worker died (signal 9)"
    ] * 2


def test_a_trial_whose_worker_dies_again_and_again_at_one_step_fails_and_the_sweep_goes_on(
    drive: Callable[..., Drive], study_rows: StudyRows
) -> None:
    swept = drive({"train.eval_interval": 4000}, trials=2, enqueue=FOUR, max_retries=1)
    begun = [lambda: is_locked(swept.trial(0).lock)] * 2
    driver = swept.run(Kill(*begun))
    assert [trial.state for trial in driver.roster.trials] == ["failed", "complete"]
    reason = driver.roster.trials[0].reason
    assert reason is not None
    assert reason.startswith("its worker died (signal 9) 2 times at step 0")
    assert [row[2] for row in study_rows(swept.dir.path)] == ["FAIL", "COMPLETE"]


def test_a_trial_whose_worker_crashes_fails_with_the_error_as_its_reason_and_the_end_of_its_log(
    drive: Callable[..., Drive],
) -> None:
    # No check before the training looks at this run's prompt, which the text cannot spell.
    swept = drive({"sample.prompt": "\u00e9"}, trials=1, max_retries=0)
    driver = swept.run()
    reason = driver.roster.trials[0].reason
    assert reason is not None
    assert reason.startswith("its worker died (exit code 1) 1 times at step 0: ")
    assert "U+00E9" in reason
    result = swept.trial(0).read_result()
    assert result is not None
    assert result["reason"] == reason
    assert reason.endswith(result["log"].splitlines()[-1])
    assert "Traceback (most recent call last):" in swept.trial(0).log.read_text()
    assert swept.trial(0).log.read_text().strip().endswith(result["log"])


def test_a_trial_that_diverges_fails_with_its_reason_and_the_sweep_goes_on(
    drive: Callable[..., Drive], study_rows: StudyRows
) -> None:
    space = {"train.learning_rate": {"type": "float", "low": 1e-3, "high": 1e30, "log": True}}
    enqueue = [{"train.learning_rate": rate} for rate in (1e-2, 1e30, 1e-2)]
    swept = drive(space=space, enqueue=enqueue, trials=3)
    driver = swept.run()
    assert [trial.state for trial in driver.roster.trials] == ["complete", "failed", "complete"]
    reason = driver.roster.trials[1].reason
    assert reason is not None
    assert reason.startswith("diverged: ")
    assert [row[2] for row in study_rows(swept.dir.path)] == ["COMPLETE", "FAIL", "COMPLETE"]
    assert driver.roster.left() == 0


def test_a_queued_trial_that_cannot_be_trained_stops_the_sweep(
    drive: Callable[..., Drive], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.proposal.MAX_RANDOM_DRAWS", 100)
    swept = drive(enqueue=[FOUR[0], {"model.d_model": 8, "model.d_head": 16}], trials=2)
    driver = swept.run()
    assert driver.halt is not None
    assert driver.halt.code == BAD_INPUT
    assert driver.halt.reason.startswith("constraints: none of 100 configurations")
    assert not swept.trial(1).path.exists()


def test_a_trial_that_would_train_the_same_takes_the_result_without_a_worker(
    drive: Callable[..., Drive], study_rows: StudyRows
) -> None:
    swept = drive(enqueue=[FOUR[0]] * 3, trials=3, max_concurrent=2)
    driver = swept.run()
    assert [trial.same_as for trial in driver.roster.trials] == [None, 0, 0]
    first, second = swept.trial(0), swept.trial(1)
    assert second.metrics.read_bytes() == first.metrics.read_bytes()
    assert not second.checkpoints.exists()
    states = {(row[2], row[3]) for row in study_rows(swept.dir.path)}
    assert states == {("COMPLETE", (first.read_result() or {})["value"])}
    result = second.result.read_bytes()
    assert b"the same run as trial 0, whose result it takes" in result
    second.result.unlink()
    assert swept.run().roster.left() == 0
    assert second.result.read_bytes() == result


def test_a_stopped_driver_saves_its_trials_and_the_next_goes_on_to_the_same_bytes(
    long: Sweep, whole: RunDir, rows: Rows, study_rows: StudyRows, tmp_path: Path
) -> None:
    both = Drive(tmp_path / "both", replace(long, trials=2))
    both.run()
    swept = Drive(tmp_path / "tiny", both.sweep)
    driver = swept.run(reached(swept, rows, 1, 50), workers=2)
    assert (driver.halt, driver.roster.left()) == (None, 2)
    assert {trial.state for trial in driver.roster.trials} == {"running"}
    assert {row[2] for row in study_rows(swept.dir.path)} == {"RUNNING"}
    saved = [max(checkpoint.steps(swept.trial(n).checkpoints)) for n in (0, 1)]
    assert saved[1] >= 50
    driver = swept.run(workers=2)
    assert [trial.state for trial in driver.roster.trials] == ["complete"] * 2
    resumed = [row for row in rows(swept.dir.events) if row["event"] == "trial_resumed"]
    assert {(row["trial"], row["step"]) for row in resumed} == set(enumerate(saved))
    assert same_bytes(swept.trial(0), whole)
    assert same_bytes(swept.trial(1), both.trial(1))


def test_a_verdict_that_is_given_again_sees_no_loss_behind_its_step(
    golden: Any, tmp_path: Path
) -> None:
    path = tmp_path / "tiny"
    shutil.copytree(golden.path, path, ignore=shutil.ignore_patterns("wandb", "000[5-8]"))
    sweep, _ = SweepDir(path).read_sweep()
    swept = Drive(path, replace(sweep, trials=5))
    trial = swept.trial(4)
    assert trial.read_result() == {**(trial.read_result() or {}), "reason": "pruned at step 10"}
    # Killed just before its result was written, and the checkpoint of its last step is lost.
    trial.result.unlink()
    shutil.rmtree(trial.checkpoints / "step-00000010")
    assert 10 in swept.dir.history(Search(sweep, VOCABULARY))[4].reports
    assert swept.run().roster.left() == 0
    assert same_bytes(trial, RunDir(golden.path / "trials" / "0004"))


class Once:
    """Does something to the worker once a condition comes true."""

    def __init__(self, condition: Callable[[], bool], deed: Callable[[int], object]) -> None:
        self.condition, self.deed, self.done = condition, deed, False

    def __call__(self) -> bool:
        if not self.done and self.condition():
            self.done = True
            for pid in worker_pids():
                self.deed(pid)
        return False


def test_a_worker_that_is_told_to_leave_saves_and_is_replaced_once(
    long: Sweep, whole: RunDir, rows: Rows, tmp_path: Path
) -> None:
    swept = Drive(tmp_path / "tiny", long)
    terminate = Once(reached(swept, rows, 0, 90), lambda pid: os.kill(pid, signal.SIGTERM))
    driver = swept.run(terminate)
    assert (driver.halt, driver.roster.left()) == (None, 0)
    assert same_bytes(swept.trial(0), whole)
    resumed = [row for row in rows(swept.dir.events) if row["event"] == "trial_resumed"]
    assert [row["step"] >= 90 for row in resumed] == [True]


def test_a_full_disk_stops_the_sweep_and_costs_nothing_once_there_is_room(
    long: Sweep, whole: RunDir, rows: Rows, tmp_path: Path
) -> None:
    swept = Drive(tmp_path / "tiny", long)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # From now on none of its files may grow beyond this, and a checkpoint is larger.
    full = Once(
        reached(swept, rows, 0, 90),
        lambda pid: resource.prlimit(pid, resource.RLIMIT_FSIZE, (3000, hard)),
    )
    driver = swept.run(full)
    assert driver.halt is not None
    assert driver.halt.code == 75
    assert driver.halt.reason.startswith(str(swept.trial(0).path))
    assert re.search(
        r": no room left for \d+ bytes; make some and run the same command again$",
        driver.halt.reason,
    )
    assert (driver.roster.left(), swept.trial(0).read_result()) == (1, None)
    assert swept.run().roster.left() == 0
    assert same_bytes(swept.trial(0), whole)


@pytest.fixture(scope="module")
def stopped(long: Sweep, rows: Rows, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The long sweep, left within its first trial, after an evaluation."""
    swept = Drive(tmp_path_factory.mktemp("stopped") / "tiny", long)
    swept.run(reached(swept, rows, 0, 90))
    assert swept.trial(0).read_result() is None
    return swept.dir.path


@pytest.fixture
def worn(stopped: Path, long: Sweep, tmp_path: Path) -> Drive:
    """A copy of it for one test."""
    shutil.copytree(stopped, tmp_path / "tiny")
    return Drive(tmp_path / "tiny", long)


def test_a_loss_that_comes_out_differently_stops_the_sweep(worn: Drive) -> None:
    step = max(worn.dir.history(Search(worn.sweep, VOCABULARY))[0].reports)
    # Without the checkpoints behind it, the last evaluation is made again.
    for path in worn.trial(0).checkpoints.iterdir():
        if int(path.name.removeprefix("step-")) > step:
            shutil.rmtree(path)
    record = worn.trial(0).metrics.read_bytes()
    head, _, row = record.rpartition(b'{"kind": "eval"')
    worn.trial(0).metrics.write_bytes(head + b'{"kind": "eval"' + altered(row))
    driver = worn.run()
    assert driver.halt is not None
    assert driver.halt.code == 3
    assert re.search(r"metrics\.jsonl:\d+: computed again, ", driver.halt.reason)
    assert worn.trial(0).read_result() is None


def altered(row: bytes) -> bytes:
    """The end of an eval row, its loss another one."""
    before, name, loss = row.partition(b'"val_loss": ')
    return before + name + b"9" + loss


def test_a_record_that_cannot_be_used_stops_the_sweep_and_stays(worn: Drive) -> None:
    for path in worn.trial(0).checkpoints.glob("step-*/state.pt"):
        path.write_bytes(b"damaged")
    before = worn.trial(0).metrics.read_bytes()
    driver = worn.run()
    assert driver.halt is not None
    assert driver.halt.code == 3
    assert "no older checkpoint is left" in driver.halt.reason
    assert worn.trial(0).metrics.read_bytes() == before
    assert worn.trial(0).read_result() is None
    assert driver.roster.left() == 1


def test_a_damaged_checkpoint_costs_a_little_time_and_nothing_else(
    worn: Drive, whole: RunDir
) -> None:
    newest = max(worn.trial(0).checkpoints.iterdir())
    (newest / "state.pt").write_bytes(b"damaged")
    assert worn.run().roster.trials[0].state == "complete"
    assert same_bytes(worn.trial(0), whole)


def test_a_worker_without_the_gpu_of_the_trials_stops_the_sweep_and_fails_no_trial(
    drive: Callable[..., Drive],
) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    run = drive({"train.device": "cuda"}, trials=1, enqueue=FOUR)
    driver = run.run(workers=2)
    assert driver.halt is not None
    assert driver.halt.code == BAD_INPUT
    assert "torch finds no GPU here" in driver.halt.reason
    assert run.trial(0).read_result() is None


def rows_of(drive: Drive, rows: Rows, event: str) -> list[dict[str, Any]]:
    return [row for row in rows(drive.dir.events) if row["event"] == event]


def stops(drive: Drive, rows: Rows) -> list[dict[str, Any]]:
    return [row for row in rows_of(drive, rows, "worker_silent") if row["stopped"]]


def stop(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)


def test_a_stopped_worker_is_told_of_once_and_goes_on_when_it_is_let(
    long: Sweep, whole: RunDir, rows: Rows, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    swept = Drive(tmp_path / "tiny", long)
    stopping = Once(reached(swept, rows, 0, 90), stop)
    looks = itertools.count()

    def told() -> bool:
        # A few looks later it would have been told again.
        return bool(stops(swept, rows)) and next(looks) > 5

    going_on = Once(told, lambda pid: os.kill(pid, signal.SIGCONT))
    driver = swept.run(lambda: stopping() or going_on(), silent_seconds=0.6)
    assert (driver.halt, driver.roster.left()) == (None, 0)
    assert same_bytes(swept.trial(0), whole)
    (silent,) = stops(swept, rows)
    assert (silent["trial"], silent["worker"], silent["step"] >= 80) == (0, 0, True)
    assert silent["pid"] == driver.workers[0].child.pid
    assert rows_of(swept, rows, "worker_died") == []
    (warning,) = [line for line in capsys.readouterr().err.splitlines() if "is stopped" in line]
    assert warning == (
        f"warning: trial 0: its worker (process {silent['pid']}) has said nothing for "
        f"{silent['seconds']} s since step {silent['step']}; it is stopped, `kill -CONT "
        f"{silent['pid']}` lets it go on"
    )


def test_a_worker_that_is_silent_for_long_is_told_of_and_never_replaced_unasked(
    drive: Callable[..., Drive], rows: Rows, capsys: pytest.CaptureFixture[str]
) -> None:
    swept = drive(trials=1, enqueue=FOUR)
    swept.trial(0).path.mkdir(parents=True)
    with ExitStack() as stack:
        stack.enter_context(locked(swept.trial(0).lock))  # the worker waits for that, and is silent
        told = Once(
            lambda: bool(rows_of(swept, rows, "worker_silent")), lambda _: stack.pop_all().close()
        )
        driver = swept.run(told, silent_seconds=0.3)
    assert [trial.state for trial in driver.roster.trials] == ["complete"]
    assert not rows_of(swept, rows, "worker_silent")[0]["stopped"]
    assert rows_of(swept, rows, "worker_died") == []
    assert "it is at something long, or it hangs" in capsys.readouterr().err


def test_a_worker_that_is_stopped_for_longer_than_the_limit_is_replaced(
    long: Sweep, whole: RunDir, rows: Rows, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    swept = Drive(tmp_path / "tiny", replace(long, worker_timeout="8s"))
    driver = swept.run(Once(reached(swept, rows, 0, 90), stop))
    assert (driver.halt, driver.roster.left()) == (None, 0)
    assert same_bytes(swept.trial(0), whole)
    assert [row["code"] for row in rows_of(swept, rows, "worker_died")] == [-9]
    (resumed,) = rows_of(swept, rows, "trial_resumed")
    assert resumed["step"] >= 80
    assert capsys.readouterr().err == (
        "warning: trial 0: its worker died (silent for 8s and killed); going on from step "
        f"{resumed['step']}\n"
    )


def test_a_trial_whose_workers_are_silent_again_and_again_fails(
    drive: Callable[..., Drive],
) -> None:
    swept = drive(trials=1, enqueue=FOUR, max_retries=1, worker_timeout="0.5s")
    swept.trial(0).path.mkdir(parents=True)
    with locked(swept.trial(0).lock):  # each worker waits for that, and is silent
        driver = swept.run()
    assert driver.roster.trials[0].reason == (
        "its worker died (silent for 0.5s and killed) 2 times at step 0: it said nothing"
    )


@pytest.mark.parametrize("clock", ["time", "monotonic"])
def test_a_clock_that_jumps_and_a_driver_that_was_stopped_itself_make_no_worker_silent(
    long: Sweep,
    whole: RunDir,
    rows: Rows,
    tmp_path: Path,
    clock: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    swept = Drive(tmp_path / "tiny", replace(long, worker_timeout="50s"))
    now, days = getattr(time, clock), itertools.count()

    def begin() -> bool:
        # From now on a day goes by between any two looks.
        monkeypatch.setattr(time, clock, lambda: now() + 86400 * next(days))
        return True

    driver = swept.run(Once(reached(swept, rows, 0, 10), lambda _: begin()), silent_seconds=40)
    assert (driver.halt, driver.roster.left()) == (None, 0)
    assert same_bytes(swept.trial(0), whole)
    assert [row["event"] for row in rows(swept.dir.events)] == ["trial_started", "trial_finished"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("is_late", "seconds"), [(True, 60.0), (False, 0.1)])
def test_a_worker_that_does_not_stop_in_time_is_killed_and_its_checkpoint_stands(
    long: Sweep,
    whole: RunDir,
    rows: Rows,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    is_late: bool,
    seconds: float,
) -> None:
    """Late for a person who waits, or, after --timeout and a full disk, later than any step."""
    swept = Drive(tmp_path / "tiny", long)
    stopped = Once(reached(swept, rows, 0, 90), stop)
    driver = swept.run(
        lambda: stopped() or stopped.done, is_late=lambda: is_late, stopping_seconds=seconds
    )
    assert (driver.halt, driver.roster.left()) == (None, 1)
    assert max(checkpoint.steps(swept.trial(0).checkpoints)) >= 80
    assert capsys.readouterr().err == (
        "warning: trial 0: its worker does not stop and is killed; its last checkpoint stands\n"
    )
    assert swept.run().roster.left() == 0
    assert same_bytes(swept.trial(0), whole)


def test_an_idle_worker_that_is_stopped_is_not_waited_for_when_it_is_late(
    drive: Callable[..., Drive],
) -> None:
    swept = drive(trials=1, enqueue=FOUR)
    driver = swept.run()
    (idle,) = driver.workers
    idle.child = Child("experiments.worker")
    assert idle.child.poll(60)
    stop(idle.child.pid)
    began = time.monotonic()
    driver.close(lambda: True)
    assert time.monotonic() - began < 5
    assert idle.child.join(0.0) == -9


def test_losses_that_another_machine_computes_again_may_come_out_otherwise(
    worn: Drive, rows: Rows, study_rows: StudyRows
) -> None:
    step = max(worn.dir.history(Search(worn.sweep, VOCABULARY))[0].reports)
    for path in worn.trial(0).checkpoints.iterdir():
        if int(path.name.removeprefix("step-")) > step:
            shutil.rmtree(path)
        else:
            manifest = unsealed(path / "manifest.json")
            manifest["numerics"]["torch"] = "1.0"
            (path / "manifest.json").write_bytes(sealed(manifest))
    record = worn.trial(0).metrics.read_bytes()
    head, _, row = record.rpartition(b'{"kind": "eval"')
    worn.trial(0).metrics.write_bytes(head + b'{"kind": "eval"' + altered(row))
    assert worn.dir.history(Search(worn.sweep, VOCABULARY))[0].reports[step] > 9
    driver = worn.run()
    assert (driver.halt, driver.roster.trials[0].state) == (None, "complete")
    (warned,) = rows_of(worn, rows, "warning")
    assert "torch was 1.0" in warned["warning"]
    assert driver.roster.trials[0].reports[step] < 9
    assert study_rows(worn.dir.path)[0][4][step] == driver.roster.trials[0].reports[step]
