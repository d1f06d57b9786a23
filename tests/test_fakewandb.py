"""The server that stands in for W&B's, as W&B's own client finds it."""

import json
import multiprocessing
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from multiprocessing.pool import AsyncResult, ThreadPool
from pathlib import Path
from typing import Any

import pytest
from fakewandb import FakeWandb

from experiments import client

Ask = Callable[..., "AsyncResult[Any]"]
LIMIT = 120
"""Seconds an answer may take: W&B's client waits for ever for a server that is gone."""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeWandb]:
    """A server, which this process and those that it starts use."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    with FakeWandb() as fake:
        for name, value in fake.environment(tmp_path).items():
            monkeypatch.setenv(name, value)
        yield fake


@pytest.fixture
def ask(server: FakeWandb, tmp_path: Path) -> Iterator[Ask]:
    """Have a function done in a process of its own, where W&B's files are below its first
    argument."""
    home = tmp_path / "wandb"
    with multiprocessing.get_context("spawn").Pool(1, client.isolate, (home,)) as pool:
        yield lambda function, *given: pool.apply_async(function, (home, *given))
        pool.apply_async(client.leave).get(LIMIT)


def opened(home: Path, *, online: bool = True, commit: str | None = None) -> client.Run:
    about = client.About(
        id="one",
        name="trial-0001",
        group="sweep",
        job_type="train",
        project="p",
        entity=None,
        tags=("tpe",),
        config={"train": {"lr": 0.1}, "seed": 1},
        commit=commit,
    )
    return client.Run(about, "one", home, online=online, resume=online)


def bundle(name: str, text: str, *aliases: str, kind: str = "model") -> client.Bundle:
    written = {"file.txt": text.encode()}
    return client.Bundle(
        name=name, type=kind, metadata={"step": 2}, written=written, aliases=aliases, ttl_days=3
    )


def logs(home: Path, steps: int, exit_code: int = 0) -> int:
    """Log some rows; the step of the first."""
    run = opened(home)
    for step in range(run.next_step, run.next_step + steps):
        run.log({"loss": 1 / (step + 1)}, step)
    run.finish(exit_code)
    return run.next_step


def is_interrupted(home: Path, steps: int) -> None:
    run = opened(home)
    for step in range(steps):
        run.log({"loss": 1.0}, step)
    run.tag("attempted")
    run.interrupt()


def logs_all_kinds(home: Path, online: bool = True) -> str:
    """Log what there is to log, twice what can be; where the run's files are."""
    run = opened(home, online=online, commit="abc")
    run.input(bundle("data", "a text", kind="dataset"))
    for step in range(3):
        run.log({"loss": step, "nan": float("nan")}, step)
    run.log({"table": client.table(["a"], [[1]]), "page": client.html("<p>x</p>")}, 3)
    run.save("log.txt", b"a line\n")
    for text, alias in (("1", "best"), ("1", "final"), ("2", "best")):
        run.output(bundle("checkpoint", text, alias))
    run.summarise({"best": {"loss": 0}})
    run.finish(0)
    return run.directory


def holds_all_kinds(server: FakeWandb) -> None:
    """Assert that a server has what `logs_all_kinds` logs."""
    run = server.runs["one"]
    assert (run.entity, run.project, run.state) == ("me", "p", "finished")
    assert (run.name, run.group, run.job_type) == ("trial-0001", "sweep", "train")
    assert (run.tags, run.commit) == (["tpe"], "abc")
    assert run.config == {"train": {"lr": 0.1}, "seed": 1}
    assert [(row["_step"], row.get("loss")) for row in run.history] == [
        (0, 0),
        (1, 1),
        (2, 2),
        (3, None),
    ]
    assert (run.summary["best"], run.summary["loss"]) == ({"loss": 0}, 2)
    assert run.files["log.txt"] == b"a line\n"
    (table,) = (data for name, data in run.files.items() if name.endswith(".table.json"))
    assert json.loads(table)["data"] == [[1]]
    first, second = (v for v in server.artifacts.versions if v.name == "checkpoint")
    assert (first.version, set(first.aliases), first.files) == ("v0", {"final"}, {"file.txt": b"1"})
    assert (second.version, set(second.aliases)) == ("v1", {"best", "latest"})
    assert (second.type, second.metadata, second.ttl) == ("model", {"step": 2}, 3 * 24 * 60 * 60)
    assert {(v.state, v.logged_by) for v in (first, second)} == {("COMMITTED", "one")}
    assert server.artifact("data:latest").used_by == {"one"}
    assert server.unknown == []


def test_all_that_a_run_logs_arrives(server: FakeWandb, ask: Ask) -> None:
    ask(logs_all_kinds).get(LIMIT)
    holds_all_kinds(server)


def test_what_wandb_sync_uploads_is_the_same(server: FakeWandb, ask: Ask, tmp_path: Path) -> None:
    directory = ask(logs_all_kinds, False).get(LIMIT)
    assert server.requests == []
    command = [sys.executable, "-m", "wandb", "sync", "--yes", str(tmp_path / "wandb" / directory)]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path, timeout=LIMIT)
    holds_all_kinds(server)


def test_a_run_that_is_resumed_goes_on_behind_its_last_row(server: FakeWandb, ask: Ask) -> None:
    ask(is_interrupted, 3).get(LIMIT)
    run = server.runs["one"]
    assert (run.state, run.exit_code, run.tags) == ("preempted", 1, ["tpe", "attempted"])
    assert ask(logs, 2, 1).get(LIMIT) == 3
    assert run.steps == list(range(5))
    assert run.state == "failed"


def test_an_id_that_was_deleted_is_refused(
    server: FakeWandb, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So long the client asks again; a run that begins takes a tenth of that.
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "5")
    ask(logs, 1).get(LIMIT)
    server.delete_run("one")
    with pytest.raises(client.DeletedError):
        ask(logs, 1).get(LIMIT)
    assert (server.runs, server.unknown) == ({}, [])


def test_refusals_and_a_restart_lose_nothing(server: FakeWandb, ask: Ask) -> None:
    server.faults.fail("file_stream", 503)
    logging = ask(logs, 100)
    server.until(lambda: "file_stream" in server.refused)
    server.stop()
    with pytest.raises(urllib.error.URLError, match="refused"):
        urllib.request.urlopen(server.url, timeout=LIMIT)
    server.faults.heal()
    server.start()
    logging.get(LIMIT)
    assert server.runs["one"].steps == list(range(100))
    assert server.runs["one"].state == "finished"


@pytest.mark.parametrize("end", ["heal", "stop"])
def test_a_server_that_hangs_does_nothing_until_it_is_well(server: FakeWandb, end: str) -> None:
    server.faults.hang()
    viewer = urllib.request.Request(f"{server.url}/graphql", b'{"query": "query Viewer {x}"}')
    with ThreadPool(1) as pool:
        answer = pool.apply_async(answered, (viewer,))
        server.faults.until_waiting()
        server.faults.heal() if end == "heal" else server.stop()
        assert answer.get(LIMIT) == (200 if end == "heal" else None)
    assert server.requests == (["Viewer"] if end == "heal" else [])


def test_what_a_listing_says(server: FakeWandb, ask: Ask) -> None:
    ask(logs_all_kinds).get(LIMIT)
    for group, ids in (("sweep", ["one"]), (None, ["one", "none"])):
        (run,) = ask(holdings, group, ids).get(LIMIT).items()
        assert run[0] == "one"
        assert (run[1].rows, run[1].state, run[1].used) == (4, "finished", ["data"])
        states = {name: state for name, _, state in run[1].artifacts}
        assert states.pop("checkpoint:v0") == states.pop("checkpoint:v1") == "COMMITTED"
    assert ask(holdings, "another", ["one"]).get(LIMIT) == {}


def holdings(home: Path, group: str | None, ids: list[str]) -> Any:
    return client.held(None, "p", group, ids)


def test_an_artifact_that_is_downloaded_is_the_one_that_was_logged(
    ask: Ask, tmp_path: Path
) -> None:
    ask(logs_all_kinds).get(LIMIT)
    assert ask(downloads, "me/p/checkpoint:final").get(LIMIT) == ["me/p/data:v0"]
    assert (tmp_path / "wandb" / "got" / "file.txt").read_bytes() == b"1"
    with pytest.raises(LookupError):
        ask(downloads, "me/p/checkpoint:other").get(LIMIT)


def downloads(home: Path, name: str) -> list[str]:
    return client.download(name, home / "got")


def test_what_the_server_does_not_know_is_refused_and_told(server: FakeWandb) -> None:
    for body in (b'{"query": "query Other {x}"}', b'{"query": "query ArtifactByID {x}"}'):
        assert answered(urllib.request.Request(f"{server.url}/graphql", body)) == 400
    assert answered(urllib.request.Request(f"{server.url}/other/place")) == 400
    assert server.unknown == ["Other", "ArtifactByID: KeyError('id')", "GET /other/place"]


def answered(request: urllib.request.Request) -> int | None:
    """The status of an answer; None if there is none."""
    try:
        with urllib.request.urlopen(request, timeout=LIMIT) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return None
