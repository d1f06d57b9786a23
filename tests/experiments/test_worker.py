"""A worker trains what it is told, asks at each evaluation, and saves when it has to leave."""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from experiments.process import Child, Message
from experiments.spec import Sweep
from tinygpt import checkpoint, config
from tinygpt.corpus import load
from tinygpt.exits import TEMPORARY
from tinygpt.files import locked
from tinygpt.rundir import RunDir

Rows = Callable[[Path], Sequence[dict[str, Any]]]
NewRun = Callable[..., RunDir]


class Talk:
    """A driver's side of the conversation with one worker."""

    def __init__(self, module: str) -> None:
        self.child = Child(module)
        self._heard: list[Message] = []

    def hear(self, *events: str) -> Message:
        """The next message of these kinds; others are passed over."""
        while True:
            while self._heard:
                message = self._heard.pop(0)
                if message["event"] in events:
                    return message
            assert self.child.alive, self.child.last_words()
            self._heard += self.child.poll(60)

    def run(self, run_dir: RunDir, verdicts: Sequence[str] = (), **order: Any) -> Message:
        """Have a directory run, with these verdicts and "go on" after them; the last message."""
        self.child.send(run=str(run_dir.path), **order)
        given = iter(verdicts)
        while True:
            message = self.hear("evaluated", "ended", "stopped", "unusable", "storage")
            if message["event"] != "evaluated":
                return message
            self.child.send(verdict=next(given, "go on"), reason="as the driver says")


@contextmanager
def talking(module: str = "experiments.worker") -> Iterator[Talk]:
    talk = Talk(module)
    try:
        yield talk
    finally:
        talk.child.dismiss()
        talk.child.join()
        talk.child.close()


@pytest.fixture(scope="module")
def talk(environment: dict[str, str]) -> Iterator[Talk]:
    """A worker that many tests use one after another, as a sweep does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", environment["PYTHONPATH"])
        with talking() as talk:
            yield talk


@pytest.fixture
def new_run(
    tmp_path: Path, make_sweep: Callable[..., Sweep], text_file: Path
) -> Callable[..., RunDir]:
    """Begin a run with some dotted keys set."""

    def begin(name: str = "run", **values: Any) -> RunDir:
        dotted = {key.replace("__", "."): value for key, value in values.items()}
        settled = config.as_dict(make_sweep().run)
        settled["data"]["sha256"] = load(str(text_file)).sha256
        run_dir = RunDir(tmp_path / name)
        run_dir.write_config(config.with_values(settled, dotted))
        return run_dir

    return begin


def test_a_worker_whose_driver_is_gone_saves_in_the_middle_of_a_trial_and_leaves(
    new_run: NewRun,
) -> None:
    run_dir = new_run(train__max_iters=10**6, train__eval_interval=10**6)
    with talking() as talk:
        message = talk.hear("ready")
        assert sorted(message["offer"]) == ["cpu_bf16", "gpu", "gpu_bf16"]
        assert {"cpu_capability", "torch"} <= set(message["versions"])
        talk.child.send(run=str(run_dir.path))
        assert talk.hear("evaluated")["step"] == 0
        talk.child.send(verdict="go on")
        told = talk.hear("trained")
        step, mfu = told["step"], told["mfu"]
        talk.child.dismiss()
        assert talk.child.join() == 0
    assert step <= max(checkpoint.steps(run_dir.checkpoints)) < 10**6
    assert mfu > 0


def test_a_trial_is_trained_to_its_end_with_a_question_at_each_evaluation(
    talk: Talk, new_run: NewRun, rows: Rows
) -> None:
    run_dir = new_run()
    talk.child.send(run=str(run_dir.path))
    started = talk.hear("started")
    assert (started["step"], started["warning"]) == (0, None)
    asked = []
    while (message := talk.hear("evaluated", "ended"))["event"] == "evaluated":
        # What is asked about is in the record already.
        last = rows(run_dir.metrics)[-1]
        assert (last["kind"], last["step"]) == ("eval", message["step"])
        asked.append((message["step"], message["val_loss"]))
        talk.child.send(verdict="go on")
    assert [step for step, _ in asked] == list(range(0, 41, 5))
    shared = {r["step"]: r.get("val_loss_subset", r["val_loss"]) for r in run_dir.evaluations()}
    assert dict(asked) == shared
    assert {"train", "eval", "setup", "checkpoint", "verdict"} <= set(message["seconds"])
    result = run_dir.read_result()
    assert result is not None
    assert (result["state"], result["reason"]) == ("complete", None)


def test_a_pruned_trial_ends_at_that_step_with_the_drivers_reason(
    talk: Talk, new_run: NewRun, rows: Rows
) -> None:
    run_dir = new_run()
    assert talk.run(run_dir, ["go on", "go on", "prune"])["event"] == "ended"
    result = run_dir.read_result()
    assert result is not None
    assert (result["state"], result["reason"]) == ("pruned", "as the driver says")
    last = rows(run_dir.metrics)[-1]
    assert (last["step"], last["val_loss"]) == (10, result["value"])
    assert result["metrics"]["parameters"] > 0
    assert result["metrics"]["flops_per_token"] > 0


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"data__sha256": "0" * 64}, "is not the one this run began with"),
        ({"data__corpus": "/nowhere", "data__sha256": "1" * 64}, "/nowhere: cannot be read"),
    ],
)
def test_a_text_that_is_gone_fails_no_trial_and_the_worker_goes_on(
    talk: Talk, new_run: NewRun, values: dict[str, Any], reason: str
) -> None:
    run_dir = new_run(**values)
    message = talk.run(run_dir)
    assert (message["event"], message["code"]) == ("storage", TEMPORARY)
    assert reason in message["reason"]
    assert message["reason"].endswith("; run the same command again")
    assert run_dir.read_result() is None
    assert talk.run(new_run("next"))["event"] == "ended"


def test_a_trial_that_diverges_fails_with_its_reason(talk: Talk, new_run: NewRun) -> None:
    run_dir = new_run(train__learning_rate=1e30)
    assert talk.run(run_dir)["event"] == "ended"
    result = run_dir.read_result()
    assert result is not None
    assert result["state"] == "failed"
    assert result["reason"].startswith("diverged: ")


def test_a_record_that_was_changed_is_unusable_and_stays(
    talk: Talk, new_run: NewRun, rows: Rows
) -> None:
    run_dir = new_run()
    talk.run(run_dir, ["go on", "go on", "prune"])
    run_dir.result.unlink()
    changed = run_dir.metrics.read_bytes().replace(b'"step": 2,', b'"step": 3,')
    run_dir.metrics.write_bytes(changed)
    message = talk.run(run_dir)
    assert (message["event"], message["busy"]) == ("unusable", False)
    assert "metrics.jsonl" in message["reason"]
    assert run_dir.metrics.read_bytes() == changed
    assert run_dir.read_result() is None


def test_a_worker_waits_for_a_trial_that_another_process_is_leaving(
    talk: Talk, new_run: NewRun
) -> None:
    run_dir = new_run()
    with locked(run_dir.lock):
        talk.child.send(run=str(run_dir.path))
        assert talk.child.poll(0.3) == []
    assert talk.hear("started")["step"] == 0
    while talk.hear("evaluated", "ended")["event"] == "evaluated":
        talk.child.send(verdict="go on")


def test_a_directory_that_cannot_be_written_is_told_and_no_trial_failed(
    talk: Talk, new_run: NewRun
) -> None:
    run_dir = new_run()
    run_dir.metrics.mkdir()
    message = talk.run(run_dir)
    assert message["event"] == "storage"
    assert message["reason"].startswith(f"{run_dir.metrics}: is not a ")
    assert run_dir.read_result() is None


@pytest.fixture
def lone() -> Iterator[Talk]:
    """A worker of one test alone."""
    with talking() as talk:
        yield talk


def test_a_full_disk_is_told_and_the_trial_goes_on_once_there_is_room(
    lone: Talk, new_run: NewRun
) -> None:
    run_dir, pid = new_run(), fresh(lone)
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    # No file may grow beyond this, and a checkpoint is larger.
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1000, hard))
    message = lone.run(run_dir)
    assert (message["event"], message["code"]) == ("storage", TEMPORARY), message
    assert "no room left" in message["reason"]
    assert str(run_dir.path) in message["reason"]
    assert run_dir.read_result() is None
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))
    assert lone.run(run_dir)["event"] == "ended"


def test_a_worker_that_is_told_to_leave_saves_and_another_goes_on_to_the_same_bytes(
    lone: Talk, talk: Talk, new_run: NewRun, rows: Rows
) -> None:
    pid = fresh(lone)
    stopped, whole = new_run("stopped"), new_run("whole")
    lone.child.send(run=str(stopped.path))
    for _ in range(3):
        lone.hear("evaluated")
        lone.child.send(verdict="go on")
    os.kill(pid, signal.SIGINT)  # a Ctrl-C is the driver's business
    lone.hear("evaluated")
    lone.child.send(verdict="go on")
    os.kill(pid, signal.SIGTERM)
    message = lone.hear("stopped", "evaluated")
    if message["event"] == "evaluated":
        lone.child.send(verdict="stop")
        message = lone.hear("stopped")
    assert stopped.read_result() is None
    assert max(checkpoint.steps(stopped.checkpoints)) >= 15
    talk.child.send(run=str(stopped.path))
    assert talk.hear("started")["step"] == max(checkpoint.steps(stopped.checkpoints))
    while talk.hear("evaluated", "ended")["event"] == "evaluated":
        talk.child.send(verdict="go on")
    talk.run(whole)
    for name in ("metrics.jsonl", "samples.jsonl", "result.json", "config.json"):
        assert (stopped.path / name).read_bytes() == (whole.path / name).read_bytes()


def fresh(talk: Talk) -> int:
    """The process id of a worker that is ready, asked from the kernel."""
    talk.hear("ready")
    inode = os.fstat(talk.child.fileno()).st_ino
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            ends = [os.stat(entry / "fd" / name).st_ino for name in os.listdir(entry / "fd")]
        except OSError:
            continue
        if inode in ends:
            return int(entry.name)
    raise AssertionError("nobody writes into the worker's pipe")


def test_a_module_of_the_worker_needs_no_wandb_and_no_optuna() -> None:
    code = (
        "import sys, json, experiments.worker\n"
        "print(json.dumps([m for m in ('wandb', 'optuna', 'yaml', 'pandas') if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_a_worker_measures_runs_before_it_is_given_a_trial(talk: Talk, new_run: NewRun) -> None:
    run_dir = new_run()
    nested = config.as_dict(run_dir.read_config())
    absent = config.with_values(nested, {"data.sha256": "0" * 64})
    talk.child.send(probe=[absent, nested], seconds=0.05)
    message = talk.hear("probed")
    (figures,) = message["figures"]  # what cannot be measured is left out
    assert figures.pop("place") == 1
    assert sorted(figures) == ["evaluation", "sample", "setup", "snapshot", "update"]
    assert 0 < message["resident"] < message["memory"]
    assert sorted(path.name for path in run_dir.path.iterdir()) == ["config.json"]
    assert talk.run(run_dir)["event"] == "ended"


def test_what_is_measured_before_changes_no_byte_of_a_trial(
    talk: Talk, lone: Talk, new_run: NewRun
) -> None:
    measured, plain = new_run("measured"), new_run("plain")
    lone.child.send(probe=[config.as_dict(measured.read_config())], seconds=0.05)
    lone.hear("probed")
    lone.run(measured)
    talk.run(plain)
    for name in ("metrics.jsonl", "samples.jsonl", "result.json"):
        assert (measured.path / name).read_bytes() == (plain.path / name).read_bytes()


def test_a_worker_says_that_it_goes_on_however_rarely_losses_are_logged(
    lone: Talk, new_run: NewRun
) -> None:
    never = 10**6
    run_dir = new_run(train__max_iters=never, train__eval_interval=never, train__log_interval=never)
    lone.child.send(run=str(run_dir.path))
    lone.hear("evaluated")
    lone.child.send(verdict="go on")
    steps = [lone.hear("stepped")["step"] for _ in range(2)]
    assert 0 < steps[0] < steps[1]


HASTY = """\
from experiments import worker
worker.LEAVING_SECONDS = 0.2
worker.Worker(worker.Channel()).work()
"""


def test_a_worker_leaves_soon_after_its_driver_whatever_it_is_doing(
    new_run: NewRun, text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / "long.txt"
    long.write_bytes(text_file.read_bytes() * 1000)
    (tmp_path / "hasty.py").write_text(HASTY)
    monkeypatch.chdir(tmp_path)
    # The first evaluation goes through all of a text that takes minutes.
    run_dir = new_run(
        data__corpus=str(long), data__sha256=load(str(long)).sha256, train__eval_iters=0
    )
    with talking("hasty") as talk:
        talk.child.send(run=str(run_dir.path))
        assert talk.hear("started")["step"] == 0
        talk.child.dismiss()
        assert talk.child.join(60) == TEMPORARY
    assert checkpoint.steps(run_dir.checkpoints) == [0]
    assert "the driver is gone" in run_dir.log.read_text().splitlines()[-1]


@pytest.mark.parametrize("verdicts", [[], ["go on", "prune"]])
def test_the_speed_of_a_model_is_in_its_result_if_it_is_asked_for(
    talk: Talk, new_run: NewRun, verdicts: list[str]
) -> None:
    run_dir = new_run()
    talk.run(run_dir, verdicts, measure=True)
    result = run_dir.read_result()
    assert result is not None
    assert 0 < result["metrics"]["seconds_per_token"] < 1
    assert result["metrics"]["parameters"] > 0
