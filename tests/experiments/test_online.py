"""What a server has is what the record says, whatever happened to it, to the mirror or to W&B."""

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fakewandb import FakeWandb
from fakewandb.runs import FakeRun

IsLevel = Callable[[FakeWandb, Path], None]
Copy = Callable[..., Path]
HASTY = {"WANDB_INIT_TIMEOUT": "2", "WANDB_FINISH_TIMEOUT": "4"}
"""So long W&B's client waits for a server that does not answer."""


@dataclass(frozen=True)
class Published:
    """A sweep, and the server that it was published on; only to be looked at."""

    path: Path
    server: FakeWandb
    said: str

    def run(self, number: int) -> FakeRun:
        """The run of a trial."""
        (found,) = (r for r in self.server.runs.values() if r.id.endswith(f"-t{number:04d}"))
        return found

    @property
    def sweep(self) -> FakeRun:
        """The sweep's own run."""
        (found,) = (run for run in self.server.runs.values() if run.job_type == "sweep")
        return found


@pytest.fixture(scope="module")
def published(
    golden: Any, command: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Published]:
    path = tmp_path_factory.mktemp("published") / "tiny"
    shutil.copytree(golden.path, path, ignore=shutil.ignore_patterns("wandb"))
    with FakeWandb() as fake:
        environ = fake.environment(path.parent / "home")
        outcome = command("experiments.publish", path, cwd=path.parent, environ=environ)
        assert (outcome.code, outcome.err) == (0, "")
        yield Published(path, fake, outcome.out)
    assert fake.unknown == []


@pytest.fixture
def small(golden: Any, tmp_path: Path) -> Copy:
    """A copy of the sweep with its first trials, which nobody has mirrored."""

    def make(count: int = 2, name: str = "tiny") -> Path:
        path = tmp_path / "runs" / name
        shutil.copytree(golden.path, path, ignore=shutil.ignore_patterns("wandb"))
        for trial in sorted((path / "trials").iterdir())[count:]:
            shutil.rmtree(trial)
        return path

    return make


@pytest.fixture
def publish(command: Any, server: FakeWandb, tmp_path: Path) -> Callable[..., Any]:
    """Publish on the server."""

    def run(path: Path, **environ: str) -> Any:
        known = server.environment(tmp_path / "home") | environ
        return command("experiments.publish", path, cwd=tmp_path, environ=known)

    return run


def held(server: FakeWandb) -> dict[str, Any]:
    """All that a server has and that a person can see."""
    runs = {
        run.id: (
            run.history_lines[:],
            {name: seen(value) for name, value in run.summary.items() if name[0] != "_"},
            run.config,
            run.tags,
            sorted(set(run.files) - {"wandb-summary.json"}),
            run.state,
        )
        for run in server.runs.values()
    }
    versions = [
        (v.collection, v.index, v.state, sorted(v.aliases), v.logged_by, sorted(v.used_by))
        for v in server.artifacts.versions
    ]
    return {"runs": runs, "versions": versions}


def seen(value: Any) -> Any:
    """A value of a summary without W&B's own names for where its contents lie."""
    hidden = ("artifact_path", "_latest_artifact_path")
    return {k: v for k, v in value.items() if k not in hidden} if isinstance(value, dict) else value


def test_every_step_of_every_trial_is_there_once(
    published: Published, is_level_on: IsLevel
) -> None:
    is_level_on(published.server, published.path)


def test_what_was_verified_is_said(published: Published) -> None:
    assert published.said.startswith(f"W&B: {published.path} is level in project tinygpt, verified")
    artifacts = [v for v in published.server.artifacts.versions if v.logged_by]
    rows = sum(len(run.steps) for run in published.server.runs.values())
    assert f": 10 runs, {rows:,} rows, {len(artifacts):,} artifacts" in published.said


@pytest.mark.parametrize("number", [0, 1, 4])
def test_a_run_is_found_by_its_name_group_job_and_tags(published: Published, number: int) -> None:
    run = published.run(number)
    config = json.loads((published.path / f"trials/{number:04d}/config.json").read_text())
    assert (run.name, run.group, run.job_type) == (f"trial-{number:04d}", "tiny", "train")
    assert set(run.tags) >= {"tpe", "text"}
    assert {key: run.config[key] for key in config} == config
    assert run.config["sweep"]["id"] == published.sweep.id


def test_the_summary_is_the_best_and_the_last_of_the_record(published: Published) -> None:
    result = json.loads((published.path / "trials/0000/result.json").read_text())
    told = published.run(0).summary
    assert told["best/step"] == result["best_step"]
    assert told["best/val_loss_nats"] == result["metrics"]["best_val_loss"]
    assert told["objective"] == result["value"]
    assert told["last/step"] == published.run(0).steps[-1]


def test_the_log_and_the_samples_go_along(published: Published) -> None:
    run = published.run(0)
    log = (published.path / "trials/0000/worker.log").read_bytes()
    assert run.files["worker.log"] == log
    table = json.loads(next(d for name, d in run.files.items() if "samples" in name))
    lines = (published.path / "trials/0000/samples.jsonl").read_text().splitlines()
    assert [row[0] for row in table["data"]] == [json.loads(line)["step"] for line in lines]


def test_a_checkpoint_is_what_the_run_made_of_the_corpus(published: Published) -> None:
    store = published.server.artifacts
    run = published.run(0)
    best = store.find(f"{run.id}-checkpoint:best")
    assert {"best", "final", "latest", "step-40"} <= set(best.aliases)
    assert (best.logged_by, best.type, best.ttl) == (run.id, "model", None)
    files = store.files(f"{run.id}-checkpoint:best")
    trial = published.path / "trials/0000"
    assert files["state.pt"] == (trial / "checkpoints/step-00000040/state.pt").read_bytes()
    assert files["tokenizer.json"] == (trial / "tokenizer.json").read_bytes()
    assert files["config.json"] == (trial / "config.json").read_bytes()
    trials = [one.id for one in published.server.runs.values() if one.job_type == "train"]
    assert sorted(store.find("corpus-text:latest").used_by) == sorted(trials)
    assert not [v for v in store.versions if v.logged_by == published.run(1).id]  # it failed


def test_the_sweep_has_a_run_that_tells_its_story(published: Published) -> None:
    run = published.sweep
    assert run.steps == list(range(9))
    assert run.history[-1]["trials/complete"] + run.history[-1]["trials/pruned"] == 7
    best = [row["best/val_loss_nats"] for row in run.history]
    assert best == sorted(best, reverse=True)
    assert run.summary["best/trial"] == 0
    assert run.summary["leaderboard"]["nrows"] == 9
    assert run.summary["state"] == "complete"
    report = (published.path / "report/report.html").read_text()
    assert report.encode() in run.files.values()
    files = published.server.artifacts.files(f"{run.id}-sweep:final")
    assert files["sweep.json"] == (published.path / "sweep.json").read_bytes()
    assert files["study.db"][:15] == b"SQLite format 3"


def test_published_again_nothing_changes(
    published: Published, command: Any, tmp_path: Path
) -> None:
    before = held(published.server)
    environ = published.server.environment(tmp_path)
    again = command("experiments.publish", published.path, cwd=tmp_path, environ=environ)
    assert (again.code, again.out) == (0, published.said)
    assert held(published.server) == before


@pytest.mark.chaos
def test_what_the_mirror_remembers_may_be_lost(
    small: Copy, publish: Any, server: FakeWandb
) -> None:
    path = small()
    assert publish(path).code == 0
    before = held(server)
    (path / "wandb" / "mirror.jsonl").unlink()
    assert publish(path).code == 0
    assert held(server) == before


Fault = Callable[[FakeWandb], None]
FAULTS: dict[str, Fault] = {
    "an artifact is never whole": lambda s: s.faults.fail("CommitArtifact", 400, times=1),
    "rows are refused for a while": lambda s: s.faults.fail("file_stream", 503, times=2),
}
MORE_FAULTS: dict[str, Fault] = {
    "rows are refused for good": lambda s: s.faults.fail("file_stream", 400, times=1),
    "uploads are refused": lambda s: s.faults.fail("storage", 500, times=3),
    "it is busy": lambda s: s.faults.fail("UpsertBucket", 429, times=1),
    "it is slow": lambda s: s.faults.slow(0.1),
}


def seldom(*names: str) -> list[Any]:
    """Parameters that only long runs try."""
    return [pytest.param(name, marks=pytest.mark.chaos) for name in names]


@pytest.mark.parametrize("fault", [*FAULTS, *seldom(*MORE_FAULTS)])
def test_a_server_that_fails_for_a_while_has_all_in_the_end(
    small: Copy, publish: Any, server: FakeWandb, is_level_on: IsLevel, fault: str
) -> None:
    path = small(1)
    (FAULTS | MORE_FAULTS)[fault](server)
    outcome = publish(path)
    assert (outcome.code, outcome.err) == (0, "")
    is_level_on(server, path)


@pytest.mark.parametrize("fault", ["stopped", *seldom("outage", "unauthorised")])
def test_a_server_that_cannot_be_had_costs_nothing_but_time(
    small: Copy, publish: Any, server: FakeWandb, is_level_on: IsLevel, fault: str
) -> None:
    path = small(1)
    server.stop() if fault == "stopped" else getattr(server.faults, fault)()
    outcome = publish(path, **HASTY)
    assert outcome.code == 75
    (line,) = outcome.errors
    assert line.startswith("error: W&B: ")
    assert line.endswith("; run the same command again")
    server.faults.heal()
    server.start()
    assert publish(path).code == 0
    is_level_on(server, path)


def test_a_run_that_was_deleted_there_is_made_again_under_another_id(
    small: Copy, publish: Any, server: FakeWandb, is_level_on: IsLevel
) -> None:
    path = small()
    assert publish(path).code == 0
    (deleted,) = (name for name in server.runs if name.endswith("-t0000"))
    server.delete_run(deleted)
    outcome = publish(path, **HASTY)
    assert (outcome.code, outcome.err) == (0, "")
    assert f"{deleted}-2" in server.runs
    is_level_on(server, path)
    assert publish(path).code == 0


@pytest.mark.chaos
def test_rows_that_are_too_many_are_told_with_what_to_do(
    small: Copy, publish: Any, server: FakeWandb
) -> None:
    path = small(1)
    assert publish(path).code == 0
    (run,) = (run for run in server.runs.values() if run.id.endswith("-t0000"))
    run.history_lines.append(json.dumps({"_step": 99}))
    outcome = publish(path)
    assert outcome.code == 75
    assert outcome.errors == [
        f"warning: {path}: trial-0000 has 26 rows, the record 25; delete that run there and "
        "publish again",
        f"error: W&B: {path} is not level; run the same command again",
    ]


def test_an_offline_sweep_can_be_uploaded_by_wandb_itself_and_published_after_that(
    golden: Any,
    publish: Any,
    command: Any,
    server: FakeWandb,
    is_level_on: IsLevel,
    tmp_path: Path,
) -> None:
    path = tmp_path / "runs" / "tiny"
    shutil.copytree(golden.path, path)
    environ = server.environment(tmp_path / "home")
    fragments = sorted((path / "wandb").glob("offline-run-*"))
    outcome = command("wandb", "sync", "--yes", *fragments, cwd=tmp_path, environ=environ)
    assert outcome.code == 0
    is_level_on(server, path)
    trials = [run.id for run in server.runs.values() if run.job_type == "train"]
    assert sorted(server.artifacts.find("corpus-text:latest").used_by) == sorted(trials)
    rows = {run.id: run.history_lines[:] for run in server.runs.values()}
    assert publish(path).code == 0
    assert {run.id: run.history_lines for run in server.runs.values()} == rows


@pytest.mark.parametrize("victim", ["wandb-core", "group", *seldom("mirror")])
def test_whoever_is_killed_while_it_is_uploaded_nothing_is_missing_or_double(
    small: Copy,
    publish: Any,
    start: Any,
    until: Any,
    server: FakeWandb,
    is_level_on: IsLevel,
    tmp_path: Path,
    victim: str,
) -> None:
    path = small(5)
    environ = server.environment(tmp_path / "home")
    for runs in (1, 3):
        process = start("experiments.publish", path, cwd=tmp_path, environ=environ)
        until(lambda: len(server.runs) >= runs or process.poll() is not None)  # noqa: B023
        strike(victim, process.pid)
        code = process.wait(60)
        # What is uploaded to the end may have been before anybody was killed.
        assert code in ((75, 0) if victim == "wandb-core" else (-signal.SIGKILL, 0))
    outcome = publish(path)
    assert (outcome.code, outcome.err) == (0, "")
    is_level_on(server, path)


def strike(victim: str, pid: int) -> None:
    """Kill one of a command's processes, or all."""
    if victim == "group":
        os.killpg(pid, signal.SIGKILL)
    elif victim == "mirror":
        os.kill(pid, signal.SIGKILL)
    else:
        for core in Path("/proc").glob("[0-9]*/cmdline"):
            words = core.read_bytes().split(b"\0")
            if words[0].endswith(b"wandb-core") and str(pid).encode() in words:
                os.kill(int(core.parent.name), signal.SIGKILL)
